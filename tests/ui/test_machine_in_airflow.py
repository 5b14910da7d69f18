"""Which machine a notebook needed, read in Airflow's real UI, of six jobs that have really run and were really measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from test_in_airflow import Browser

from airflow_nbjobs.aws.clients import Boto3Clients

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

pytestmark = [pytest.mark.slow, pytest.mark.browser]
RUNS = 6


@pytest.fixture(scope="module")
def sized(served: Any) -> Any:
    """Six jobs of one task; the first six of what the advice rests on."""
    output = served.ui.run_dag("machine")
    states = served.query("SELECT state FROM task_instance WHERE dag_id = 'machine'")
    assert states == [("success",)] * RUNS, output[-5000:]
    return served


@pytest.fixture
def browser(running: Any, sized: Any, request: pytest.FixtureRequest) -> Iterator[Browser]:
    made = Browser(running, sized, getattr(request, "param", "light"))
    yield made
    made.context.close()
    assert made.errors == []


@pytest.fixture(scope="module")
def measured(sized: Any, sagemaker: EmbeddedSageMaker) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """What CloudWatch itself has of the six jobs."""
    names = [
        job["TrainingJobName"]
        for job in sagemaker.client("sagemaker").list_training_jobs(NameContains="machine-sized", MaxResults=100)[
            "TrainingJobSummaries"
        ]
    ]
    assert len(names) == RUNS
    now = datetime.now(tz=UTC)
    return Boto3Clients(sagemaker.client).metrics.read(
        names, started=now - timedelta(hours=3), ended=now + timedelta(minutes=1), period_seconds=10
    )


@pytest.mark.parametrize("width", [1440, 800])
@pytest.mark.parametrize("browser", ["light", "dark"], indirect=True)
def test_the_tab_shows_what_the_job_used_and_which_machine_its_task_needs(browser, measured, width):
    browser.page.set_viewport_size({"width": width, "height": 950})
    ours = browser.tab("sized", dag_id="machine", map_index=0)
    browser.notebook(ours)
    drawer = ours.locator("#machine")
    drawer.locator("summary").click()
    drawer.locator("figure:visible").wait_for()
    chart = drawer.locator("figure > svg")
    assert "ml.t3.large: 2 vCPUs, 8 GiB of memory, no GPU. CPU: at most" in chart.get_attribute("aria-label")
    assert drawer.locator("polyline.memory, circle.memory").count() == 1
    assert drawer.locator("rect.span").count() >= 3
    assert "One point every" in drawer.locator("[role=status]").inner_text()
    # 600 MiB and a kernel, of 8 GiB.
    most = max(value for points in measured.values() for _, value in points["memory"])
    assert 7 < most < 20
    advice = drawer.locator("li")
    assert advice.count() == 1
    assert advice.get_attribute("data-kind") in ("smaller", "fits")
    assert f"none of {RUNS} jobs used more than {most:.0f} % of the memory" in advice.inner_text()
    if advice.get_attribute("data-kind") == "smaller":
        assert "ml.t3.medium (2 vCPUs, 4 GiB of memory, no GPU) is enough" in advice.inner_text()
        assert "(list price, if it takes as long)" in advice.inner_text()
    assert ours.locator("html").evaluate("page => page.scrollWidth - page.clientWidth") <= 0
    browser.picture(f"machine-{width}")


def test_a_cell_below_the_curves_leads_to_the_cell_by_keyboard_too(browser):
    ours = browser.tab("sized", dag_id="machine", map_index=1)
    document = browser.notebook(ours)
    ours.locator("#machine summary").click()
    bar = ours.locator("#machine rect.span").last
    bar.focus()
    assert bar.get_attribute("aria-label").endswith(": del held")
    browser.page.keyboard.press("Enter")
    cell = document.locator("section", has_text="done with 1").last
    browser.until(lambda: cell.bounding_box()["y"] - browser.top_of(ours) < 900)


def test_a_denial_is_told_in_the_drawer_and_nowhere_else(browser):
    def denied(route: Any) -> None:
        note = (
            "Airflow's API server may not read the metrics of this job's machine: needs cloudwatch:GetMetricData on '*'"
        )
        route.fulfill(
            json={"status": "ok", "title": "ml.t3.large", "curves": [], "spans": [], "advice": [], "notes": [note]}
        )

    browser.page.route("**/machine.json*", denied)
    ours = browser.tab("sized", dag_id="machine", map_index=2)
    browser.notebook(ours)
    ours.locator("#machine summary").click()
    ours.locator("#machine [role=status]", has_text="cloudwatch:GetMetricData").wait_for()
    assert ours.locator("#machine figure").is_hidden()
    assert ours.locator("#failure").is_hidden()
