"""The tab's report, search, outline by time, links and files in a real browser, framed as Airflow frames it, over a notebook that is really rendered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from browser import serving, tab
from rendered import code, data, document, markdown, stream

from airflow_nbjobs.ui.pages import NOTEBOOK_POLICY
from airflow_nbjobs.ui.rendering import LINK_MARK, THEME_MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.browser]

FRAME = "#notebook iframe:not(.coming)"
AIRFLOWS = "allow-scripts allow-same-origin allow-forms"  # of the frame that it puts a plugin's page into
JOB = "train-0123456789ab"
BASE = f"/{JOB}"
JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html; charset=utf-8", "content-security-policy": NOTEBOOK_POLICY}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def answers() -> dict[str, tuple[str | bytes, dict[str, str]]]:
    made = document(
        markdown("# Churn\n\nWhat the model says."),
        code("secret_code = load()", stream("needle in the first output\n"), papermill={"duration": 3.0}),
        *(markdown(f"Paragraph {number}.\n\n" + "text\n\n" * 12) for number in range(6)),
        code("hidden()", stream("needle that is hidden"), tags=["hide-output"], papermill={"duration": 90.0}),
        markdown("## Result"),
        code(
            "plot()", data(image_png=PIXEL, text_plain="<Figure>"), stream("NEEDLE Needle"), papermill={"duration": 0.5}
        ),
    )

    def shown(html: str) -> str:
        return html.replace(THEME_MARK, "light").replace(LINK_MARK, "/link.html")

    found = tab(BASE, **made.summary())
    summary = json.loads(found[f"{BASE}/notebook.json"][0]) | {
        "facts": {"job_name": JOB, "status": "Completed"},
        "links": {},
        "attempts": [{"job_name": JOB, "label": "Job 2 of 2"}, {"job_name": "other", "label": "Job 1 of 2"}],
    }
    files = [
        {"name": f"{JOB}.ipynb", "group": "notebook", "path": "notebook.ipynb", "query": {}, "bytes": 1234},
        {"name": "input/a b.csv", "group": "input", "path": "files/input/a%20b.csv", "query": {}, "bytes": 5},
    ]
    again = {
        "status": "ok",
        "is_offered": True,
        "conf": '{"a": 1}',
        "form": None,
        "run": "/run",
        "is_masked": False,
        "is_too_long": False,
    }
    return found | {
        f"{BASE}/notebook.json": (json.dumps(summary), JSON),
        f"{BASE}/notebook.html": (shown(made.html), HTML),
        f"{BASE}/report.html": (shown(made.report), HTML),
        f"{BASE}/texts.json": (json.dumps({"status": "ok", "tag": "t"} | msgspec.to_builtins(made.texts)), JSON),
        f"{BASE}/files.json": (json.dumps({"status": "ok", "files": files, "notes": ["a note"]}), JSON),
        f"{BASE}/files/input/a%20b.csv": (
            "1,2,3",
            {
                "content-type": "application/octet-stream",
                "content-disposition": "attachment; filename*=UTF-8''a%20b.csv",
            },
        ),
        f"{BASE}/again.json": (json.dumps(again), JSON),
        "/airflow": (
            f'<!doctype html><iframe sandbox="{AIRFLOWS}" src="{BASE}/tab" width=1000 height=700></iframe>',
            {},
        ),
    }


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving(answers()) as url:
        yield url


class Page:
    """The tab in Airflow's frame."""

    def __init__(self, running: Any, site: str, query: str = "") -> None:
        self.context = running.new_context(viewport={"width": 1100, "height": 800}, accept_downloads=True)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.outer = self.context.new_page()
        self.outer.set_default_timeout(120_000)
        self.site = site
        self.go(query)

    def go(self, query: str) -> None:
        self.outer.goto(f"{self.site}/airflow{query}")
        self.ours = self.outer.frame_locator("iframe")
        self.notebook.locator("main").wait_for()

    @property
    def notebook(self) -> Any:
        return self.ours.frame_locator(FRAME)

    def in_view(self, cell: str) -> bool:
        box, frame = self.notebook.locator(f"#{cell}").bounding_box(), self.ours.locator(FRAME).bounding_box()
        return box is not None and -5 <= box["y"] - frame["y"] < frame["height"]

    def until(self, is_there: Any) -> None:
        for _ in range(1200):
            if is_there():
                return
            self.outer.wait_for_timeout(50)
        raise AssertionError(self.outer.url)

    def clipboard(self) -> str:
        return str(self.outer.evaluate("navigator.clipboard.readText()"))


@pytest.fixture
def page(running: Any, site: str) -> Iterator[Page]:
    made = Page(running, site)
    yield made
    made.context.close()


def test_the_report_is_on_screen_in_the_address_and_in_the_file(page):
    assert page.notebook.locator(".nb-source").count() == 3
    page.ours.locator("[data-view=report]").click()
    page.notebook.locator("body.nb-report").wait_for()
    assert page.notebook.locator(".nb-source").count() == 0
    assert "hidden" not in page.notebook.locator("main").inner_text()
    assert page.outer.url.endswith("?view=report")
    assert "/report.html?" in page.ours.locator("a[download]", has_text=".html").get_attribute("href")
    assert page.ours.locator("#outline button", has_text="Result").count() == 1
    page.go("?view=report")
    page.notebook.locator("body.nb-report").wait_for()
    assert page.ours.locator("[data-view=report]").get_attribute("aria-pressed") == "true"
    page.ours.locator("[data-view=notebook]").click()
    page.until(lambda: page.notebook.locator(".nb-source").count() == 3)
    assert "view=" not in page.outer.url


def test_what_is_found_is_gone_to_cell_by_cell_with_the_keyboard(page):
    field, said = page.ours.locator("#find input"), page.ours.locator("#find [role=status]")
    page.ours.locator("#copy-link").focus()
    page.outer.keyboard.press("/")
    page.outer.keyboard.type("needle")
    said.filter(has_text="4 matches in 3 cells").wait_for()
    assert page.ours.locator("#hits li").count() == 3
    assert page.ours.locator("#hits mark").all_inner_texts() == ["needle", "needle", "NEEDLE"]
    for press, cell, text in (
        ("Enter", "cell-2", "1 of 3"),
        ("Enter", "cell-9", "2 of 3"),
        ("Enter", "cell-11", "3 of 3"),
        ("Enter", "cell-2", "1 of 3"),
        ("Shift+Enter", "cell-11", "3 of 3"),
    ):
        page.outer.keyboard.press(press)
        said.filter(has_text=f"cell {text}").wait_for()
        page.until(lambda cell=cell: page.in_view(cell))
        assert f"cell={cell}" in page.outer.url
        assert field.evaluate("field => field === document.activeElement")
    page.ours.locator("#hits button").first.click()
    page.until(lambda: page.in_view("cell-2"))
    field.fill("no such words")
    said.filter(has_text="nothing found").wait_for()
    assert page.ours.locator("#find button").first.is_disabled()
    field.press("Escape")
    assert (field.input_value(), page.ours.locator("#hits").is_hidden()) == ("", True)


def test_in_the_report_only_what_it_shows_is_found(page):
    page.ours.locator("[data-view=report]").click()
    page.notebook.locator("body.nb-report").wait_for()
    page.ours.locator("#find input").fill("needle")
    page.ours.locator("#find [role=status]", has_text="3 matches in 2 cells").wait_for()
    page.ours.locator("#find input").fill("secret_code")
    page.ours.locator("#find [role=status]", has_text="nothing found").wait_for()


def test_the_outline_by_time_leads_to_the_longest_cells(page):
    switch = page.ours.locator("#by-time")
    switch.click()
    entries = page.ours.locator("#outline li").all_inner_texts()
    assert [entry.split()[1] for entry in entries] == ["9", "2", "11"]
    page.ours.locator("#outline button", has_text="Cell 9").click()
    page.until(lambda: page.in_view("cell-9"))
    assert switch.get_attribute("aria-pressed") == "true"
    switch.click()
    assert page.ours.locator("#outline li").all_inner_texts() == ["Churn", "Result"]


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_a_link_that_is_shared_opens_at_its_cell_and_its_attempt(page, has_clipboard):
    if not has_clipboard:  # as without HTTPS
        page.ours.locator("body").evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.ours.locator("#copy-link").click()
    page.ours.locator("#copy-link", has_text="Copied").wait_for()
    assert page.clipboard() == f"{page.site}/airflow?job={JOB}"
    assert page.ours.locator("#copy-cell").is_hidden()
    page.ours.locator("#outline button", has_text="Result").click()
    page.ours.locator("#copy-cell", has_text="Copy link to cell 10").click()
    page.ours.locator("#copy-cell", has_text="Copied").wait_for()
    link = page.clipboard()
    assert link == f"{page.site}/airflow?cell=cell-10&job={JOB}"
    page.outer.goto("about:blank")
    # Which job the address names is the server's to know; this one serves one page.
    for query in ("?cell=cell-10", "?cell=cell-10&view=report"):
        page.go(query)
        page.until(lambda: page.in_view("cell-10"))
    page.go("?cell=%22%3E%3Cscript%3E&view=x&job=%00")
    assert page.notebook.locator("h1").bounding_box()["y"] > 0


def test_of_very_many_places_it_is_said_how_many_are_listed(page):
    part = {"anchor": "cell-2", "name": "Cell 2", "kind": "code", "text": "needle", "in_report": True}
    told = {"status": "ok", "tag": "t", "parts": [part] * 201, "is_whole": True}
    page.context.route("**/texts.json?*", lambda route: route.fulfill(json=told))
    page.ours.locator("#find input").fill("needle")
    said = page.ours.locator("#find [role=status]")
    said.filter(has_text="201 matches in 1 cell; the first 200 places are listed").wait_for()
    assert page.ours.locator("#hits li").count() == 200
    told["parts"] = [part]
    page.go("")
    page.ours.locator("#find input").fill("needle")
    said.filter(has_text="1 match in 1 cell").wait_for()
    assert "listed" not in said.inner_text()


ASK_LATE = """() => {
  const ask = window.fetch;
  const answer = (tag, text) => new Response(JSON.stringify({ status: "ok", tag, is_whole: true, parts: [{ anchor: "cell-2", name: "Cell 2", kind: "code", text, in_report: true }] }));
  window.fetch = (address, ...rest) => {
    if (!String(address).includes("texts.json")) return ask(address, ...rest);
    if (String(address).includes("v=new")) return Promise.resolve(answer("new", "needle"));
    return new Promise((give) => { window.give = () => give(answer("old", "needle needle needle")); });
  };
}"""
FILL_IN = """() => document.dispatchEvent(new CustomEvent("nbjobs:shown", { detail: { isReport: false, notebook: { tag: "new", outline: [], slowest: [], in_report: [] } } }))"""


def test_a_notebook_that_fills_in_while_its_texts_come_is_the_one_that_is_searched(page):
    body, said = page.ours.locator("body"), page.ours.locator("#find [role=status]")
    body.evaluate(ASK_LATE)
    page.ours.locator("#find input").fill("needle")
    page.until(lambda: body.evaluate("() => Boolean(window.give)"))
    body.evaluate(FILL_IN)
    body.evaluate("() => window.give()")
    said.filter(has_text="1 match in 1 cell").wait_for(timeout=10_000)
    page.ours.locator("#find input").fill("needl")
    said.filter(has_text="1 match in 1 cell").wait_for(timeout=10_000)


def test_of_views_that_are_chosen_in_a_hurry_the_last_one_stays_alone(page):
    page.context.route("**/report.html?*", lambda _: None)  # is never answered
    frames = page.ours.locator("#notebook iframe")
    page.ours.locator("[data-view=report]").click()
    page.until(lambda: frames.count() == 2)
    page.ours.locator("[data-view=notebook]").click()
    page.ours.locator("#notebook:not(:has(.coming)) iframe").first.wait_for()
    assert frames.count() == 1
    assert "notebook.html" in frames.get_attribute("src")


def test_a_cell_that_the_report_leaves_out_is_gone_to_in_the_notebook(page):
    page.go("?view=report")
    page.notebook.locator("body.nb-report").wait_for()
    page.ours.locator("body").evaluate(
        "() => document.dispatchEvent(new CustomEvent('nbjobs:go', { detail: 'cell-9' }))"
    )
    page.until(lambda: page.notebook.locator(".nb-source").count() == 3 and page.in_view("cell-9"))
    assert "view=" not in page.outer.url
    page.go("?view=report&cell=cell-9")  # as a link that is copied in the report has it
    page.until(lambda: page.notebook.locator(".nb-source").count() == 3 and page.in_view("cell-9"))
    assert "view=" not in page.outer.url


def test_files_are_listed_when_asked_for_and_saved(page):
    page.ours.locator("#files summary").click()
    page.ours.locator("#files a", has_text="a b.csv").wait_for()
    assert page.ours.locator("#files th").all_inner_texts() == ["Notebook", "Input, as it was staged"]
    assert page.ours.locator("#files .number").all_inner_texts() == ["1.2 kB", "5 B"]
    assert page.ours.locator("#files p").inner_text() == "a note"
    # Airflow's frame, before 3.3, may save nothing.
    with page.outer.expect_download() as saved:
        page.ours.locator("#files a", has_text="a b.csv").click()
    assert saved.value.suggested_filename == "a b.csv"
    assert "/files/input/a%20b.csv?" in saved.value.url
    assert page.outer.url == f"{page.site}/airflow"


def test_where_the_form_cannot_be_filled_in_the_conf_is_there_to_copy(page):
    page.ours.locator("#again summary").click()
    assert page.ours.locator("#again pre").inner_text() == '{"a": 1}'
    assert page.ours.locator("#again button", has_text="Open").is_hidden()
    assert "paste this as its configuration" in page.ours.locator("#again p").inner_text()
    page.ours.locator("#again button", has_text="Copy").click()
    page.ours.locator("#again button", has_text="Copied").wait_for()
    assert page.clipboard() == '{"a": 1}'


AROUND = """kind => {
  const button = document.body.appendChild(document.createElement("button"));
  button.dataset.testid = kind === "options" ? "trigger-dag-options-button" : "trigger-dag-button";
  button.onclick = () => setTimeout(() => {
    const shown = document.body.appendChild(document.createElement("div"));
    if (kind === "form") shown.innerHTML = "<div role=dialog><button data-testid=trigger-dag-submit></button></div>";
    else if (kind !== "nothing") shown.innerHTML = "<div role=menuitem data-value=editConfigAndTrigger onclick='document.title = `filled`'></div>";
  }, 100);
}"""


@pytest.mark.parametrize(
    ("kind", "conf", "is_too_long", "said"),
    [
        ("options", "{}", False, "opens its form with what this run was given"),
        ("options", "", True, "too long to be shown here"),
        ("menu", "{}", False, "opens its form with what this run was given"),
        ("form", "{}", False, "without what this run was given: paste this"),
        ("form", "", True, "without what this run was given, which is too long"),
        ("form", "", False, "This run was given nothing"),
        ("nothing", "{}", False, "did not open from here"),
    ],
)
def test_what_airflows_button_opens_is_seen_and_said(page, kind, conf, is_too_long, said):
    """As the bundles of 3.2 to 3.4 do it: a menu, whose entry opens the form filled in, or, before the run is loaded, the form itself."""
    told = {"status": "ok", "is_offered": True, "conf": conf, "is_too_long": is_too_long, "is_masked": False}
    told |= {"form": "editConfigAndTrigger", "run": "/run"}
    page.context.route("**/again.json", lambda route: route.fulfill(json=told))
    page.go("")
    page.outer.evaluate(AROUND, kind)
    page.ours.locator("#again summary").click()
    page.ours.locator("#again button", has_text="Open").click()
    page.until(lambda: said in page.ours.locator("#again p").inner_text())
    page.until(lambda: (page.outer.title() == "filled") is (kind in ("options", "menu")))
