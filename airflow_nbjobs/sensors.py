"""
``SageMakerNotebookJobSensor``: wait for a notebook job that this task did not start.

Imported whenever a DAG file is parsed: nothing but ``airflow.sdk`` and defaults at module level; the rest is imported inside functions.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from airflow_nbjobs.core import defaults
from airflow_nbjobs.links import CloudWatchLogsLink, ExecutedNotebookLink, SageMakerConsoleLink
from airflow_nbjobs.task.lineage_methods import LineageMethods
from airflow_nbjobs.task.template_dates import explained_dates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import NoReturn

    from airflow.sdk import Context, PokeReturnValue

_TRIGGER = "airflow_nbjobs.triggers.NotebookJobSensorTrigger"
# What a template may name and be rendered in the triggerer: values that came with the run. Everything else asks the API server or needs the DAG's file.
_RENDERED_BY_TRIGGERER = frozenset(
    {
        *("params", "dag_run", "run_id", "logical_date", "data_interval_start", "data_interval_end"),
        *("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"),
    }
)


class SageMakerNotebookJobSensor(LineageMethods, BaseSensorOperator):
    """
    Wait for a notebook job by name or ARN, wherever it was started, and return its result as the operator does.

    .. code-block:: python

        with DAG("after_training", schedule=None, params={"job_name": Param("", type="string")}):
            trained = SageMakerNotebookJobSensor(
                task_id="trained",
                job_name="{{ params.job_name }}",
                outputs={"accuracy": float},
                timeout=timedelta(hours=6),
            )
            report(trained.output["accuracy"])

    A job that failed fails the task with the operator's own error, at once: it stays failed, whatever ``retries`` says. A job that SageMaker does not know for a
    minute fails the try, and ``retries`` ask for it again. The sensor never stops the job, and reads its results without marking them as delivered. A training
    job that is no notebook job gives a result without outputs.

    Deferrable, it holds no worker slot; from Airflow 3.3 on it does not even begin on a worker, if ``job_name`` is a text whose template, if any,
    takes only values of the run (``params``, ``dag_run``, ``run_id``, dates), and the task is not mapped. Its links then appear
    when the job has ended. A name from an XCom is rendered on a worker first.

    :param job_name: name or ARN of the training job, or what a notebook task returned (``job_name=train.output``).
    :param outputs: variables of the notebook to push as XComs. The job must have been started with these outputs (or glue them with scrapbook).
    :param return_output: push this output as ``return_value``; the job's facts then lie under ``nbjobs_result``.
    :param deferrable: wait in the triggerer; False: as ``mode`` says.
    :param poke_interval: longest seconds between two polls of the job. ``exponential_backoff`` plays a part only with ``deferrable=False``.
    :param timeout: as of every sensor: longest time to wait, then ``AirflowSensorTimeout``.
    :param aws_conn_id: Airflow connection; None uses the machine's own credentials.
    :param region_name: default: the ARN's, else the connection's.
    :param verify: whether TLS certificates are checked, or the path of a CA bundle; default: the connection's.
    :param botocore_config: keyword arguments of ``botocore.config.Config``.
    """

    template_fields: Sequence[str] = ("job_name", "aws_conn_id", "region_name", "verify")
    template_ext: Sequence[str] = ()
    operator_extra_links = (SageMakerConsoleLink(), CloudWatchLogsLink(), ExecutedNotebookLink())
    ui_color = "#f9e3cf"

    def __init__(
        self,
        *,
        job_name: str | Mapping[str, Any],
        outputs: Sequence[str] | Mapping[str, type | str] | None = None,
        return_output: str | None = None,
        deferrable: bool = True,
        aws_conn_id: str | None = defaults.AWS_CONN_ID,
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_name = job_name
        self.outputs = outputs
        self.return_output = return_output
        self.deferrable = deferrable
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        if self.outlets or self.inlets:
            from airflow_nbjobs.task.asset_events import refuse_outlets

            refuse_outlets(self)
        with suppress(ValueError):  # `execute` says what is wrong
            if self._wants_to_defer() and isinstance(job_name, str) and self._is_renderable_by_triggerer():
                self._start_from_trigger()

    def _wants_to_defer(self) -> bool:
        """:raises ValueError: ``deferrable`` is a text that says neither yes nor no."""
        given: Any = self.deferrable
        if not isinstance(given, str):
            return bool(given)
        from airflow_nbjobs.core.job import parsers

        return parsers.is_absent(given) or parsers.boolean(given)

    def _is_renderable_by_triggerer(self) -> bool:
        """
        Say whether the triggerer can render what the trigger needs.

        Airflow 3.3.2 renders a trigger's templates inside its event loop, where whatever asks the API server (``ti.xcom_pull``, ``var``, ``conn``) never
        returns, and without the macros and filters of the DAG, which are not serialized.
        """
        texts = [
            value for value in (self.job_name, self.aws_conn_id, self.region_name, self.verify) if "{" in str(value)
        ]
        if not texts:
            return True
        from jinja2 import Environment, TemplateError, meta

        environment = Environment(autoescape=False)  # noqa: S701 - nothing is rendered here
        names: set[str] = set()
        try:
            for text in texts:
                environment.from_string(str(text))  # refuses filters that are not jinja's own, as the triggerer would
                names |= meta.find_undeclared_variables(environment.parse(str(text)))
        except TemplateError:
            return False
        return names <= _RENDERED_BY_TRIGGERER

    def _start_from_trigger(self) -> None:
        from airflow.triggers.base import BaseTrigger, StartTriggerArgs

        # Airflow renders a trigger's templates from 3.3 on, which brought `on_kill` as well.
        if not hasattr(BaseTrigger, "on_kill"):
            return
        self.start_from_trigger = True
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=_TRIGGER,
            trigger_kwargs=self._trigger_arguments(),
            next_method="execute_complete",
            next_kwargs=None,
            timeout=timedelta(seconds=self.timeout),
        )

    def _trigger_arguments(self) -> dict[str, Any]:
        return {
            "job_name": self.job_name,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
            "waiter_delay": self.poke_interval,
        }

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        with self._recording(context), explained_dates(content, context):
            return super().render_template(content, context, jinja_env, seen_oids)

    def execute(self, context: Context) -> Any:
        """
        Wait for the job as asked.

        :return: the job's facts and ``outputs``; with ``return_output`` that output.
        :raises NotebookJobError: see ``core/errors.py``; what a retry cannot help is an ``AirflowFailException`` as well.
        :raises AirflowSensorTimeout: ``timeout`` has passed; the job goes on.
        """
        with self._recording(context):
            with self._skipping():
                defers = self._settled(context)
            if not defers:
                return super().execute(context)
            with self._skipping():
                outcome = self.poke(context)
                return outcome.xcom_value if outcome else self._defer(context)

    def _settled(self, context: Context) -> bool:
        """Return whether to defer; a text 'False' would count as true."""
        from airflow_nbjobs.core.errors import NotebookJobConfigError
        from airflow_nbjobs.task.retryable import as_airflow_errors

        try:
            return self._wants_to_defer()
        except ValueError as error:
            ti: Any = context["ti"]
            with as_airflow_errors():
                raise NotebookJobConfigError(
                    f"sensor '{ti.dag_id}.{ti.task_id}' cannot wait as asked", problems=[f"deferrable: {error}"]
                ) from error

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask for the job once; when it has ended, push its results."""
        return self._poll(context)

    def _get_next_poke_interval(self, *arguments: Any, **named: Any) -> float:
        """Poll once a second at most: Airflow would poll without a pause at ``poke_interval=0``."""
        from airflow_nbjobs.core.watch.pace import SHORTEST_DELAY_SECONDS

        return max(float(super()._get_next_poke_interval(*arguments, **named)), SHORTEST_DELAY_SECONDS)

    def _poll(self, context: Context, *, was_polled: bool = False) -> PokeReturnValue:
        from airflow.sdk import PokeReturnValue

        from airflow_nbjobs.task.sensor import SensorRun

        run: SensorRun | None = getattr(self, "_sensor_run", None)
        if run is None:
            run = self._sensor_run = SensorRun(self, context)
        with self._skipping_unknown():
            snapshot = run.poll(was_polled=was_polled)
        return PokeReturnValue(snapshot is not None, run.finish(snapshot) if snapshot is not None else None)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None, **_: Any) -> Any:
        """Finish after the trigger's event; events may be stale or doubled, so SageMaker's own word counts."""
        from airflow_nbjobs.core.job.status import says_deleting

        error = event.get("error") if event else None
        is_deleted = says_deleting(event.get("status")) if event else False
        with self._recording(context), self._skipping():
            outcome = self._poll(context, was_polled=bool(error) or is_deleted)
            if outcome:
                return outcome.xcom_value
            if event and error:
                from airflow_nbjobs.core.errors import NotebookJobServiceError

                raise NotebookJobServiceError(
                    f"The triggerer cannot watch training job '{event['job_name']}': {error}",
                    code="WatchFailed",
                    is_retryable=True,
                    details={"next": "the job goes on; a retry of this task waits for it again"},
                )
            return self._defer(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; a trigger that timed out or crashed comes back here and not to ``execute_complete``."""
        if next_method != "__fail__":
            return super().resume_execution(next_method, next_kwargs, context)
        from airflow_nbjobs._compat import TRIGGER_TIMEOUT

        failure = next_kwargs or {}
        with self._recording(context), self._skipping():
            # Asked once more, as by a poke: the job may have ended while no triggerer ran.
            outcome = self.poke(context)
            if outcome:
                return outcome.xcom_value
            if failure.get("error") == TRIGGER_TIMEOUT:
                raise self._timed_out(context)
        if failure.get("traceback"):
            from airflow_nbjobs.core.errors import bounded

            self.log.error("The trigger failed:\n%s", bounded("\n".join(failure["traceback"]), 20_000))
        return self._defer(context)

    def _waited(self, context: Context) -> timedelta:
        ti: Any = context["ti"]
        return datetime.now(tz=UTC) - ti.start_date if ti.start_date else timedelta()

    def _defer(self, context: Context) -> NoReturn:
        from airflow_nbjobs.core.job.reference import parse_job_reference
        from airflow_nbjobs.triggers import NotebookJobSensorTrigger

        reference = parse_job_reference(self.job_name, region_name=self.region_name)
        limits = [timedelta(seconds=self.timeout), *([self.execution_timeout] if self.execution_timeout else [])]
        self.defer(
            trigger=NotebookJobSensorTrigger(
                **self._trigger_arguments() | {"job_name": reference.job_name, "region_name": reference.region},
                deferred_at=datetime.now(tz=UTC).isoformat(),
            ),
            method_name="execute_complete",
            # Airflow 3 does not enforce execution_timeout on a deferred task by itself.
            timeout=max(min(limits) - self._waited(context), timedelta(seconds=1)),
        )

    def _timed_out(self, context: Context) -> BaseException:
        from airflow_nbjobs._compat import AirflowSensorTimeout, AirflowTaskTimeout

        waited = self._waited(context)
        still = f"training job {self.job_name!r} has not ended after {waited.total_seconds():.0f} s; it goes on"
        if self.execution_timeout is not None and self.execution_timeout < timedelta(seconds=self.timeout):
            return AirflowTaskTimeout(f"execution_timeout ({self.execution_timeout}) has passed: {still}")
        return AirflowSensorTimeout(f"timeout ({self.timeout:.0f} s) has passed: {still}")

    def _recording(self, context: Context) -> AbstractContextManager[None]:
        from airflow_nbjobs.task.error_recording import recorded_error

        return recorded_error(self, context)

    @contextmanager
    def _skipping_unknown(self) -> Iterator[None]:
        """Apply ``soft_fail`` to a job that is not there: a retry may find it, and so its error is no ``AirflowFailException``, which Airflow would skip."""
        from airflow_nbjobs._compat import AirflowSkipException
        from airflow_nbjobs.core.errors import NotebookJobServiceError

        try:
            yield
        except NotebookJobServiceError as error:
            if self.soft_fail and error.code == "ResourceNotFound":
                raise AirflowSkipException(f"skipped instead of failed: {error}") from error
            raise

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """Apply ``soft_fail`` and ``never_fail`` as Airflow does around ``poke``."""
        from airflow_nbjobs._compat import (
            AirflowFailException,
            AirflowSensorTimeout,
            AirflowSkipException,
            AirflowTaskTimeout,
        )

        try:
            yield
        except AirflowSkipException:
            raise
        except (Exception, AirflowTaskTimeout) as error:
            is_final = isinstance(error, AirflowFailException | AirflowSensorTimeout | AirflowTaskTimeout)
            if self.never_fail or (self.soft_fail and is_final):
                raise AirflowSkipException(f"skipped instead of failed: {error}") from error
            raise
