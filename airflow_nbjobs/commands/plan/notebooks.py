"""
The plan of a notebook without a task: what it takes, what it would miss in a job.

Called by ``__init__.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.commands.plan import offline
from airflow_nbjobs.commands.plan.contents import describe_files, describe_parameters
from airflow_nbjobs.commands.plan.records import TaskPlan
from airflow_nbjobs.commands.plan.request import shown_request
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey
from airflow_nbjobs.settings import read_settings


def plan_notebook(path: str, *, shows_request: bool) -> TaskPlan:
    """Return what can be said of a notebook alone; the deployment's settings are taken where this machine has them."""
    plan = TaskPlan(task_id=Path(path).stem, notebook=path)
    region = offline.region_here(None) or offline.stand_in_region()
    settings = read_settings({})
    completed = settings.completed(JobArguments(input_notebook=path))
    given = {name: each for name, each in offline.stand_ins(region).items() if getattr(completed, name) is None}
    texts: dict[str, str] = {}
    for name, stand_in in given.items():
        texts |= offline.shown_stand_in(name, stand_in, f"{name} of the deployment")
    hook: Any = offline.OfflineHook(region, {})
    run = Run(
        label=path,
        readable=Path(path).stem,
        key=RunKey(
            deployment="",
            dag_id="",
            run_id="",
            run_started_microseconds=0,
            task_id="",
            map_index=-1,
            generation=0,
        ),
    )
    found = examine_job(
        settings.completed(JobArguments(input_notebook=path, **given)),
        run=run,
        where=Surroundings(folders=[Path.cwd()], region=region, has_credentials=True, clients=hook.clients),
    )
    texts |= hook.clients.not_known
    in_s3 = path.startswith("s3://")
    plan.notebook = found.content.origin or path
    plan.kernel = found.kernel_name
    plan.problems = tuple(each for each in found.problems if not in_s3 or "which is not asked" not in each)
    plan.warnings = found.warnings
    if in_s3:
        plan.not_known = (f"input_notebook: '{path}' lies in S3, which is not asked",)
        if shows_request:
            plan.not_known = (*plan.not_known, "request: it needs the notebook, which is not known here")
    plan.parameters = describe_parameters(
        found.content.notebook, {}, checked={}, kernel_name=found.kernel_name, whole=""
    )
    plan.files = describe_files(found.content, found.job)
    if found.job is not None and shows_request:
        plan.request = shown_request(found.job, not_known={}, texts=texts, parameters={})
    return plan
