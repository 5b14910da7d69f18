"""What stands behind a failed cell, by what the kernel and papermill leave in the notebook and in the log."""

import json

import pytest
from fakes import code, executed, failed_at, notebook

from airflow_nbjobs.core.notebook.causes import advice_on, failed_installs, unrendered_failure
from airflow_nbjobs.core.notebook.executed import parse_executed
from airflow_nbjobs.core.notebook.failing_cell import FailedCell, clean_exit, find_failing_cell

# As nbformat words it, in the driver's log.
UNRENDERED = """\
Exception during processing notebook: None is not of type 'array'
nbformat.validator.NotebookValidationError: None is not of type 'array'
Failed validating 'type' in notebook['properties']['traceback']:
On instance['traceback']:
None"""


# As IPython prints an exception whose own _render_traceback_ raises.
CHAINED = """\
Traceback (most recent call last):
  File x
    raise StopExecution('no')
StopExecution: no

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File y
ValueError: 3
"""


def parsed(raw):
    return parse_executed(raw, source="nb")[0]


def failing(ename, evalue, *, before=()):
    cells = [*before, "x = 1"]
    nb = parsed(failed_at(notebook(*cells), len(cells), ename, evalue))
    return nb, find_failing_cell(nb)


def printing(source, text, *, stream="stdout"):
    return code(source, outputs=[{"output_type": "stream", "name": stream, "text": text}])


def without_error(raw, *outputs):
    """Return the notebook whose last failed cell shows these outputs and no error, as a magic's UsageError leaves it."""
    content = json.loads(raw)
    (cell,) = [cell for cell in content["cells"] if cell["metadata"].get("papermill", {}).get("exception")]
    cell["outputs"] = list(outputs)
    return json.dumps(content)


def stopped(*sources, ran):
    """Return the notebook as papermill leaves it when its client breaks in cell ``ran``: what comes after is called completed."""
    content = json.loads(executed(notebook(*sources)))
    for cell in content["cells"][ran:]:
        cell["metadata"]["papermill"] = {"start_time": None, "exception": None, "status": "completed"}
    return parsed(json.dumps(content))


@pytest.mark.parametrize(
    ("ename", "evalue", "said"),
    [
        ("ModuleNotFoundError", "No module named 'prep'", "if prep.py or a folder prep lies beside the notebook"),
        ("ModuleNotFoundError", "No module named 'sklearn.cluster'", "install what gives 'sklearn' in the image"),
        ("ModuleNotFoundError", "No module named x", "install what gives 'x' in the image"),
        (
            "ModuleNotFoundError",
            "No module named 'a.b'; 'a' is not a package",
            "with %pip install in a cell before cell 1",
        ),
        ("ImportError", "cannot import name 'f' from 'g' (/x/g.py)", "has another version than the notebook"),
        ("ImportError", "Missing optional dependency 'openpyxl'.  Use pip or conda", "install what the message names"),
        ("ImportError", "X requires the sentencepiece library: `pip install sentencepiece`", "what the message names"),
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'data/a.csv'", "if 'data/a.csv' lies beside"),
        ("ImportError", "libGL.so.1: cannot open shared object file: No such file", "system library libGL.so.1"),
        ("UsageError", "Line magic function `%foo` not found.", "%load_ext"),
        ("StdinNotImplementedError", "raw_input was called", "take the value from a parameter"),
        ("MemoryError", "", "use a larger instance_type, or hold less of the data in memory"),
        ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2 GiB", "more GPU memory, or smaller batches"),
        ("OSError", "[Errno 28] No space left on device", "raise volume_size (GB): the job's disk is full"),
        ("OSError", "[Errno 122] Disk quota exceeded: 'x'", "raise volume_size (GB)"),
        ("ClientError", "An error occurred (AccessDenied) when calling PutObject", "allow it to the job's role"),
        ("PermissionError", "Access Denied", "allow it to the job's role"),
    ],
)
def test_the_advice_fits_the_failure(ename, evalue, said):
    _, cell = failing(ename, evalue)
    assert said in advice_on(cell)


@pytest.mark.parametrize(
    ("ename", "evalue"),
    [
        (
            "ImportError",
            "cannot import name 'f' from partially initialized module 'g' (most likely due to a circular import)",
        ),
        ("ImportError", "attempted relative import with no known parent package"),
        ("FileNotFoundError", "[Errno 2] No such file or directory: '/mnt/data/a.csv'"),
        ("KeyError", "'No module named'"),
        ("ValueError", "No module named 'x'"),
        ("UsageError", "option -z"),
        ("PermissionError", "[Errno 13] Permission denied: '/srv/x'"),
        ("OutOfMemoryError", "of a library's own"),
        ("OSError", "[Errno 5] Input/output error"),
    ],
)
def test_the_authors_own_errors_get_no_advice_that_would_mislead(ename, evalue):
    _, cell = failing(ename, evalue)
    assert advice_on(cell) is None


@pytest.mark.parametrize(
    ("source", "text", "said"),
    [
        (
            "%pip install prophet",
            "Collecting prophet\n\x1b[31mERROR: No matching distribution found for prophet\x1b[0m\x1b[31m\r\n\x1b[0m",
            "cell 2: ERROR: No matching distribution found for prophet",
        ),
        ("!conda install -y x", "PackagesNotFoundError: The following packages are not available", "cell 2: Packages"),
        ("!uv pip install x", "error: Failed to fetch", "cell 2: error: Failed to fetch"),
        ("%pip install x", "Successfully installed x", None),
        ("%pip install x", "ERROR: pip's dependency resolver does not currently take into account", None),
        ("print('ERROR: no')", "ERROR: no", None),
    ],
)
def test_an_install_that_failed_before_is_quoted(source, text, said):
    nb, cell = failing("ModuleNotFoundError", "No module named 'x'", before=("y = 1", printing(source, text)))
    found = failed_installs(nb, cell)
    assert found == said if said is None else found.startswith(said)


def test_only_what_ran_before_the_failed_cell_is_looked_at():
    raw = failed_at(notebook("import x", printing("%pip install x", "ERROR: no")), 1, "ModuleNotFoundError", "no")
    nb = parsed(raw)
    assert failed_installs(nb, find_failing_cell(nb)) is None


@pytest.mark.parametrize(
    ("printed", "ename", "evalue"),
    [
        ("UsageError: Line magic function `%foo` not found.\n", "UsageError", "Line magic function `%foo` not found."),
        ("note\n\x1b[31mUsageError: \x1b[0moption -z\nnot recognized\n", "UsageError", "option -z not recognized"),
        (CHAINED, "StopExecution", "no"),
        ("Traceback (most recent call last):\n  File x\npkg.errors.Stop\n", "Stop", ""),
        ("nothing of use\n", "CellExecutionError", ""),
        ("", "CellExecutionError", ""),
    ],
)
def test_an_error_that_was_only_printed_is_the_cells(printed, ename, evalue):
    raw = failed_at(notebook("x = 1", "%foo"), 2, "X", "y")
    shown = {"output_type": "stream", "name": "stderr", "text": printed}
    cell = find_failing_cell(parsed(without_error(raw, shown)))
    assert (cell.index, cell.ename, cell.evalue) == (2, ename, evalue)


QUIET = "class StopExecution(Exception):\n    def _render_traceback_(self):\n        return None"


@pytest.mark.parametrize(
    ("sources", "ran", "ename", "evalue"),
    [
        (["x = 1", f"{QUIET}\nraise StopExecution('nothing to do')", "y = 2"], 2, "StopExecution", "nothing to do"),
        ([QUIET, "if not rows:\n    raise StopExecution", "y = 2"], 2, "StopExecution", ""),
        ([QUIET, "%matplotlib inline\nraise StopExecution(f'{x}')", "y"], 2, "StopExecution", ""),
        ([f"{QUIET}\ndef stop():\n    raise StopExecution()", "stop()", "y"], 2, "StopExecution", ""),
        (["from tools import Quiet", "raise Quiet('enough')", "y"], 2, "Quiet", "enough"),
        (["import tools", "raise tools.Quiet('enough')", "y"], 2, "Quiet", "enough"),
        (["from tools import stop", "stop()", "y"], 2, "an exception without a traceback", ""),
        (["x = 1", "not python at all ?!", "y"], 2, "an exception without a traceback", ""),
    ],
)
def test_an_exception_that_renders_no_traceback_is_named_where_the_notebook_tells(sources, ran, ename, evalue):
    """Its name reaches neither the notebook nor the log: nbclient breaks on storing it."""
    cell = unrendered_failure(stopped(*sources, ran=ran), UNRENDERED)
    assert (cell.index, cell.ename, cell.evalue) == (ran, ename, evalue)


def test_another_failure_is_not_taken_for_one_without_a_traceback():
    assert unrendered_failure(stopped(QUIET, "y", ran=1), "nbclient.exceptions.DeadKernelError: Kernel died") is None


def test_a_notebook_that_ended_itself_is_told_from_one_that_ran_on_or_ended_in_its_last_cell():
    def ended(position, *sources):
        return clean_exit(parsed(failed_at(notebook(*sources), position, "SystemExit", "0")))

    assert ended(1, "import sys; sys.exit(0)", "x = 2") == 1
    assert ended(2, "x = 2", "import sys; sys.exit(0)") is None
    assert clean_exit(parsed(executed(notebook("x = 2")))) is None


@pytest.mark.parametrize(
    ("ename", "evalue", "advice"),
    [
        ("MemoryError", "Unable to allocate 7.45 GiB for an array", "larger instance_type"),
        ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB", "more GPU memory"),
        ("OSError", "[Errno 28] No space left on device: 'model.bin'", "volume_size"),
        ("OSError", "[Errno 122] Disk quota exceeded", "volume_size"),
        ("SafetensorError", "Error: I/O error: No space left on device (os error 28)", "volume_size"),
        ("ClientError", "An error occurred (AccessDeniedException) when calling the GetTable operation", "job's role"),
        ("ClientError", "An error occurred (UnauthorizedOperation) when calling the DescribeVpcs", "job's role"),
        ("PermissionError", "Access Denied", "job's role"),
        ("PermissionError", "Forbidden", "job's role"),
        ("PermissionError", "[Errno 13] Permission denied: '/opt/x'", None),
        ("ClientError", "An error occurred (NoSuchKey) when calling the GetObject operation", None),
        ("ValueError", "OutOfMemory", None),
    ],
)
def test_what_the_job_lacked_is_told_with_the_argument_that_gives_it(ename, evalue, advice):
    _, cell = failing(ename, evalue)
    found = advice_on(cell)
    assert (found is None) if advice is None else advice in found


@pytest.mark.parametrize(
    ("ename", "evalue", "said"),
    [
        (
            "ImportError",
            "No module named prep.clean",
            "install what gives 'prep' in the image, with initialization_script",
        ),
        (
            "ImportError",
            "libxgboost.so: cannot open shared object file",
            "the image lacks the system library libxgboost.so",
        ),
        ("ImportError", "missing optional dependency 'x'", "install what the message names in the image"),
        ("ImportError", "sacremoses was not found in your environment", "install what the message names"),
        ("ImportError", "use pip or conda to install x", "install what the message names"),
        ("ImportError", "cannot import name 'a' from 'b'", "pin it in the image"),
        ("FileNotFoundError", "No such file or directory: 'a b.csv'", "if 'a b.csv' lies beside the notebook"),
        ("UsageError", "Cell magic `%%x` not found.", "in a cell before cell 1: %load_ext …"),
        ("ClientError", "User: x is not authorized to perform: s3:GetObject", "allow it to the job's role"),
        ("ValueError", "No space left on device", "raise volume_size (GB): the job's disk is full"),
    ],
)
def test_each_cause_has_its_advice(ename, evalue, said):
    nb, cell = failing(ename, evalue)
    assert said in advice_on(cell)
    assert failed_installs(nb, cell) is None


@pytest.mark.parametrize(
    ("ename", "evalue"),
    [
        ("FileNotFoundError", "No such file or directory: '\\\\srv\\a'"),
        ("FileNotFoundError", "gone"),
        ("ImportError", "cannot import name 'a' from 'b' (circular import)"),
        ("UsageError", "%load_ext x"),
        ("ValueError", "User is not authorized to perform: x"),
        ("PermissionError", "Access Denied to all"),
        ("RuntimeError", "cannot open shared object file"),
    ],
)
def test_what_only_resembles_a_cause_has_none(ename, evalue):
    _, cell = failing(ename, evalue)
    assert advice_on(cell) is None


def test_a_cell_that_is_none_of_the_authors_is_named_by_what_it_needs():
    cell = FailedCell(index=None, tags=(), source="", ename="ImportError", evalue="No module named 'x'", traceback="")
    assert "with %pip install in a cell before the one that needs it" in advice_on(cell)


def test_of_installs_that_failed_the_last_two_lines_of_each_cell_are_quoted():
    said = "ERROR: one\nERROR: two\nok\nerror: three\nERROR: pip's dependency resolver does not care"
    before = (
        printing("%pip install a", said),
        printing("# pip", "fine"),
        printing("!mamba install b", "ResolvePackageNotFound: \n - " + "b" * 400, stream="stderr"),
        printing("print(1)", "ERROR: other"),
    )
    nb, cell = failing("ModuleNotFoundError", "x", before=before)
    assert failed_installs(nb, cell) == "cell 1: ERROR: two / error: three; cell 3: ResolvePackageNotFound:"


@pytest.mark.parametrize(("length", "is_whole"), [(300, True), (301, False)])
def test_a_line_of_an_install_is_cut(length, is_whole):
    line = "ERROR: " + "x" * (length - 7)
    nb, cell = failing("ModuleNotFoundError", "x", before=(printing("%pip install a", f"  {line}  \n"),))
    assert failed_installs(nb, cell) == f"cell 1: {line if is_whole else line[:300] + '…'}"


@pytest.mark.parametrize(
    ("sources", "ename", "evalue"),
    [
        ([QUIET, "if x:\n    raise StopExecution('a')\nraise StopExecution('b')"], "StopExecution", ""),
        (
            [QUIET, "try:\n    pass\nexcept E:\n    raise ValueError('a')\nraise StopExecution('b')"],
            "StopExecution",
            "b",
        ),
        (["1", "if x:\n    raise A('a')\nraise B('b')"], "an exception without a traceback", ""),
        (["1", "if x:\n    raise A('a')\nraise A('b')"], "A", ""),
        (["1", "raise A('a', 'b')"], "A", ""),
        (["1", "raise A('a', b)"], "A", ""),
        (["1", "raise A(5)"], "A", "5"),
        (["1", "try:\n    f()\nexcept E:\n    raise"], "an exception without a traceback", ""),
        ([QUIET + "\n" + QUIET.replace("Stop", "End"), "stop()"], "an exception without a traceback", ""),
        ([QUIET.replace("_render_traceback_", "other"), "stop()"], "an exception without a traceback", ""),
        ([QUIET, "stop()"], "StopExecution", ""),
    ],
)
def test_what_a_cell_raises_is_read_where_there_is_no_doubt(sources, ename, evalue):
    cell = unrendered_failure(stopped(*sources, "y", ran=2), UNRENDERED)
    assert (cell.index, cell.ename, cell.evalue) == (2, ename, evalue)


@pytest.mark.parametrize(
    ("log", "is_one"),
    [
        ("None is not of type 'array'\nOn instance['traceback']:", True),
        ("NotebookValidationError: x\ninstance['traceback']", True),
        ("None is not of type 'array'\nOn instance['outputs']:", False),
        ("On instance['traceback']:", False),
    ],
)
def test_the_log_tells_an_exception_without_a_traceback(log, is_one):
    assert (unrendered_failure(stopped("x", "y", ran=1), log) is not None) is is_one
    assert unrendered_failure(stopped("x", "y", ran=0), log) is None
