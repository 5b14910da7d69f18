"""Our job against the one that ``NotebookJobStep`` compiles from the same arguments: request, staged files, defaults."""

from __future__ import annotations

import copy
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deviations
import pytest
from deviations import ACCEPTED_HERE, DEVIATIONS, REFUSED_BY_BOTH, REFUSED_HERE, Pair, common_forms
from offline_aws import OfflineAws
from our_job import FOLDER, Job, compile_job, recorded
from request_limits import violations
from step_cases import ALONE, BASE, CASES

from airflow_nbjobs.aws import clients
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

if TYPE_CHECKING:
    from collections.abc import Iterator

EQUAL = sorted(CASES.keys() - ACCEPTED_HERE.keys() - REFUSED_HERE.keys() - REFUSED_BY_BOTH.keys())


@pytest.fixture(scope="module")
def aws() -> OfflineAws:
    return OfflineAws()


@pytest.fixture(autouse=True)
def _no_account_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which account holds AWS's images is asked once a process; not from here for other tests."""
    monkeypatch.setattr(clients, "_distribution_accounts", {})


def sdk_job(name: str) -> Job:
    content = recorded(name)
    return Job(content["request"], content["files"])


@pytest.mark.parametrize("name", EQUAL)
def test_our_job_is_the_sdks_but_for_known_deviations(name: str, aws: OfflineAws) -> None:
    ours = compile_job(CASES[name], aws)
    theirs, mine = common_forms(Pair(CASES[name], sdk_job(name), ours))
    assert mine == theirs
    assert violations(ours.request) == []


@pytest.mark.parametrize("name", ACCEPTED_HERE)
def test_what_only_we_take_is_the_job_that_was_meant(name: str, aws: OfflineAws) -> None:
    assert "error" in recorded(name), "the SDK takes it as well: no deviation any more"
    like = ACCEPTED_HERE[name].like
    theirs, mine = common_forms(Pair(CASES[like], sdk_job(like), compile_job(CASES[name], aws)))
    assert mine == theirs


@pytest.mark.parametrize("name", REFUSED_HERE)
def test_what_only_we_refuse_could_not_have_worked(name: str, aws: OfflineAws) -> None:
    refusal = REFUSED_HERE[name]
    with pytest.raises(NotebookJobConfigError) as error:
        compile_job(CASES[name], aws)
    assert refusal.says in str(error.value)
    assert (aws.puts, aws.jobs) == ([], [])
    assert refusal.evidence(CASES[name], sdk_job(name)), "the SDK's job is right after all"
    assert not refusal.evidence(CASES["all"], sdk_job("all")), "this is true of every job, and so no evidence"


@pytest.mark.parametrize("name", REFUSED_BY_BOTH)
def test_what_the_sdk_refuses_we_refuse_before_anything_is_uploaded(name: str, aws: OfflineAws) -> None:
    assert "error" in recorded(name)
    with pytest.raises(NotebookJobConfigError) as error:
        compile_job(CASES[name], aws)
    assert f"{REFUSED_BY_BOTH[name]}:" in str(error.value)
    assert (aws.puts, aws.jobs) == ([], [])


def test_every_argument_of_the_step_is_one_of_ours_with_the_same_default() -> None:
    """A step's arguments can be pasted; what the SDK requires may come from the connection here."""
    signature = recorded("signature")
    ours = inspect.signature(SageMakerNotebookJobOperator).parameters
    theirs = signature["defaults"] | dict.fromkeys(signature["required"])
    theirs["input_notebook"] = inspect.Parameter.empty
    assert {name: ours[name].default for name in theirs} == theirs


def test_every_argument_of_the_step_is_tried_alone_with_a_value_that_is_not_its_default() -> None:
    signature = recorded("signature")
    tried = ALONE | BASE | {"security_group_ids": ["sg-1"], "subnets": ["subnet-1"]}
    elsewhere = {"retry_policies", "depends_on"}
    assert signature["defaults"].keys() | set(signature["required"]) == tried.keys() | elsewhere
    assert [name for name, default in signature["defaults"].items() if tried.get(name, "") == default] == []


@pytest.mark.parametrize(("argument", "instead"), [("retry_policies", "retries"), ("depends_on", ">>")])
def test_what_is_the_pipelines_is_an_error_that_names_airflows(argument: str, instead: str) -> None:
    with pytest.raises(TypeError, match=instead):
        SageMakerNotebookJobOperator(task_id="t", input_notebook="nb.ipynb", **{argument: []})


# -- the comparison itself ---------------------------------------------------------------------------------------------


def leaves(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from leaves(member, *path, key)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from leaves(member, *path, index)
    else:
        yield path


def changed(value: Any, path: tuple[Any, ...]) -> Any:
    copied = copy.deepcopy(value)
    *way, last = path
    place = copied
    for step in way:
        place = place[step]
    before = place[last]
    place[last] = not before if isinstance(before, bool) else before + (1 if isinstance(before, int) else "x")
    return copied


def test_any_other_difference_is_found(aws: OfflineAws) -> None:
    """Every value of our job is changed, one at a time; only what a deviation says is ours alone may change unseen."""
    case = CASES["all"]
    ours, theirs = compile_job(case, aws), sdk_job("all")
    unseen = set()
    for path in leaves(ours.request):
        sdk, mine = common_forms(Pair(case, theirs, Job(changed(ours.request, path), ours.files, ours.bodies)))
        if sdk == mine:
            unseen.add(path if path[0] != "Tags" else ("Tags", ours.request["Tags"][path[1]]["Key"], path[2]))
    for path in leaves(ours.files):
        sdk, mine = common_forms(Pair(case, theirs, Job(ours.request, changed(ours.files, path), ours.bodies)))
        assert sdk != mine, path
    variables = {("Environment", name) for name in ours.request["Environment"] if name.startswith("NBJOBS_")}
    tags = {("Tags", tag["Key"], "Value") for tag in ours.request["Tags"] if tag["Key"].startswith("airflow:")}
    tag_names = {("Tags", tag["Key"], "Key") for tag in ours.request["Tags"] if tag["Key"].startswith("airflow:")}
    assert unseen == variables | tags | tag_names
    assert len(variables) >= 5
    assert len(tags) >= 3


def test_something_missing_or_more_is_found(aws: OfflineAws) -> None:
    case = CASES["all"]
    ours, theirs = compile_job(case, aws), sdk_job("all")
    for name in ours.request.keys() - {"TrainingJobName", "Tags", "Environment", "InputDataConfig", "OutputDataConfig"}:
        without = {key: value for key, value in ours.request.items() if key != name}
        sdk, mine = common_forms(Pair(case, theirs, Job(without, ours.files, ours.bodies)))
        assert sdk != mine, name
    for more in (
        {"EnableNetworkIsolation": False},
        {"Tags": [*ours.request["Tags"], {"Key": "more", "Value": "x"}]},
        {"Tags": [*ours.request["Tags"], ours.request["Tags"][0]]},
        {"Environment": ours.request["Environment"] | {"MORE": "x"}},
    ):
        sdk, mine = common_forms(Pair(case, theirs, Job(ours.request | more, ours.files, ours.bodies)))
        assert sdk != mine, more
    sdk, mine = common_forms(Pair(case, theirs, Job(ours.request, ours.files | {"more": ours.files["init.sh"]})))
    assert sdk != mine


def test_every_deviation_is_needed(aws: OfflineAws, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that explains nothing any more would hide a difference to come."""
    jobs = {name: compile_job(CASES[name], aws) for name in EQUAL}
    for known in DEVIATIONS:
        others = [other for other in DEVIATIONS if other is not known]
        monkeypatch.setattr(deviations, "DEVIATIONS", others)
        pairs = [common_forms(Pair(CASES[name], sdk_job(name), job)) for name, job in jobs.items()]
        assert any(sdk != mine for sdk, mine in pairs), known.title


# -- the recording -----------------------------------------------------------------------------------------------------


def test_there_is_a_recording_of_every_case_and_of_nothing_else() -> None:
    kept = {path.stem for path in (FOLDER / "requests").glob("*.json")}
    assert kept == CASES.keys() | {"signature"}


@pytest.mark.slow
def test_the_recording_is_what_the_sdk_compiles() -> None:
    """In the SDK's own environment, see ``make_environment.py``."""
    made = subprocess.run([sys.executable, FOLDER / "make_environment.py"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"the SDK's environment cannot be made: {made.stderr.strip()[-500:]}")
    python = Path(made.stdout.strip(), "bin", "python")
    checked = subprocess.run(
        [python, FOLDER / "record.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr[-2000:]


def test_the_readme_lists_every_deviation() -> None:
    readme = (FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    assert "<!-- deviations -->\n" + "\n".join(deviations.table()) + "\n\n" in readme
