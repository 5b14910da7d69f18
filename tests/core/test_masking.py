"""Airflow's masker knows whole secrets: of one that is cut before, a log, an error or an XCom would show a half."""

import json
import re
from types import SimpleNamespace

import pytest
from fakes import failed_at, notebook

from airflow_nbjobs.aws.results.explain import Expectation, Remains, explain
from airflow_nbjobs.aws.results.read import JobResult
from airflow_nbjobs.aws.submit.sources import find_local
from airflow_nbjobs.core import masking
from airflow_nbjobs.core.errors import NotebookCellError, NotebookJobConfigError, bounded
from airflow_nbjobs.core.job.formats import failed_format
from airflow_nbjobs.core.job.status import parse_description
from airflow_nbjobs.core.notebook.causes import failed_installs
from airflow_nbjobs.core.notebook.executed import parse_executed
from airflow_nbjobs.core.notebook.failing_cell import find_failing_cell
from airflow_nbjobs.core.notebook.tracebacks import excerpt, short
from airflow_nbjobs.core.values import parameter_values
from airflow_nbjobs.core.values.conversion import fit
from airflow_nbjobs.core.values.conversion import short as short_value
from airflow_nbjobs.core.values.kinds import of
from airflow_nbjobs.core.values.outputs import DeclaredOutputs
from airflow_nbjobs.core.watch.log_text import readable_tail
from airflow_nbjobs.task.identity import shortened
from airflow_nbjobs.task.results import push_result

SECRET = "-".join(["secret"] * 300)


@pytest.fixture
def mask(monkeypatch):
    def hide(secret):
        monkeypatch.setattr(masking._process, "mask", lambda text: text.replace(secret, "***"))

    return hide


@pytest.mark.parametrize("secret", ["correct horse battery staple", "-".join(["words"] * 200), "line one\nline two"])
@pytest.mark.parametrize("shift", [3, 11, 17, 25])
def test_a_secret_is_masked_before_it_is_cut(secret, shift, mask):
    """Airflow's masker knows whole secrets: half of one with blanks, or of a very long one, would be shown as it is."""
    mask(secret)
    head = "x " * 1500
    tail = " y" * 500
    text = f"{head[: 3000 - shift]}{secret}{' z' * 5000}{secret}{tail[shift - 1000 :]}"
    error = NotebookCellError(text, evalue=text * 4, details={"traceback": text * 9})
    for shown in (str(error), error.evalue, bounded(text), short(text), excerpt(f"Traceback\n{text}")):
        assert not re.search(r"correct|staple|words|line one|line two", shown.replace(secret, "***"))


def test_the_hook_says_what_masks(monkeypatch):
    from airflow_nbjobs import _compat, hooks  # noqa: F401 - whose import says it

    monkeypatch.setattr(_compat, "redact", lambda text: text.replace("correct horse", "***"))
    assert masking.masked("a correct horse") == "a ***"


def test_no_more_is_masked_than_may_be_shown_and_a_secret_behind_it(monkeypatch):
    """Masking takes a second for a million characters."""
    given = []
    monkeypatch.setattr(masking._process, "mask", lambda text: given.append(text) or text)
    monkeypatch.setattr(masking, "_LONGEST_SECRET", 5)
    assert masking.masked_start("0123456789", 3) == "012"
    assert masking.masked_ends("0123456789abcdef", 2, 3) == ("01", "def")
    assert given == ["01234567", "0123456", "89abcdef"]


def failed_install():
    """Return what pip has said in the cell before the one that failed."""
    content = json.loads(failed_at(notebook("%pip install x", "import x"), 2, "ModuleNotFoundError", "x"))
    text = f"ERROR: no index at https://user:{SECRET}@pypi.example/simple\n"
    (install,) = [cell for cell in content["cells"] if "pip install" in "".join(cell["source"])]
    install["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]
    nb = parse_executed(json.dumps(content), source="nb")[0]
    return failed_installs(nb, find_failing_cell(nb))


def unexplained_failure():
    description = {"TrainingJobName": "j", "TrainingJobArn": "a", "TrainingJobStatus": "Failed"}
    description["FailureReason"] = f"AlgorithmError: {SECRET}"
    expected = Expectation(label="d.t", input_notebook="nb.ipynb", declared=DeclaredOutputs({}, ()))
    remains = Remains(
        snapshot=parse_description(description), expected=expected, executed=None, places={}, log=[SECRET]
    )
    return str(explain(remains))


def missing_file():
    with pytest.raises(NotebookJobConfigError) as caught:
        find_local("input_notebook", f"token={SECRET}", [])
    return str(caught.value)


def pushed_end():
    pushed = {}
    error = NotebookCellError(f"failed: {SECRET}", evalue="")
    push_result(
        SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value})),
        JobResult(facts={}, error=error),
        None,
    )
    return json.dumps(pushed)


@pytest.mark.parametrize(
    "shown",
    [
        failed_install,
        unexplained_failure,
        missing_file,
        pushed_end,
        lambda: short_value({"token": SECRET}),
        lambda: str(fit(SECRET, of(int), said_by="default").problems),
        lambda: str(parameter_values.value_problems({"x": {SECRET: {SECRET: ()}}})),
        lambda: shortened(SECRET),
        lambda: readable_tail([f"using {SECRET}"], limit=1)[0],
        lambda: (
            failed_format(
                ["Converting output notebook to pdf", "Traceback (most recent call last)", f"E: {SECRET}"], ["pdf"]
            ).cause
        ),
        lambda: excerpt("ValueError: " + "x" * (512 * 1024 - 19) + SECRET + "\ny" * 400_000, ename="ValueError"),
    ],
)
def test_wherever_a_text_is_cut_it_is_masked_before(shown, mask):
    mask(SECRET)
    said = shown()
    assert said
    assert "secret" not in said
