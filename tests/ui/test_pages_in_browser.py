"""The pages over many runs in a real browser, under their own policy: by keyboard, chosen from, looked at again in place. Without an Airflow around them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from airflow.api_fastapi.core_api.security import get_user
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from browser import serving
from job_rows import START, add_jobs, add_xcoms, job, open_database
from sqlalchemy.orm import Session
from ui_account import Client, in_routes

from airflow_nbjobs.ui import access
from airflow_nbjobs.ui.app import build_app

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SIGHTS = [(theme, width) for theme in ("light", "dark") for width in (1440, 800)]
COUNT = 60


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """Returns what the app answers, as a browser gets it; the newest job runs."""
    with open_database(f"sqlite:///{tmp_path / 'airflow.db'}", RenderedTaskInstanceFields) as session:
        jobs = [job(number, dags=1) | {"started": START + timedelta(days=number)} for number in range(COUNT)]
        add_jobs(session, jobs)
        of = {"dag_id": "dag_00", "task_id": "train", "map_index": -1, "key": "accuracy"}
        add_xcoms(
            session,
            [
                of | {"run_id": f"manual__{number}", "dag_run_id": number + 1, "value": 0.8 + number / 1000}
                for number in range(COUNT)
            ],
        )
        session.commit()
        engine = session.bind
    in_routes(monkeypatch, "new_session", lambda: Session(engine))
    in_routes(monkeypatch, "readable_dag_ids", lambda _user: {"dag_00"})
    app = build_app()
    app.dependency_overrides[get_user] = lambda: None
    app.dependency_overrides[access.may_read_results.dependency] = lambda: None

    def answer(path: str) -> tuple[str, dict[str, str]]:
        # In a thread: the browser's driver has the loop of this one.
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(Client(app).get, path).result()
        kept = ("content-security-policy", "content-type")
        return found.text, {name: value for name, value in found.headers.items() if name in kept}

    yield answer
    app.state.notebooks.close()
    engine.dispose()


class Reader:
    def __init__(self, running: Any, theme: str = "light", width: int = 1440) -> None:
        self.context = running.new_context(viewport={"width": width, "height": 700})
        self.context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    def is_focused(self, locator: Any) -> bool:
        return bool(locator.evaluate("each => each === document.activeElement"))

    def close(self) -> None:
        self.context.close()
        assert self.errors == []


@pytest.mark.parametrize(("theme", "width"), SIGHTS)
def test_nothing_lies_outside_the_window_and_the_lines_are_seen(running, pages, theme, width):
    answers = {"/trend": pages("/trend/dag_00/train"), "/jobs": pages("/jobs?group=run&output=accuracy")}
    reader = Reader(running, theme, width)
    with serving(answers) as url:
        for path in answers:
            reader.page.goto(url + path)
            assert reader.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        reader.page.goto(f"{url}/trend")
        line, label, paper = (
            reader.page.locator(where).first.evaluate(f"each => getComputedStyle(each).{what}")
            for where, what in ((".chart .line", "stroke"), (".chart text", "fill"), ("body", "backgroundColor"))
        )
        assert len({line, label, paper}) == 3
        # As large as a text beside it, whatever the width of the chart.
        size = reader.page.locator(".chart text").first.evaluate("each => each.getBoundingClientRect().height")
        assert 9 <= size <= 22
        reader.close()  # before the server: what still loads is no error of the page's


def test_the_list_is_used_by_keyboard_and_two_jobs_are_chosen_over_pages(running, pages):
    answers = {"/nbjobs/jobs": pages("/jobs"), "/nbjobs/jobs/compare": ("compared", {})}
    reader = Reader(running)
    page, press = reader.page, reader.page.keyboard.press
    with serving(answers) as url:
        page.goto(f"{url}/nbjobs/jobs")
        press("?")
        page.locator("#keys[open]").wait_for()
        press("Escape")
        rows = page.locator("tbody tr")
        press("j")
        press("j")
        assert reader.is_focused(rows.nth(1).locator("a[data-outer]"))
        press("ArrowDown")
        assert reader.is_focused(rows.nth(2).locator("a[data-outer]"))
        press("k")
        press("x")
        assert rows.nth(1).locator("input[name=job]").is_checked()
        compare = page.locator("#compare button", has_text="Compare")
        assert compare.is_disabled()
        press("/")
        assert reader.is_focused(page.locator("input[name=text]"))
        page.keyboard.type("jjxx??")  # in a field they are letters
        assert page.locator("input[name=text]").input_value() == "jjxx??"
        press("Escape")
        assert not reader.is_focused(page.locator("input[name=text]"))
        # What is chosen goes along to another page of the list.
        answers["/nbjobs/jobs"] = pages("/jobs?page=2")
        page.goto(f"{url}/nbjobs/jobs?page=2")
        assert page.locator("#compare span").inner_text() == "Chosen: train of manual__58"
        page.locator("tbody input[name=job]").first.check()
        assert page.locator("#compare span").inner_text() == "Chosen: train of manual__58 and train of manual__9"
        press("c")
        page.wait_for_url("**/nbjobs/jobs/compare?*")
        assert "manual__58" in page.url
        assert "manual__9%2F" in page.url
        page.goto(f"{url}/nbjobs/jobs?page=2")
        page.locator("#unchoose").click()
        assert page.locator("#compare span").inner_text() == "Chosen: none"
        reader.close()  # before the server: what still loads is no error of the page's


def test_a_refresh_keeps_place_choice_focus_and_what_is_typed(running, pages):
    before = pages("/jobs")
    assert 'data-live="true"' in before[0]
    answers = {"/nbjobs/jobs": before}
    reader = Reader(running)
    page = reader.page
    page.clock.install()
    with serving(answers) as url:
        page.goto(f"{url}/nbjobs/jobs")
        row = page.locator("tbody tr").nth(20)
        row.locator("input[name=job]").check()
        row.locator("a[data-outer]").focus()
        page.locator("input[name=text]").evaluate("field => { field.value = 'typed' }")
        top = row.bounding_box()["y"]
        # Meanwhile the job at the top has ended, and a row has come above all others.
        first = '<tr role="row" data-key="new"><td role="cell" colspan="11">a new job</td></tr>'
        answers["/nbjobs/jobs"] = (
            before[0].replace('<tr role="row" data-key=', first + '<tr role="row" data-key=', 1),
            before[1],
        )
        page.clock.fast_forward(16_000)
        page.locator("tbody tr", has_text="a new job").wait_for(state="attached")
        moved = page.locator("tbody tr").nth(21)
        assert reader.is_focused(moved.locator("a[data-outer]"))
        assert moved.locator("input[name=job]").is_checked()
        assert moved.bounding_box()["y"] == pytest.approx(top, abs=2)
        assert page.locator("input[name=text]").input_value() == "typed"
        # A page that is no list, as where one has been signed out, replaces nothing.
        answers["/nbjobs/jobs"] = ("<p>Sign in</p>", {})
        page.clock.fast_forward(16_000)
        assert page.locator("tbody tr").count() == 51
        reader.close()  # before the server: what still loads is no error of the page's


def test_a_chart_is_looked_at_again_and_its_points_are_links(running, pages):
    answers = {"/trend": pages("/trend/dag_00/train?runs=5"), "/dags": ("there", {})}
    reader = Reader(running)
    page = reader.page
    page.clock.install()
    with serving(answers) as url:
        page.goto(f"{url}/trend")
        points = page.locator("figure", has_text="accuracy").locator("circle[r='3.5']")
        assert points.count() == 3  # the others have failed, and run
        answers["/trend"] = pages("/trend/dag_00/train?runs=50")
        page.clock.fast_forward(16_000)
        page.locator("figcaption", has_text="accuracy").wait_for()
        page.wait_for_function("document.querySelectorAll('tbody tr').length === 50")
        assert points.count() == 30
        points.first.click()
        page.wait_for_url("**/dags/dag_00/runs/**/tasks/train/plugin/nbjobs_notebook")
        reader.close()  # before the server: what still loads is no error of the page's


def test_where_nothing_runs_the_page_is_still_looked_at_again_each_minute(running, pages):
    ended = pages("/trend/dag_00/train?runs=5")
    between_two_runs = (ended[0].replace('data-live="true"', 'data-live="false"'), ended[1])
    answers = {"/trend": between_two_runs}
    reader = Reader(running)
    page = reader.page
    page.clock.install()
    with serving(answers) as url:
        page.goto(f"{url}/trend")
        answers["/trend"] = pages("/trend/dag_00/train?runs=50")
        page.clock.fast_forward(16_000)
        assert page.locator("tbody tr").count() == 5
        page.clock.fast_forward(45_000)
        page.wait_for_function("document.querySelectorAll('tbody tr').length === 50")
        reader.close()


def test_the_list_works_without_scripts(running, pages):
    with serving({"/nbjobs/jobs": pages("/jobs"), "/nbjobs/jobs/compare": ("compared", {})}) as url:
        context = running.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{url}/nbjobs/jobs")
        for place in (3, 1):
            page.locator("tbody input[name=job]").nth(place).check()
        page.locator("#compare button", has_text="Compare").click()
        assert page.url.count("job=") == 2
        context.close()
