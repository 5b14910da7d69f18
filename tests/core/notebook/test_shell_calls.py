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
