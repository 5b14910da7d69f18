"""What the demo shows, as values."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

from airflow_nbjobs.commands.demo.view import (
    Display,
    Row,
    TaskResult,
    build_rows,
    error_lines,
    is_worth_a_line,
    plain_line,
    report,
    worth_opening,
)

NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)


def instance(task_id, state, *, start=None, end=None, map_index=-1):
    return {"task_id": task_id, "map_index": map_index, "state": state, "start_date": start, "end_date": end}


def row(state="running", cells=None, task="train"):
    return Row(task=task, state=state, cells=cells, seconds=1.0)


def test_rows_stand_in_the_order_of_their_start_and_those_to_come_last():
    """In the words that the pages have for the same states: a deferred task's notebook runs."""
    rows = build_rows(
        [
            instance("a_last", None),
            instance("before", "queued", start="2026-11-24T12:00:30Z"),
            instance("train", "deferred", start="2026-11-24T12:00:20.500000Z"),
            instance("prepare", "success", start="2026-11-24T12:00:00Z", end="2026-11-24T12:00:08.250000Z"),
        ],
        {"train": (3, 12)},
        now=NOW,
    )
    assert rows == [
        Row(task="prepare", state="success", cells=None, seconds=8.25),
        Row(task="train", state="running", cells=(3, 12), seconds=9.5),
        Row(task="before", state="waiting for a slot", cells=None, seconds=0.0),
        Row(task="a_last", state="to be run", cells=None, seconds=None),
    ]


def test_mapped_tasks_are_told_apart_by_their_index():
    rows = build_rows([instance("train", None, map_index=1), instance("train", None, map_index=0)], {}, now=NOW)
    assert [row.task for row in rows] == ["train[0]", "train[1]"]


def test_a_plain_log_has_a_line_for_each_state_but_not_for_each_cell():
    assert is_worth_a_line(row("queued"), row("running"), seconds_since=0.0)
    assert not is_worth_a_line(row(cells=(1, 9)), row(cells=(2, 9)), seconds_since=1.0)
    assert is_worth_a_line(row(cells=(1, 9)), row(cells=(6, 9)), seconds_since=5.0)
    assert is_worth_a_line(row(cells=(1, 9)), row(cells=(2, 9)), seconds_since=2.0)
    assert not is_worth_a_line(row(cells=(1, 9)), row(cells=(2, 9)), seconds_since=1.9)
    assert not is_worth_a_line(row(cells=(6, 9)), row(cells=(6, 9)), seconds_since=60.0)


def test_a_plain_line_says_time_task_state_and_cell():
    assert (
        plain_line(row(cells=(3, 12)), at_seconds=7.25)
        == "[   7.2 s] train                running               cell 3 of 12"
    )


def test_a_line_appears_once_for_each_change(capsys):
    display = Display()
    for shown in (row(), row(), row("success"), row(task="train[red]")):
        display.update([shown])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[3:] for line in lines] == [
        ["train", "running"],
        ["train", "success"],
        ["train[red]", "running"],
    ]


def test_the_report_has_durations_outputs_and_executed_notebooks():
    facts = {"job_name": "train-7f3a", "executed_notebook_uri": "s3://b/train-7f3a.ipynb"}
    returned = {"job_name": "train-7f3a", "outputs": {"accuracy": 0.5, "uri": "x" * 300}}
    text = report([TaskResult(row("success"), facts, returned, ())], run_state="success", seconds=12.0)
    assert text.splitlines()[:4] == ["Run success after 12.0 s", "", "train: success, 1.0 s", "  accuracy = 0.5"]
    assert "  executed notebook: s3://b/train-7f3a.ipynb" in text
    assert "x" * 250 not in text


def test_the_report_shows_why_a_task_failed_and_what_plain_tasks_return():
    results = [
        TaskResult(row("failed"), {}, None, ("ValueError: no bread",)),
        TaskResult(row("success", task="count"), {}, 3, ()),
    ]
    text = report(results, run_state="failed", seconds=1.0)
    assert "  | ValueError: no bread" in text
    assert "  return_value = 3" in text


def test_errors_come_with_their_causes_and_without_the_noise():
    events = [
        {"event": "Filling up the DagBag", "level": "info"},
        {
            "event": "Task failed with exception",
            "level": "error",
            "error_detail": [
                {"exc_type": "FatalNotebookCellError", "exc_value": "cell 7\n  next: look", "frames": []},
                {"exc_type": "NotebookCellError", "exc_value": "cell 7\n  next: look", "frames": []},
                {"exc_type": "KeyError", "exc_value": "'a'", "frames": []},
            ],
        },
    ]
    assert error_lines(events) == [
        "Task failed with exception",
        "FatalNotebookCellError: cell 7",
        "  next: look",
        "KeyError: 'a'",
    ]


def test_a_log_without_an_error_is_shown_by_its_end():
    assert error_lines([{"event": f"line {number}"} for number in range(100)])[-1] == "line 99"
    assert error_lines(["a", "b"]) == ["a", "b"]


def test_a_long_error_keeps_its_head_and_its_end():
    text = "\n".join(["what happened", *(f"line {number}" for number in range(100)), "next: what to do"])
    lines = error_lines([{"event": text, "level": "error"}])
    assert (lines[0], lines[-1]) == ("what happened", "next: what to do")
    assert len(lines) == 41
    assert lines[20] == "… 62 lines more are in the task's log …"


def test_a_long_line_of_an_error_is_cut_at_its_end():
    (line,) = error_lines([{"event": "what happened " + "x" * 10_000_000, "level": "error"}])
    assert line.startswith("what happened xxx")
    assert len(line) < 3_000


def result(task, state="success", *, seconds=1.0, job="job"):
    return TaskResult(Row(task=task, state=state, cells=None, seconds=seconds), {"job_name": job}, None, ())


def test_the_first_to_open_is_the_notebook_that_failed_else_the_one_of_most_cells():
    short, long, plain = result("short"), result("long", seconds=9.0), result("plain", seconds=99.0, job="")
    assert worth_opening([short, long, plain]) is long
    assert worth_opening([short, long, result("broken", "failed")]).row.task == "broken"
    assert worth_opening([plain]) is None
    rich = TaskResult(row(cells=(9, 9), task="rich"), {"job_name": "job"}, None, ())
    assert worth_opening([long, rich, short]) is rich


def test_the_whole_report_is_a_block_a_task():
    """A task that has not begun took no time; what papermill shows of a failed one is set apart from its outputs."""
    facts = {"executed_notebook_uri": "s3://b/x.ipynb"}
    results = [
        TaskResult(row("failed"), facts, {"outputs": {"a": "é", "b": [1]}}, ("one", "two")),
        TaskResult(Row(task="later", state="to be run", cells=None, seconds=None), {}, None, ()),
        TaskResult(row(task="plain"), {}, {"no": "outputs"}, ()),
        TaskResult(row(task="odd"), {}, {"outputs": 5}, ()),
    ]
    assert report(results, run_state="failed", seconds=65.04).split("\n") == [
        "Run failed after 65.0 s",
        "",
        "train: failed, 1.0 s",
        '  a = "\\u00e9"',
        "  b = [1]",
        "  executed notebook: s3://b/x.ipynb",
        "  | one",
        "  | two",
        "",
        "later: to be run, 0.0 s",
        "",
        "plain: running, 1.0 s",
        '  return_value = {"no": "outputs"}',
        "",
        "odd: running, 1.0 s",
        '  return_value = {"outputs": 5}',
    ]


def test_a_value_of_200_characters_is_shown_whole():
    shown = report([TaskResult(row(), {}, {"outputs": {"a": 10**199, "b": 10**200}}, ())], run_state="x", seconds=0.0)
    assert f"  a = {10**199}\n" in shown
    assert f"  b = {str(10**200)[:200]}…" in shown


def test_a_row_without_cells_ends_at_its_state():
    assert plain_line(row(), at_seconds=1234.56) == "[1234.6 s] train                running"


def test_a_clock_that_goes_back_makes_no_negative_time():
    (shown,) = build_rows([instance("t", "running", start="2026-11-24T12:01:00Z")], {}, now=NOW)
    assert shown.seconds == 0.0


def test_rows_of_one_start_are_in_the_order_of_their_names_and_cells_are_by_index():
    begun = "2026-11-24T12:00:00Z"
    rows = build_rows(
        [instance("b", "running", start=begun), instance("a", "running", start=begun, map_index=0)],
        {"a[0]": (1, 2), "a": (9, 9)},
        now=NOW,
    )
    assert [(each.task, each.cells) for each in rows] == [("a[0]", (1, 2)), ("b", None)]


def test_40_lines_of_an_error_are_shown_whole_and_of_a_log_the_last_40():
    text = "\n".join(f"line {number}" for number in range(40))
    assert error_lines([{"event": text, "level": "critical"}]) == text.splitlines()
    events = [{"event": f"line {number}", "level": "info"} for number in range(41)] + ["a\nb"]
    assert error_lines(events) == [*(f"line {number}" for number in range(3, 41)), "a", "b"]


def test_errors_of_all_levels_that_are_one_are_shown_and_lines_in_between_are_not():
    events = [
        {"event": "first", "level": "error"},
        "a plain line",
        {"event": "a warning", "level": "warning"},
        {"event": "second", "level": "critical", "error_detail": None},
        {"level": "error", "error_detail": [{"exc_type": "A", "exc_value": "x"}, {"exc_type": "B", "exc_value": "x"}]},
    ]
    assert error_lines(events) == ["first", "second", "A: x"]


def test_of_notebooks_of_as_many_cells_the_longest_is_opened():
    def of(task, cells, seconds, state="success"):
        return TaskResult(Row(task=task, state=state, cells=cells, seconds=seconds), {"job_name": "j"}, None, ())

    assert worth_opening([of("a", (3, 9), 1.0), of("b", (1, 9), 2.0), of("c", (8, 8), 99.0)]).row.task == "b"
    assert worth_opening([of("a", None, None), of("b", None, 0.5)]).row.task == "b"
    assert (
        worth_opening([of("a", None, 9.0), of("b", None, 1.0, "failed"), of("c", None, 2.0, "failed")]).row.task == "b"
    )
    assert worth_opening([]) is None


def test_a_cell_is_shown_again_once_some_time_has_passed(capsys, monkeypatch):
    times = iter([0.0, 10.0, 11.0, 12.0, 13.9, 14.0])
    monkeypatch.setattr("airflow_nbjobs.commands.demo.view.time", SimpleNamespace(monotonic=lambda: next(times)))
    display = Display()
    for done in range(1, 6):
        display.update([row(cells=(done, 9))])
    assert [line.partition("cell ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "1 of 9",
        "3 of 9",
        "5 of 9",
    ]
