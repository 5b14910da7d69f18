"""
The tab and the page inside Airflow's real UI, in a real browser, over tasks that have really run.

Screenshots are kept in ``NBJOBS_TEST_SCREENSHOTS`` where that names a folder.
"""

from __future__ import annotations

import os
import re
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import keeps_off_network, skip_where_scripts_reach_a_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# A machine that is busy with other tests takes its time; what is waited for is always a thing on the page.
PATIENCE_MILLISECONDS = 240_000
FRAME = "#notebook iframe:not(.coming)"  # the one in view: where the theme or the notebook changes, the next one comes behind it
KEEPS_ATTEMPTS = find_spec("airflow.models.task_state_store") is not None  # Airflow >= 3.3


class Browser:
    """A signed-in reader with one theme."""

    def __init__(self, running: Any, served: Any, theme: str, *, user: str = "viewer") -> None:
        self._served = served
        self.context = running.new_context(viewport={"width": 1500, "height": 950})
        self.context.add_cookies([{"name": "_token", "value": served.ui.token(user), "url": served.ui.url}])
        self.context.add_init_script(f"try {{ localStorage.setItem('theme', '{theme}') }} catch {{}}")
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MILLISECONDS)
        self.theme = theme
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console", lambda message: self.errors.append(message.text) if "Content Security" in message.text else None
        )

    def tab(self, task_id: str, *, dag_id: str = "notebooks", map_index: int = -1) -> Any:
        """Open a task instance's tab; return our page in Airflow's frame."""
        address = self._served.tab(task_id, dag_id=dag_id, map_index=map_index)
        self.page.goto(self._served.ui.url + address, wait_until="commit")
        return self.page.frame_locator("iframe").first

    def notebook(self, ours: Any) -> Any:
        """Return the notebook in our page's own frame, once it is there."""
        document = ours.frame_locator(FRAME)
        document.locator("main").wait_for()
        return document

    def top_of(self, ours: Any) -> float:
        """Return where the notebook's frame begins, from the top of Airflow's page."""
        return float(ours.locator(FRAME).bounding_box()["y"])

    def until(self, is_there: Callable[[], bool]) -> None:
        """Wait from outside, for in the notebook's frame no script runs, and so no timer."""
        deadline = time.monotonic() + PATIENCE_MILLISECONDS / 1000
        while not is_there():
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(50)

    def picture(self, name: str) -> None:
        folder = os.environ.get("NBJOBS_TEST_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}-{self.theme}.png")


@pytest.fixture
def browser(running: Any, served: Any, request: pytest.FixtureRequest) -> Iterator[Browser]:
    made = Browser(running, served, getattr(request, "param", "light"))
    yield made
    made.context.close()
    assert made.errors == []


@pytest.mark.parametrize("browser", ["light", "dark"], indirect=True)
def test_a_notebook_that_succeeded(browser):
    ours = browser.tab("good")
    document = browser.notebook(ours)
    assert document.locator("h1").inner_text() == "Sentiment baseline"
    assert document.locator("td", has_text="a fine film").count() == 1
    assert document.locator("img.nb-image").count() == 1
    assert document.locator("summary", has_text="more lines").count() == 1
    assert document.locator("html").get_attribute("data-theme") == browser.theme
    assert ours.locator("html").get_attribute("data-theme") == browser.theme
    assert ours.locator("#state").inner_text().lower() == "success"
    assert ours.locator("[data-fact=instance_type]").inner_text() == "ml.m5.large"
    assert ours.locator("[data-fact=cost]").inner_text().startswith("$0.00")
    assert len(ours.locator("[data-fact=sha256]").inner_text()) == 64
    ours.locator("summary", has_text="Parameters (3)").click()
    assert "baseline" in ours.locator("details[open] table").inner_text()
    ours.locator("summary", has_text="Outputs (2)").click()
    assert "0.875" in ours.locator("details[open] table").last.inner_text()
    assert ours.locator("#failure").is_hidden()
    browser.picture("succeeded")
    ours.locator("#log-button").click()
    ours.locator("#log pre", has_text="Execution complete").wait_for()
    ours.locator("#log input").fill("CELL ")
    assert set(re.findall(r"cell \d+ of (\d+) has ended|.+", ours.locator("#log pre").inner_text())) == {"10"}
    assert "+ " not in ours.locator("#log pre").inner_text()
    browser.picture("log")


@pytest.mark.parametrize("browser", ["light", "dark"], indirect=True)
def test_a_notebook_that_failed_opens_at_the_failing_cell_with_the_error_on_top(browser):
    for _ in range(4):  # a browser that goes there most of the time is not good enough
        ours = browser.tab("broken")
        document = browser.notebook(ours)
        assert ours.locator("#failure h2").inner_text() == "Cell 6 failed: ZeroDivisionError: division by zero"
        failed = document.locator("section.nb-failed")
        assert failed.get_attribute("id") == "cell-6"
        # In view, and at the top of the notebook's frame, wherever Airflow's page has moved that by then.
        failed.locator("text=division by zero").last.wait_for()
        browser.until(lambda: abs(failed.bounding_box()["y"] - browser.top_of(ours)) < 120)  # noqa: B023
    browser.picture("failed")


@pytest.fixture
def say(sagemaker: EmbeddedSageMaker) -> Callable[[str], None]:
    """Lets the notebook that fills in go on to its next cell."""
    return lambda word: sagemaker.client("s3").put_object(
        Bucket=sagemaker.facts.default_bucket, Key=f"live-test/{word}", Body=b""
    )


def test_a_notebook_fills_in_as_it_runs_and_does_not_move_under_its_reader(browser, served, say):
    with served.ui.running_dag("live") as run:
        browser.until(lambda: served.has_job("live"))
        ours = browser.tab("live", dag_id="live")
        status = ours.locator("#live strong")
        status.filter(has_text="cell 2 of 5 has ended").wait_for()
        document = ours.frame_locator(FRAME)
        document.locator(".nb-outputs pre", has_text="step one").wait_for()
        assert "so far, at most 1 d 23 h left" in ours.locator("#live p").inner_text()
        ours.locator("body").evaluate("body => { body.dataset.mark = 'the same page' }")

        browser.page.mouse.move(1, 1)
        say("two")
        status.filter(has_text="cell 3 of 5 has ended").wait_for()
        ours.frame_locator(FRAME).locator(".nb-outputs pre", has_text="step two").wait_for()
        assert ours.locator("#notebook iframe:not(.coming)").count() == 1
        browser.picture("live")

        # While somebody points at it, it stays as it is, and the rest is offered.
        box = ours.locator(FRAME).bounding_box()
        browser.page.mouse.move(box["x"] + 300, box["y"] + 200)
        browser.page.mouse.move(box["x"] + 310, box["y"] + 210)
        say("three")
        status.filter(has_text="cell 4 of 5 has ended").wait_for()
        ours.locator("#live button:visible", has_text="Show what has run since").wait_for()
        assert document.locator(".nb-outputs pre", has_text="step three").count() == 0
        browser.page.mouse.move(1, 1)
        ours.frame_locator(FRAME).locator(".nb-outputs pre", has_text="step three").wait_for()
        assert ours.locator("body").get_attribute("data-mark") == "the same page"

        say("end")
        ours.locator("[data-fact=billable]:visible").wait_for()
        browser.notebook(ours).locator(".nb-outputs pre", has_text="step four").wait_for()
        assert ours.locator("#live").is_hidden()
        assert run.wait(60) == 0


def test_the_outline_leads_to_its_places_by_keyboard(browser):
    ours = browser.tab("good")
    document = browser.notebook(ours)
    entry = ours.locator("#outline button", has_text="Result")
    entry.focus()
    browser.page.keyboard.press("Enter")
    heading = document.locator("h2", has_text="Result")
    browser.until(lambda: heading.bounding_box()["y"] - browser.top_of(ours) < 400)


def test_scripts_of_outputs_run_on_a_click_and_not_before(browser, running):
    ours = browser.tab("interactive")
    document = browser.notebook(ours)
    assert document.locator("#plot", has_text="not drawn").count() == 1
    assert document.locator(".nb-html").inner_text() == "not drawn"
    offer = ours.locator("#scripts button:visible", has_text="Run them")
    ours.locator("#scripts p", has_text="They do not run").wait_for()
    assert offer.is_visible() is keeps_off_network(running)
    skip_where_scripts_reach_a_network(running)
    assert ours.locator("#scripts p").inner_text().startswith("One output has scripts. They do not run unless you ask")
    browser.picture("scripts-offered")
    offer.click()
    ours.frame_locator(FRAME).locator("#plot", has_text="drawn").wait_for()
    browser.until(lambda: ours.locator(FRAME).count() == 1)
    assert ours.locator(FRAME).get_attribute("sandbox") == "allow-scripts"
    assert ours.locator("#scripts").is_hidden()
    # A link to it runs nothing: nobody has asked there.
    answer = browser.page.goto(served_scripts := browser.page.frames[-1].url)
    assert answer.status == 404, served_scripts
    assert browser.page.locator("h1").inner_text() == "Scripts run inside the tab only"


def test_a_browser_that_cannot_keep_scripts_off_the_network_is_offered_none(browser):
    def forgetful(route: Any) -> None:
        response = route.fetch()
        kept = {name: value for name, value in response.headers.items() if name != "connection-allowlist"}
        assert len(kept) == len(response.headers) - 1
        route.fulfill(response=response, headers=kept)

    browser.page.route("**/probe.html", forgetful)
    ours = browser.tab("interactive")
    ours.locator("#scripts p", has_text="They do not run: it takes HTTPS").wait_for()
    assert ours.locator("#scripts button").is_hidden()


def test_a_second_try_shows_its_own_job_and_offers_the_first_ones(browser):
    ours = browser.tab("flaky")
    document = browser.notebook(ours)
    assert "the second one does not" in document.locator("main").inner_text()
    if not KEEPS_ATTEMPTS:
        assert ours.locator("#attempts").is_hidden()
        return
    select = ours.locator("#attempts select")
    assert select.locator("option").all_inner_texts() == ["Job 2 of 2", "Job 1 of 2"]
    browser.picture("second-try")
    select.select_option(label="Job 1 of 2")
    ours.locator("#failure:visible h2").wait_for()
    assert "RuntimeError: the first try fails" in ours.locator("#failure h2").inner_text()
    assert ours.locator("[data-fact=try]").inner_text() == "1"
    assert ours.locator("#outputs").is_hidden()
    assert "earlier job" in ours.locator("#earlier").inner_text()
    # The choice is in the address that the reader sees: it can be reloaded and shared, and "back" undoes it.
    chosen = browser.page.url
    assert "?job=" in chosen
    for _ in range(2):
        browser.page.goto("about:blank")
        browser.page.goto(chosen, wait_until="commit")
        ours = browser.page.frame_locator("iframe").first
        ours.locator("#failure:visible h2", has_text="the first try fails").wait_for()
    ours.locator("#attempts select").select_option(label="Job 2 of 2")
    ours.locator("#outputs:visible").wait_for()
    assert browser.page.url != chosen
    browser.page.go_back()
    ours.locator("#failure:visible h2", has_text="the first try fails").wait_for()
    assert browser.page.url == chosen


def test_a_kernel_that_died_is_told_with_what_to_do_and_its_cell_is_marked(browser):
    ours = browser.tab("died")
    document = browser.notebook(ours)
    assert "its kernel died" in ours.locator("#failure h2").inner_text()
    assert ours.locator("#failure p:visible").inner_text().startswith("Next: ")
    assert "larger instance_type" in ours.locator("#failure p").inner_text()
    assert document.locator("section.nb-failed").get_attribute("id") == "cell-2"
    assert ours.locator("#failure button:visible").inner_text() == "Go to the last cell that ran"
    browser.picture("died")


def test_a_task_that_was_refused_before_it_had_a_job_says_why(browser):
    ours = browser.tab("refused")
    ours.locator("#failure:visible h2").wait_for()
    assert "did you mean 'value'?" in ours.locator("#failure li").inner_text()
    ours.locator("#problem[data-code=no-job]:visible").wait_for()
    browser.picture("refused")


@pytest.mark.parametrize(("map_index", "square"), [(0, "9"), (1, "25")])
def test_a_mapped_instance_shows_its_own_notebook(browser, map_index, square):
    document = browser.notebook(browser.tab("mapped", map_index=map_index))
    assert document.locator("section.nb-code").last.locator(".nb-outputs").inner_text().strip() == square


def test_a_task_without_a_notebook_says_so(browser):
    ours = browser.tab("plain")
    assert ours.locator("h1").inner_text() == "This task runs no notebook"
    browser.picture("no-notebook")


def test_switching_airflows_theme_switches_the_notebooks(browser):
    ours = browser.tab("good")
    browser.notebook(ours)
    browser.page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    ours.frame_locator(FRAME).locator("html[data-theme=dark]").wait_for()


def test_the_frame_has_an_origin_of_its_own_and_runs_nothing(browser):
    ours = browser.tab("good")
    browser.notebook(ours)
    inner = ours.locator(FRAME)
    # The attribute counts from the next page on, which asks about a link; this one's own policy forbids it scripts, now and whenever it comes back.
    answer = browser.page.request.get(inner.evaluate("frame => frame.src"))
    assert answer.headers["content-security-policy"].startswith("sandbox; ")
    assert inner.evaluate("frame => frame.contentDocument") is None


@pytest.mark.parametrize("browser", ["light", "dark"], indirect=True)
def test_the_page_of_all_jobs_filters_and_leads_to_the_tab(browser, served):
    browser.page.goto(f"{served.ui.url}/plugin/nbjobs_jobs", wait_until="commit")
    ours = browser.page.frame_locator("iframe").first
    ours.locator("tbody tr").first.wait_for()
    ((jobs,),) = served.query("SELECT count(*) FROM xcom WHERE key = 'nbjobs_job'")
    assert ours.locator("tbody tr").count() == jobs + 1 >= 7
    assert "not submitted: " in ours.locator("tbody tr", has_text="refused").inner_text()
    broken = ours.locator("tbody tr", has_text="failed in cell 6: ZeroDivisionError: division by zero").inner_text()
    assert "6 of 8" in broken  # as the error counts them; the bar is of jobs that go on, or have come to their end
    assert "2 of 2" in ours.locator("tbody tr", has_text="interactive").inner_text()
    browser.picture("jobs")
    ours.locator("input[name=text]").fill("ZeroDivision")
    ours.locator("button", has_text="Search").click()
    ours.locator("a.button", has_text="Clear").wait_for()
    assert ours.locator("tbody tr").count() == 1
    # In half a window nothing lies outside it, and a reload of Airflow's page shows what was asked for.
    browser.page.set_viewport_size({"width": 800, "height": 700})
    browser.page.reload(wait_until="commit")
    ours.locator("a.button", has_text="Clear").wait_for()
    assert ours.locator("input[name=text]").input_value() == "ZeroDivision"
    assert ours.locator("html").evaluate("page => page.scrollWidth - page.clientWidth") <= 0
    browser.picture("jobs-narrow")
    ours.locator("tbody a", has_text="broken").click()
    browser.page.wait_for_url("**/tasks/broken/plugin/nbjobs_notebook")
    browser.page.frame_locator("iframe").first.locator("#failure h2:visible").wait_for()
