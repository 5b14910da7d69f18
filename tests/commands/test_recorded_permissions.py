"""
The policies of ``nbjobs iam-policy``, held against the calls that the embedded SageMaker records: every call is allowed, every action is needed.

What it cannot record (it asks no KMS, ECR, EC2 and no Price List, and checks no PassRole and AddTags) is in ``tests/support/iam_calls.py``, with its source.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from iam_calls import Translation, documented_for_doctor, documented_for_job
from iam_evaluator import Request, allows
from local_jobs import Jobs, notebook, wait_until
from ui_account import task_instance

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.commands.doctor.account_checks import CHECKS
from airflow_nbjobs.commands.doctor.airflow_side import AirflowSide
from airflow_nbjobs.commands.doctor.examination import Mark, examine
from airflow_nbjobs.commands.doctor.patient import Asked, Patient
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.machines import machine_of
from airflow_nbjobs.core.job.permission_scope import parse_scope
from airflow_nbjobs.core.job.permissions import KINDS, build_policy
from airflow_nbjobs.core.watch.plan import ListJobs
from airflow_nbjobs.testing import local_sagemaker
from airflow_nbjobs.testing.runs import RunDag
from airflow_nbjobs.ui.notebook.aws_access import Access
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.notebook.renderer import Renderer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.core.job.permission_scope import Scope
    from airflow_nbjobs.local.embedded import EmbeddedSageMaker
    from airflow_nbjobs.testing import LocalSageMaker

pytestmark = [pytest.mark.local, pytest.mark.slow]

PACKAGE = Path(__file__).parents[2] / "airflow_nbjobs"
LARGE_BYTES = 9 * 1024 * 1024  # uploaded in parts
# The embedded server's own look at what it is sent; SageMaker looks with permissions of its own.
CHECKS_OF_SERVICE = {"iam:GetRole"}
WITHOUT_PERMISSION = {"sts:GetCallerIdentity"}

OF_PRICES = {"pricing:GetProducts"}  # of `nbjobs prices`, by tests/commands/test_prices_command.py
# What `nbjobs clean` calls beyond that, with whatever identity a person lets it run with (README, "Outputs and cleaning").
OF_CLEANING = {"s3:DeleteObject", "s3:GetBucketVersioning", "sagemaker:DeleteTrainingJob"}

LEAST = dict.fromkeys(KINDS, 5) | {"prices": 1}

DAG_FILE = """
from datetime import datetime
from airflow.sdk import DAG
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("permissions", schedule=None, start_date=datetime(2026, 1, 1)):
    full = SageMakerNotebookJobOperator(
        task_id="full",
        input_notebook="report.ipynb",
        additional_dependencies=["large.bin", "S3_ROOT/shared/"],
        role="NotebookJobs",
        image_uri="sagemaker-distribution:4-cpu",
        outputs=["revenue"],
        s3_kms_key="KMS_KEY",
        volume_kms_key="KMS_KEY",
        live_notebook=True,
        stream_logs=True,
        waiter_delay=1,
    )
    broken = SageMakerNotebookJobOperator(
        task_id="broken",
        input_notebook="report.ipynb",
        initialization_script="fails.sh",
        trigger_rule="all_done",
        waiter_delay=1,
    )
    full >> broken
"""


@dataclass(frozen=True)
class Recorded:
    """The requests of each identity, and where its policy has to hold."""

    scope: Scope
    requests: dict[str, set[Request]]


def scope_of(sagemaker: LocalSageMaker, kms_key: str) -> Scope:
    facts = sagemaker.facts
    return parse_scope(
        bucket=sagemaker.bucket,
        prefix=sagemaker.s3_root_uri.removeprefix(f"s3://{sagemaker.bucket}/"),
        role_given=facts.role_arn,
        region_given=facts.region,
        kms=(kms_key,),
        vpc=True,
    )


def last_number(sagemaker: LocalSageMaker, *, by_platform: bool = False) -> int:
    calls = sagemaker.faults.calls(by_platform=by_platform)
    return calls[-1].number if calls else 0


def run_tasks(sagemaker: LocalSageMaker, home: Path, folder: Path, kms_key: str) -> None:
    """As an Airflow does: a task with everything that asks AWS for something, and one whose container leaves only a log."""
    (folder / "dag.py").write_text(DAG_FILE.replace("KMS_KEY", kms_key).replace("S3_ROOT", sagemaker.s3_root_uri))
    (folder / "report.ipynb").write_bytes(notebook("revenue = 12.5"))
    (folder / "large.bin").write_bytes(b"\0" * LARGE_BYTES)
    (folder / "fails.sh").write_text("echo no bread left; exit 3\n")
    run = RunDag(home, sagemaker.environment | {"AIRFLOW__NBJOBS__MACHINE_METRICS": "True"})(
        folder / "dag.py", "permissions"
    )
    assert run.tasks == {"full": "success", "broken": "failed"}, run.log[-6000:]


def ask_the_rest(sagemaker: LocalSageMaker, folder: Path, kms_key: str) -> None:
    """What no task of that DAG comes to: the ports of clearing, of warm pools, of many jobs, and of an upload that S3 breaks off."""
    clients = Boto3Clients(sagemaker.client)
    job = next(job["TrainingJobName"] for job in sagemaker.jobs())
    clients.jobs.stop(job)
    clients.jobs.release_machine(job)
    clients.jobs.list_page(ListJobs(warm_pool_status="Available"))
    with sagemaker.faults.deny("s3:PutObject", resource="*/broken-off.bin"), pytest.raises(NotebookJobError):
        clients.objects.put(f"{sagemaker.s3_root_uri}/broken-off.bin", folder / "large.bin", kms_key=kms_key)


def look_at_a_notebook(sagemaker: LocalSageMaker, jobs: Jobs, kms_key: str) -> tuple[int, int]:
    """As the API server does: the tab and the log of a job that runs, that has ended, and that has been delivered. Returns the span of its calls."""
    ti = task_instance(state="success")
    (key, *_) = ti.run_keys(deployment="")
    name = ti.job_name(key)
    root = sagemaker.s3_root_uri
    sagemaker.client("s3").put_object(
        Bucket=sagemaker.bucket, Key=f"{root.split('/', 3)[3]}/{name}/input/report.ipynb", Body=notebook("1 + 1")
    )
    request = jobs.request(name)
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3Uri"] = f"{root}/{name}/input"
    request["OutputDataConfig"] = {"S3OutputPath": root, "KmsKeyId": kms_key}
    request["Environment"] |= {"NBJOBS_OWNER": key.owner(), "NBJOBS_LIVE_NOTEBOOK": "1"}
    jobs.sagemaker.create_training_job(**request)
    wait_until(lambda: jobs.describe(name)["TrainingJobStatus"] == "Completed")
    begun = last_number(sagemaker)
    access = Access(clients=Boto3Clients(sagemaker.client), deployment="", root=root)
    notebooks = Notebooks(lambda _: access, Renderer(), live_seconds=0)
    try:
        found = notebooks.jobs.find(ti, None)
        assert notebooks.rendered(ti, found).summary["failed"] is None
        assert notebooks.jobs.log_lines(ti, found, limit=10)
        machine = machine_of(found.snapshot.instance_type)
        assert notebooks.machines.look(ti, found, machine, {}).trouble == ()
        with pytest.raises(ProblemError):
            notebooks.jobs.find(task_instance(run_id="another"), None)
    finally:
        notebooks.close()
    return begun, last_number(sagemaker)


def examine_the_account(sagemaker: LocalSageMaker, kms_key: str) -> tuple[int, int]:
    """As ``nbjobs doctor`` does, once with short forms and once with full ones. Returns the span of its calls."""
    begun = last_number(sagemaker)
    forms = {"role": "NotebookJobs", "image_uri": "sagemaker-distribution:4-cpu"}, {}
    with pytest.MonkeyPatch.context() as patch:
        # A process that has asked for the account of the images does not ask again.
        patch.setattr("airflow_nbjobs.aws.clients._distribution_accounts", {})
        for name, value in (sagemaker.environment | {"AIRFLOW__NBJOBS__S3_KMS_KEY": kms_key}).items():
            patch.setenv(name, value)
        for asked in forms:
            if not asked:  # with a key of the task, the bucket's own way is not asked for
                patch.delenv("AIRFLOW__NBJOBS__S3_KMS_KEY")
            patient = Patient(asked=Asked(aws_conn_id="aws_default", **asked), airflow=AirflowSide())
            found = [finding for outcome in examine(CHECKS, patient) for finding in outcome.findings]
            assert Mark.WRONG not in {finding.mark for finding in found}, found
    return begun, last_number(sagemaker)


@pytest.fixture(scope="module")
def recorded(
    embedded_sagemaker: EmbeddedSageMaker, _nbjobs_airflow_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("permissions")
    with local_sagemaker(embedded_sagemaker) as sagemaker:
        facts = sagemaker.facts
        kms_key = f"arn:aws:kms:{facts.region}:{facts.account_id}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
        prefix = sagemaker.s3_root_uri.split("/", 3)[3]
        sagemaker.client("s3").put_object(Bucket=sagemaker.bucket, Key=f"{prefix}/shared/helper.py", Body=b"x = 1")
        begun, begun_by_platform = last_number(sagemaker), last_number(sagemaker, by_platform=True)
        run_tasks(sagemaker, _nbjobs_airflow_home, folder, kms_key)
        ask_the_rest(sagemaker, folder, kms_key)
        caller = sagemaker.faults.calls(after=begun)
        first, last = look_at_a_notebook(sagemaker, Jobs(embedded_sagemaker), kms_key)
        ui = [call for call in sagemaker.faults.calls(after=first) if call.number <= last]
        platform = [
            call
            for call in sagemaker.faults.calls(after=begun_by_platform, by_platform=True)
            if call.operation not in CHECKS_OF_SERVICE
        ]
        first_of_doctor, last_of_doctor = examine_the_account(sagemaker, kms_key)
        doctor = [call for call in sagemaker.faults.calls(after=first_of_doctor) if call.number <= last_of_doctor]
        translation = Translation(sagemaker)
        documented = documented_for_job(region=facts.region, account=facts.account_id, kms_key=kms_key)
        yield Recorded(
            scope_of(sagemaker, kms_key),
            {
                "caller": translation.requests(caller),
                "ui": translation.requests(ui),
                "job": translation.requests(platform) | documented,
                "prices": {Request(action) for action in OF_PRICES},
                "doctor": translation.requests(doctor) | documented_for_doctor(region=facts.region, kms_key=kms_key),
            },
        )


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_is_allowed(recorded, kind):
    policy = build_policy(kind, recorded.scope)
    assert len(recorded.requests[kind]) >= LEAST[kind]
    assert [request for request in recorded.requests[kind] if not allows(policy, request)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_action_is_needed_by_some_call(recorded, kind):
    """Each is taken away in turn, and some call is refused."""
    policy = build_policy(kind, recorded.scope)
    unneeded = []
    for index, statement in enumerate(policy["Statement"]):
        for action in statement["Action"]:
            rest = statement | {"Action": [each for each in statement["Action"] if each != action]}
            less = {"Statement": [*policy["Statement"][:index], rest, *policy["Statement"][index + 1 :]]}
            if all(allows(less, request) for request in recorded.requests[kind]):
                unneeded.append(f"{statement['Sid']}: {action}")
    assert unneeded == []


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outside_is_allowed(recorded, kind):
    """The same calls on another's bucket, role, log, job, account, region or key."""
    policy = build_policy(kind, recorded.scope)
    scope = recorded.scope
    swaps = [
        (scope.bucket, "another"),
        (scope.prefix, "another"),
        (scope.region, "ap-east-1"),
        ("TrainingJobs", "Other"),
    ]
    swaps += [(f":{scope.account}:", ":210987654321:"), (f"role/{scope.role}", "role/Admin"), ("key/1234", "key/5678")]
    elsewhere = {
        Request(request.action, request.resource.replace(old, new, 1), request.context)
        for request in recorded.requests[kind]
        for old, new in swaps
        if old in request.resource
        # Images are AWS's own, of any account and name; a bucket's list is of all its keys.
        and not (request.action.startswith("ecr:") and old != scope.region)
        # The doctor looks at whichever role of the account it is asked for, and at its own.
        and not (kind == "doctor" and request.action.startswith("iam:") and old.startswith("role/"))
    }
    assert len(elsewhere) >= LEAST[kind] or kind == "prices"  # which has no resource
    assert [request for request in elsewhere if allows(policy, request)] == []


def test_the_record_has_every_permission_that_the_code_names_where_it_calls_aws(recorded):
    named = set()
    for file in (PACKAGE / "aws").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and {getattr(node.func, name, "") for name in ("id", "attr")} & {
                "translated",
                "ask",
            }:
                named |= {argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)}
    assert "sagemaker:CreateTrainingJob" in named
    asked = (
        recorded.requests["caller"] | recorded.requests["doctor"] | {Request(action) for action in WITHOUT_PERMISSION}
    )
    assert named >= OF_CLEANING | OF_PRICES
    assert named - {request.action for request in asked} - OF_CLEANING - OF_PRICES == set()
