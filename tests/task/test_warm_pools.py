"""What a task's log says of its machine, and the release of what a group has left, on the services' fakes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow_names import AirflowFailException
from fakes import ACCOUNT_ID, REGION, STARTED, FakeHook, FakeTaskInstance

from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.naming import RunKey, microseconds
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.task import warm_pools
from airflow_nbjobs.task.warm_pools import log_machine, release_machines
from airflow_nbjobs.task_groups import NotebookTaskGroup

RUN_ID = FakeTaskInstance().run_id


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, message: str, *arguments: object) -> None:
        self.lines.append(("info", message % arguments))

    def warning(self, message: str, *arguments: object) -> None:
        self.lines.append(("warning", message % arguments))

    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)


class Ti(FakeTaskInstance):
    """A task instance of a run whose tasks have recorded these jobs."""

    def __init__(self, recorded: dict[str, list[str]], **fields: Any) -> None:
        super().__init__(**fields)
        self.recorded = recorded

    def xcom_pull(self, *, task_ids: list[str], key: str, map_indexes: list[int] | None = None) -> list[Any]:
        assert key == "nbjobs_job"
        names = [name for task_id in task_ids for name in self.recorded.get(task_id, [])]
        records = [{"version": 1, "job_name": name} for name in names]
        return records if map_indexes is None else [records[index] for index in map_indexes]


class Group:
    """Three notebooks of one group, one after the other, and their jobs."""

    def __init__(self) -> None:
        self.hook = FakeHook()
        self.jobs = self.hook.clients.jobs
        self.log = Log()
        with DAG("d", schedule=None) as self.dag, NotebookTaskGroup("g", keep_alive_period_in_seconds=600):
            self.tasks = [
                SageMakerNotebookJobOperator(task_id=name, input_notebook=f"{name}.ipynb") for name in ("a", "b", "c")
            ]
            for before, after in zip(self.tasks, self.tasks[1:], strict=False):
                before >> after
        self.recorded: dict[str, list[str]] = {}

    def job(self, task: str, pool: dict[str, Any] | None = None, *, name: str = "", **changes: Any) -> str:
        """Add a job of a task as SageMaker describes it once it has ended."""
        name = name or f"job-{task}"
        is_recorded = changes.pop("is_recorded", True)
        key = {"map_index": -1, "run_started_microseconds": microseconds(STARTED), **changes.pop("key", {})}
        owner = RunKey(deployment="", dag_id="d", run_id=RUN_ID, task_id=f"g.{task}", generation=0, **key).owner()
        description = {
            "TrainingJobName": name,
            "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:training-job/{name}",
            "TrainingJobStatus": "Completed",
            "SecondaryStatus": "Completed",
            "CreationTime": STARTED + timedelta(seconds=1),
            "TrainingStartTime": STARTED,
            "TrainingEndTime": STARTED + timedelta(seconds=90),
            "RoleArn": "arn:aws:iam::123456789012:role/r",
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 30,
                "KeepAlivePeriodInSeconds": 600,
            },
            "Environment": {"NBJOBS_OWNER": owner},
            **changes,
        }
        if pool is not None:
            description["WarmPoolStatus"] = pool
        self.jobs.descriptions[name] = description
        if is_recorded:
            self.recorded.setdefault(f"g.{task}", []).append(name)
        return name

    def said_of(self, index: int) -> str:
        """Return what the log of a task says once its job has ended."""
        task = self.tasks[index]
        task.__dict__["_hook"] = self.hook
        snapshot = self.jobs.describe(f"job-{task.task_id[2:]}")
        self.retained_seconds = log_machine(Logged(task, self.log), Ti(self.recorded), snapshot)
        return self.log.text()

    def release(self, *, map_index: int = -1) -> None:
        task = self.dag.task_dict["g.release_warm_pool"]
        context: Any = {"ti": Ti(self.recorded, map_index=map_index), "dag_run": SimpleNamespace(start_date=STARTED)}
        release_machines(Logged(task, self.log, self.hook), context, pause=self.paused)

    def paused(self, seconds: float) -> None:
        self.pauses = [*getattr(self, "pauses", []), seconds]
        self.meanwhile()

    def meanwhile(self) -> None: ...


class Logged:
    """A task whose log a test reads, and whose connection leads to the fakes."""

    def __init__(self, task: Any, log: Log, hook: Any = None) -> None:
        self._task, self.log = task, log
        if hook is not None:
            self.hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    @property
    def __class__(self) -> Any:
        return type(self._task)


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture(autouse=True)
def _real_time_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the wait moves with its pauses."""
    now = [0.0]

    def monotonic() -> float:
        now[0] += 10
        return now[0]

    monkeypatch.setattr(warm_pools, "time", SimpleNamespace(monotonic=monotonic, sleep=None))


REUSED = {"Status": "Reused", "ReusedByJob": "job-b", "ResourceRetainedBillableTimeInSeconds": 34}


def test_a_member_says_that_it_reused_a_machine_and_what_keeping_it_has_cost(group: Group) -> None:
    group.job("a", REUSED)
    group.job("b", {"Status": "InUse"})
    text = group.said_of(1)
    assert "Ran on the machine of 'job-a': 34 s kept, billed as 34 s x 1 instance" in text
    assert "The machine is kept for the next job, at most 600 s (InUse)" in text
    assert [level for level, _ in group.log.lines] == ["info", "info"]
    assert group.retained_seconds == 34  # which the sums of the page of all jobs count


def test_instances_are_counted(group: Group) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "KeepAlivePeriodInSeconds": 600}
    group.job("a", REUSED, ResourceConfig=resources)
    group.job("b", {"Status": "InUse"})
    assert "billed as 34 s x 2 instances" in group.said_of(1)


@pytest.mark.parametrize(("pool", "status"), [(None, "absent"), ({"Status": "Terminated"}, "Terminated")])
def test_a_quota_of_zero_is_a_warning(group: Group, pool: dict[str, Any] | None, status: str) -> None:
    """SageMaker itself says nothing: the job runs, and no machine is kept."""
    group.job("a", pool)
    text = group.said_of(0)
    assert group.log.lines[-1][0] == "warning"
    assert "keeps no machine after this job" in text
    assert f"(WarmPoolStatus: {status})" in text
    assert "'ml.m5.large for training warm pool usage' is zero" in text


@pytest.mark.parametrize(
    ("pool", "changes", "text"),
    [
        (None, {}, "which was not kept (WarmPoolStatus: absent)"),
        (
            {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 600},
            {},
            "(Terminated: 600 s kept, billed as",
        ),
        ({"Status": "Reused", "ReusedByJob": "foreign"}, {}, "(Reused by 'foreign': SageMaker does not say yet"),
        ({"Status": "Available"}, {}, "(Available)"),
        (
            None,
            {"RoleArn": "arn:other"},
            "it does not match: role is 'arn:aws:iam::123456789012:role/r' here and 'arn:other' there",
        ),
        (
            None,
            {"VpcConfig": {"Subnets": ["s"], "SecurityGroupIds": ["g"]}},
            "security_group_ids is [] here and ['g'] there; subnets is",
        ),
        (None, {"EnableNetworkIsolation": True}, "enable_network_isolation is False here and True there"),
    ],
    ids=["absent", "over", "foreign", "idle", "role", "vpc", "isolation"],
)
def test_a_member_says_why_it_reused_none(group: Group, pool: Any, changes: dict[str, Any], text: str) -> None:
    """Also what templates and the configuration said, which no parse could compare."""
    group.job("a", pool, **changes)
    group.job("b", {"Status": "InUse"})
    said = group.said_of(1)
    assert "Did not run on the machine of 'job-a'" in said
    assert text in said
    assert group.retained_seconds is None


def test_of_many_instances_before_it_the_one_that_gave_its_machine_is_named(group: Group) -> None:
    for number in range(3):
        group.job("a", {**REUSED, "ReusedByJob": "job-b" if number == 1 else "job-c"}, name=f"job-a{number}")
    group.job("b", {"Status": "InUse"})
    assert "job-a1" in (text := group.said_of(1))
    assert "job-a0" not in text


def test_a_group_of_one_is_told_that_nothing_is_kept(group: Group) -> None:
    with group.dag, NotebookTaskGroup("alone", keep_alive_period_in_seconds=600):
        group.tasks.append(SageMakerNotebookJobOperator(task_id="x", input_notebook="x.ipynb"))
    group.job("x", name="job-x", ResourceConfig={"InstanceType": "ml.m5.large"})
    log_machine(Logged(group.tasks[-1], group.log), Ti({}), group.jobs.describe("job-x"))
    assert "of the group is without effect" in group.log.text()


def test_the_log_of_a_machine_fails_no_task(group: Group) -> None:
    group.job("a", REUSED)
    group.job("b", {"Status": "InUse"})
    snapshot = group.jobs.describe("job-b")
    group.jobs.errors["describe"] = [NotebookJobServiceError("AccessDenied", code="AccessDenied")]
    task = group.tasks[1]
    task.__dict__["_hook"] = group.hook
    log_machine(Logged(task, group.log), Ti(group.recorded), snapshot)
    assert "is not known: AccessDenied" in group.log.text()


def released(group: Group) -> list[str]:
    return [name for operation, name in group.jobs.calls if operation == "release"]


def test_the_newest_job_of_a_chain_is_released_and_no_other(group: Group) -> None:
    group.job("a", REUSED)
    group.job("b", {"Status": "Available"})
    group.job("c", ResourceConfig={"InstanceType": "ml.m5.large"})
    group.release()
    assert released(group) == ["job-b"]
    text = group.log.text()
    assert "Released the machine that was kept after 'job-b'" in text
    assert "The machine of 'job-a' is Reused by 'job-b': 34 s kept, billed as 34 s x 1 instance" in text
    assert "'job-c' asked for no warm pool" in text


def test_it_asks_again_until_the_machine_idles(group: Group) -> None:
    """As of a job that was stopped a moment ago."""
    name = group.job("a", {"Status": "InUse"}, TrainingJobStatus="Stopping", SecondaryStatus="Stopping")
    steps = [
        {"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"},
        {"WarmPoolStatus": {"Status": "Available"}},
    ]
    group.meanwhile = lambda: group.jobs.descriptions[name].update(steps.pop(0))  # type: ignore[method-assign]
    group.release()
    assert released(group) == [name]
    assert group.pauses == [2.0, 4.0]


def test_a_pool_that_is_not_shown_yet_is_waited_for(group: Group) -> None:
    name = group.job("a", TrainingEndTime=datetime.now(tz=UTC))
    pool = {"WarmPoolStatus": {"Status": "Available"}}
    group.meanwhile = lambda: group.jobs.descriptions[name].update(pool)  # type: ignore[method-assign]
    group.release()
    assert released(group) == [name]


def test_where_nothing_is_kept_it_ends_at_once(group: Group) -> None:
    group.job("a")
    group.job("b", name="deleted")
    del group.jobs.descriptions["deleted"]
    group.release()
    assert released(group) == []
    assert not hasattr(group, "pauses")
    assert "Nothing was kept after 'job-a'" in group.log.text()


def test_machines_of_earlier_tries_and_of_unrecorded_jobs_are_found(group: Group) -> None:
    """A try that was killed before it could record its job has left no other trace than the job."""
    available = {"Status": "Available"}
    group.job("a", REUSED)
    ours = group.job("b", dict(available), name="unrecorded", is_recorded=False)
    other_run = {"run_started_microseconds": 1}
    group.job("b", dict(available), name="other-run", is_recorded=False, key=other_run)
    group.job("x", dict(available), name="other-task", is_recorded=False)
    group.job("b", dict(available), name="foreign", is_recorded=False, Environment={})
    group.job("b", dict(available), name="broken", is_recorded=False, Environment={"NBJOBS_OWNER": '["", 1]'})
    group.release()
    assert released(group) == [ours]


def test_the_teardown_of_a_mapped_group_leaves_other_instances_alone(group: Group) -> None:
    available = {"Status": "Available"}
    for index in (0, 1):
        group.job("a", dict(available), name=f"job-a{index}", is_recorded=False, key={"map_index": index})
    group.release(map_index=1)
    assert released(group) == ["job-a1"]


def test_a_machine_that_is_kept_still_is_an_error_that_says_what_it_costs(group: Group) -> None:
    group.job("a", {"Status": "InUse"}, TrainingJobStatus="InProgress", SecondaryStatus="Training")
    with pytest.raises(NotebookJobServiceError) as caught:
        group.release()
    text = str(caught.value)
    assert "that of 'job-a': the job is InProgress still" in text
    assert "billed for the rest of its keep_alive_period_in_seconds" in text
    assert "aws sagemaker update-training-job --training-job-name job-a" in text
    assert not isinstance(caught.value, AirflowFailException)
    assert max(group.pauses) == 30.0


def test_a_denial_keeps_no_other_machine_and_is_not_tried_again(group: Group) -> None:
    denied = NotebookJobServiceError("AccessDenied on sagemaker:UpdateTrainingJob", code="AccessDeniedException")
    group.job("a", {"Status": "Available"})
    group.job("b", {"Status": "Available"})
    group.jobs.errors["release"] = [denied]
    with pytest.raises(AirflowFailException) as caught:
        group.release()
    assert "that of 'job-a': AccessDenied on sagemaker:UpdateTrainingJob" in str(caught.value)
    assert released(group) == ["job-a", "job-b"]
    assert group.jobs.descriptions["job-b"]["WarmPoolStatus"]["Status"] == "Terminated"


def test_a_throttled_call_is_repeated(group: Group) -> None:
    group.job("a", {"Status": "Available"})
    group.jobs.errors["describe"] = [
        NotebookJobServiceError("Rate exceeded", code="ThrottlingException", is_retryable=True)
    ]
    group.release()
    assert released(group) == ["job-a"]


def test_a_list_that_is_denied_is_told_and_fails_nothing(group: Group) -> None:
    group.job("a", {"Status": "Available"})
    group.jobs.errors["list"] = [NotebookJobServiceError("AccessDenied", code="AccessDenied")]
    group.release()
    assert released(group) == ["job-a"]
    assert "earlier tries may have left are not looked for" in group.log.text()
