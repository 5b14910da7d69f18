"""
A task's outlets: checked before anything is paid for, and told what the notebook job has made once it has ended.

Called by the operator and the sensor: while a DAG file is parsed for a task that has outlets, else inside ``execute`` and its successors.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias
from msgspec.structs import replace

from airflow_nbjobs.core.job.asset_event import (
    EXTRA_LIMIT_BYTES,
    LEFT_OUT,
    event_extra,
    is_uri,
    run_part,
    uris_of,
)
from airflow_nbjobs.core.texts import is_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow.sdk import Context

    from airflow_nbjobs.aws.results.read import JobResult
    from airflow_nbjobs.core.errors import NotebookOutputError

_REFERENCES = ("AssetNameRef", "AssetUriRef")
_PER_RUN = (
    "an asset of each run would stay in Airflow for ever, and no DAG could be scheduled on it: name the place that stays the same, and return "
    "what differs as an output, which the event carries"
)


def refuse_outlets(task: Any) -> None:
    """
    Refuse outlets and inlets that no run of the task could make right, while the DAG file is parsed.

    :raises NotebookJobConfigError: with all of them.
    """
    problems = outlet_problems(task)
    if problems:
        from airflow_nbjobs.core.errors import NotebookJobConfigError

        raise NotebookJobConfigError(f"task '{task.task_id}' has wrong outlets or inlets", problems=problems)


def outlet_problems(task: Any) -> list[str]:
    """Return what is wrong with a task's outlets and inlets, each with what to write instead."""
    problems = [
        problem
        for argument in ("outlets", "inlets")
        for place, given in enumerate(_whole_text(_given(task, argument)))
        if (problem := _problem(f"{argument}[{place}]", argument, given)) is not None
    ]
    return [*problems, *_conflicts([each for each in _given(task, "outlets") if isinstance(each, Asset)])]


def _given(task: Any, argument: str) -> list[Any]:
    found = getattr(task, argument, None)
    return list(found) if isinstance(found, list | tuple) else []


def _whole_text(given: list[Any]) -> list[Any]:
    """Airflow makes a list of a text's letters."""
    are_letters = len(given) > 1 and all(isinstance(each, str) and len(each) == 1 for each in given)
    return ["".join(given)] if are_letters else given


def _problem(place: str, argument: str, given: Any) -> str | None:
    if isinstance(given, str):
        # Of a dictionary, Airflow takes the keys.
        return (
            f"{place} is the text {given!r}, which Airflow passes over; write {argument}=[Asset({given!r})], with "
            "from airflow.sdk import Asset"
        )
    if given is None or isinstance(given, dict | list | tuple | set | int | float | bytes):
        return f"{place} is a {type(given).__name__}; {argument} takes one list of assets: {argument}=[first, second]"
    if isinstance(given, type):
        return f"{place} is the class {given.__name__}; write {argument}=[{given.__name__}('s3://bucket/place')]"
    kind = type(given).__name__
    if kind in {"AssetAll", "AssetAny"}:
        return f"{place} is a condition ('&' or '|'), as schedule= takes it; write the assets as a list: {argument}=[first, second]"
    if hasattr(given, "operator") and hasattr(given, "key"):  # an XComArg
        return (
            f"{place} is another task's output; outlets are known before a task runs. Write AssetAlias('name'), where name is an "
            "output of this notebook that holds the asset's URI"
        )
    if argument == "outlets" and isinstance(given, Asset):
        return _uri_problem(place, given)
    return None


def _uri_problem(place: str, asset: Asset) -> str | None:
    templated = next((text for text in (asset.uri, asset.name) if is_template(text)), None)
    if templated is not None:
        return f"{place} is {templated!r}: Airflow renders no outlet, and {_PER_RUN}"
    now = datetime.now(tz=UTC)
    digits = "".join(character for character in asset.uri if character.isdigit())
    if any(moment.strftime("%Y%m%d%H%M") in digits for moment in (now, datetime.now().astimezone())):
        return f"{place} is {asset.uri!r}, which holds the time at which this file is parsed; {_PER_RUN}"
    return None


def _conflicts(assets: list[Asset]) -> Iterator[str]:
    """Yield what Airflow would make an inactive asset of, and so a task that fails before it begins."""
    for at, asset in enumerate(assets):
        for other in assets[:at]:
            if (asset.name == other.name) != (asset.uri == other.uri):
                yield (
                    f"outlets has Asset(name={other.name!r}, uri={other.uri!r}) and Asset(name={asset.name!r}, uri={asset.uri!r}): "
                    "Airflow keeps one asset for each name and for each URI; leave one of them out"
                )


def outlet_warnings(task: Any, outputs: Mapping[str, Any]) -> Iterator[str]:
    """
    Yield what a task's outlets will not do that their author may expect, said before the job is submitted.

    :param outputs: those that the task declares.
    """
    outlets = _given(task, "outlets")
    for outlet in outlets:
        if isinstance(outlet, AssetAlias) and outlet.name not in outputs:
            yield (
                f"AssetAlias('{outlet.name}') gets no event of this task: no output is called '{outlet.name}'. Declare one that holds "
                f"the asset's URI (outputs has {', '.join(outputs) or 'none'}), or rename the alias"
            )
        if isinstance(outlet, Asset) and not is_uri(outlet.uri):
            yield (
                f"outlet Asset('{outlet.name}') has no URI: DAGs may be scheduled on it, but nobody learns where its data is, and lineage "
                f"leaves it out; write Asset(name='{outlet.name}', uri='s3://bucket/place')"
            )
    if outlets and not getattr(task, "wait_for_completion", True):
        yield (
            "outlets with wait_for_completion=False: the assets count as updated once the job is submitted, without its outputs; give the "
            "outlets to the SageMakerNotebookJobSensor that waits for the job"
        )


def announced(
    task: Any, context: Context, result: JobResult, *, parameters: Mapping[str, Any] | None = None
) -> JobResult:
    """
    Put what a completed job has made into the events of the task's outlets; return the result, with the error of an alias that gets no asset or of an inactive asset.

    Airflow stores the events when the task succeeds. Called before a job's results count as delivered: whatever goes wrong here, a retry adopts the job.

    :param parameters: of the job; None: the task's own.
    """
    if result.error is not None:
        return result
    from airflow_nbjobs.task.inactive_assets import delivery_error, warn_of_lost_events

    error = delivery_error(task, result.facts)
    if error is None and _given(task, "outlets"):
        warn_of_lost_events(task, context)
        error = announce(task, context, result.facts, result.outputs, result.executed_notebook, parameters=parameters)
    return result if error is None else replace(result, error=error)


def announce(
    task: Any,
    context: Context,
    facts: Mapping[str, Any],
    outputs: Mapping[str, Any],
    executed_notebook: bytes | None,
    *,
    parameters: Mapping[str, Any] | None = None,
) -> NotebookOutputError | None:
    """
    Put what a job has made into the events of the task's outlets.

    Each Asset gets one event, an AssetAlias one for each URI in the output of its name. What a user's own hook has put into an event stays.

    :param facts: of the job, as in ``return_value``.
    :return: what is wrong, where the output of an alias holds no URI, or one of this run alone.
    """
    outlets = [each for each in _given(task, "outlets") if not isinstance(each, str)]
    events: Any = context.get("outlet_events")
    if not outlets or events is None:
        return None
    extra = event_extra(
        facts,
        outputs=outputs,
        parameters=masked_parameters(getattr(task, "parameters", None) if parameters is None else parameters),
        executed_notebook_sha256=hashlib.sha256(executed_notebook).hexdigest() if executed_notebook else None,
    )
    left_out = extra.get(LEFT_OUT)
    if left_out:
        task.log.warning(
            "The asset event is full at %d bytes and goes without %s; consumers can read them as XComs",
            EXTRA_LIMIT_BYTES,
            ", ".join(left_out),
        )
    names = [each.name for each in outlets if isinstance(each, AssetAlias) and each.name in outputs]
    assets, problems = _alias_assets(names, context, facts, outputs)
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            for asset in assets.get(outlet.name, ()):
                events[outlet].add(asset, extra=dict(extra))
        elif isinstance(outlet, Asset) or type(outlet).__name__ in _REFERENCES:
            try:
                accessor = events[outlet]
            except Exception as error:  # noqa: BLE001 - Airflow is asked for the asset of a reference; it may be away, or know none
                task.log.warning("The event of outlet %s goes without what the job has made: %s", outlet, error)
                continue
            accessor.extra = extra | dict(accessor.extra)
    return _alias_error(problems, facts) if problems else None


def masked_parameters(parameters: object) -> dict[str, Any]:
    """Return rendered parameters as Airflow masks its logs; none where they are no mapping."""
    from airflow_nbjobs._compat import redact
    from airflow_nbjobs.task.parameters import plain

    values = plain(parameters)
    return dict(redact(values)) if isinstance(values, dict) else {}


def _alias_assets(
    names: Iterable[str], context: Context, facts: Mapping[str, Any], outputs: Mapping[str, Any]
) -> tuple[dict[str, list[Asset]], list[str]]:
    dag_run: Any = context["dag_run"]
    moments = [
        getattr(dag_run, name, None)
        for name in ("logical_date", "run_after", "data_interval_start", "data_interval_end")
    ]
    texts = [str(facts.get("job_name") or ""), str(getattr(context["ti"], "run_id", "") or "")]
    problems: list[str] = []
    found: dict[str, list[Asset]] = {}
    for name in names:
        uris = uris_of(outputs[name])
        if uris is None:
            problems.append(
                f"output '{name}' is {str(outputs[name])[:100]!r}, but AssetAlias('{name}') needs a URI such as 's3://bucket/place', or a list of URIs"
            )
            continue
        parts = [(uri, part) for uri in uris if (part := run_part(uri, texts, moments)) is not None]
        problems += [f"output '{name}' is {uri!r}, of this run alone ('{part}'); {_PER_RUN}" for uri, part in parts]
        try:
            found[name] = [Asset(uri) for uri in dict.fromkeys(uris)]
        except ValueError as error:
            problems.append(f"output '{name}' holds what Airflow takes for no asset's URI: {error}")
    return found, problems


def _alias_error(problems: list[str], facts: Mapping[str, Any]) -> NotebookOutputError:
    from airflow_nbjobs.core.errors import NotebookOutputError

    return NotebookOutputError(
        f"Notebook job '{facts.get('job_name')}' completed, but an asset alias has no asset",
        problems=problems,
        details={"next": "mend the notebook or the outlet, then clear the task: its outputs have been pushed"},
        job_name=facts.get("job_name"),
    )
