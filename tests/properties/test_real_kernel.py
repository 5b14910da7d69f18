"""Ordinary notebooks, as the driver and a real kernel run them."""

import pytest
from building import notebook_of

from airflow_nbjobs.core.notebook.failing_cell import find_failing_cell, last_cell_run
from airflow_nbjobs.core.notebook.progress import added_cells, newest_cells, progress_of
from airflow_nbjobs.core.values.outputs import declare_outputs, prepare_outputs, read_outputs
from airflow_nbjobs.core.values.parameter_cell import prepare_parameters

pytestmark = pytest.mark.local

SCIENTIFIC = """\
import collections, datetime, decimal, enum, pathlib, uuid
import numpy as np, pandas as pd
f32, f64, i64, boolean, text = np.float32(0.5), np.float64(0.1), np.int64(3), np.bool_(True), np.str_('é')
scalar, vector, masked, long = np.array(4.5), np.array([1.0]), np.ma.masked, np.longdouble(1)
day64, span64, not_a_time = np.datetime64('2026-01-02'), np.timedelta64(1, 's'), pd.NaT
day, moment, clock = datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.timezone.utc), datetime.time(4, 5)
stamp, span = pd.Timestamp('2026-01-02T03:04:05.123456789'), datetime.timedelta(minutes=1.5)
price, path, identity = decimal.Decimal('1.10'), pathlib.Path('/opt/ml'), uuid.UUID(int=5)
pair = collections.namedtuple('Pair', 'a b')(1, 2)
ordered, default = collections.OrderedDict(a=1), collections.defaultdict(int, b=2)
color = enum.IntEnum('Color', 'RED').RED
frame, series, letters, raw, imaginary = pd.DataFrame({'a': [1]}), pd.Series([1]), {'a'}, b'x', 1j
counts = {1: 'one'}
"""
RIGHT = {
    "f32": 0.5,
    "f64": 0.1,
    "i64": 3,
    "boolean": True,
    "text": "é",
    "scalar": 4.5,
    "day64": "2026-01-02",
    "day": "2026-01-02",
    "moment": "2026-01-02T03:00:00+00:00",
    "clock": "04:05:00",
    "span": 90.0,
    "price": "1.10",
    "stamp": "2026-01-02T03:04:05.123456789",
    "path": "/opt/ml",
    "identity": "00000000-0000-0000-0000-000000000005",
    "pair": [1, 2],
    "ordered": {"a": 1},
    "default": {"b": 2},
    "color": 1,
}
WRONG = {
    "vector": "is a numpy.ndarray, which has no JSON form; output .tolist()",
    "masked": "is a numpy.ma",
    "long": "is a numpy.longdouble",
    "span64": "output a number of seconds",
    "not_a_time": "NaTType",
    "frame": "write it to S3",
    "series": "output .tolist()",
    "letters": "is a set, which has no JSON form; output sorted(…)",
    "raw": "is a bytes",
    "imaginary": "is a complex",
    "counts": "has a key of type int in counts",
    "absent": "is not a variable of the notebook",
}


def test_values_of_the_scientific_libraries_have_their_forms(run_by_driver):
    names = [*RIGHT, *WRONG]
    run = run_by_driver(notebook_of(SCIENTIFIC), outputs=names)
    assert run.exit_code == 0, run.log[-3000:]
    record = read_outputs(run.executed, declare_outputs(names, None))
    assert record.values == RIGHT
    assert [type(value) for value in record.values.values()] == [type(value) for value in RIGHT.values()]
    assert record.warnings == ()
    assert len(record.problems) == len(WRONG)
    for (name, said), problem in zip(WRONG.items(), record.problems, strict=True):
        assert problem.startswith(f"output '{name}' ")
        assert said in problem


def test_a_failing_cell_is_found_in_the_authors_numbering(run_by_driver):
    nb = notebook_of("rows = 1", "total = rows + 1", "total / 0", "never = 1", tags=["parameters"])
    run = run_by_driver(nb, parameters={"rows": 5}, outputs=["total"])
    assert run.exit_code == 1
    failed = find_failing_cell(run.executed)
    assert (failed.index, failed.ename, failed.evalue) == (3, "ZeroDivisionError", "division by zero")
    assert failed.source == "total / 0"
    assert "----> 1 total / 0" in failed.traceback
    assert last_cell_run(run.executed) == progress_of(run.executed).done == 3
    staged = prepare_outputs(prepare_parameters(nb, {"rows": 5}), ["total"])
    assert newest_cells(run.log, added_cells(staged, is_injected=True)) == (
        3,
        4,
    )  # of seven that the driver's papermill counts


def test_an_exit_is_a_success_without_outputs(run_by_driver):
    run = run_by_driver(notebook_of("a = 1", "import sys\nsys.exit(0)", "b = 1"), outputs=["a"])
    assert run.exit_code == 0, run.log[-3000:]
    assert find_failing_cell(run.executed) is None
    record = read_outputs(run.executed, declare_outputs(["a"], None))
    assert not record.was_recorded
    assert "the notebook ended in cell 2" in record.problems[0]


def test_recording_leaves_history_and_outputs_of_the_notebook_alone(run_by_driver):
    nb = notebook_of(
        "41 + 1", "_, Out, len(In)", "import atexit; atexit.register(print, 'done')\nnb_names = sorted(globals())"
    )
    run = run_by_driver(nb, outputs=["nb_names"])
    counts = [cell.execution_count for cell in run.executed.cells]
    assert counts == [1, 2, 3, 4]
    assert run.executed.cells[1].outputs[0].data["text/plain"] == "(42, {1: 42}, 3)"
    names = read_outputs(run.executed, declare_outputs(["nb_names"], None)).values["nb_names"]
    assert not [name for name in names if "airflow" in name or "nbjobs" in name]
