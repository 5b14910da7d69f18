"""Why there is no notebook to show: what a reader is told, whether the page asks again, and whether the file can be had."""

import pytest

from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError, NotebookJobServiceError
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.problems import Problem, ProblemError, from_error, from_outcome, no_job, waiting
from airflow_nbjobs.ui.notebook.renderer import Outcome

ALL = {each.code: each for each in vars(problems).values() if isinstance(each, Problem)}


def test_the_page_asks_again_where_waiting_helps_and_nowhere_else():
    assert {code for code, each in ALL.items() if each.is_passing} == {
        "not-started",
        "running",
        "filling-in",
        "finishing",
        "busy",
    }


def test_the_file_can_be_had_where_only_the_rendering_is_missing():
    assert {code for code, each in ALL.items() if each.has_file} == {"missing-extra"}
    assert ALL["missing-extra"].details == ("pip install 'airflow-nbjobs[ui]'",)


def test_each_problem_has_a_code_of_its_own_and_says_something():
    found = [each for each in vars(problems).values() if isinstance(each, Problem)]
    assert len(ALL) == len(found) >= 17
    assert [code for code, each in ALL.items() if not each.title or not each.text.endswith((".", ":"))] == []


def test_details_of_a_case_stand_in_place_of_the_general_ones():
    assert ProblemError(problems.GONE).problem == problems.GONE
    error = ProblemError(problems.MISSING_EXTRA, "a", "b")
    assert error.problem.details == ("a", "b")
    assert str(error) == problems.MISSING_EXTRA.title
    assert problems.MISSING_EXTRA.details == ("pip install 'airflow-nbjobs[ui]'",)


def test_a_mapped_task_keeps_its_instances():
    error = problems.MappedError("d", "r", "t", [1, 2])
    assert (error.dag_id, error.run_id, error.task_id, error.instances) == ("d", "r", "t", [1, 2])
    assert str(error) == "t is mapped"


@pytest.mark.parametrize(
    ("state", "title"),
    [
        ("upstream_failed", "A task before this one failed"),
        ("skipped", "The task was skipped"),
        ("removed", "The task has been taken out of the DAG"),
        ("success", "The task was marked as successful"),
        ("failed", "The task ended without a notebook job"),
        (None, "The task ended without a notebook job"),
    ],
)
def test_without_a_job_the_state_says_why_unless_an_error_does(state, title):
    problem = no_job(state, has_error=False)
    assert (problem.code, problem.title, problem.is_passing) == ("no-job", title, False)
    assert no_job(state, has_error=True).title == "No notebook job was submitted"
    assert "see above for the reason" in no_job(state, has_error=True).text


def test_a_task_that_waits_says_for_what_until_when_and_why():
    problem = waiting("w" * 200, "r" * 2000, "2026-01-02 03:04:05.678+00:00")
    assert problem.title == "The task waits for " + "w" * 100
    assert problem.text == "It asks again at 2026-01-02 03:04:05 UTC. The last answer was:"
    assert (problem.details, problem.is_passing, problem.code) == (("r" * 1000,), True, "waiting")
    assert waiting(None, None, None).details == ("None",)


@pytest.mark.parametrize(
    ("error", "code", "details", "is_passing"),
    [
        (
            NotebookJobServiceError("no", code="AccessDeniedException", details={"next": "allow s3:GetObject"}),
            "denied",
            ("allow s3:GetObject",),
            False,
        ),
        (NotebookJobServiceError("no", code="AccessDeniedException"), "denied", ("no",), False),
        (
            NotebookJobServiceError("no", code="AccessDeniedException", is_retryable=True),
            "denied",
            ("no",),
            False,
        ),
        (NotebookJobServiceError("no answer", is_retryable=True), "unreachable", ("no answer",), True),
        (
            NotebookJobServiceError("odd", details={"next": "look"}),
            "misconfigured",
            ("odd", "look"),
            False,
        ),
        (
            NotebookJobConfigError("wrong", problems=("a", "b"), details={"next": "mend"}),
            "misconfigured",
            ("wrong", "a", "b", "mend"),
            False,
        ),
        (NotebookJobError("other", problems=("a",)), "misconfigured", ("other",), False),
    ],
    ids=["denied", "without advice", "denied and passing", "unreachable", "service", "settings", "other"],
)
def test_an_answer_of_aws_is_told_with_what_to_do(error, code, details, is_passing):
    problem = from_error(error)
    assert (problem.code, problem.details, problem.is_passing, problem.has_file) == (code, details, is_passing, False)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome("too-large", "it has 3 MiB"), "The notebook is too large to be shown: it has 3 MiB."),
        (Outcome("unreadable", "no JSON."), "The executed notebook cannot be read: no JSON."),
        (Outcome("time"), "Rendering the notebook took too long and was given up."),
        (Outcome("memory"), "Rendering the notebook took too much memory and was given up."),
        (Outcome("crashed", "signal 11"), "Rendering the notebook failed: signal 11."),
        (Outcome("crashed"), "Rendering the notebook failed: no reason given."),
    ],
    ids=lambda value: getattr(value, "status", None),
)
def test_a_notebook_that_cannot_be_shown_can_be_downloaded(outcome, words):
    problem = from_outcome(outcome)
    assert problem.text == f"{words} The file itself can be downloaded."
    assert (problem.code, problem.has_file, problem.is_passing) == (f"render-{outcome.status}", True, False)
