"""
Search over training jobs, in the forms that Studio's Notebook Jobs page and people use. Pure; called by ``api/operations.py``.

Source: SearchRequest, Filter, NestedFilters and SearchExpression, API reference. A job is found at once; on AWS the index
is some seconds behind, which ``api/operations.py`` plays when it is asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.state.jobs import MAX_RUNTIME_EXCEEDED
from airflow_nbjobs.local.state.resource import COMPLETED, FAILED, IN_PROGRESS, STOPPED, STOPPING
from airflow_nbjobs.local.wire.formats import ValidationError
from airflow_nbjobs.local.wire.paging import take_page

if TYPE_CHECKING:
    from airflow_nbjobs.local.state.jobs import TrainingJob
    from airflow_nbjobs.local.state.resource import Document

# Members of TrainingJobs found by Search that DescribeTrainingJob has and Search has not.
_NOT_IN_RESULTS = {"RemoteDebugConfig", "InfraCheckConfig", "ProfilerRuleConfigurations"}
_BY_NAME = ("Tags", "HyperParameters", "Environment")  # "Tags.my.key": everything after the first dot is the key

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda found, wanted: found > wanted,
    "GreaterThanOrEqualTo": lambda found, wanted: found >= wanted,
    "LessThan": lambda found, wanted: found < wanted,
    "LessThanOrEqualTo": lambda found, wanted: found <= wanted,
}


def search_training_jobs(jobs: Sequence[TrainingJob], request: Mapping[str, Any]) -> Document:
    """Return one page of jobs with their tags; raises ServiceError for an expression that means nothing."""
    if _count_contains(request.get("SearchExpression", {})) > 1:
        raise ValidationError("'CONTAINS' operator usage limit of 1 exceeded.")
    documents = {job.name: result_document(job) for job in jobs}
    found = [job for job in jobs if matches(documents[job.name], request.get("SearchExpression", {}))]
    sort_by = request.get("SortBy", "LastModifiedTime")

    def sort_key(job: TrainingJob) -> list[Any]:
        # Jobs without the property come last in an ascending order; numbers and texts do not compare.
        value = next(property_values(documents[job.name], sort_by), None)
        return [value is None, isinstance(value, str), value if value is not None else 0, job.name]

    page, token = take_page(found, request, key=sort_key, default_order="Descending")
    results = [{"TrainingJob": documents[job.name]} for job in page]
    return {"Results": results, "TotalHits": {"Value": len(found), "Relation": "EqualTo"}, **token}


def result_document(job: TrainingJob) -> Document:
    document = {name: value for name, value in job.describe().items() if name not in _NOT_IN_RESULTS}
    return {**document, "Tags": job.tag_documents()}


def matches(document: Mapping[str, Any], expression: Mapping[str, Any]) -> bool:
    """Say whether a job satisfies an expression: its filters, nested filters and subexpressions, joined by its operator (And unless said)."""
    results = [
        *(_filter_matches(document, condition) for condition in expression.get("Filters", ())),
        *(_nested_matches(document, nested) for nested in expression.get("NestedFilters", ())),
        *(matches(document, below) for below in expression.get("SubExpressions", ())),
    ]
    return any(results) if results and expression.get("Operator") == "Or" else all(results)


def _count_contains(expression: Mapping[str, Any]) -> int:
    filters = [
        *expression.get("Filters", ()),
        *(f for nested in expression.get("NestedFilters", ()) for f in nested["Filters"]),
    ]
    here = sum(1 for condition in filters if condition.get("Operator") == "Contains")
    below = sum(_count_contains(part) for part in expression.get("SubExpressions", ()))
    return here + below


def _nested_matches(document: Mapping[str, Any], nested: Mapping[str, Any]) -> bool:
    """One element of the list must satisfy all filters."""
    name = nested["NestedPropertyName"]
    elements = list(property_values(document, name))
    # A filter's name repeats the list's: InputDataConfig, then InputDataConfig.DataSource.S3DataSource.S3Uri.
    filters = [{**condition, "Name": condition["Name"].removeprefix(f"{name}.")} for condition in nested["Filters"]]
    return any(
        all(_filter_matches(element, condition) for condition in filters)
        for element in elements
        if isinstance(element, Mapping)
    )


def _filter_matches(document: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    operator = condition.get("Operator", "Equals" if "Value" in condition else "Exists")
    found = list(property_values(document, condition["Name"]))
    if operator == "Exists":
        return bool(found)
    if operator == "NotExists":
        return not found
    if "Value" not in condition:
        raise ValidationError(f"The operator {operator} of {condition['Name']!r} needs a Value.")
    wanted = condition["Value"]
    if operator == "NotEquals":
        return not any(_equals(value, wanted) for value in found)
    return any(_satisfies(value, operator, wanted) for value in found)


def _satisfies(value: Any, operator: str, wanted: str) -> bool:
    if operator == "Equals":
        return _equals(value, wanted)
    if operator == "Contains":
        return isinstance(value, str) and wanted in value
    if operator == "In":
        return str(value) in wanted.split(",")
    try:
        return _COMPARISONS[operator](float(value), _number(wanted))
    except ValueError as error:
        raise ValidationError(f"The operator {operator} takes numbers and times, not {wanted!r}.") from error


def _equals(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    if isinstance(value, (int, float)):
        try:
            return value == _number(wanted)
        except ValueError:
            return False
    return bool(value == wanted)


def _number(text: str) -> float:
    """Read a number, or a time as seconds since the epoch (UTC unless it says otherwise)."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def property_values(document: Mapping[str, Any], name: str) -> Iterator[Any]:
    """Return the values of a dotted property name; a list gives one for each element."""
    first, _, rest = name.partition(".")
    if first in _BY_NAME and rest:
        container = document.get(first, {})
        pairs = container if isinstance(container, Mapping) else {tag["Key"]: tag["Value"] for tag in container}
        if rest in pairs:
            yield pairs[rest]
        return
    value = document.get(first)
    for element in value if isinstance(value, list) else [value]:
        if element is None:
            continue
        if not rest:
            yield element
        elif isinstance(element, Mapping):
            yield from property_values(element, rest)


def as_searched(job: TrainingJob, *, moment: float) -> TrainingJob | None:
    """Return a job as an index that is behind shows it: as it was at that moment; None before it was made."""
    if job.created > moment:
        return None
    seen = tuple(transition for transition in job.transitions if transition.start <= moment)
    last = seen[-1].status
    statuses = {COMPLETED: COMPLETED, FAILED: FAILED, STOPPED: STOPPED, MAX_RUNTIME_EXCEEDED: STOPPED}
    status = statuses.get(last, STOPPING if last == STOPPING else IN_PROGRESS)
    is_terminal = status in {COMPLETED, FAILED, STOPPED}
    return replace(
        job,
        status=status,
        transitions=seen,
        modified=seen[-1].start,
        started=job.started if job.started is not None and job.started <= moment else None,
        ended=job.ended if is_terminal else None,
        failure_reason=job.failure_reason if is_terminal else None,
    )
