"""
A dataset against a baseline: what constraint_violations.json says. Pure.

Documented: the six check types and the thresholds of ``monitoring_config`` that rule them. Source of the distances: Deequ's ``Distance``, which the analyzer
is built on: the greatest difference of two cumulative distributions, for ``Robust`` less what samples of these sizes differ by chance; for categories the
greatest difference of shares. Descriptions are in the analyzer's words where a public report shows them (types, columns, drift), else in ours.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from .statistics import (
    FRACTIONAL,
    INTEGRAL,
    MONITORING_CONFIG,
    STRING,
    UNKNOWN,
    column_statistics,
    sketch_weights,
    value_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .statistics import Column

Violation = dict[str, str]
# Source: Deequ, Distance.selectMetrics (two-sample Kolmogorov-Smirnov test)
KS_FACTOR = 1.8


class UnsupportedCheckError(Exception):
    """The baseline asks for a check that is not here; the text says which."""


def find_violations(
    columns: Sequence[Column], *, constraints: Mapping[str, Any], statistics: Mapping[str, Any]
) -> list[Violation]:
    """
    Return all violations, column by column.

    :param constraints: the baseline's constraints.json; empty: none to hold.
    :param statistics: the baseline's statistics.json; empty: no comparison of distributions.
    :raises UnsupportedCheckError: the baseline's drift method is not supported here.
    """
    config = _merged(MONITORING_CONFIG, constraints.get("monitoring_config", {}))
    if config["evaluate_constraints"] != "Enabled":
        return []
    by_name = {column.name: column for column in columns}
    violations = list(_column_count_violations(columns, constraints))
    for feature in constraints.get("features", ()):
        if column := by_name.get(feature["name"]):
            own = _merged(config, feature.get("monitoringConfigOverrides") or {})
            violations += _constraint_violations(column, feature, own)
    for feature in statistics.get("features", ()):
        if column := by_name.get(feature["name"]):
            violations += _drift_violations(column, feature, config["distribution_constraints"])
    return violations


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **over}
    distribution = over.get("distribution_constraints", {})
    return {**merged, "distribution_constraints": {**base["distribution_constraints"], **distribution}}


def _violation(feature: str, check: str, description: str) -> Violation:
    return {"feature_name": feature, "constraint_check_type": check, "description": description}


def _column_count_violations(columns: Sequence[Column], constraints: Mapping[str, Any]) -> Iterator[Violation]:
    if not constraints:
        return
    expected = {feature["name"] for feature in constraints["features"]}
    found = {column.name for column in columns}
    counts = f"Number of columns in current dataset: {len(found)}, Number of columns in baseline constraints: {len(expected)}"
    if missing := sorted(expected - found):
        text = f"There are missing columns in current dataset. {counts}: {', '.join(missing)}"
        yield _violation("Missing columns", "missing_column_check", text)
    if extra := sorted(found - expected):
        text = f"There are extra columns in current dataset. {counts}: {', '.join(extra)}"
        yield _violation("Extra columns", "extra_column_check", text)


def _constraint_violations(
    column: Column, feature: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[Violation]:
    yield from _type_violations(column, feature["inferred_type"], config["datatype_check_threshold"])
    completeness = feature.get("completeness", 0.0)
    if column.completeness < completeness:
        text = (
            f"Completeness requirement is not met. Expected: {completeness:.1%}. Observed: {column.completeness:.1%}."
        )
        yield _violation(column.name, "completeness_check", text)
    domain = set(feature.get("string_constraints", {}).get("domains", ()))
    if domain and column.present:
        unknown = Counter(value for value in column.present if value not in domain)
        share = 1 - sum(unknown.values()) / len(column.present)
        if share < config["domain_content_threshold"]:
            examples = ", ".join(repr(value) for value, _ in unknown.most_common(3))
            text = (
                f"Value domain requirement is not met. Expected match: {config['domain_content_threshold']:.1%}. Observed: Only {share:.1%} of values "
                f"are in the baseline's domain; unknown: {examples}."
            )
            yield _violation(column.name, "categorical_values_check", text)


def _type_violations(column: Column, expected: str, threshold: float) -> Iterator[Violation]:
    if expected == UNKNOWN or not column.present:
        return
    # Each integer is also a fractional number, and each of both also text.
    accepted = {INTEGRAL: {INTEGRAL}, FRACTIONAL: {INTEGRAL, FRACTIONAL}, STRING: {INTEGRAL, FRACTIONAL, STRING}}[
        expected
    ]
    share = sum(value_type(value) in accepted for value in column.present) / len(column.present)
    if share < threshold:
        text = (
            f"Data type match requirement is not met. Expected data type: {expected}, Expected match: {100 * threshold}%. "
            f"Observed: Only {100 * share}% of data is {expected}."
        )
        yield _violation(column.name, "data_type_check", text)


def _drift_violations(column: Column, baseline: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Violation]:
    if config["perform_comparison"] != "Enabled":
        return
    current = column_statistics(column)
    is_robust = config["comparison_method"] == "Robust"
    if "numerical_statistics" in baseline and "numerical_statistics" in current:
        distance = numeric_distance(
            sketch_weights(baseline["numerical_statistics"]),
            sketch_weights(current["numerical_statistics"]),
            is_robust=is_robust,
        )
        threshold = config["comparison_threshold"]
    elif shares := _category_counts(baseline):
        if config["categorical_drift_method"] != "LInfinity":
            raise UnsupportedCheckError(
                f"categorical_drift_method {config['categorical_drift_method']} is not supported here: only LInfinity"
            )
        distance = category_distance(shares, Counter(column.present), is_robust=is_robust)
        threshold = config["categorical_comparison_threshold"]
    else:
        return
    if distance > threshold:
        text = f"Baseline drift distance: {distance} exceeds threshold: {threshold}"
        yield _violation(column.name, "baseline_drift_check", text)


def _category_counts(baseline: Mapping[str, Any]) -> Counter[str]:
    distribution = baseline.get("string_statistics", {}).get("distribution", {})
    buckets = distribution.get("categorical", {}).get("buckets", ())
    return Counter({bucket["value"]: int(bucket["count"]) for bucket in buckets})


def numeric_distance(
    first: Sequence[tuple[float, int]], second: Sequence[tuple[float, int]], *, is_robust: bool
) -> float:
    """Return the greatest difference of two weighted samples' cumulative distributions, 0 to 1; each sample by value."""
    sizes = [sum(weight for _, weight in sample) for sample in (first, second)]
    steps = sorted(
        (value, index, weight / sizes[index])
        for index, sample in enumerate((first, second))
        for value, weight in sample
    )
    reached = [0.0, 0.0]
    distance = 0.0
    for position, (value, index, share) in enumerate(steps):
        reached[index] += share
        is_last_of_value = position + 1 == len(steps) or steps[position + 1][0] != value
        if is_last_of_value:
            distance = max(distance, abs(reached[0] - reached[1]))
    return _corrected(distance, *sizes) if is_robust else distance


def category_distance(first: Counter[str], second: Counter[str], *, is_robust: bool) -> float:
    """Return the greatest difference of a category's share, 0 to 1."""
    sizes = first.total(), second.total()
    if 0 in sizes:
        return 0.0
    distance = max(abs(first[value] / sizes[0] - second[value] / sizes[1]) for value in first | second)
    return _corrected(distance, *sizes) if is_robust else distance


def _corrected(distance: float, n: int, m: int) -> float:
    return max(0.0, distance - KS_FACTOR * math.sqrt((n + m) / (n * m)))
