"""Cells that wait for an answer: an error where a job is certain to come to them, a warning where it may, nothing where it does not."""

from __future__ import annotations

import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from airflow_nbjobs.core.notebook.unattended import Unattended, unattended


def look(*cells: str, tags: tuple[str, ...] = ()) -> Unattended:
    return unattended(
        new_notebook(cells=[new_code_cell(cell, metadata={"tags": list(tags)}) for cell in cells]), "nb.ipynb"
    )


CERTAIN = [
    "input()",
    "x = input('q')",
    "n = int(input('n? ').strip())",
    "print(f'{input()}')",
    "a, b = input(), 2",
    "if (y := input()) == 'y':\n    pass",
    "for name in input().split():\n    pass",
    "while True:\n    x = input()\n    if x:\n        break",
    "if __name__ == '__main__':\n    x = input()",
    "if True:\n    input()",
    "if 0:\n    pass\nelse:\n    input()",
    "try:\n    n = int(input())\nexcept ValueError:\n    n = 3",
    "try:\n    n = int(input())\nexcept (ValueError, KeyboardInterrupt):\n    n = 3",
    "try:\n    pass\nfinally:\n    input()",
    "with open('f') as f:\n    f.write(input())",
    "class A:\n    x = input()",
    "import sys\nif input() != 'y':\n    sys.exit()",
    "import sys\ndef stop():\n    sys.exit()\nx = input()",
    "def f(x=input()):\n    pass",
    "xs = [x for x in input()]",
    "x = input() or 'a'",
    "x = 'a' if input() else 'b'",
    "def ask():\n    return input('q')\nname = ask()",
    "def ask(q):\n    print(q)\n    return input(q)\ndef main():\n    return ask('q')\nmain()",
    "%time x = input('q')",
    "%%time\nx = input('q')",
    "%%capture out\nx = input('q')",
    "import builtins\nbuiltins.input()",
    "import getpass\ngetpass.getpass()",
    "from getpass import getpass\npassword = getpass('p')",
    "from getpass import getpass as ask\nask()",
    "import getpass as g\ng.getpass()",
    "import pdb\npdb.set_trace()",
    "import pdb; pdb.set_trace()",
    "from pdb import set_trace\nset_trace()",
    "import ipdb; ipdb.set_trace()",
    "from IPython.core.debugger import set_trace\nset_trace()",
    "from IPython import embed\nembed()",
    "import IPython\nIPython.embed()",
    "import code\ncode.interact(local=locals)",
    "config['input'] = 3\nx = input()",
    "layer.input = 3\nx = input()",
    "import sys, io\nsys.stdin = io.StringIO('a')\nx = input()",
    "help()",
    "x = [input(), 1]",
    "print(*[input()], end='')",
    "assert input()",
    "x = input() < 3 < y",
    "x = 1 < input()",
    "@f(input())\ndef g():\n    pass",
    "def f(*, a=input()):\n    pass",
    "class A(input()):\n    pass",
    "for i in xs:\n    pass\ninput()",
    "match input():\n    case 1:\n        pass",
    "while input():\n    pass",
    "while False:\n    pass\nelse:\n    input()",
    "if x:\n    raise ValueError\ninput()",
    "with open(input()) as f:\n    pass",
    "try:\n    pass\nexcept Exception:\n    pass\ninput()",
    "def f():\n    return 1\ninput()",
    "x = {'a': input()}",
    "def a():\n    return b()\ndef b():\n    return c()\ndef c():\n    return d()\ndef d():\n    return e()\ndef e():\n    return input()\na()",
]
PERHAPS = [
    "if x:\n    input()",
    "if x:\n    pass\nelse:\n    input()",
    "for i in xs:\n    input()",
    "while x:\n    input()",
    "x = y or input()",
    "x = input() if y else 3",
    "xs = [input() for _ in xs]",
    "with suppress(Exception):\n    input()",
    "match x:\n    case 1:\n        input()",
    "try:\n    pass\nexcept Exception:\n    input()",
    "while True:\n    if x:\n        break\n    input()",
    "def f():\n    return input()\nbutton.on_click(f)",
    "def f():\n    return input()\nif x:\n    f()",
    "def f():\n    if x:\n        return 1\n    return input()\nf()",
    "from helpers import *\ninput()",
    "exec(text)\ninput()",
    "get_ipython().kernel.raw_input = len\ninput()",
    "setattr(builtins, 'input', len)\ninput()",
    "%run common.ipynb\ninput()",
    "import sys\nif x:\n    sys.exit(0)\ninput()",
    "def stop():\n    raise SystemExit(0)\nif x:\n    stop()\ninput()",
    "import os\nclass A:\n    def stop(self):\n        os._exit(0)\nA().stop()\ninput()",
    "if x:\n    quit()\ninput()",
    "import os\nif x:\n    os.kill(1, 2)\ninput()",
    "x = 1 < 2 < input()",
    "x = y and input()",
    "x = y if z else input()",
    "xs = [1 for x in y if input()]",
    "xs = {x: input() for x in y}",
    "xs = list(input() for x in y)",
    "async for x in y:\n    input()",
    "for i in xs:\n    pass\nelse:\n    input()",
    "def f():\n    return input()\ng = f",
    "def f():\n    return input()\nx.y(f)",
    "def a():\n    return b()\ndef b():\n    return c()\ndef c():\n    return d()\ndef d():\n    return e()\ndef e():\n    return f()\ndef f():\n    return input()\na()",
    "if x:\n    raise SystemExit\ninput()",
    "def f():\n    for x in y:\n        if x:\n            return 1\n    return input()\nf()",
    "for x in y:\n    if x:\n        continue\n    input()",
    "try:\n    f()\nexcept ValueError:\n    input()",
    "with open('f') as f, lock:\n    input()",
]
NOTHING = [
    "print(1)",
    "def f():\n    return input()",
    "f = lambda: input()",
    "if False:\n    input()",
    "if 0:\n    input()",
    "try:\n    x = input()\nexcept Exception:\n    x = 3",
    "try:\n    x = input()\nexcept:\n    x = 3",
    "try:\n    x = input()\nexcept NotImplementedError:\n    x = 3",
    "from IPython.core.error import StdinNotImplementedError\ntry:\n    x = input()\nexcept StdinNotImplementedError:\n    x = 3",
    "try:\n    x = input()\nexcept (ValueError, RuntimeError):\n    x = 3",
    "def input(q=''):\n    return 'a'\nx = input()",
    "from fake import input\nx = input()",
    "input = lambda q: 'a'\nx = input()",
    "import builtins\nbuiltins.input = lambda q: 'a'\nx = input()",
    "from unittest.mock import patch\npatch('builtins.input', lambda q: 'a').start()\nx = input()",
    "from unittest import mock\nimport builtins\nmock.patch.object(builtins, 'input', len).start()\ninput('a')",
    "import builtins as b\nb.input = len\nx = input('a')",
    "__builtins__.input = len\nx = input('a')",
    "import getpass\ngetpass.getpass = len\ngetpass.getpass('a')",
    "def f(input):\n    return input()\nf(len)",
    "def f():\n    input = len\n    return input('a')\nf()",
    "layer.input()",
    "form.getpass()",
    "text = 'input()'",
    "# input()",
    "raise SystemExit\ninput()",
    "import sys\nsys.exit(0)\ninput()",
    "exit()\ninput()",
    "help(len)",
    "set_trace()",
    "import sys\nsys.stdin.readline()",
    "%%bash\nread x",
    "%%html\n<input>",
    "x = (",
    "%pdb off",
    "%pip uninstall -y torch",
    "!pip uninstall torch -y",
    "!yes | pip uninstall torch",
    "!pip uninstall --yes torch && pip install torch",
    "!conda install -y -c conda-forge lightgbm",
    "!apt-get install -yq graphviz",
    "!apt-get -y install graphviz",
    "!apt-get update",
    "!conda list",
    "%conda install lightgbm",
    "!pip install torch",
    "%%bash\npip uninstall torch",
    "def f():\n    yield input()\nf()",
    "@cached\ndef f():\n    return input()\nf()",
    "import os\nos.abort()\ninput()",
    "raise ValueError\ninput()",
    "try:\n    input()\nexcept errors.NoInput:\n    pass",
    "try:\n    input()\nexcept (ValueError, Exception):\n    pass",
    "f(input)",
    "import sys\nx = sys.exit() == input()",
    "import sys\nx = [sys.exit(), input()]",
    "import sys\nx = f(sys.exit()) or input()",
    "import sys\nfor x in sys.exit():\n    input()",
    "class A:\n    def f(self):\n        input()",
    "while True:\n    break\n    input()",
    "if True:\n    pass\nelse:\n    input()",
    "!pip uninstall -qy torch",
    "!pip uninstall torch --help",
    "!pip uninstall torch < yes.txt",
    "!apt-get install -qq graphviz",
    "!apt-get install --assume-yes graphviz",
    "!conda install --dry-run x",
    "!ls pip uninstall torch",
    "!pip uninstalled",
    "%pdb 0",
    "%debugger",
]


@pytest.mark.parametrize("cell", CERTAIN)
def test_what_a_job_is_certain_to_come_to_is_an_error_that_names_cell_and_line(cell):
    found = look("print('first')", cell)
    (problem,) = found.problems
    assert re.match(r"cell 2 line \d+ of 'nb.ipynb' waits for an answer", problem), problem
    assert "nobody can answer in a job" in problem
    assert found.warnings == ()


@pytest.mark.parametrize("cell", PERHAPS)
def test_what_a_job_may_come_to_is_a_warning(cell):
    found = look(cell)
    assert found.problems == ()
    (warning,) = found.warnings
    assert "waits for an answer (input())" in warning
    assert "a job that comes to it fails" in warning


@pytest.mark.parametrize("cell", NOTHING)
def test_what_asks_nobody_is_no_ones_business(cell):
    assert look(cell) == Unattended()


def test_the_advice_fits_what_asks():
    assert "make its answer a parameter" in look("input()").problems[0]
    assert "Secrets Manager" in look("import getpass\ngetpass.getpass()").problems[0]
    assert "remove it" in look("import pdb\npdb.set_trace()").problems[0]


def test_each_function_is_named_once_with_all_its_places():
    found = look("a = input()\nb = input()", "import pdb", "c = input()\npdb.set_trace()")
    assert [problem.split(" of ")[0] for problem in found.problems] == [
        "cell 1 line 1, cell 1 line 2, cell 3 line 1",
        "cell 3 line 2",
    ]


def test_markdown_cells_count_as_jupyter_counts_them():
    nb = new_notebook(cells=[new_markdown_cell("# input()"), new_code_cell("input()")])
    assert unattended(nb, "nb.ipynb").problems[0].startswith("cell 2 line 1 of 'nb.ipynb'")


def test_a_function_is_called_in_another_cell_and_named_where_it_asks():
    found = look("def ask():\n    return input('q')", "name = ask()")
    assert found.problems[0].startswith("cell 1 line 2 of")
    assert look("def ask():\n    return input('q')", "print(ask)").warnings[0].startswith("cell 1 line 2 of")


def test_a_cell_that_may_fail_is_let_alone():
    assert look("x = input()", tags=("raises-exception",)) == Unattended()


def test_a_cell_that_defines_input_earlier_counts_and_one_that_cannot_be_read_makes_it_a_doubt():
    assert look("def input(q):\n    return 'a'", "x = input('q')") == Unattended()
    found = look("x = (", "x = input('q')")
    assert (found.problems, len(found.warnings)) == ((), 1)


def test_the_calls_of_itself_end():
    assert look("def f():\n    return f()\nf()") == Unattended()


@pytest.mark.parametrize("magic", ["%debug", "%debug f()", "%%debug\nf()", "%pdb on", "%pdb", "%pdb 1"])
def test_a_debugger_is_warned_of(magic):
    """``%debug`` alone finds no traceback in a job, which ends at the first error; none of them fails the cell."""
    found = look(magic)
    assert found.problems == ()
    assert found.warnings[0].startswith("cell 1 of 'nb.ipynb' starts a debugger (%")


def test_a_breakpoint_is_warned_of():
    """debugpy, where ipykernel has it, makes it do nothing."""
    assert "fails the cell where the image has no debugpy" in look("breakpoint()").warnings[0]
    assert look("breakpoint()").problems == ()
    assert look("def breakpoint():\n    pass\nbreakpoint()") == Unattended()


@pytest.mark.parametrize(
    "line",
    [
        "!pip uninstall torch",
        "%pip uninstall torch",
        "!pip3 uninstall torch",
        "!python -m pip uninstall torch",
        "!pip install -q x && pip uninstall torch",
        "!conda install -c conda-forge lightgbm",
        "!mamba install lightgbm",
        "!apt-get install graphviz",
        "!sudo apt install graphviz",
        "x = !pip uninstall torch",
        "!apt-get upgrade",
        "!apt purge x",
        "!apt autoremove",
        "!conda create -n x",
        "!mamba update --all",
        "!sudo -E apt-get -q install y",
        "!ls; apt-get remove x",
        "!ls || pip uninstall torch",
        "!pip uninstall my-package",
        "!pip uninstall -r requirements.txt",
        "!/opt/conda/bin/python3.11 -m pip uninstall torch",
    ],
)
def test_a_command_that_asks_before_it_acts_is_warned_of(line):
    """It has a terminal that nobody types into: the job runs, and is billed, to its last second."""
    found = look(line)
    assert found.problems == ()
    assert "add -y" in found.warnings[0]
    assert "max_runtime_in_seconds" in found.warnings[0]


def test_what_comes_after_a_cell_that_raises_system_exit_is_not_reached():
    assert look("raise SystemExit", "input()").problems == ()
    assert look("if x:\n    raise SystemExit", "input()").problems == ()
    assert look("def stop():\n    raise SystemExit", "input()").problems != ()
