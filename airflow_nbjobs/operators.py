"""
``SageMakerNotebookJobOperator``: a Jupyter notebook as a task, run as a SageMaker training job in the notebook-job protocol.

Imported whenever a DAG file is parsed: nothing but ``airflow.sdk`` and defaults at module level; the rest is imported inside ``execute``.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_nbjobs.core import defaults
from airflow_nbjobs.links import CloudWatchLogsLink, ExecutedNotebookLink, SageMakerConsoleLink, StudioLink
from airflow_nbjobs.task.groups import NotebookTaskType, let_last_keep_nothing
from airflow_nbjobs.task.lineage_methods import LineageMethods
from airflow_nbjobs.task.template_dates import explained_dates, refuse_unstorable, rendered_texts
from airflow_nbjobs.task.template_fields import JOB_ARGUMENTS, TemplateFields

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import BaseOperatorLink, Context

    from airflow_nbjobs.core.job.arguments import JobArguments
    from airflow_nbjobs.hooks import SageMakerNotebookJobHook
    from airflow_nbjobs.task.run import TaskRun


class SageMakerNotebookJobOperator(LineageMethods, BaseOperator, metaclass=NotebookTaskType):
    """
    Run a notebook as a SageMaker notebook job, with typed parameters in and named variables of it back as XComs.

    .. code-block:: python

        with DAG("nightly", schedule="@daily", start_date=datetime(2026, 1, 1)):
            train = SageMakerNotebookJobOperator(
                task_id="train",
                input_notebook="notebooks/train.ipynb",
                parameters={"epochs": 3, "day": "{{ ds }}"},
                outputs=["accuracy"],
            )
            report(train.output["accuracy"])

    Job arguments have ``NotebookJobStep``'s names and defaults. ``image_uri``, ``role``, ``s3_root_uri``, KMS keys, VPC and tags may come from the
    AWS connection's extra (key ``nbjobs``) or section ``[nbjobs]`` of the Airflow configuration instead.

    :param input_notebook: path beside the DAG file, absolute, in ``template_searchpath``, or ``s3://``.
    :param image_uri: image with the notebook-job driver, or ``sagemaker-distribution:4-cpu`` for AWS's own of the region.
    :param kernel_name: default: the notebook's own kernelspec.
    :param notebook_job_name: readable beginning of the training-job name; default ``{dag_id}-{task_id}``.
    :param name: the job's name in Studio (tag ``sagemaker:name``) where ``notebook_job_name`` is absent; default ``dag/task/run``.
    :param display_name: the task's name in Airflow's UI (``task_display_name``).
    :param description: the task's ``doc``.
    :param role: ARN or name of the job's execution role.
    :param s3_root_uri: ``s3://bucket/prefix`` under which each job has a folder.
    :param parameters: JSON-like values by name; the notebook gets values of the same types. ``FROM_PARAMS`` passes the run's params on.
    :param environment_variables: readable by everyone who may describe the job: no secrets. Numbers and booleans become their texts, ``True`` is ``"True"``.
    :param initialization_script: path of a shell script that runs before the notebook.
    :param additional_dependencies: files or folders to put beside the notebook; ``%run`` targets beside it are found without being listed.
    :param outputs: variables of the notebook to push as XComs, as names, or as names with types (``{"accuracy": float}``). At most 48 KiB each.
    :param return_output: push this output as ``return_value`` (to map over it); the job's facts then lie under ``nbjobs_result``.
    :param instance_type: one, or several in order of preference: the next is taken where one has no capacity, or none of its quota is left.
    :param volume_size: GiB.
    :param s3_kms_key: of what is staged and of results.
    :param volume_kms_key: of the instance's volume.
    :param encrypt_inter_container_traffic: counts where a job has more containers than one.
    :param security_group_ids: of the VPC that the job runs in; with ``subnets``.
    :param subnets: of that VPC; with ``security_group_ids``.
    :param enable_network_isolation: no network for the job.
    :param tags: of the job, beside ``airflow:*``; a mapping, or AWS's list of ``Key`` and ``Value``.
    :param max_retry_attempts: 0-30 restarts by the platform after an InternalServerError; they are no retries of the task.
    :param max_runtime_in_seconds: 1 s to 28 days, also as a timedelta; bounded by what is left of ``execution_timeout``.
    :param enable_managed_spot_training: run on spot capacity; an interrupted job begins anew.
    :param max_wait_time_in_seconds: of a spot job, with the wait for capacity; at least ``max_runtime_in_seconds``.
    :param keep_alive_period_in_seconds: warm pool, 0-3600 s: how long SageMaker keeps the machine, and bills it. ``NotebookTaskGroup`` gives it back.
    :param output_formats: further nbconvert formats of the executed notebook, e.g. ``["html"]``, in ``output.tar.gz``.
    :param studio_domain_arn: of the Studio domain that lists the job, to all in it.
    :param studio_user_profile: of that domain; the job is then listed to this profile alone.
    :param studio_space: as ``studio_user_profile``, for a space.
    :param unified_studio_domain_id: of the SageMaker Unified Studio domain; with ``unified_studio_project_id``.
    :param unified_studio_project_id: of the project that lists the job among its executions.
    :param install_driver: install the notebook-job driver in an image that lacks it; needs a network.
    :param unknown_parameters: what to do about a parameter that the ``parameters`` cell does not define: ``"error"`` or ``"warn"``.
    :param missing_dependencies: what to do about a ``%run`` target that is not there: ``"error"`` or ``"warn"``. It is a warning anyway where an earlier cell
        may make the file.
    :param stop_on_kill: stop the job when a user clears, fails or marks the task while it runs. ``execution_timeout`` stops it in any case.
    :param retry_on_cell_error: whether a failed cell follows the task's ``retries``; False fails the task at once.
    :param live_notebook: have the notebook copied to S3 as it runs, so that the task's tab follows it; None: what the connection or ``[nbjobs]`` says, else no.
        Takes the job's checkpoint folder, ``/opt/ml/checkpoints``.
    :param stream_logs: write the container's log into the task's as it comes, also while the task is deferred; None: what the connection or ``[nbjobs]``
        says, else yes.
    :param cell_output_in_logs: have what cells print written to the container's log as well; None as above. Python kernels only.
    :param extra_request: merged into CreateTrainingJob last.
    :param capacity_timeout: how long to wait for an instance, for quota that others use, or for a throttled CreateTrainingJob: seconds, or a timedelta;
        0 fails at once. The task waits deferred, without a worker, and asks again after ``waiter_delay``, then ever less often, at least every
        5 minutes. ``execution_timeout`` counts through it.
    :param wait_for_completion: False: succeed once the job is submitted; outputs are not read.
    :param deferrable: wait in the triggerer, holding no worker slot; False waits in the worker.
    :param waiter_delay: longest time between two polls of the job: seconds, or a timedelta.
    :param aws_conn_id: Airflow connection; None uses the machine's own credentials.
    :param region_name: default: the connection's.
    :param verify: whether TLS certificates are checked, or the path of a CA bundle; default: the connection's.
    :param botocore_config: keyword arguments of ``botocore.config.Config``.
    :param lineage_parent: give the job's environment this task's OpenLineage run (``OPENLINEAGE_PARENT_ID``), so that what Spark or dbt report in the notebook belongs
        to it. Needs the extra ``openlineage``.
    :param retry_policies: an error that names ``retries``: a step's argument without a meaning here, as is ``depends_on``.
    :param depends_on: an error that names ``>>``.
    """

    template_fields = TemplateFields()
    # Not ".ipynb": Airflow would render the notebook's JSON in place of its path.
    template_ext: Sequence[str] = ()
    template_fields_renderers = {"parameters": "json", "environment_variables": "json", "extra_request": "json"}  # noqa: RUF012 - Airflow's own form
    operator_extra_links: Collection[BaseOperatorLink] = (
        SageMakerConsoleLink(),
        CloudWatchLogsLink(),
        ExecutedNotebookLink(),
        StudioLink(),
    )
    ui_color = "#f9e3cf"

    def __init__(
        self,
        *,
        input_notebook: str,
        image_uri: str | None = None,
        kernel_name: str | None = None,
        notebook_job_name: str | None = None,
        name: str | None = None,
        display_name: str | None = None,
        description: str | None = None,
        role: str | None = None,
        s3_root_uri: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        environment_variables: Mapping[str, str | float] | None = None,
        initialization_script: str | None = None,
        s3_kms_key: str | None = None,
        instance_type: str | Sequence[str] = defaults.INSTANCE_TYPE,
        volume_size: int | str = defaults.VOLUME_SIZE,
        volume_kms_key: str | None = None,
        encrypt_inter_container_traffic: bool | str = defaults.ENCRYPT_INTER_CONTAINER_TRAFFIC,
        security_group_ids: str | Sequence[str] | None = None,
        subnets: str | Sequence[str] | None = None,
        max_retry_attempts: int | str = defaults.MAX_RETRY_ATTEMPTS,
        max_runtime_in_seconds: timedelta | float | str = defaults.MAX_RUNTIME_IN_SECONDS,
        tags: Mapping[str, str | float] | Sequence[Mapping[str, str | float]] | None = None,
        additional_dependencies: str | Sequence[str] | None = None,
        outputs: Sequence[str] | Mapping[str, type | str] | None = None,
        return_output: str | None = None,
        keep_alive_period_in_seconds: timedelta | float | str | None = None,
        enable_managed_spot_training: bool | str = False,
        max_wait_time_in_seconds: timedelta | float | str | None = None,
        enable_network_isolation: bool | str = False,
        output_formats: str | Sequence[str] | None = None,
        studio_domain_arn: str | None = None,
        studio_user_profile: str | None = None,
        studio_space: str | None = None,
        unified_studio_domain_id: str | None = None,
        unified_studio_project_id: str | None = None,
        install_driver: bool | str = False,
        unknown_parameters: str = defaults.UNKNOWN_PARAMETERS,
        missing_dependencies: str = defaults.MISSING_DEPENDENCIES,
        stop_on_kill: bool = True,
        retry_on_cell_error: bool = True,
        live_notebook: bool | str | None = None,
        stream_logs: bool | str | None = None,
        cell_output_in_logs: bool | str | None = None,
        extra_request: Mapping[str, Any] | None = None,
        capacity_timeout: timedelta | float | str = defaults.CAPACITY_TIMEOUT,
        wait_for_completion: bool = True,
        deferrable: bool = True,
        waiter_delay: timedelta | float | str = defaults.WAITER_DELAY,
        aws_conn_id: str | None = defaults.AWS_CONN_ID,
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        lineage_parent: bool = False,
        retry_policies: object = None,
        depends_on: object = None,
        **kwargs: Any,
    ) -> None:
        if retry_policies is not None or depends_on is not None:
            name, instead = (
                ("retry_policies", "use the task's retries, retry_delay and retry_exponential_backoff")
                if retry_policies is not None
                else ("depends_on", "write upstream_task >> this_task")
            )
            where = " (from default_args)" if name in (kwargs.get("default_args") or {}) else ""
            raise TypeError(f"{name}{where} is an argument of SageMaker Pipelines' steps; in Airflow {instead}")
        if display_name is not None:
            kwargs.setdefault("task_display_name", display_name)
        if description is not None:
            kwargs.setdefault("doc", description)
        super().__init__(**kwargs)
        if parameters and not getattr(
            self, "_BaseOperator__from_mapped", False
        ):  # Airflow stores a mapped task's as text
            refuse_unstorable(parameters, self.task_id)
        self.input_notebook = input_notebook
        self.image_uri = image_uri
        self.kernel_name = kernel_name
        self.notebook_job_name = notebook_job_name
        self.name = name
        self.role = role
        self.s3_root_uri = s3_root_uri
        self.parameters = parameters
        self.environment_variables = environment_variables
        self.initialization_script = initialization_script
        self.s3_kms_key = s3_kms_key
        self.instance_type = instance_type
        self.volume_size = volume_size
        self.volume_kms_key = volume_kms_key
        self.encrypt_inter_container_traffic = encrypt_inter_container_traffic
        self.security_group_ids = security_group_ids
        self.subnets = subnets
        self.max_retry_attempts = max_retry_attempts
        self.max_runtime_in_seconds = max_runtime_in_seconds
        self.tags = tags
        self.additional_dependencies = additional_dependencies
        self.outputs = outputs
        self.return_output = return_output
        self.keep_alive_period_in_seconds = keep_alive_period_in_seconds
        self.enable_managed_spot_training = enable_managed_spot_training
        self.max_wait_time_in_seconds = max_wait_time_in_seconds
        self.enable_network_isolation = enable_network_isolation
        self.output_formats = output_formats
        self.studio_domain_arn = studio_domain_arn
        self.studio_user_profile = studio_user_profile
        self.studio_space = studio_space
        self.unified_studio_domain_id = unified_studio_domain_id
        self.unified_studio_project_id = unified_studio_project_id
        self.install_driver = install_driver
        self.unknown_parameters = unknown_parameters
        self.missing_dependencies = missing_dependencies
        self.stop_on_kill = stop_on_kill
        self.retry_on_cell_error = retry_on_cell_error
        self.live_notebook = live_notebook
        self.stream_logs = stream_logs
        self.cell_output_in_logs = cell_output_in_logs
        self.extra_request = extra_request
        self.capacity_timeout = capacity_timeout
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.waiter_delay: Any = waiter_delay  # seconds, once the task runs
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.lineage_parent = lineage_parent
        if self.outlets or self.inlets:
            from airflow_nbjobs.task.asset_events import refuse_outlets

            refuse_outlets(self)

    @property
    def hook(self) -> SageMakerNotebookJobHook:
        """The AWS connection of this task; made on first use, never while a DAG is parsed."""
        hook: SageMakerNotebookJobHook | None = getattr(self, "_hook", None)
        if hook is None:
            from airflow_nbjobs.hooks import SageMakerNotebookJobHook

            hook = SageMakerNotebookJobHook(
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                config=self.botocore_config,
            )
            self._hook = hook
        return hook

    def job_arguments(self) -> JobArguments:
        """Return the rendered job arguments, without what Airflow wraps values in."""
        from airflow_nbjobs.core.job.arguments import JobArguments
        from airflow_nbjobs.task.parameters import plain

        if hasattr(self, "_not_rendered"):
            from airflow_nbjobs.task.rendered_again import refuse_unrendered

            refuse_unrendered(self)
        values = {name: getattr(self, name) for name in (*JOB_ARGUMENTS, "outputs", "return_output")}
        rendered = getattr(self, "_rendered_parameters", None)
        if rendered is not None:
            values["parameters"] = rendered.for_job(self.parameters)
        return JobArguments(**{name: plain(value) for name, value in values.items()})

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        # Airflow calls it for mapped tasks as well, and for what is nested in a field.
        from airflow_nbjobs.task.index_names import named_index

        if parent is self:
            let_last_keep_nothing(self)
        with named_index(self, context) if parent is self else nullcontext():
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
        if parent is self and (self.outlets or self.inlets):
            from airflow_nbjobs.task.inactive_assets import set_aside

            set_aside(self, context)

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        from airflow_nbjobs.task.error_recording import recorded_error

        with recorded_error(self, context), explained_dates(content, context):
            try:
                return self._rendered(content, context, jinja_env, seen_oids)
            except Exception as error:  # noqa: BLE001 - of any template; raised again but for one
                from airflow_nbjobs.task.rendered_again import stands_for

                return stands_for(self, content, context, error)

    def _rendered(self, content: Any, context: Context, jinja_env: Any, seen_oids: set[int] | None) -> Any:
        render = super().render_template
        is_text_only = content is self.environment_variables or content is self.tags
        if content is self.parameters:
            from airflow_nbjobs.task.parameters import render_parameters

            self._rendered_parameters = render_parameters(
                self,
                content,
                context=context,
                environment=jinja_env or self.get_template_env(),
                skip=seen_oids or set(),
                render=lambda part: render(part, context, jinja_env, seen_oids),
            )
            return self._rendered_parameters.stored
        if is_text_only and isinstance(content, dict | list):
            environment = jinja_env or self.get_template_env()
            return rendered_texts(
                content, context, environment, lambda part: render(part, context, environment, seen_oids)
            )
        return render(content, context, jinja_env, seen_oids)

    def execute(self, context: Context) -> dict[str, Any] | Any:
        """
        Submit the job (or adopt the one an earlier try submitted), then wait for it as asked.

        :return: the job's facts and ``outputs``; with ``return_output`` that output.
        :raises NotebookJobError: see ``core/errors.py``; what a retry cannot help is an ``AirflowFailException`` as well.
        """
        with self._run_in(context) as run:
            return run.start()

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None, **_: Any) -> dict[str, Any] | Any:
        """Finish after the trigger's event; everything needed is in the event, since ``dag.test`` drops other arguments."""
        with self._run_in(context) as run:
            return run.resume(event or {})

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; a trigger that timed out or crashed comes back here and not to ``execute_complete``."""
        if next_method != "__fail__":
            return super().resume_execution(next_method, next_kwargs, context)
        with self._run_in(context) as run:
            return run.resume_after_trigger_failure(next_kwargs or {})

    @contextmanager
    def _run_in(self, context: Context) -> Iterator[TaskRun]:
        from airflow_nbjobs.aws.collector import paused_collector
        from airflow_nbjobs.task.arguments import parse_arguments
        from airflow_nbjobs.task.error_recording import recorded_error
        from airflow_nbjobs.task.index_names import keep_index_name
        from airflow_nbjobs.task.run import TaskRun

        # A task that defers is a short process: it ends before a collection would have found anything.
        with paused_collector() if self.deferrable else nullcontext():
            with recorded_error(self, context):
                if hasattr(self, "_assets_aside"):
                    from airflow_nbjobs.task.inactive_assets import take_back

                    take_back(self)
                parse_arguments(self)  # what is wrong is reported with everything else, before the job is submitted
                self._task_run = TaskRun(self, context)  # for on_kill, which gets no arguments
                yield self._task_run
            keep_index_name(self, context)

    def on_kill(self) -> None:
        """Stop the job if a user took the running task away from it; an eviction or a lost API server leaves it alone."""
        run = getattr(self, "_task_run", None)
        if run is not None:
            run.ownership.stop_if_taken_away()


TemplateFields.read_defaults(SageMakerNotebookJobOperator.__init__)
