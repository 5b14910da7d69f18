"""
Types, statistics and suggested constraints of columns of text, as a CSV file gives them. Pure.

Documented: the members and their meaning. Inferred: that text is an integer if it reads as one, that a column has one type which fits all of its values,
and which columns get ``domains`` ("small cardinality" is not quantified). The sketch is a KLL sketch that stays exact up to 2,048 values.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTE = "the embedded SageMaker of airflow_nbjobs, not Amazon SageMaker Model Monitor's analyzer"
INTEGRAL, FRACTIONAL, STRING, UNKNOWN = "Integral", "Fractional", "String", "Unknown"
BUCKETS = 10  # Source: "By default, the distribution is materialized in 10 buckets"
SKETCH_CAPACITY = 2048
SKETCH_SHRINK = 0.64
DOMAIN_VALUES = 100
MONITORING_CONFIG = {
    "evaluate_constraints": "Enabled",
    "emit_metrics": "Enabled",
    "datatype_check_threshold": 1.0,
    "domain_content_threshold": 1.0,
    "distribution_constraints": {
        "perform_comparison": "Enabled",
        "comparison_threshold": 0.1,
        "comparison_method": "Robust",
        "categorical_comparison_threshold": 0.1,
        "categorical_drift_method": "LInfinity",
    },
}
# Regular expressions, for what Python's own conversions take besides: "1_000", "nan", digits of other scripts.
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_FRACTION = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Column:
    """
    One column.

    :param present: its values that are not missing, as text.
    """

    name: str
    present: Sequence[str]
    missing: int

    @property
    def completeness(self) -> float:
        total = len(self.present) + self.missing
        return len(self.present) / total if total else 0.0


def value_type(text: str) -> str:
    if _INTEGER.fullmatch(text.strip()):
        return INTEGRAL
    return FRACTIONAL if _FRACTION.fullmatch(text.strip()) else STRING


def infer_type(values: Sequence[str]) -> str:
    """Return the narrowest type that all values have; ``Unknown`` for none."""
    found = {value_type(value) for value in values}
    return next((kind for kind in (STRING, FRACTIONAL, INTEGRAL) if kind in found), UNKNOWN)


def column_statistics(column: Column) -> dict[str, Any]:
    """Return one entry of ``features`` of statistics.json."""
    kind = infer_type(column.present)
    common = {"num_present": len(column.present), "num_missing": column.missing}
    entry: dict[str, Any] = {"name": column.name, "inferred_type": kind}
    if kind in {INTEGRAL, FRACTIONAL}:
        numbers = [float(value) for value in column.present]
        mean = math.fsum(numbers) / len(numbers)
        entry["numerical_statistics"] = {
            "common": common,
            "mean": mean,
            "sum": math.fsum(numbers),
            "std_dev": math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / len(numbers)),
            "min": min(numbers),
            "max": max(numbers),
            "distribution": {"kll": {"buckets": _buckets(numbers), "sketch": _sketch(numbers)}},
        }
    elif kind == STRING:
        counts = Counter(column.present)
        statistics: dict[str, Any] = {"common": common, "distinct_count": len(counts)}
        if is_domain(counts):
            buckets = [{"value": value, "count": count} for value, count in sorted(counts.items())]
            statistics["distribution"] = {"categorical": {"buckets": buckets}}
        entry["string_statistics"] = statistics
    return entry


def is_domain(counts: Counter[str]) -> bool:
    """Say whether a column's values are a set of categories: few, and each seen twice on average."""
    return 0 < len(counts) <= DOMAIN_VALUES and 2 * len(counts) <= sum(counts.values())


def column_constraints(column: Column) -> dict[str, Any]:
    """Return one entry of ``features`` of constraints.json."""
    kind = infer_type(column.present)
    entry: dict[str, Any] = {"name": column.name, "inferred_type": kind, "completeness": column.completeness}
    if kind in {INTEGRAL, FRACTIONAL}:
        entry["num_constraints"] = {"is_non_negative": all(float(value) >= 0 for value in column.present)}
    elif kind == STRING:
        counts = Counter(column.present)
        if is_domain(counts):
            entry["string_constraints"] = {"domains": sorted(counts)}
    return entry


def build_statistics(columns: Sequence[Column], item_count: int) -> dict[str, Any]:
    features = [column_statistics(column) for column in columns]
    return {"version": 0.0, "dataset": {"item_count": item_count}, "features": features, "_generated_by": NOTE}


def build_constraints(columns: Sequence[Column]) -> dict[str, Any]:
    features = [column_constraints(column) for column in columns]
    return {"version": 0.0, "features": features, "monitoring_config": MONITORING_CONFIG, "_generated_by": NOTE}


def _buckets(numbers: Sequence[float]) -> list[dict[str, float]]:
    low, high = min(numbers), max(numbers)
    width = (high - low) / BUCKETS
    counts = [0] * BUCKETS
    for number in numbers:
        counts[min(int((number - low) / width), BUCKETS - 1) if width else 0] += 1
    return [
        {"lower_bound": low + index * width, "upper_bound": low + (index + 1) * width, "count": count}
        for index, count in enumerate(counts)
    ]


def _sketch(numbers: Sequence[float]) -> dict[str, Any]:
    """Return the KLL sketch: a value of level ``h`` stands for ``2 ** h`` values."""
    levels: list[list[float]] = [[]]
    for start in range(0, len(numbers), SKETCH_CAPACITY):
        levels[0] += numbers[start : start + SKETCH_CAPACITY]
        level = 0
        while len(levels[level]) > SKETCH_CAPACITY:
            if level + 1 == len(levels):
                levels.append([])
            ordered = sorted(levels[level])
            # Of each pair one value goes up, with the weight of both; an odd one stays.
            pairs = len(ordered) // 2
            levels[level + 1] += ordered[0 : 2 * pairs : 2]
            levels[level] = ordered[2 * pairs :]
            level += 1
    return {
        "parameters": {"c": SKETCH_SHRINK, "k": float(SKETCH_CAPACITY)},
        "data": [sorted(level) for level in levels],
    }


def sketch_weights(statistics: dict[str, Any]) -> list[tuple[float, int]]:
    """Return (value, weight) of a numeric feature's sketch, by value; of its buckets' middles where it has none."""
    distribution = statistics.get("distribution", {}).get("kll", {})
    data = distribution.get("sketch", {}).get("data")
    if data:
        return sorted((float(value), 2**level) for level, values in enumerate(data) for value in values)
    buckets = distribution.get("buckets", ())
    return sorted(
        ((bucket["lower_bound"] + bucket["upper_bound"]) / 2, int(bucket["count"]))
        for bucket in buckets
        if bucket["count"]
    )
