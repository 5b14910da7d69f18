"""
What templates may ask for, without a run: names whose values are given, and names of which only a run can tell the values.

Called by ``rendering.py``.
"""

from __future__ import annotations

import inspect
import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_nbjobs._compat import add_secret

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_nbjobs.commands.plan.given_run import GivenRun

_DATES = ("logical_date", "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz")
_INTERVAL = ("data_interval_start", "data_interval_end")
_OF_A_RUN = (
    "run_id",
    "task_instance_key_str",
    "prev_data_interval_start_success",
    "prev_data_interval_end_success",
    "prev_start_date_success",
    "prev_end_date_success",
    "inlet_events",
    "outlet_events",
    "triggering_asset_events",
    "partition_key",
    "partition_date",
    "task_reschedule_count",
    "task_state_store",
    "asset_state_store",
    "conn",
)


class NeedsRun:
    """A value that only a run can tell: of what a template makes of it nothing counts, neither a text nor an error."""


class Context(dict[str, Any]):
    """
    What a task's templates are rendered with.

    :ivar has_asked: whether a template has been given a value that only a run can tell, since it was last set to False.
    """

    has_asked = False

    def needs_run(self) -> NeedsRun:
        self.has_asked = True
        return NeedsRun()

    def watch(self, environment: Any) -> None:
        """Note each such name of the context that a template of this environment resolves, in files that it includes as well."""
        own = self

        class Watched(environment.context_class):  # type: ignore[misc]
            def resolve_or_missing(self, key: str) -> Any:
                value = super().resolve_or_missing(key)
                own.has_asked |= isinstance(value, NeedsRun)
                return value

        environment.context_class = Watched


class Partly:
    """An object of a run of which some attributes are known."""

    def __init__(self, of: Context, **known: Any) -> None:
        vars(self).update(known)
        self.__of = of

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_Partly")):
            raise AttributeError(name)
        return self.__of.needs_run()

    def __str__(self) -> str:
        self.__of.needs_run()
        return ""

    __repr__ = __str__


class _Variables:
    """``var.value`` and ``var.json``: those of the environment; all others are Airflow's to tell."""

    def __init__(self, of: Context, *, is_json: bool) -> None:
        self._of = of
        self._is_json = is_json

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def get(self, name: str, _default: Any = None) -> Any:
        text = os.environ.get(f"AIRFLOW_VAR_{name.upper()}")
        if text is None:
            return self._of.needs_run()
        add_secret(text, name)
        if not self._is_json:
            return text
        value = json.loads(text)
        # Source: `_mask_and_deserialize_variable` of Airflow's task SDK: a dict's own keys say what is secret in it.
        add_secret(value, None if isinstance(value, dict) else name)
        return value


def template_context(task: Any, run: GivenRun, params: Any, *, map_index: int, bundle: Path | None = None) -> Context:
    """
    Return a context for a task's templates.

    :param bundle: folder of the DAG's bundle.
    """
    from airflow.sdk.execution_time.context import MacrosAccessor

    context = Context()
    dates = _dates(run)
    dag_run: dict[str, Any] = {"dag_id": task.dag_id}
    if run.conf is not None:
        dag_run["conf"] = run.conf
    if run.logical_date is not None:
        dag_run |= {name: dates[name] for name in ("logical_date", *_INTERVAL)} | {"run_after": run.run_after}
    if run.run_id is not None:
        dag_run["run_id"] = run.run_id
    ti = Partly(
        context,
        task_id=task.task_id,
        dag_id=task.dag_id,
        map_index=map_index,
        try_number=1,
        task=task,
        bundle_instance=None if bundle is None else SimpleNamespace(path=bundle),
    )
    context |= dict.fromkeys((*_DATES, *_INTERVAL, *_OF_A_RUN), NeedsRun()) | dates
    if run.run_id is not None:
        context |= {
            "run_id": run.run_id,
            "task_instance_key_str": f"{task.dag_id}__{task.task_id}__{dates['ds_nodash']}",
        }
    context |= {
        "dag": task.dag,
        "task": task,
        "ti": ti,
        "task_instance": ti,
        "dag_run": Partly(context, **dag_run),
        "params": params,
        "macros": MacrosAccessor(),
        "inlets": task.inlets,
        "outlets": task.outlets,
        "map_index_template": task.map_index_template,
        "var": {"value": _Variables(context, is_json=False), "json": _Variables(context, is_json=True)},
        "test_mode": False,
    }
    function = getattr(task, "python_callable", None)
    if function is not None:  # whose arguments the templates of a decorated task may name
        context |= {name: NeedsRun() for name in inspect.signature(function).parameters if name not in context}
    return context


def _dates(run: GivenRun) -> dict[str, Any]:
    """Source: ``RuntimeTaskInstance.get_template_context`` of Airflow's task SDK."""
    if run.logical_date is None:
        return {}
    moment = run.logical_date
    ds, ts = moment.strftime("%Y-%m-%d"), moment.isoformat()
    return {
        "logical_date": moment,
        "ds": ds,
        "ds_nodash": ds.replace("-", ""),
        "ts": ts,
        "ts_nodash": moment.strftime("%Y%m%dT%H%M%S"),
        "ts_nodash_with_tz": ts.replace("-", "").replace(":", ""),
        "data_interval_start": run.interval_start,
        "data_interval_end": run.interval_end,
    }
