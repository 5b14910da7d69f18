"""
From a failed run to what changed, in Airflow's real UI and a real browser: a parameter is broken, the DAG runs again, two clicks.

Screenshots are kept in ``NBJOBS_TEST_SCREENSHOTS`` where that names a folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from airflow_ui import notebook
from test_in_airflow import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.browser]

DAG = """
from datetime import datetime

from airflow.sdk import DAG

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("compared", schedule=None, start_date=datetime(2026, 1, 1)):
    SageMakerNotebookJobOperator(
        task_id="train", input_notebook="compared.ipynb", parameters={"parts": PARTS}, outputs={"share": float, "rows": int}
    )
"""
CELLS = [
    ("md", "# What each part gets"),
    ("parameters", "parts = 1"),
    (
        "code",
        "import pandas as pd\nframe = pd.DataFrame({'part': range(4), 'of': [parts] * 4, 'total': [10, 20, 30, 40]})\nrows = len(frame)\nframe",
    ),
    ("code", "for line in range(40):\n    print(f'reading shard {line:02d}')\nprint('parts:', parts)"),
    (
        "code",
        "import matplotlib\nmatplotlib.use('module://matplotlib_inline.backend_inline')\nimport matplotlib.pyplot as plt\nfigure, axes = plt.subplots(figsize=(4, 2))\naxes.plot([parts, 2, 3])\nplt.show()",
    ),
    ("md", "## The step that depends on it"),
    ("code", "share = 100 / parts\nshare"),
]
FRAME = "#notebook iframe:not(.coming)"
WIDTHS = (1440, 800)


@pytest.fixture
def browser(running: Any, served: Any, request: pytest.FixtureRequest) -> Iterator[Browser]:
    made = Browser(running, served, getattr(request, "param", "light"))
    yield made
    made.context.close()
    assert made.errors == []


@pytest.fixture(scope="module")
def runs(served: Any) -> list[str]:
    """Return the ids of a run that succeeded and of the next, with a parameter that breaks it."""
    (served.ui.dags / "compared.ipynb").write_text(notebook(CELLS))
    states = []
    for parts in ("4", "0"):
        (served.ui.dags / "compared.py").write_text(DAG.replace("PARTS", parts))
        said = served.ui.run_dag("compared")
        states = served.query(
            "SELECT run_id, state FROM task_instance WHERE dag_id = 'compared' ORDER BY start_date, id"
        )
        assert states, said[-3000:]
    assert [state for _, state in states] == ["success", "failed"]
    return [run_id for run_id, _ in states]


@pytest.mark.parametrize("browser", ["light", "dark"], indirect=True)
def test_two_clicks_lead_from_a_failed_run_to_what_changed(browser: Browser, served: Any, runs: list[str]) -> None:
    page = browser.page
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    tab = f"/dags/compared/runs/{quote(runs[1], safe='')}/tasks/train/plugin/nbjobs_notebook"
    page.goto(served.ui.url + tab, wait_until="commit")
    ours = page.frame_locator("iframe").first

    ours.locator("#compare-button:visible").click()
    first = ours.locator("#others li").first
    first.wait_for()
    assert "The last run before this that succeeded" in first.inner_text()
    browser.picture("compare-offered")
    first.locator("a").click()

    page.wait_for_url("**/nbjobs/compare?*")
    page.locator("#parameters tr.differs").wait_for()
    asked = parse_qs(urlsplit(page.url).query)  # each with its job: the address means the same after the next try
    for name, run_id in zip(("left", "right"), runs, strict=True):
        assert asked[name][0].startswith(f"compared/{quote(run_id, safe='')}/train/-1/compared-train-")
    assert page.locator("#parameters tr.differs").inner_text().split() == [
        "parts",
        "4",
        "0",
        "\u22124",
        "(\u2212100",
        "%)",
    ]
    share = page.locator("#outputs tr.differs", has_text="share").inner_text()
    assert share.split() == ["share", "25", "\u2013", "only", "on", "the", "left"]
    assert "ZeroDivisionError" in page.locator("#facts tr.differs", has_text="Error").inner_text()
    assert "parameter" in page.locator("#verdict").inner_text()

    cells = page.frame_locator(FRAME)
    cells.locator("main").wait_for()
    assert cells.locator("html").get_attribute("data-theme") == browser.theme
    changed = cells.locator("section.nb-changed")
    printed = changed.filter(has_text="parts:").last
    assert printed.locator("del").inner_text().strip() == "parts: 4"
    assert printed.locator("ins").inner_text().strip() == "parts: 0"
    assert printed.locator("summary", has_text="37 equal lines").count() == 1
    failed = changed.filter(has_text="ran → failed")
    assert "ZeroDivisionError" in failed.locator(".nb-outputs").inner_text()
    assert cells.locator(".nb-both img.nb-image").count() == 2
    assert cells.locator("table.nb-diff-table mark").count() >= 2
    same = cells.locator("section.nb-same").first
    assert same.is_visible()
    browser.picture("compare")

    # What is the same goes on a click; the address says so, and can be shared.
    page.locator("#differences").check()
    page.frame_locator(FRAME).locator("html[data-shown=differences]").wait_for()
    assert not page.frame_locator(FRAME).locator("section.nb-same").first.is_visible()
    assert "differences=true" in page.url
    page.reload(wait_until="commit")
    page.frame_locator(FRAME).locator("html[data-shown=differences]").wait_for()
    assert page.locator("#differences").is_checked()
    assert page.locator("#parameters tbody tr:visible").count() == 1

    page.set_viewport_size({"width": WIDTHS[1], "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    browser.picture("compare-narrow")


def test_a_cell_leads_to_its_place_in_its_own_tab(browser: Browser, served: Any, runs: list[str]) -> None:
    page = browser.page
    left, right = (quote(f"compared/{quote(run_id, safe='')}/train/-1", safe="") for run_id in runs)
    page.goto(f"{served.ui.url}/nbjobs/compare?left={left}&right={right}", wait_until="commit")
    failed = page.frame_locator(FRAME).locator("section.nb-changed", has_text="ran → failed")
    failed.wait_for()
    with browser.context.expect_page() as opened:
        failed.locator("a.nb-number").last.click()
    address = urlsplit(opened.value.url)
    assert address.path == f"/dags/compared/runs/{quote(runs[1], safe='')}/tasks/train/plugin/nbjobs_notebook"
    assert parse_qs(address.query) == {"cell": ["cell-7"]}


def test_a_job_compared_with_itself_says_that_nothing_differs(browser: Browser, served: Any, runs: list[str]) -> None:
    page = browser.page
    job = quote(f"compared/{quote(runs[0], safe='')}/train/-1", safe="")
    page.goto(f"{served.ui.url}/nbjobs/compare?left={job}&right={job}&differences=true", wait_until="commit")
    page.locator("#verdict", has_text="Nothing differs").wait_for()
    assert page.locator(".note").inner_text() == "Both sides are the same job."
    page.frame_locator(FRAME).locator(".nb-verdict").wait_for()
    assert page.locator(".values tbody tr:visible").count() <= 6  # of each job its own: when it ran, and what it cost
