"""
Why there is no notebook to show, in words for a reader: what is the case, and what to do.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.aws.errors import is_denied
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError, NotebookJobServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_nbjobs.ui.data.task_instance import Instance
    from airflow_nbjobs.ui.notebook.renderer import Outcome

INSTALL_COMMAND = "pip install 'airflow-nbjobs[ui]'"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """
    A friendly page's content.

    :param code: for tests and scripts: stays the same when the words change.
    :param is_passing: whether it may pass; the page then asks again by itself.
    :param details: lines to copy: a permission, a command, an address.
    """

    code: str
    title: str
    text: str
    details: tuple[str, ...] = ()
    is_passing: bool = False
    has_file: bool = False


class ProblemError(Exception):
    """Carries a ``Problem`` to the route, with details of this case where some are given."""

    def __init__(self, problem: Problem, *details: str) -> None:
        super().__init__(problem.title)
        self.problem = replace(problem, details=details) if details else problem


class MappedError(Exception):
    """Carries the instances of a mapped task that was asked for as a whole."""

    def __init__(self, dag_id: str, run_id: str, task_id: str, instances: Sequence[Instance]) -> None:
        super().__init__(f"{task_id} is mapped")
        self.dag_id, self.run_id, self.task_id = dag_id, run_id, task_id
        self.instances = instances


NOT_A_NOTEBOOK = Problem(
    code="not-a-notebook",
    title="This task runs no notebook",
    text="Tasks of SageMakerNotebookJobOperator show their executed notebook here.",
)
NO_INSTANCE = Problem(
    code="no-instance",
    title="There is no such task instance",
    text="The run may have been deleted, or the task has been taken out of the DAG.",
)
NO_TASK = Problem(
    code="no-task",
    title="There is no such task",
    text="No run of this DAG has had a task of this name, or its runs have been deleted.",
)
NOT_TWO = Problem(
    code="not-two",
    title="Choose two jobs",
    text="Go back to the list of jobs and choose two of them: that many can be compared.",
)
MAPPED = Problem(
    code="mapped",
    title="This task is mapped",
    text="Each of its instances has a notebook of its own: open one of them.",
)
NOT_STARTED = Problem(
    code="not-started",
    title="The notebook job has not started yet",
    text="This page shows it as soon as the task has submitted it.",
    is_passing=True,
)
NO_SCRIPTS = Problem(
    code="no-scripts",
    title="Scripts run inside the tab only",
    text="Open the task instance's tab Notebook: where an output has scripts, and the browser can keep them off the network, it offers to run them.",
)
RUNNING = Problem(
    code="running",
    title="The notebook is running",
    text="The executed notebook appears here when the job has ended. A task with live_notebook=True shows it while it runs.",
    is_passing=True,
)
FILLING_IN = Problem(
    code="filling-in",
    title="The notebook is about to run",
    text="It appears here as soon as its first cell has run, and then fills in.",
    is_passing=True,
)
FINISHING = Problem(
    code="finishing",
    title="The job has ended, its results are on their way",
    text="SageMaker is still uploading the executed notebook, or the task is just taking it over. If this lasts for minutes, look whether Airflow's triggerer runs.",
    is_passing=True,
)
MISSING_EXTRA = Problem(
    code="missing-extra",
    title="Airflow's API server cannot render notebooks yet",
    text="Install the extra that renders them where the API server runs, then restart it:",
    details=(INSTALL_COMMAND,),
    has_file=True,
)
BUSY = Problem(
    code="busy",
    title="Other notebooks are being rendered",
    text="This one is shown when it is its turn.",
    is_passing=True,
)
GONE = Problem(
    code="gone",
    title="The executed notebook is not there any more",
    text="The job has ended, but neither its executed notebook nor its output archive exists: it was deleted, a lifecycle rule of the bucket "
    "has removed it, or the job ended before its container could upload anything.",
)
NO_FILE = Problem(
    code="no-file",
    title="The job has no such file",
    text="It may have been removed since it was listed, or be another now. Open the tab's list of files again.",
)
UNKNOWN_JOB = Problem(
    code="unknown-job",
    title="SageMaker knows no such job",
    text="It has been deleted, or the task's name, its settings or its AWS account have changed since it ran. The job looked for:",
)
NO_SUCH_JOB = Problem(
    code="no-such-job",
    title="The task instance has no such job",
    text="Airflow remembers the earlier jobs of a task from version 3.3 on, until the run is deleted. The job asked for:",
)
NOT_OURS = Problem(
    code="not-ours",
    title="This job was not started by this task",
    text="A job of the name that belongs to this task exists, but it does not say that this task started it. It is not shown.",
)
MOVED = Problem(
    code="moved",
    title="The job wrote to another place than the task uses now",
    text="s3_root_uri has been changed since the job ran. Only what lies under the task's own s3_root_uri is opened here. The job wrote to:",
)
NO_NOTEBOOK_JOB = Problem(
    code="no-notebook-job",
    title="This training job is no notebook job",
    text="The sensor waits for a training job of another kind, which leaves no executed notebook.",
)


_WITHOUT_JOB = {
    "upstream_failed": ("A task before this one failed", "Airflow has not run this one, so there is no notebook job."),
    "skipped": ("The task was skipped", "No notebook job was submitted."),
    "removed": ("The task has been taken out of the DAG", "No notebook job was submitted."),
    "success": ("The task was marked as successful", "It has not submitted a notebook job since it was last cleared."),
}


def no_job(state: str | None, *, has_error: bool) -> Problem:
    """Return why a task that has ended has no job."""
    title, text = _WITHOUT_JOB.get(
        state or "",
        (
            "The task ended without a notebook job",
            "It was marked by hand, or its worker was lost before it could say why. The task's log in Airflow may tell.",
        ),
    )
    if has_error:
        title, text = (
            "No notebook job was submitted",
            "Nothing has run, and nothing is billed: see above for the reason.",
        )
    return Problem(code="no-job", title=title, text=text)


def waiting(what: object, reason: object, until: object) -> Problem:
    """Return that the task waits until it may submit its job; the texts are hints."""
    return Problem(
        code="waiting",
        title=f"The task waits for {str(what)[:100]}",
        text=f"It asks again at {str(until)[:19]} UTC. The last answer was:",
        details=(str(reason)[:1000],),
        is_passing=True,
    )


def from_error(error: NotebookJobError) -> Problem:
    """Return what an AWS call's failure means for somebody who wants to see the notebook."""
    if is_denied(error):
        return Problem(
            code="denied",
            title="Airflow's API server may not read this job",
            text="The notebook is read with the task's own AWS connection, by the API server. Workers may have an identity of their own that is "
            "allowed; allow this to the API server's identity as well (README, Permissions), or give the connection a role:",
            details=(error.details.get("next", error.headline),),
        )
    if isinstance(error, NotebookJobServiceError) and error.is_retryable:
        return Problem(
            code="unreachable",
            title="AWS does not answer the API server",
            text="Looking again may help. If it does not: the API server may have no way to AWS (network, VPC endpoint).",
            details=(error.headline,),
            is_passing=True,
        )
    details = [*error.problems] if isinstance(error, NotebookJobConfigError) else []
    return Problem(
        code="misconfigured",
        title="The notebook cannot be looked up",
        text="The task's connection or settings do not work in the API server:",
        details=(error.headline, *details, *([error.details["next"]] if "next" in error.details else [])),
    )


def from_outcome(outcome: Outcome) -> Problem:
    text = {
        "too-large": "The notebook is too large to be shown: {reason}.",
        "unreadable": "The executed notebook cannot be read: {reason}.",
        "time": "Rendering the notebook took too long and was given up.",
        "memory": "Rendering the notebook took too much memory and was given up.",
    }.get(outcome.status, "Rendering the notebook failed: {reason}.")
    return Problem(
        code=f"render-{outcome.status}",
        title="The notebook cannot be shown here",
        text=text.format(reason=outcome.text.rstrip(".") or "no reason given") + " The file itself can be downloaded.",
        has_file=True,
    )
