"""The model server of a transform job as a function: the contract of inference code, and what a file becomes. No container."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from airflow_nbjobs.local.batch import transform_worker as worker
from airflow_nbjobs.local.batch.transform_worker import CSV, JSON, NPY, Model, ModelError, Plan, _Defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


_NUMBERS = count()


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The program has its process to itself: what it changes there is put back."""
    before = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Return a plan whose code is this text."""
    for name in ("in", "code"):
        (tmp_path / name).mkdir()

    def make(code: str, **changes: Any) -> Plan:
        program = f"inference_{next(_NUMBERS)}.py"  # imported under its name, once
        (tmp_path / "code" / program).write_text(code)
        given: dict[str, Any] = {
            "model_dir": "the model's folder",
            "code_dir": str(tmp_path / "code"),
            "program": program,
            "family": "sklearn",
            "input_dir": str(tmp_path / "in"),
            "output_dir": str(tmp_path / "out"),
            "report": str(tmp_path / "report.txt"),
            "content_type": JSON,
            "accept": "",
            "is_split": True,
            "is_single": True,
            "max_payload_bytes": 0,
            "timeout_seconds": 60,
            "max_retries": 0,
            "is_assembled_by_line": True,
        }
        return Plan(**given | changes)

    return make


def run(plan: Plan, tmp_path: Path) -> tuple[int, str]:
    """Run the program; return its exit code and report."""
    (tmp_path / "plan.json").write_text(json.dumps(asdict(plan)))
    code = worker.main(str(tmp_path / "plan.json"))
    return code, (tmp_path / "report.txt").read_text()


ECHO = """
def model_fn(model_dir): return model_dir
def input_fn(body, content_type): return [body, content_type]
def predict_fn(data, model): return [*data, model]
def output_fn(prediction, accept): return "|".join([*prediction, accept])
"""


# -- the contract ------------------------------------------------------------------------------------------------------


def test_functions_are_called_one_after_the_other(plan: Callable[..., Plan]) -> None:
    answer = Model(plan(ECHO)).respond(b"1", JSON, CSV)
    assert answer == b"1|application/json|the model's folder|text/csv"


def test_one_function_may_do_it_all_and_each_may_take_the_context(plan: Callable[..., Plan]) -> None:
    code = """
def model_fn(model_dir, context): return context.system_properties["model_dir"].upper()
def transform_fn(model, body, content_type, accept, context): return f"{model} {type(body).__name__}", accept
"""
    model = Model(plan(code))
    assert model.respond(b"1", CSV, JSON) == b"THE MODEL'S FOLDER str"
    assert model.respond(b"1", "application/x-image", JSON) == b"THE MODEL'S FOLDER bytes"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1", r"defines no model_fn\(model_dir\)"),
        ("raise ValueError('no')", "cannot be imported: ValueError: no"),
        ("def model_fn(model_dir): raise ValueError('no weights')", "model_fn of .* failed: ValueError: no weights"),
        (
            "def model_fn(d): pass\ndef transform_fn(*a): pass\ndef predict_fn(d, m): pass",
            "defines transform_fn beside input_fn, predict_fn, output_fn: it may have one or the other",
        ),
    ],
    ids=["nothing", "import", "model", "both"],
)
def test_code_that_breaks_the_contract_is_told(plan: Callable[..., Plan], code: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        Model(plan(code))


@pytest.mark.parametrize(
    ("function", "name"), [("transform_fn(model, body, c, a)", "transform_fn"), (None, "output_fn")]
)
def test_an_answer_is_text_or_bytes(plan: Callable[..., Plan], function: str | None, name: str) -> None:
    code = "def model_fn(d): pass\n" + (
        f"def {function}: return 5"
        if function
        else "def input_fn(b, c): pass\ndef predict_fn(d, m): pass\ndef output_fn(p, a): return 5"
    )
    with pytest.raises(TypeError, match=f"{name} returned int, not str or bytes"):
        Model(plan(code)).respond(b"1", JSON, JSON)


def test_bytes_stay_as_they_are(plan: Callable[..., Plan]) -> None:
    code = "def model_fn(d): pass\ndef transform_fn(m, b, c, a): return bytearray(b'\\x00\\xff')"
    assert Model(plan(code)).respond(b"1", JSON, JSON) == b"\x00\xff"


def test_requirements_are_said_not_to_be_installed(plan: Callable[..., Plan], tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "code" / "requirements.txt").write_text("x")
    Model(plan(ECHO))
    assert "requirements.txt is not installed here" in capsys.readouterr().out


# -- the toolkits' defaults --------------------------------------------------------------------------------------------


def test_hugging_face_calls_the_model_with_inputs_and_parameters() -> None:
    defaults = _Defaults("huggingface")
    calls: list[Any] = []

    def model(*arguments: Any, **named: Any) -> None:
        calls.append((arguments, named))

    assert defaults.input_fn('{"inputs": 1}', JSON) == {"inputs": 1}
    with pytest.raises(ValueError, match="no default input_fn for the content type 'text/csv'"):
        defaults.input_fn("1", CSV)
    for data in ({"inputs": "a", "parameters": {"k": 2}}, {"inputs": "a"}, ["b"], {"question": "q"}):
        defaults.predict_fn(data, model)
    assert calls == [(("a",), {"k": 2}), (("a",), {}), ((["b"],), {}), (({"question": "q"},), {})]


def test_scikit_learn_predicts() -> None:
    class Doubling:
        def predict(self, data: int) -> int:
            return data * 2

    assert _Defaults("sklearn").predict_fn(4, Doubling()) == 8


def test_arrays_are_written_as_lists_and_other_objects_are_refused() -> None:
    import numpy as np

    defaults = _Defaults("sklearn")
    assert defaults.output_fn({"labels": np.array([1, 2])}, JSON) == '{"labels": [1, 2]}'
    assert defaults.output_fn([1, 2], CSV) == "1\n2\n"
    assert defaults.input_fn(defaults.output_fn(np.array([1.5]), NPY), NPY).tolist() == [1.5]
    with pytest.raises(TypeError, match="an object of the type object has no JSON form: define output_fn"):
        defaults.output_fn(object(), JSON)


# -- files -------------------------------------------------------------------------------------------------------------

DOUBLE = """
import json
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    return "".join(f"{json.loads(line) * 2}\\n" for line in body.splitlines())
"""


def test_each_file_has_an_output_beside_its_name(plan: Callable[..., Plan], tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "in" / "deep").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text("1\n2\n")
    (tmp_path / "in" / "deep" / "b.jsonl").write_text("3\n")
    assert run(plan(DOUBLE), tmp_path) == (0, "")
    assert (tmp_path / "out" / "a.jsonl.out").read_text() == "2\n4\n"
    assert (tmp_path / "out" / "deep" / "b.jsonl.out").read_text() == "6\n"
    said = capsys.readouterr().out
    assert "a.jsonl: 2 records\n" in said
    assert "deep/b.jsonl: 1 record\n" in said


def test_a_record_that_fails_is_named_and_its_file_alone_has_no_output(
    plan: Callable[..., Plan], tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "in" / "a").write_text("1\nx\n3\n")
    (tmp_path / "in" / "b").write_text("4\n")
    code, report = run(plan(DOUBLE), tmp_path)
    assert code == 1
    assert report.startswith("'a', record 2: JSONDecodeError: Expecting value")
    assert not (tmp_path / "out" / "a.out").exists()
    assert (tmp_path / "out" / "b.out").read_text() == "8\n"
    assert "failed: 'a', record 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"is_split": False}, "'a', the file as a whole: "), ({"is_single": False}, "'a', records 1 to 2: ")],
)
def test_what_failed_is_named_as_it_was_sent(
    plan: Callable[..., Plan], tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    (tmp_path / "in" / "a").write_text("1\nx\n")
    assert run(plan(DOUBLE, **changes), tmp_path)[1].startswith(words)


def test_a_model_that_cannot_be_loaded_fails_all(plan: Callable[..., Plan], tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "in" / "a").write_text("1\n")
    code, report = run(plan("x = 1"), tmp_path)
    assert (code, "defines no model_fn" in report) == (1, True)
    assert "failed: " in capsys.readouterr().out


@pytest.mark.parametrize(("by_line", "expected"), [(True, "1\n2\n"), (False, "12")])
def test_answers_are_assembled_by_line_where_asked(
    plan: Callable[..., Plan], tmp_path: Path, by_line: bool, expected: str
) -> None:
    code = "def model_fn(d): pass\ndef transform_fn(m, b, c, a): return b"
    (tmp_path / "in" / "a").write_text("1\n2\n")
    run(plan(code, is_assembled_by_line=by_line), tmp_path)
    assert (tmp_path / "out" / "a.out").read_text() == expected


@pytest.mark.parametrize(
    ("accept", "default", "expected"),
    [(CSV, None, CSV), ("", None, JSON), ("*/*", None, JSON), ("", NPY, NPY), (CSV, NPY, CSV)],
)
def test_the_accept_type_is_the_jobs_then_the_images(  # noqa: PLR0917 - fixtures and cases
    plan: Callable[..., Plan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    accept: str,
    default: str | None,
    expected: str,
) -> None:
    if default:
        monkeypatch.setenv("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", default)
    (tmp_path / "in" / "a").write_text("1\n")
    made = plan("def model_fn(d): pass\ndef transform_fn(m, b, c, a): return a", accept=accept)
    run(made, tmp_path)
    assert (tmp_path / "out" / "a.out").read_text() == f"{expected}\n"


FLAKY = """
calls = []
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    calls.append(1)
    if len(calls) < 3: raise ConnectionError("not yet")
    return "done"
"""


@pytest.mark.parametrize(("retries", "code"), [(2, 0), (1, 1)])
def test_a_call_is_repeated_as_often_as_was_asked(
    plan: Callable[..., Plan], tmp_path: Path, retries: int, code: int
) -> None:
    (tmp_path / "in" / "a").write_text("1\n")
    assert run(plan(f"{FLAKY}# {retries}", max_retries=retries), tmp_path)[0] == code


def test_a_call_that_takes_too_long_is_cut(plan: Callable[..., Plan], tmp_path: Path) -> None:
    code = "import signal\ndef model_fn(d): pass\ndef transform_fn(m, b, c, a): signal.raise_signal(signal.SIGALRM)"
    (tmp_path / "in" / "a").write_text("1\n")
    assert run(plan(code), tmp_path) == (
        1,
        "'a', record 1: TimeoutError: the call took longer than InvocationsTimeoutInSeconds",
    )


def test_the_time_of_a_call_is_its_own(plan: Callable[..., Plan], tmp_path: Path) -> None:
    code = "import signal\ndef model_fn(d): pass\ndef transform_fn(m, b, c, a): return str(signal.alarm(0) in (6, 7))"
    (tmp_path / "in" / "a").write_text("1\n")
    made = replace(plan(code), timeout_seconds=7)
    assert run(made, tmp_path) == (0, "")
    assert (tmp_path / "out" / "a.out").read_text() == "True\n"
    assert signal.alarm(0) == 0, "none is left when it has ended"
