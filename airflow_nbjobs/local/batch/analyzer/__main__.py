"""
The container's program: reads its environment as the analyzer does, and writes the files that the analyzer writes.

Source of the variables: SageMaker developer guide, "Container Contract Inputs", and what ``DefaultModelMonitor.suggest_baseline`` sends.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checks import UnsupportedCheckError, find_violations
from .statistics import NOTE, Column, build_constraints, build_statistics

if TYPE_CHECKING:
    from collections.abc import Mapping

UNSUPPORTED_VARIABLES = (
    "record_preprocessor_script",
    "post_analytics_processor_script",
    "problem_type",
    "ground_truth_attribute",
)


class AnalyzerError(Exception):
    """The analysis cannot be made; the text says why and what is supported."""


def read_columns(source: Path, dataset_format: Mapping[str, Any]) -> tuple[list[Column], int]:
    """Return the columns and the row count of all files below a folder, read as one table; raises AnalyzerError."""
    try:
        import pandas as pd  # type: ignore[import-untyped,unused-ignore] # pandas comes without type information
    except ImportError as error:
        raise AnalyzerError("the image's Python environment has no pandas, which the analysis needs") from error
    files = sorted(path for path in source.rglob("*") if path.is_file())
    if not files:
        raise AnalyzerError(f"no file below dataset_source {str(source)!r}")
    try:
        frames = [_read_file(pd, path, dataset_format) for path in files]
    except ValueError as error:
        raise AnalyzerError(f"the dataset does not read as {json.dumps(dataset_format)}: {error}") from error
    table = pd.concat(frames, ignore_index=True)
    columns = []
    for position, name in enumerate(table.columns):
        series = table.iloc[:, position]
        present = series[series.notna()]
        columns.append(Column(str(name), [_text(value) for value in present], len(series) - len(present)))
    return columns, len(table)


def _read_file(pd: Any, path: Path, dataset_format: Mapping[str, Any]) -> Any:
    if "csv" in dataset_format:
        has_header = bool(dataset_format["csv"].get("header", False))
        # Text, so that "1" and "1.0" stay what they are; only an empty field is a missing value.
        table = pd.read_csv(path, header=0 if has_header else None, dtype=str, keep_default_na=False, na_values=[""])
        return table if has_header else table.set_axis([f"_c{n}" for n in range(table.shape[1])], axis=1)
    if "json" in dataset_format:
        text = path.read_text()
        is_lines = dataset_format["json"].get("lines", dataset_format["json"].get("line", True))
        records = [json.loads(line) for line in text.splitlines() if line.strip()] if is_lines else json.loads(text)
        # Objects, or pandas would make 1 of a column with missing values 1.0.
        return pd.DataFrame([_flat(record) for record in records], dtype=object)
    raise AnalyzerError(f"the dataset format {json.dumps(dataset_format)} is not supported here: only csv and json")


def _flat(record: Any) -> dict[str, Any]:
    """Return an object's members by dotted name."""
    if not isinstance(record, dict):
        raise ValueError(f"{json.dumps(record)[:80]} is no JSON object")  # noqa: TRY004 - of the content, like the parser's own
    flat: dict[str, Any] = {}
    for name, value in record.items():
        inner = _flat(value) if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else {f"{name}.{key}": member for key, member in inner.items()}
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read_json(environment: Mapping[str, str], variable: str) -> dict[str, Any]:
    if variable not in environment:
        return {}
    path = Path(environment[variable])
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise AnalyzerError(f"{variable} {str(path)!r} cannot be read: {error}") from error
    return content


def analyze(environment: Mapping[str, str]) -> str:
    """Analyze the dataset, write the files and return the exit message, in the analyzer's words; raises AnalyzerError or UnsupportedCheckError for what is missing or not supported here."""
    if unsupported := [name for name in UNSUPPORTED_VARIABLES if environment.get(name)]:
        raise AnalyzerError(f"{', '.join(unsupported)} is not supported here: only data quality without scripts")
    if environment.get("analysis_type", "DATA_QUALITY") != "DATA_QUALITY":
        raise AnalyzerError(f"analysis_type {environment['analysis_type']} is not supported here: only DATA_QUALITY")
    if missing := [name for name in ("dataset_format", "dataset_source", "output_path") if name not in environment]:
        raise AnalyzerError(f"the environment has no {', '.join(missing)}")
    try:
        dataset_format = json.loads(environment["dataset_format"])
    except ValueError as error:
        raise AnalyzerError(f"dataset_format is no JSON: {error}") from error
    if environment.get("publish_cloudwatch_metrics") == "Enabled":
        print("publish_cloudwatch_metrics: no metrics are published, the embedded SageMaker has no CloudWatch metrics")  # noqa: T201 - the log
    columns, item_count = read_columns(Path(environment["dataset_source"]), dataset_format)
    constraints = _read_json(environment, "baseline_constraints")
    statistics = _read_json(environment, "baseline_statistics")
    files = {"statistics.json": build_statistics(columns, item_count), "constraints.json": build_constraints(columns)}
    message = "Completed: Job completed successfully with no violations."
    if constraints or statistics:
        violations = find_violations(columns, constraints=constraints, statistics=statistics)
        files["constraint_violations.json"] = {"violations": violations, "_generated_by": NOTE}
        if violations:
            message = f"CompletedWithViolations: Job completed successfully with {len(violations)} violations."
    output = Path(environment["output_path"])
    output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (output / name).write_text(json.dumps(content, indent=2))
    print(f"{item_count} rows, {len(columns)} columns; wrote {', '.join(files)}")  # noqa: T201 - the log
    return message


def main(message_file: str) -> int:
    try:
        message, code = analyze(os.environ), 0
    except (AnalyzerError, UnsupportedCheckError) as error:
        message, code = str(error), 255
    print(message)  # noqa: T201 - the log
    Path(message_file).write_text(message)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
