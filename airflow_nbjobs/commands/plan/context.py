"""
What templates may ask for, without a run: names whose values are given, and names that raise when a template uses them.

Called by ``rendering.py``.
"""

from __future__ import annotations

import inspect
import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

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


class NeedsRunError(Exception):
    """A template asks for what only a run can tell."""


class NeedsRun:
    """A value of a run that was not given: whatever a template does with it raises."""

    def __init__(self, name: str) -> None:
        self.__name = name

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise NeedsRunError(self.__name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what jinja asks of every value
            raise AttributeError(name)
        raise NeedsRunError(self.__name)

    __str__ = __repr__ = __format__ = __iter__ = __bool__ = __len__ = __call__ = __getitem__ = __contains__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = _refuse
    __mul__ = __rmul__ = __mod__ = __truediv__ = __floordiv__ = __int__ = __float__ = __index__ = _refuse
    __hash__ = None  # type: ignore[assignment]


class Partly:
    """An object of a run of which some attributes are known."""

    def __init__(self, of_run: str, **known: Any) -> None:
        vars(self).update(known)
        self.__of_run = of_run

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_Partly")):
            raise AttributeError(name)
        return NeedsRun(f"{self.__of_run}.{name}")


class _Variables:
    """``var.value`` and ``var.json``: those of the environment; all others are Airflow's to tell."""

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def get(self, name: str, _default: Any = None) -> Any:
        text = os.environ.get(f"AIRFLOW_VAR_{name.upper()}")
        if text is None:
            return NeedsRun(f"var.{name}")
        return json.loads(text) if self._is_json else text


def template_context(
    task: Any, run: GivenRun, params: Any, *, map_index: int, bundle: Path | None = None
) -> dict[str, Any]:
    """
    Return a context for a task's templates.

    :param bundle: folder of the DAG's bundle.
    """
    from airflow.sdk.execution_time.context import MacrosAccessor

    dates = _dates(run)
    dag_run: dict[str, Any] = {"dag_id": task.dag_id}
    if run.conf is not None:
        dag_run["conf"] = run.conf
    if run.logical_date is not None:
        dag_run |= {name: dates[name] for name in ("logical_date", *_INTERVAL)} | {"run_after": run.run_after}
    if run.run_id is not None:
        dag_run["run_id"] = run.run_id
    ti = Partly(
        "ti",
        task_id=task.task_id,
        dag_id=task.dag_id,
        map_index=map_index,
        try_number=1,
        task=task,
        bundle_instance=None if bundle is None else SimpleNamespace(path=bundle),
    )
    context: dict[str, Any] = {name: NeedsRun(name) for name in (*_DATES, *_INTERVAL, *_OF_A_RUN)}
    context |= dates
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
        "dag_run": Partly("dag_run", **dag_run),
        "params": params,
        "macros": MacrosAccessor(),
        "inlets": task.inlets,
        "outlets": task.outlets,
        "map_index_template": task.map_index_template,
        "var": {"value": _Variables(is_json=False), "json": _Variables(is_json=True)},
        "test_mode": False,
    }
    function = getattr(task, "python_callable", None)
    if function is not None:  # whose arguments the templates of a decorated task may name
        context |= {name: NeedsRun(name) for name in inspect.signature(function).parameters if name not in context}
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
