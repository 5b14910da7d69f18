"""
What a sensor does on a worker: ask for the job, and when it has ended push its results.

Called by the sensor, inside ``execute`` and its successors only; writes nothing to AWS and never stops a job.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.results.read import Expectation, JobResult, read_result
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE
from airflow_nbjobs.core.job.doubts import UNKNOWN_SECONDS, Doubts
from airflow_nbjobs.core.job.reference import is_notebook_job, parse_job_reference
from airflow_nbjobs.core.job.trouble import READ_PAUSES_SECONDS, is_over, worth_a_retry
from airflow_nbjobs.core.job.xcoms import JOB_KEY, VERSION
from airflow_nbjobs.core.values.outputs import declare_outputs
from airflow_nbjobs.hooks import SageMakerNotebookJobHook
from airflow_nbjobs.links import NO_CONSOLE, job_urls
from airflow_nbjobs.task.identity import parameters_text
from airflow_nbjobs.task.results import location_of, log_result, push_result
from airflow_nbjobs.task.retryable import as_airflow_errors, of_ended_job
from airflow_nbjobs.task.wait import log_transitions

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_nbjobs.core.job.naming import JobLocation
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.task.view import SensorView


class SensorRun:
    """
    What one worker process knows of the job that a sensor waits for.

    :param sensor: with rendered fields.
    :raises NotebookJobConfigError: the sensor names no job, or declares outputs that cannot be.
    """

    def __init__(self, sensor: SensorView, context: Context) -> None:
        self._sensor = sensor
        self._context = context
        self._ti: Any = context["ti"]
        self._seen = 0
        self._is_published = False
        self._doubts = Doubts()
        self._trouble_since: datetime | None = None
        with as_airflow_errors():
            self._reference = parse_job_reference(sensor.job_name, region_name=sensor.region_name)
            self._declared = declare_outputs(sensor.outputs, sensor.return_output)
            if self._declared.problems:
                raise NotebookJobConfigError(
                    f"sensor '{self._ti.dag_id}.{self._ti.task_id}' cannot read outputs",
                    problems=self._declared.problems,
                )
        self.hook = SageMakerNotebookJobHook(
            aws_conn_id=sensor.aws_conn_id,
            region_name=self._reference.region,
            verify=sensor.verify,
            config=sensor.botocore_config,
        )

    def poll(self, *, was_polled: bool = False) -> JobSnapshot | None:
        """
        Return what SageMaker says of the job; None while it runs, while SageMaker cannot be asked for a reason that passes, and in the first minute of the task's
        try while SageMaker does not know the job: whoever started it may have done so a moment ago.

        :param was_polled: the triggerer has asked for the job for a minute already.
        :raises NotebookJobServiceError: there is no such job; worth a retry, which asks for it again.
        :raises NotebookJobError: fatal: the job may not be seen, or is another account's.
        """
        with as_airflow_errors():
            try:
                snapshot = self.hook.clients.jobs.describe(self._reference.job_name)
            except NotebookJobServiceError as error:
                if self._is_final(error):
                    raise
                self._sensor.log.warning("%s; going on waiting", error.headline)
                return None
            if snapshot is None:
                if not (was_polled or self._has_been_unknown_for_a_minute()):
                    self._sensor.log.info(
                        "SageMaker does not know training job '%s' yet; asking again", self._reference.job_name
                    )
                    return None
                raise self._unknown()
            self._doubts.clear(snapshot.job_name)
            self._trouble_since = None
            self._check_account(snapshot)
        self._seen = log_transitions(self._sensor.log, snapshot, self._seen)
        self._publish(snapshot)
        return snapshot if snapshot.state.is_terminal else None

    def _is_final(self, error: NotebookJobServiceError) -> bool:
        """Say whether to end the wait: a denial of a job that was seen before passes with the policy that was just changed."""
        if error.is_retryable:
            return False
        now = datetime.now(tz=UTC)
        self._trouble_since = self._trouble_since or now
        return not self._is_published or is_over(error, self._trouble_since, now)

    def _has_been_unknown_for_a_minute(self) -> bool:
        now = datetime.now(tz=UTC)
        began = self._began()
        if not self._is_published and began is not None:
            return (now - began).total_seconds() >= UNKNOWN_SECONDS
        # A job that was seen, or a try that does not say since when it runs.
        return self._doubts.has_lasted(self._reference.job_name, UNKNOWN_SECONDS, now=now.timestamp())

    def _began(self) -> datetime | None:
        """Return when the wait began: rescheduled, a sensor's task instance begins anew with each poke."""
        began: datetime | None = self._ti.start_date
        if getattr(self._sensor, "reschedule", False):
            began = self._ti.get_first_reschedule_date(self._context) or began
        return began

    def _unknown(self) -> NotebookJobServiceError:
        name = self._reference.job_name
        if self._is_published:
            text, remedy = f"training job '{name}' was deleted while the task waited for it", "run its task again"
        else:
            text = f"SageMaker knows no training job '{name}' in region '{self.hook.region}'"
            remedy = (
                f"check the name, the region and the account of connection '{self._sensor.aws_conn_id}'; "
                "if the job was there when the task began, it has been deleted since"
            )
        return NotebookJobServiceError(
            text, code="ResourceNotFound", is_retryable=True, details={"next": remedy}, job_name=name
        )

    def _check_account(self, snapshot: JobSnapshot) -> None:
        """Refuse a job of the same name in the connection's own account, where the ARN says another."""
        account_id = snapshot.arn.split(":")[4] if snapshot.arn.count(":") > 4 else None
        if self._reference.account_id not in (None, account_id):
            raise NotebookJobConfigError(
                f"job_name is an ARN of account {self._reference.account_id}, but connection '{self._sensor.aws_conn_id}' sees account {account_id}",
                details={"next": "give an aws_conn_id whose role is of the job's account"},
                job_name=snapshot.job_name,
            )

    def _publish(self, snapshot: JobSnapshot) -> None:
        """Push what links and pages read, at this process's first poll."""
        if self._is_published:
            return
        self._is_published = True
        # Of a running job of ours the copy is yet to be written; of anybody else's there will be none.
        uri = (
            location_of(snapshot).executed_notebook_uri
            if _is_ours(snapshot)
            else location_of(snapshot).output_archive_uri
        )
        facts = self._push_job(snapshot, uri if is_notebook_job(snapshot.environment) else None)
        self._sensor.log.info(
            "Waiting for training job '%s': %s", snapshot.job_name, facts["console_url"] or NO_CONSOLE
        )

    def _push_job(self, snapshot: JobSnapshot, executed_notebook_uri: str | None) -> dict[str, Any]:
        """Push what the task's links and tab need to know."""
        region = str(self.hook.region)
        urls = job_urls(region, snapshot.job_name, executed_notebook_uri or "", job_arn=snapshot.arn)
        facts: dict[str, Any] = {
            "version": VERSION,
            "job_name": snapshot.job_name,
            "job_arn": snapshot.arn,
            "region": region,
            "instance_type": snapshot.instance_type,
            "input_notebook": _input_notebook(snapshot),
            "executed_notebook_uri": executed_notebook_uri,
            **urls,
            "executed_notebook_url": urls["executed_notebook_url"] if executed_notebook_uri else None,
        }
        self._ti.xcom_push(key=JOB_KEY, value=facts)
        return facts

    def finish(self, snapshot: JobSnapshot) -> Any:
        """
        Push what the ended job returned; return what becomes ``return_value``.

        Trouble in reading it, a denial too, is waited through for ten minutes, an archive that is not in S3 yet until a minute after the job's end.

        :raises NotebookJobError: fatal, if the job did not complete; else only if S3 could not be read.
        """
        sensor = self._sensor
        is_notebook = is_notebook_job(snapshot.environment)
        if not is_notebook:
            sensor.log.warning(
                "Training job '%s' is no notebook job (its environment has no SM_OUTPUT_NOTEBOOK_NAME): its result has no outputs",
                snapshot.job_name,
            )
        with as_airflow_errors():
            result = self._read(snapshot, is_notebook=is_notebook)
        log_result(sensor.log, result)
        if sensor.outlets:
            result = self._announced(snapshot, result)
        # Airflow asks for the links once more when the task ends: by then it is known whether there is a notebook, and where.
        self._push_job(snapshot, result.facts["executed_notebook_uri"])
        value = push_result(self._ti, result, sensor.return_output)
        sensor.note_lineage(result=result)
        if result.error is not None:
            raise of_ended_job(result.error) from result.error
        return value

    def _announced(self, snapshot: JobSnapshot, result: JobResult) -> JobResult:
        from airflow_nbjobs.task.asset_events import announced, outlet_warnings

        for warning in outlet_warnings(self._sensor, self._declared.types):
            self._sensor.log.warning("%s", warning)
        return announced(self._sensor, self._context, result, parameters=_parameters(snapshot))

    def _read(self, snapshot: JobSnapshot, *, is_notebook: bool) -> JobResult:
        for pause_seconds in (*READ_PAUSES_SECONDS, None):
            try:
                return self._read_once(snapshot, is_notebook=is_notebook)
            except NotebookJobServiceError as error:
                if pause_seconds is None:
                    # What is there does not change: whoever asks again, with another policy, gets it.
                    then = "has ended; a retry of this task reads its results again"
                    raise worth_a_retry(error, snapshot.job_name, then) from error
                self._sensor.log.warning("%s; reading again in %.0f s", error.headline, pause_seconds)
                time.sleep(pause_seconds)
        raise AssertionError  # the last round returns or raises

    def _read_once(self, snapshot: JobSnapshot, *, is_notebook: bool) -> JobResult:
        location = location_of(snapshot)
        expected = Expectation(
            label=f"{self._ti.dag_id}.{self._ti.task_id}",
            input_notebook=_input_notebook(snapshot),
            declared=self._declared,
            parameters_text=parameters_text(_parameters(snapshot)),
            executed_notebook_uri=self._executed_notebook_uri(snapshot, location),
            is_notebook_job=is_notebook,
            is_awaited=True,
        )
        return read_result(snapshot, location, expected, self.hook.clients, now=datetime.now(tz=UTC))

    def _executed_notebook_uri(self, snapshot: JobSnapshot, location: JobLocation) -> str:
        """Return the copy that the submitting task wrote, if it did; writing it is not a sensor's: it means *delivered to that task*."""
        # Jobs of Studio and of the SDK never have a copy, and asking for one needs a permission (s3:ListBucket) that their buckets may not give.
        has_copy = _is_ours(snapshot) and self.hook.clients.objects.exists(location.executed_notebook_uri)
        return location.executed_notebook_uri if has_copy else location.output_archive_uri


def _is_ours(snapshot: JobSnapshot) -> bool:
    return OWNER_VARIABLE in snapshot.environment


def _parameters(snapshot: JobSnapshot) -> dict[str, Any]:
    """Return the job's parameters, whose values SageMaker has as texts: lists and objects as such, since Airflow masks by their names."""
    return {name: _structure(text) for name, text in snapshot.hyperparameters.items()}


def _structure(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, list | dict) else text


def _input_notebook(snapshot: JobSnapshot) -> str:
    return snapshot.environment.get("SM_INPUT_NOTEBOOK_NAME", "")
