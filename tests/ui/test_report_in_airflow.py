"""
The report, the search, shared links, files and the form for a new run inside Airflow's real UI, over tasks that have really run.

Screenshots are kept in ``NBJOBS_TEST_SCREENSHOTS`` where that names a folder.
"""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from test_in_airflow import FRAME, Browser

from airflow_nbjobs._compat import trigger_form_item

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.browser]

GIVEN = {"value": 9, "note": "what this run was given"}


@pytest.fixture
def browser(running: Any, served: Any, request: pytest.FixtureRequest) -> Iterator[Browser]:
    made = Browser(running, served, getattr(request, "param", "light"))
    made.context.grant_permissions(["clipboard-read", "clipboard-write"])
    made.page.set_viewport_size({"width": 1440, "height": 950})
    yield made
    made.context.close()
    assert made.errors == []


def in_view(browser: Browser, ours: Any, cell: str) -> bool:
    box, frame = ours.frame_locator(FRAME).locator(cell).bounding_box(), ours.locator(FRAME).bounding_box()
    return box is not None and frame is not None and -5 <= box["y"] - frame["y"] < frame["height"]


def names_in(archive: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        return opened.getnames()


def is_within(ours: Any) -> bool:
    """Say whether nothing of our page lies outside its frame."""
    return bool(ours.locator("html").evaluate("page => page.scrollWidth <= page.clientWidth"))


@pytest.mark.parametrize("browser", ["light", "dark"], indirect=True)
def test_a_report_has_the_results_and_no_code(browser):
    ours = browser.tab("good")
    browser.notebook(ours)
    ours.locator("[data-view=report]").click()
    report = ours.frame_locator(FRAME)
    report.locator("body.nb-report").wait_for()
    assert report.locator("h1").inner_text() == "Sentiment baseline"
    assert report.locator("img.nb-image").count() == 1
    assert report.locator("td", has_text="a fine film").count() == 1
    assert report.locator(".nb-source, .nb-count").count() == 0
    assert browser.page.url.endswith("?view=report")
    assert is_within(ours)
    browser.picture("report")
    browser.page.reload(wait_until="commit")
    ours.frame_locator(FRAME).locator("body.nb-report").wait_for()
    browser.page.set_viewport_size({"width": 800, "height": 900})
    browser.until(lambda: is_within(ours))
    browser.picture("report-narrow")
    with browser.page.expect_download() as saved:
        ours.locator("a[download]", has_text=".html").click()
    text = saved.value.path().read_text()
    assert "a fine film" in text
    assert "nb-source" not in text.partition("</style>")[2]
    assert "DataFrame" not in text


@pytest.mark.parametrize("browser", ["light", "dark"], indirect=True)
def test_an_error_is_in_the_report_as_well(browser):
    ours = browser.tab("broken")
    browser.notebook(ours)
    ours.locator("[data-view=report]").click()
    ours.frame_locator(FRAME).locator("body.nb-report section.nb-failed", has_text="division by zero").wait_for()
    browser.until(lambda: in_view(browser, ours, "#cell-6"))
    browser.picture("report-failed")


@pytest.mark.parametrize("browser", ["light", "dark"], indirect=True)
def test_a_place_that_is_found_is_shared_and_opens_there(browser):
    ours = browser.tab("good")
    browser.notebook(ours)
    ours.locator("#find input").fill("accuracy")
    ours.locator("#find [role=status]", has_text="match").wait_for()
    browser.page.keyboard.press("Enter")
    browser.until(lambda: in_view(browser, ours, "#cell-10"))
    browser.picture("search")
    ours.locator("#by-time").click()
    times = ours.locator("#outline li small").all_inner_texts()
    assert len(times) > 1
    assert [float(each.removesuffix(" s")) for each in times] == sorted(
        (float(each.removesuffix(" s")) for each in times), reverse=True
    )
    browser.picture("by-time")
    browser.page.set_viewport_size({"width": 800, "height": 900})
    browser.until(lambda: is_within(ours))
    browser.picture("search-narrow")
    ours.locator("#copy-cell", has_text="Copy link to cell 10").click()
    ours.locator("#copy-cell", has_text="Copied").wait_for()
    link = browser.page.evaluate("navigator.clipboard.readText()")
    assert "/plugin/nbjobs_notebook?" in link
    assert "cell=cell-10" in link
    assert "job=notebooks-good-" in link
    browser.page.goto("about:blank")
    browser.page.goto(link, wait_until="commit")
    browser.until(lambda: in_view(browser, ours, "#cell-10"))


def test_all_files_are_listed_and_saved(browser):
    ours = browser.tab("good")
    browser.notebook(ours)
    ours.locator("#files summary").click()
    ours.locator("#files th", has_text="In output.tar.gz").wait_for()
    names = ours.locator("#files a").all_inner_texts()
    assert {"log.txt", "output.tar.gz", "good.ipynb", "sagemaker_job_execution.log"} <= set(names)
    browser.picture("files")
    for name, check in (
        ("output.tar.gz", lambda path: "sagemaker_job_execution.log" in names_in(path)),
        ("good.ipynb", lambda path: json.loads(path.read_text())["nbformat"] == 4),
        ("sagemaker_job_execution.log", lambda path: path.stat().st_size > 0),
    ):
        with browser.page.expect_download() as saved:
            ours.locator("#files a", has_text=name).last.click()
        assert check(saved.value.path()), name


@pytest.fixture(scope="module")
def asked(served: Any) -> str:
    """Return the address of a task's tab, of a run that was given something and waits for its scheduler."""
    served.ui.run("dags", "reserialize")
    body = {"conf": GIVEN, "logical_date": None}
    status, _, answer = served.ui.call("/api/v2/dags/asked/dagRuns", token=served.ui.token("admin"), body=body)
    assert status == 200, answer
    run_id = json.loads(answer)["dag_run_id"]
    return f"{served.ui.url}/dags/asked/runs/{quote(run_id, safe='')}/tasks/small/plugin/nbjobs_notebook"


def test_a_new_run_is_asked_for_in_airflows_own_form_filled_in_with_this_ones_conf(running, served, asked):
    owner = Browser(running, served, "light", user="admin")
    owner.page.goto(asked, wait_until="commit")
    ours = owner.page.frame_locator("iframe").first
    ours.locator("#again summary").click()
    assert json.loads(ours.locator("#again pre").inner_text()) == GIVEN
    runs = served.query("SELECT count(*) FROM dag_run WHERE dag_id = 'asked'")
    opens = ours.locator("#again button", has_text="Open Airflow's form")
    if trigger_form_item() is None:
        assert opens.is_hidden()
    else:
        opens.click()
        form = owner.page.locator("[role=dialog]")
        form.locator("[data-testid=trigger-dag-submit]").wait_for()
        owner.until(lambda: form.locator("input[name=element_note]").input_value() == GIVEN["note"])
        assert form.locator("input[name=element_value]").input_value() == "9"
        owner.picture("run-again")
    assert served.query("SELECT count(*) FROM dag_run WHERE dag_id = 'asked'") == runs  # nothing was run
    owner.context.close()
    assert owner.errors == []


def test_who_may_not_trigger_is_offered_nothing(browser, asked):
    with browser.page.expect_response("**/again.json") as answer:
        browser.page.goto(asked, wait_until="commit")
    assert answer.value.json() == {"status": "ok", "is_offered": False}
    ours = browser.page.frame_locator("iframe").first
    ours.locator("#problem:visible").wait_for()
    assert ours.locator("#again").is_hidden()
