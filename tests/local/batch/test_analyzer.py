"""The analyzer of the embedded SageMaker: statistics, constraints and violations of columns of text. No server is needed."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from airflow_nbjobs.local.batch.analyzer import __main__ as program
from airflow_nbjobs.local.batch.analyzer.checks import (
    UnsupportedCheckError,
    category_distance,
    find_violations,
    numeric_distance,
)
from airflow_nbjobs.local.batch.analyzer.statistics import (
    Column,
    build_constraints,
    build_statistics,
    column_constraints,
    column_statistics,
    is_domain,
    sketch_weights,
    value_type,
)

if TYPE_CHECKING:
    from pathlib import Path


def column(*values: str, missing: int = 0, name: str = "x") -> Column:
    return Column(name, values, missing)


# -- statistics --------------------------------------------------------------------------------------------------------


def test_numbers_have_their_moments_and_their_distribution() -> None:
    entry = column_statistics(column("1", "2", "3", "6", missing=2))
    assert (entry["name"], entry["inferred_type"]) == ("x", "Integral")
    statistics = entry["numerical_statistics"]
    assert statistics["common"] == {"num_present": 4, "num_missing": 2}
    assert (statistics["mean"], statistics["sum"]) == (3.0, 12.0)
    assert (statistics["min"], statistics["max"]) == (1.0, 6.0)
    assert statistics["std_dev"] == pytest.approx(3.5**0.5)
    kll = statistics["distribution"]["kll"]
    assert [bucket["count"] for bucket in kll["buckets"]] == [1, 0, 1, 0, 1, 0, 0, 0, 0, 1]
    assert kll["buckets"][0] == {"lower_bound": 1.0, "upper_bound": 1.5, "count": 1}
    assert kll["buckets"][9]["upper_bound"] == 6.0
    assert kll["sketch"] == {"parameters": {"c": 0.64, "k": 2048.0}, "data": [[1.0, 2.0, 3.0, 6.0]]}


def test_equal_numbers_lie_in_the_first_bucket() -> None:
    statistics = column_statistics(column("0.5", "0.5"))["numerical_statistics"]
    assert statistics["std_dev"] == 0
    assert [bucket["count"] for bucket in statistics["distribution"]["kll"]["buckets"]] == [2, *[0] * 9]


def test_texts_are_counted_and_listed_where_they_are_categories() -> None:
    entry = column_statistics(column("b", "a", "b", "a", "b", missing=1))
    assert entry["string_statistics"] == {
        "common": {"num_present": 5, "num_missing": 1},
        "distinct_count": 2,
        "distribution": {"categorical": {"buckets": [{"value": "a", "count": 2}, {"value": "b", "count": 3}]}},
    }
    assert "distribution" not in column_statistics(column("a", "b", "c"))["string_statistics"]


def test_a_column_without_values_is_of_no_type() -> None:
    assert column_statistics(column(missing=3)) == {"name": "x", "inferred_type": "Unknown"}
    assert column_constraints(column(missing=3)) == {"name": "x", "inferred_type": "Unknown", "completeness": 0.0}
    assert column().completeness == 0.0


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, False),
        ({"a": 2}, True),
        ({"a": 1}, False),
        ({"a": 1, "b": 3}, True),
        ({"a": 1, "b": 2}, False),
        ({str(n): 2 for n in range(100)}, True),
        ({str(n): 2 for n in range(101)}, False),
    ],
    ids=["none", "twice", "once", "twice on average", "less", "a hundred", "more"],
)
def test_categories_are_few_and_each_is_seen_twice(counts: dict[str, int], expected: bool) -> None:
    assert is_domain(Counter(counts)) is expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [(" 1 ", "Integral"), ("1.", "Fractional"), ("-.5", "Fractional"), ("1e-3", "Fractional"), (".", "String"), ("", "String"), ("e3", "String")],
)  # fmt: skip
def test_a_text_is_what_it_reads_as(text: str, kind: str) -> None:
    assert value_type(text) == kind


@pytest.mark.parametrize("count", [2048, 2049, 5001, 20_000])
def test_a_sketch_of_many_values_keeps_their_count_and_distribution(count: int) -> None:
    numeric = column_statistics(column(*map(str, range(count))))["numerical_statistics"]
    data = numeric["distribution"]["kll"]["sketch"]["data"]
    assert all(len(level) <= 2048 for level in data)
    assert (len(data) > 1) is (count > 2048)
    weights = sketch_weights(numeric)
    assert sum(weight for _, weight in weights) == count
    assert weights == sorted(weights)
    exact = [(float(number), 1) for number in range(count)]
    assert numeric_distance(exact, weights, is_robust=False) <= 0.002


def test_without_a_sketch_the_middles_of_the_buckets_count() -> None:
    buckets = [
        {"lower_bound": 4, "upper_bound": 6, "count": 2.0},
        {"lower_bound": 0, "upper_bound": 2, "count": 3},
        {"lower_bound": 2, "upper_bound": 4, "count": 0},
    ]
    assert sketch_weights({"distribution": {"kll": {"buckets": buckets}}}) == [(1.0, 3), (5.0, 2)]
    assert sketch_weights({}) == []


# -- constraints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "expected"), [(["0", "1"], True), (["-1", "1"], False), (["0.5"], True)])
def test_numbers_are_suggested_to_stay_non_negative(values: list[str], expected: bool) -> None:
    assert column_constraints(column(*values))["num_constraints"] == {"is_non_negative": expected}


def test_completeness_and_the_domain_are_suggested() -> None:
    entry = column_constraints(column("b", "a", "b", missing=1))
    assert entry == {"name": "x", "inferred_type": "String", "completeness": 0.75}
    entry = column_constraints(column("b", "a", "b", "a"))
    assert (entry["completeness"], entry["string_constraints"]) == (1.0, {"domains": ["a", "b"]})


def test_the_files_say_who_made_them() -> None:
    statistics, constraints = build_statistics([column("1")], 7), build_constraints([column("1")])
    assert (statistics["version"], statistics["dataset"], len(statistics["features"])) == (0.0, {"item_count": 7}, 1)
    assert constraints["monitoring_config"]["distribution_constraints"]["comparison_threshold"] == 0.1
    assert "embedded SageMaker" in statistics["_generated_by"] == constraints["_generated_by"]


# -- violations --------------------------------------------------------------------------------------------------------


def found(current: list[Column], base: list[Column], *, with_statistics: bool = False, **config: Any) -> list[Any]:
    constraints = json.loads(json.dumps(build_constraints(base)))
    constraints["monitoring_config"] |= config
    return find_violations(
        current, constraints=constraints, statistics=build_statistics(base, 1) if with_statistics else {}
    )


def test_missing_and_extra_columns_are_named() -> None:
    violations = found([column("1", name="a"), column("1", name="new")], [column("1", name=n) for n in "abc"])
    assert violations == [
        {
            "feature_name": "Missing columns",
            "constraint_check_type": "missing_column_check",
            "description": "There are missing columns in current dataset. Number of columns in current dataset: 2, Number of columns in baseline constraints: 3: b, c",
        },
        {
            "feature_name": "Extra columns",
            "constraint_check_type": "extra_column_check",
            "description": "There are extra columns in current dataset. Number of columns in current dataset: 2, Number of columns in baseline constraints: 3: new",
        },
    ]


def test_without_constraints_no_column_is_missing_or_extra() -> None:
    assert find_violations([column("1")], constraints={}, statistics={}) == []
    statistics = build_statistics([column("1", name="gone")], 1)
    assert find_violations([column("1")], constraints={}, statistics=statistics) == []


def test_types_are_told_with_the_share_that_fits() -> None:
    (violation,) = found([column("1", "2", "3", "x")], [column("1", "2")])
    assert (violation["feature_name"], violation["constraint_check_type"]) == ("x", "data_type_check")
    assert violation["description"] == (
        "Data type match requirement is not met. Expected data type: Integral, Expected match: 100.0%. Observed: Only 75.0% of data is Integral."
    )


def test_a_column_of_no_type_or_without_values_breaks_no_type() -> None:
    assert found([column("x")], [column(missing=1)]) == []
    assert found([column(missing=1)], [column("1", missing=1)]) == [
        {
            "feature_name": "x",
            "constraint_check_type": "completeness_check",
            "description": "Completeness requirement is not met. Expected: 50.0%. Observed: 0.0%.",
        }
    ]


@pytest.mark.parametrize(
    ("values", "kind", "is_good"),
    [
        (["1.5"], "Integral", False),
        (["1", "1.5"], "Fractional", True),
        (["x"], "Fractional", False),
        (["1", "1.5", "x"], "String", True),
    ],
)
def test_integers_are_fractions_and_both_are_texts(values: list[str], kind: str, is_good: bool) -> None:
    base = {"Integral": column("1"), "Fractional": column("1.5"), "String": column("x")}[kind]
    assert (found([column(*values)], [base]) == []) is is_good


def test_values_outside_of_the_domain_are_told_with_examples() -> None:
    base = [column("a", "a", "b", "b")]
    assert found([column("a", "b", "a")], base) == []
    (violation,) = found([column("a", "c", "c", "d")], base)
    assert violation["constraint_check_type"] == "categorical_values_check"
    assert violation["description"] == (
        "Value domain requirement is not met. Expected match: 100.0%. Observed: Only 25.0% of values are in the baseline's domain; unknown: 'c', 'd'."
    )
    assert found([column("a", "c", "c", "d")], base, domain_content_threshold=0.25) == []
    assert found([column(missing=1, name="x")], base)[0]["constraint_check_type"] == "completeness_check"


NUMBERS = [column(*map(str, range(1000)))]
SHIFTED = [column(*map(str, range(500, 1500)))]


def test_numbers_that_have_drifted_are_told_with_distance_and_threshold() -> None:
    (violation,) = found(SHIFTED, NUMBERS, with_statistics=True)
    assert violation["constraint_check_type"] == "baseline_drift_check"
    assert violation["description"].startswith("Baseline drift distance: 0.41")
    assert violation["description"].endswith("exceeds threshold: 0.1")
    assert found(NUMBERS, NUMBERS, with_statistics=True) == []


@pytest.mark.parametrize(
    ("constraints", "drifts"),
    [
        ({"perform_comparison": "Disabled"}, 0),
        ({"comparison_threshold": 0.5}, 0),
        ({"comparison_threshold": 0.45}, 0),
        ({"comparison_threshold": 0.45, "comparison_method": "Simple"}, 1),
        ({"categorical_comparison_threshold": 1.0}, 1),
    ],
)
def test_the_baselines_settings_of_drift_count(constraints: dict[str, Any], drifts: int) -> None:
    assert len(found(SHIFTED, NUMBERS, with_statistics=True, distribution_constraints=constraints)) == drifts


def test_categories_that_have_drifted_are_told() -> None:
    base, current = [column(*["a"] * 500, *["b"] * 500)], [column(*["a"] * 900, *["b"] * 100)]
    (violation,) = found(current, base, with_statistics=True)
    assert violation["description"].startswith("Baseline drift distance: 0.31")
    simple = {"comparison_method": "Simple", "categorical_comparison_threshold": 0.4}
    assert found(current, base, with_statistics=True, distribution_constraints=simple) == []
    with pytest.raises(UnsupportedCheckError, match="ChiSquared is not supported here: only LInfinity"):
        found(current, base, with_statistics=True, distribution_constraints={"categorical_drift_method": "ChiSquared"})


def test_a_column_of_another_kind_has_no_drift() -> None:
    violations = found([column("x", "y")], NUMBERS, with_statistics=True)
    assert [each["constraint_check_type"] for each in violations] == ["data_type_check"]


def test_distances_of_nothing_are_none_and_never_negative() -> None:
    assert category_distance(Counter(), Counter(a=1), is_robust=False) == 0
    assert category_distance(Counter(a=1), Counter(), is_robust=True) == 0
    assert category_distance(Counter(a=1), Counter(b=1), is_robust=True) == 0
    many = Counter(a=100, b=100), Counter(a=150, b=50)
    assert category_distance(*many, is_robust=True) == pytest.approx(0.25 - 1.8 * (400 / 40_000) ** 0.5)


def test_weights_count_in_a_distance() -> None:
    assert numeric_distance([(1.0, 3), (2.0, 1)], [(1.0, 1), (2.0, 1)], is_robust=False) == pytest.approx(0.25)
    assert numeric_distance([(1.0, 1)], [(1.0, 5)], is_robust=False) == 0


# -- the program -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "in").mkdir()
    return {
        "dataset_format": json.dumps({"csv": {"header": True}}),
        "dataset_source": str(tmp_path / "in"),
        "output_path": str(tmp_path / "deep" / "out"),
    }


def test_files_of_all_folders_are_one_table(folders: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in" / "below").mkdir()
    (tmp_path / "in" / "a.csv").write_text("n,t\n1,x\n,NA\n")
    (tmp_path / "in" / "below" / "b.csv").write_text("n,t\n2.0,nan\n")
    assert program.analyze(folders) == "Completed: Job completed successfully with no violations."
    out = tmp_path / "deep" / "out"
    assert sorted(each.name for each in out.iterdir()) == ["constraints.json", "statistics.json"]
    statistics = json.loads((out / "statistics.json").read_text())
    assert statistics["dataset"]["item_count"] == 3
    n, t = statistics["features"]
    assert n["numerical_statistics"]["common"] == {"num_present": 2, "num_missing": 1}
    assert n["inferred_type"] == "Fractional"
    assert t["string_statistics"]["common"]["num_missing"] == 0, "NA and nan are texts"


@pytest.mark.parametrize(
    ("dataset_format", "text", "names"),
    [
        ({"csv": {}}, "1,2\n", ["_c0", "_c1"]),
        ({"csv": {"header": True}}, "a,b\n1,2\n", ["a", "b"]),
        ({"json": {}}, '{"a": 1, "b": {"c": {"d": 2}}}\n\n', ["a", "b.c.d"]),
        ({"json": {"lines": False}}, '[{"a": 1}]', ["a"]),
        ({"json": {"line": False}}, '[{"a": 1}]', ["a"]),
    ],
)
def test_columns_are_named_as_the_format_says(
    folders: dict[str, str], tmp_path: Path, dataset_format: dict[str, Any], text: str, names: list[str]
) -> None:
    (tmp_path / "in" / "data").write_text(text)
    columns, count = program.read_columns(tmp_path / "in", dataset_format)
    assert ([each.name for each in columns], count) == (names, 1)
    assert columns[0].present == ["1"]


def test_violations_of_a_baseline_are_counted_and_written(folders: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in" / "a.csv").write_text("x\n1\ny\n")
    baseline = tmp_path / "constraints.json"
    baseline.write_text(json.dumps(build_constraints([column("1", "2")])))
    message = program.analyze(folders | {"baseline_constraints": str(baseline)})
    assert message == "CompletedWithViolations: Job completed successfully with 1 violations."
    written = json.loads((tmp_path / "deep" / "out" / "constraint_violations.json").read_text())
    assert [each["constraint_check_type"] for each in written["violations"]] == ["data_type_check"]
    (tmp_path / "in" / "a.csv").write_text("x\n1\n2\n")
    assert program.analyze(folders | {"baseline_constraints": str(baseline)}).startswith("Completed: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"record_preprocessor_script": "s"}, "record_preprocessor_script is not supported here"),
        ({"problem_type": "Regression"}, "problem_type is not supported here"),
        ({"analysis_type": "MODEL_QUALITY"}, "analysis_type MODEL_QUALITY is not supported here"),
        ({"dataset_format": None, "output_path": None}, "the environment has no dataset_format, output_path"),
        ({"dataset_format": "{"}, "dataset_format is no JSON"),
        ({"dataset_format": '{"parquet": {}}'}, 'the dataset format {"parquet": {}} is not supported here'),
        ({"dataset_format": '{"json": {}}'}, "the dataset does not read as"),
        ({"dataset_source": "/nowhere/at/all"}, "no file below dataset_source '/nowhere/at/all'"),
        ({"baseline_statistics": "/nowhere"}, "baseline_statistics '/nowhere' cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_analyzed_says_why(
    folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    (tmp_path / "in" / "a.csv").write_text("x\n1\n")
    environment = {name: value for name, value in (folders | change).items() if value is not None}
    with pytest.raises(program.AnalyzerError) as caught:
        program.analyze(environment)
    assert words in str(caught.value)
    monkeypatch.setattr(os, "environ", environment)
    assert program.main(str(tmp_path / "message")) == 255
    assert words in (tmp_path / "message").read_text()


def test_a_program_that_succeeds_leaves_its_message(
    folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "a.csv").write_text("x\n1\n")
    monkeypatch.setattr(os, "environ", folders | {"publish_cloudwatch_metrics": "Enabled"})
    assert program.main(str(tmp_path / "message")) == 0
    assert (tmp_path / "message").read_text() == "Completed: Job completed successfully with no violations."
    said = capsys.readouterr().out
    assert "1 rows, 1 columns; wrote statistics.json, constraints.json" in said
    assert "no metrics are published" in said
