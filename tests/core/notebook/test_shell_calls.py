"""Which cells call a command of the system."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from airflow_nbjobs.core.notebook.shell_calls import cells_calling


@pytest.mark.parametrize(
    "cell",
    [
        "!aws s3 ls",
        "!aws",
        "x = !aws s3 ls",
        "!!aws s3 ls",
        "%sx aws s3 ls",
        "%system aws s3 ls",
        "!mkdir x && aws s3 sync x s3://b",
        "!AWS_PROFILE=x aws s3 ls",
        "!echo $(aws sts get-caller-identity)",
        "!cat x | aws s3 cp - s3://b/x",
        "%%bash\nset -e\naws s3 ls",
        "%%sh\nif true; then\n  aws s3 ls\nfi",
        "%%!\naws s3 ls",
        "import os\nos.system('aws s3 ls')",
        "subprocess.run(['aws', 's3', 'ls'], check=True)",
        "for x in y:\n    !aws s3 cp {x} s3://b/",
    ],
)
def test_a_cell_that_calls_it_is_found(cell):
    nb = new_notebook(cells=[new_markdown_cell("!aws s3 ls"), new_code_cell("1"), new_code_cell(cell)])
    assert cells_calling(nb, "aws") == (3,)


@pytest.mark.parametrize(
    "cell",
    [
        "# !aws s3 ls",
        "print('aws s3 ls')",
        "'aws s3 ls'",
        "!ls aws",
        "!pip install awscli",
        "!awslocal s3 ls",
        "import aws",
        "aws = 1",
        "%%html\naws s3",
        "!echo aws",
        "x = (",
    ],
)
def test_another_is_not(cell):
    assert cells_calling(new_notebook(cells=[new_code_cell(cell)]), "aws") == ()


@pytest.mark.parametrize(
    ("cell", "is_found"),
    [
        ("subprocess.call(['aws'])", True),
        ("subprocess.check_output('ls; aws s3 ls', shell=True)", True),
        ("Popen(['aws', x])", True),
        ("os.popen('sudo aws s3 ls')", True),
        ("subprocess.getoutput('time A=b aws s3 ls')", True),
        ("subprocess.run(['ls', 'aws'])", False),
        ("subprocess.run(('aws', 's3'))", False),
        ("subprocess.run(args=['aws'])", False),
        ("subprocess.run(command)", False),
        ("subprocess.other(['aws'])", False),
        ("get_ipython().system('aws s3 ls')", True),
        ("!ls | aws", True),
        ("!(aws s3 ls)", True),
        ("!`aws s3 ls`", True),
        ("!aws-vault x", False),
        ("!exec aws s3 ls", True),
        ("%%bash\n  aws s3 ls", True),
        ("%%script bash\naws s3 ls", True),
        ("%%python\naws", False),
        ("%time !aws s3 ls", True),
        ("%timeit aws", False),
    ],
)
def test_it_is_found_where_a_command_begins(cell, is_found):
    nb = new_notebook(cells=[new_code_cell("!aws"), new_code_cell(cell)])
    assert cells_calling(nb, "aws") == ((1, 2) if is_found else (1,))


def test_the_name_is_taken_to_the_letter():
    assert cells_calling(new_notebook(cells=[new_code_cell("!aXs ls")]), "a.s") == ()
    assert cells_calling(new_notebook(cells=[new_code_cell("!a.s ls")]), "a.s") == (1,)
