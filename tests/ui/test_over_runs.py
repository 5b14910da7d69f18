"""
A backfill of seven days, run for real, as a chart in Airflow's UI that fills in as it goes; and the page of all jobs by keyboard, in groups, chosen from.

Screenshots are kept in ``NBJOBS_TEST_SCREENSHOTS`` where that names a folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PATIENCE_MILLISECONDS = 240_000
DAYS = 7
DAG_FILE = """
from datetime import datetime

from airflow.sdk import DAG

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("over", schedule=None, start_date=datetime(2026, 1, 1)):
    SageMakerNotebookJobOperator(
        task_id="train",
        input_notebook="over.ipynb",
        parameters={"day": "{{ (logical_date or dag_run.run_after).day }}"},
        outputs=["accuracy", "model"],
    )
"""
NOTEBOOK = "accuracy = {1: 0.812, 2: 0.824, 3: 0.803, 4: 0.861, 6: 0.874, 7: 0.868}[day]\nmodel = f's3://bucket/{day}'"
BACKFILL = """
from datetime import UTC, datetime

from airflow.dag_processing.dagbag import DagBag

dag = DagBag("DAGS/over.py").dags["over"]
for day in (1, 2, 3, 4, 5, 6, 7):
    dag.test(logical_date=datetime(2026, 1, day, tzinfo=UTC))
"""


class Reader:
    """A signed-in reader with one theme, at one width."""

    def __init__(self, running: Any, served: Any, theme: str, width: int) -> None:
        self.served, self.theme, self.width = served, theme, width
        self.context = running.new_context(viewport={"width": width, "height": 950})
        self.context.add_cookies([{"name": "_token", "value": served.ui.token("viewer"), "url": served.ui.url}])
        self.context.add_init_script(f"try {{ localStorage.setItem('theme', '{theme}') }} catch {{}}")
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MILLISECONDS)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console", lambda message: self.errors.append(message.text) if "Content Security" in message.text else None
        )

    def jobs(self, query: str = "") -> Any:
        """Open the page of all jobs inside Airflow; return our page in its frame."""
        self.page.goto(f"{self.served.ui.url}/plugin/nbjobs_jobs", wait_until="commit")
        ours = self.page.frame_locator("iframe").first
        ours.locator("tbody tr").first.wait_for()
        if query:
            ours.locator("body").evaluate(f"() => window.location.assign('?{query}')")
            ours.locator("a#clear, tr.group").first.wait_for()
        return ours

    def until(self, is_there: Callable[[], bool], seconds: float = 900) -> None:
        deadline = time.monotonic() + seconds
        while not is_there():
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(200)

    def fits(self, ours: Any) -> bool:
        return bool(ours.locator("html").evaluate("page => page.scrollWidth <= page.clientWidth"))

    def picture(self, name: str) -> None:
        folder = os.environ.get("NBJOBS_TEST_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}-{self.theme}-{self.width}.png")


@pytest.fixture
def reader(running: Any, served: Any, request: pytest.FixtureRequest) -> Iterator[Reader]:
    made = Reader(running, served, *getattr(request, "param", ("light", 1440)))
    yield made
    made.context.close()
    assert made.errors == []


@pytest.fixture(scope="module")
def backfill(served: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A week that is being run, its fifth day failing, by Airflow itself."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("day = 0", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(NOTEBOOK),
        ]
    )
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, served.ui.dags / "over.ipynb")
    (served.ui.dags / "over.py").write_text(DAG_FILE)
    with (served.ui.home / "over.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", BACKFILL.replace("DAGS", str(served.ui.dags))],
            env=served.ui.environment,
            cwd=served.ui.home,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def said(served: Any) -> str:
    return (served.ui.home / "over.log").read_text(errors="replace")[-4000:]


def test_a_backfill_is_a_chart_that_fills_in_and_its_points_open_their_notebooks(reader, served, backfill):
    reader.until(lambda: served.has_job("over") or backfill.poll() is not None)
    assert backfill.poll() is None, said(served)
    ours = reader.jobs("dag_id=over")
    ours.locator("tbody a.over").first.click()
    ours.locator("h1", has_text="train over its runs").wait_for()
    ours.locator("body").evaluate("body => { body.dataset.mark = 'the same page' }")
    chart = ours.locator("figure", has_text="accuracy").locator("svg")
    points = chart.locator("circle[r='3.5']")
    reader.until(lambda: points.count() >= 2 or backfill.poll() is not None)
    assert backfill.wait(1800) == 0, said(served)
    reader.until(lambda: points.count() == DAYS - 1)
    assert ours.locator("body").get_attribute("data-mark") == "the same page"
    assert chart.locator(".mark-failed").count() == 1
    assert "No numbers, and not drawn: model" in ours.locator("#said").inner_text()
    assert ours.locator("figcaption").all_inner_texts() == ["accuracy", "Duration s", "Billed s", "Cost $, list price"]
    assert ours.locator("tbody tr").count() == DAYS
    titles = ours.locator("svg text").all_text_contents()
    assert "1 Jan 2026" in titles
    point = chart.locator("a:has(circle[r='3.5'])").nth(3)
    assert "accuracy = 0.861" in point.locator("title").text_content()
    reader.picture("trend")
    point.click()
    reader.page.wait_for_url("**/runs/**/tasks/train/plugin/nbjobs_notebook")
    tab = reader.page.frame_locator("iframe").first
    tab.locator("#over-runs").click()
    tab.locator("h1", has_text="train over its runs").wait_for()


SIGHTS = [(theme, width) for theme in ("light", "dark") for width in (1440, 800)]


@pytest.mark.parametrize("reader", SIGHTS, indirect=True, ids=lambda sight: "-".join(map(str, sight)))
def test_both_pages_are_readable_in_both_themes_and_half_a_window(reader, served, backfill):
    assert backfill.wait(1800) == 0, said(served)
    ours = reader.jobs("dag_id=over&group=run&output=accuracy&parameter=day")
    assert ours.locator("tr.group").count() == DAYS
    assert "0.861" in ours.locator("tbody").inner_text()
    assert "7" in ours.locator("#sums dd").first.inner_text()
    assert reader.fits(ours)
    reader.picture("jobs-grouped")
    ours.locator("tbody a.over").first.click()
    chart = ours.locator("svg.chart").first
    chart.wait_for()
    assert reader.fits(ours)
    line, paper = (
        ours.locator(where).first.evaluate(f"each => getComputedStyle(each).{what}")
        for where, what in (("svg .line", "stroke"), ("body", "backgroundColor"))
    )
    assert line != paper
    assert chart.bounding_box()["width"] > 300
    reader.picture("trend-whole")


def test_the_list_is_used_by_keyboard_and_two_jobs_are_chosen_over_pages(reader, served, backfill):
    assert backfill.wait(1800) == 0, said(served)
    ours = reader.jobs("dag_id=over")
    press = reader.page.keyboard.press
    ours.locator("h1").click()
    press("?")
    ours.locator("#keys[open]").wait_for()
    press("Escape")
    press("j")
    press("j")
    assert ours.locator("tbody tr").nth(1).locator("a[data-outer]").evaluate("link => link === document.activeElement")
    press("x")
    assert ours.locator("tbody tr").nth(1).locator("input[name=job]").is_checked()
    assert ours.locator("#compare button").first.is_disabled()
    press("ArrowDown")
    press("k")
    press("/")
    assert ours.locator("input[name=text]").evaluate("field => field === document.activeElement")
    # The choice goes with the reader to another list.
    ours.locator("select[name=dag_id]").select_option("other")
    ours.locator("tbody tr", has_text="other").first.wait_for()
    ours.locator("tbody input[name=job]").first.check()
    assert "Chosen: train of" in ours.locator("#compare span").inner_text()
    with reader.page.expect_request(lambda request: "/nbjobs/compare?left=" in request.url) as asked:
        ours.locator("#compare button", has_text="Compare").click()
    assert "left=over%2F" in asked.value.url or "left=other%2F" in asked.value.url
    assert "right=" in asked.value.url


def test_a_refresh_keeps_place_choice_and_focus(reader, served, backfill):
    assert backfill.wait(1800) == 0, said(served)
    ours = reader.jobs("dag_id=over")
    row = ours.locator("tbody tr").nth(2)
    row.locator("input[name=job]").check()
    row.locator("a[data-outer]").focus()
    key = row.get_attribute("data-key")
    # As while a job runs.
    body = ours.locator("body")
    body.evaluate(
        "body => { body.querySelector('tbody').dataset.live = 'true'; body.querySelector('tbody').dataset.old = 'yes' }"
    )
    reader.until(lambda: ours.locator("tbody[data-old]").count() == 0, 120)
    assert ours.locator(":focus").evaluate("link => link.closest('tr').dataset.key") == key
    assert ours.locator("tbody tr").nth(2).locator("input[name=job]").is_checked()


def test_the_list_works_without_scripts(running, served, backfill):
    assert backfill.wait(1800) == 0, said(served)
    context = running.new_context(java_script_enabled=False)
    context.add_cookies([{"name": "_token", "value": served.ui.token("viewer"), "url": served.ui.url}])
    page = context.new_page()
    page.goto(f"{served.ui.url}/nbjobs/jobs?dag_id=over&sort=started")
    for place in (3, 1):
        page.locator("tbody input[name=job]").nth(place).check()
    page.locator("#compare button", has_text="Compare").click()
    wanted = page.url.split("?", 1)[1]
    assert wanted.index("left=over") < wanted.index("right=over")
    page.goto(f"{served.ui.url}/nbjobs/trend/over/train?by=order&runs=50")
    assert page.locator("svg.chart").count() == 4
    context.close()
