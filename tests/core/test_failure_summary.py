"""A failure as a message: bounded, masked before it is cut, and harmless to whoever shows it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_nbjobs.core.error_record import details_of, error_record, parse_error_record
from airflow_nbjobs.core.errors import NotebookCellError, NotebookJobConfigError
from airflow_nbjobs.core.failure_summary import MOST_CHARACTERS, TITLE_CHARACTERS, FailureFacts, summarize

URL = "http://airflow/dags/d/runs/r/tasks/t/plugin/nbjobs_notebook"
CELL_ERROR = NotebookCellError(
    "Notebook job 'd-t-1' failed in cell 7: ZeroDivisionError: division by zero",
    cell=7,
    ename="ZeroDivisionError",
    evalue="division by zero",
    details={
        "notebook": "notebooks/training.ipynb",
        "executed": "s3://acme/nb/d-t-1.ipynb",
        "parameters": "{'epochs': 3}",
        "source": "\n    total = 0\n    accuracy = correct / total",
        "traceback": "\n    Cell In[5], line 3\n    ZeroDivisionError: division by zero",
        "next": "open the executed notebook at cell 7",
    },
    job_name="d-t-1",
)


def recorded(error, mask=str):
    return parse_error_record(error_record(error, try_number=2, mask=mask))


def told(mask=str, **facts):
    given = {"dag_id": "d", "run_id": "manual__1", "task_id": "t", "try_text": "try 2 of 3", "url": URL}
    return summarize(FailureFacts(**given | facts), mask)


def test_a_failed_cell_is_told_with_all_that_is_known_of_it():
    summary = told(record=recorded(CELL_ERROR), job="d-t-1, ml.m5.large, 120 s billed, $0.0046 at the configured price")
    assert summary.title == "Airflow: task 't' of DAG 'd' failed"
    assert summary.text == (
        "Airflow: task 't' of DAG 'd' failed\n"
        "Run: manual__1, try 2 of 3\n"
        "Error: Notebook job 'd-t-1' failed in cell 7: ZeroDivisionError: division by zero\n"
        "Notebook: notebooks/training.ipynb\n"
        "Cell: 7\n"
        "Source:\n"
        "  total = 0\n"
        "  accuracy = correct / total\n"
        "Parameters: {'epochs': 3}\n"
        "Job: d-t-1, ml.m5.large, 120 s billed, $0.0046 at the configured price\n"
        "Next: open the executed notebook at cell 7\n"
        f"{URL}"
    )
    assert "**Source**\n```\ntotal = 0\naccuracy = correct / total\n```\n" in summary.markdown
    assert summary.markdown.endswith(f"[Open in Airflow]({URL})")
    assert str(summary) == summary.text


def test_a_refusal_is_told_with_every_problem():
    error = NotebookJobConfigError(
        "notebook job of 'd.t' cannot run: 2 problems", problems=["role is missing", "no region"]
    )
    text = told(record=recorded(error), notebook="nb.ipynb").text
    assert "Problems:\n  role is missing\n  no region\n" in text
    assert "Notebook: nb.ipynb" in text
    assert "Job:" not in text


def test_without_a_record_the_reason_is_told():
    summary = summarize(FailureFacts(dag_id="d", run_id="r", reason="task_failure", tasks=["t: no", "u"]), str)
    assert summary.title == "Airflow: DAG 'd' failed"
    assert summary.text == "Airflow: DAG 'd' failed\nRun: r\nError: task_failure\nFailed tasks:\n  t: no\n  u"
    assert "Open in Airflow" not in summary.markdown  # no link that leads nowhere


def test_many_failed_tasks_are_counted():
    text = summarize(FailureFacts(dag_id="d", run_id="r", tasks=[f"t{n}" for n in range(9)]), str).text
    assert text.endswith("  t4\n  … and 4 more")


SECRET = "my-long-password"


@pytest.mark.parametrize(
    "place", ["headline", "source", "parameters", "problems", "run_id", "notebook", "reason", "job", "tasks"]
)
@pytest.mark.parametrize("before", [0, 300, 640, 1_290, 1_990, 5_000])
def test_no_part_of_a_secret_is_left_wherever_the_message_is_cut(place, before):
    text = "x " * (before // 2) + SECRET + " y" * 3_000
    error = {
        "headline": NotebookCellError(text, cell=1),
        "source": NotebookCellError("h", cell=1, details={"source": f"\n    {text}"}),
        "parameters": NotebookCellError("h", cell=1, details={"parameters": text}),
        "problems": NotebookJobConfigError("h", problems=[text] * 3),
    }.get(place)
    facts = {place: [text] if place == "tasks" else text} if error is None else {"record": recorded(error)}
    summary = told(lambda value: value.replace(SECRET, "***"), **facts)
    for form in (summary.title, summary.text, summary.markdown):
        assert "my-l" not in form
        assert "word" not in form


@pytest.mark.parametrize(
    "text", ["`", "```", "a```b", "`x`", "<!channel> <b> @here [x](javascript:alert(1))", "a\nb", "# t"]
)
def test_what_an_exception_says_is_code_to_markdown(text):
    """No mention, link or markup of the notebook's making."""
    error = NotebookCellError(text, cell=1, details={"source": f"\n    {text}"})
    markdown = told(record=recorded(error)).markdown
    (line,) = [line for line in markdown.split("\n") if line.startswith("**Error**: ")]
    fence = re.match(r"\*\*Error\*\*: (`+)", line)[1]
    assert line.endswith(fence)
    inner = line.removeprefix(f"**Error**: {fence}").removesuffix(fence)
    assert not re.search(rf"(?<!`){fence}(?!`)", inner)
    block = markdown.split("**Source**\n")[1]
    opening = block.split("\n")[0]
    assert set(opening) == {"`"}
    assert f"\n{opening}\n" in block
    assert opening not in block.split("\n", 1)[1].split(f"\n{opening}\n")[0]


@settings(max_examples=100, deadline=None)
@given(
    facts=st.fixed_dictionaries(
        {
            name: st.text(max_size=4_000)
            for name in ("dag_id", "run_id", "task_id", "try_text", "reason", "notebook", "parameters", "job", "url")
        }
        | {"tasks": st.lists(st.text(max_size=500), max_size=10)}
    )
)
def test_every_message_keeps_its_bounds(facts):
    summary = summarize(FailureFacts(**facts), str)
    assert max(len(summary.text), len(summary.markdown)) <= MOST_CHARACTERS
    assert len(summary.title) <= TITLE_CHARACTERS
    assert "\n" not in summary.title


def test_the_longest_part_gives_way_first_and_the_address_stays():
    error = NotebookCellError("short", cell=1, details={"source": "\n    " + "s" * 7_000, "next": "look"})
    for form in (lambda s: s.text, lambda s: s.markdown):
        text = form(told(record=recorded(error), parameters="{'a': 1}"))
        assert 1_900 < len(text) <= MOST_CHARACTERS
        assert URL in text
        assert "{'a': 1}" in text
        assert "look" in text
        assert " … " in text


def test_an_errors_details_are_read_out_of_its_text():
    found = details_of(recorded(CELL_ERROR))
    assert found["notebook"] == "notebooks/training.ipynb"
    assert found["source"] == "total = 0\naccuracy = correct / total"
    assert found["next"] == "open the executed notebook at cell 7"
    assert details_of(recorded(KeyError("a"))) == {}


@pytest.mark.parametrize("source", ["next: x", "a:\n\n      b: 1", "  notebook: other.ipynb"])
def test_code_that_looks_like_a_detail_is_code(source):
    indented = "\n".join(f"    {line}" for line in source.split("\n"))
    error = NotebookCellError("h", cell=1, details={"notebook": "nb.ipynb", "source": f"\n{indented}", "next": "look"})
    found = details_of(recorded(error))
    assert (found["notebook"], found["next"]) == ("nb.ipynb", "look")
    assert (
        found["source"].strip() == "\n".join(line for line in source.split("\n")).strip() or "b: 1" in found["source"]
    )


def test_code_stands_between_more_marks_than_it_has_itself():
    code, text = "a = '````'", "`x` and ``"
    error = NotebookCellError("e", cell=1, ename="E", evalue="e", details={"source": f"\n    {code}"})
    shown = told(record=recorded(error), notebook=text).markdown
    assert f"**Source**\n`````\n{code}\n`````" in shown
    assert f"**Notebook**: ``` {text} ```\n" in shown
    assert "**Run**: `manual__1, try 2 of 3`\n" in shown
    assert told(notebook="`x").markdown.count("**Notebook**: `` `x ``") == 1


@pytest.mark.parametrize(("length", "is_shown"), [(700, True), (701, False)])
def test_an_address_that_takes_too_much_room_is_left_out(length, is_shown):
    url = URL + "x" * (length - len(URL))
    summary = told(url=url)
    assert (url in summary.text, url in summary.markdown, summary.url) == (is_shown, is_shown, url)


def test_a_message_of_just_as_many_characters_as_it_may_have_is_whole():
    room = MOST_CHARACTERS - len(told(reason="").text) - len("Error: \n")
    assert told(reason="e" * room).text.count("e" * room) == 1
    cut = told(reason="e" * (room + 1)).text
    assert (len(cut), " … " in cut) == (MOST_CHARACTERS, True)


def test_every_fact_has_its_line_in_their_order():
    facts = {"reason": "why", "notebook": "nb.ipynb", "parameters": "{'a': 1}", "job": "j", "tasks": ["u: no"]}
    assert told(**facts).text.split("\n") == [
        "Airflow: task 't' of DAG 'd' failed",
        "Run: manual__1, try 2 of 3",
        "Error: why",
        "Failed tasks:",
        "  u: no",
        "Notebook: nb.ipynb",
        "Parameters: {'a': 1}",
        "Job: j",
        URL,
    ]
    assert told(**facts).markdown.split("\n") == [
        "`Airflow: task 't' of DAG 'd' failed`",
        "**Run**: `manual__1, try 2 of 3`",
        "**Error**: `why`",
        "**Failed tasks**",
        "```",
        "u: no",
        "```",
        "**Notebook**: `nb.ipynb`",
        "**Parameters**: `{'a': 1}`",
        "**Job**: `j`",
        f"[Open in Airflow]({URL})",
    ]


def test_what_the_error_says_counts_before_what_airflow_says():
    record = recorded(CELL_ERROR)
    text = told(record=record, reason="why", notebook="other.ipynb", parameters="{'b': 2}").text
    assert "why" not in text
    assert "other.ipynb" not in text
    assert "{'b': 2}" not in text
    plain = told(record=recorded(NotebookCellError("h")), notebook="other.ipynb", parameters="{'b': 2}").text
    assert "Notebook: other.ipynb\nParameters: {'b': 2}\n" in plain
    assert "Cell" not in plain
    assert "Next" not in plain


@pytest.mark.parametrize(("count", "last"), [(5, "  t4"), (6, "  … and 1 more")])
def test_five_failed_tasks_are_named(count, last):
    text = summarize(FailureFacts(dag_id="d", run_id="r", tasks=[f"t{n}" for n in range(count)]), str).text
    assert text.endswith(last)
    assert "  t4" in text


def test_a_line_is_one_line_and_a_block_keeps_its_lines():
    text = told(reason="  a\n\tb  ", tasks=["u: x\ny"]).text
    assert "\nError: a b\n" in text
    assert "Failed tasks:\n  u: x\n  y\n" in text
    assert told(reason="a\u202eb").text.count("⟦U+202E⟧") == 1


def test_a_long_name_is_cut_in_the_title_and_not_in_the_heading():
    summary = told(task_id="t" * 150)
    assert len(summary.title) == TITLE_CHARACTERS
    assert summary.title.startswith("Airflow: task 'ttt")
    assert summary.title.endswith("ttt' of DAG 'd' failed")
    assert summary.text.startswith(f"Airflow: task '{'t' * 150}' of DAG 'd' failed\n")
    heading = told(task_id="t" * 400).text.split("\n")[0]
    assert len(heading) == 300
    assert " … " in heading


def test_where_many_parts_are_long_the_last_ones_go_and_the_heading_stays():
    error = NotebookJobConfigError("h" * 900, problems=["p" * 900] * 20, details={"next": "n" * 900})
    summary = told(record=recorded(error), run_id="r" * 900, notebook="b" * 900, job="j" * 900, parameters="a" * 900)
    for text in (summary.text, summary.markdown):
        assert len(text) <= MOST_CHARACTERS
        assert "Airflow: task 't' of DAG 'd' failed" in text.split("\n")[0]
        assert URL in text
        for label in ("Run", "Error", "Problems", "Notebook", "Next"):
            assert label in text
