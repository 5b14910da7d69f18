"""
Which machine a notebook needed, of six jobs that have really run on the embedded SageMaker and were measured as they ran: as the route tells it, and in a browser.

Screenshots are kept in ``NBJOBS_TEST_SCREENSHOTS`` where that names a folder.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from browser import chromium, probe, serving
from local_jobs import Jobs, notebook
from ui_account import hint, in_routes, task_instance
from ui_site import Site

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.local.embedded import EmbeddedSageMaker
from airflow_nbjobs.ui.data.task_instance import TaskRun
from airflow_nbjobs.ui.notebook.aws_access import Access
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.renderer import Renderer

pytestmark = [pytest.mark.slow, pytest.mark.local]
RUNS = 6
TYPE = "ml.t3.large"  # of two vCPUs: CPU is measured on a machine with two cores
CELLS = (
    "held = bytearray(b'x') * (600 * 2**20)",
    "import time\nend = time.time() + 2\nwhile time.time() < end:\n    pass",
    "time.sleep(4)",
    "del held\nprint('done')",
)
BASE = "/air/nbjobs/ti/d/r/t/-1"


class RanSite(Site):
    """The pages of the first of the six, with what the others left in Airflow's database."""

    def __init__(self, monkeypatch, server):
        super().__init__(monkeypatch)
        self.jobs, self.root = Jobs(server), f"s3://{server.facts.default_bucket}/nbjobs"
        self.clients = Boto3Clients(server.client)
        access = Access(clients=self.clients, deployment="", root=self.root, has_console=False)
        self.notebooks.close()
        self.notebooks = self.app.state.notebooks = Notebooks(lambda _: access, Renderer(), live_seconds=0)
        instances = [
            task_instance(run_id="r" if number == 0 else f"r{number}", job=hint(instance_type=TYPE))
            for number in range(RUNS)
        ]
        self.ti = instances[0]
        self.names = [self.submit(ti) for ti in instances]
        ended = [self.jobs.wait(name, seconds=600) for name in self.names]
        assert {job["TrainingJobStatus"] for job in ended} == {"Completed"}, ended
        past = [
            TaskRun(ti=task_instance(run_id=ti.run_id, job=ti.job, end=end_of(job)))
            for ti, job in zip(instances, ended, strict=True)
        ]
        in_routes(monkeypatch, "read_runs", lambda *_, **__: past)
        in_routes(monkeypatch, "read_kept_machine", lambda *_: {})
        in_routes(monkeypatch, "read_prices", lambda: Prices({TYPE: 0.1, "ml.t3.medium": 0.05}))

    def submit(self, ti):
        (key, *_) = ti.run_keys(deployment="")
        name = ti.job_name(key)
        request = self.jobs.request(name)
        request["Environment"]["NBJOBS_OWNER"] = key.owner()
        request["ResourceConfig"]["InstanceType"] = TYPE
        self.jobs.stage(name, {"report.ipynb": notebook(*CELLS)})
        self.jobs.sagemaker.create_training_job(**request)
        return name

    def measured(self, key):
        """Return the largest of what CloudWatch itself has of the six."""
        now = datetime.now(tz=UTC)
        found = self.clients.metrics.read(
            self.names, started=now - timedelta(hours=1), ended=now + timedelta(minutes=1), period_seconds=10
        )
        assert all(found[name].get("memory") for name in self.names)
        return max(value for points in found.values() for _, value in points.get(key, [(0, 0.0)]))


def end_of(job):
    return {
        "status": job["TrainingJobStatus"],
        "started_at": job["TrainingStartTime"].isoformat(),
        "ended_at": job["TrainingEndTime"].isoformat(),
        "billable_seconds": job["BillableTimeInSeconds"],
    }


@pytest.fixture(scope="module")
def site():
    with pytest.MonkeyPatch.context() as patch, EmbeddedSageMaker(jobs=2, metrics_period=0.5) as server:
        made = RanSite(patch, server)
        yield made
        made.notebooks.close()


@pytest.fixture(scope="module")
def told(site):
    answer = site.get("/machine.json")
    assert answer.status_code == 200
    return answer.json()


def test_the_curves_are_what_was_measured_and_the_cells_lie_below_them(told):
    assert told["title"] == f"{TYPE}: 2 vCPUs, 8 GiB of memory, no GPU"
    curves = {curve["key"]: curve for curve in told["curves"]}
    assert {"memory", "disk"} <= curves.keys()
    assert ("cpu" in curves) is ((os.cpu_count() or 1) >= 2)
    memory = [percent for _, percent in curves["memory"]["points"]]
    assert 7.3 < max(memory) < 20  # 600 MiB and a kernel, of 8 GiB
    assert all(0 <= seconds <= told["seconds"] + 2 for seconds, _ in curves["memory"]["points"])
    busy, idle = (
        next(span for span in told["spans"] if span["text"].endswith(text)) for text in ("import time", "time.sleep(4)")
    )
    assert busy["end"] - busy["start"] >= 2
    assert idle["end"] - idle["start"] >= 4
    assert [span["start"] for span in told["spans"]] == sorted(span["start"] for span in told["spans"])


def test_six_runs_say_which_machine_the_task_needs_with_the_figures_they_rest_on(site, told):
    if (os.cpu_count() or 1) < 2:
        assert [each["kind"] for each in told["advice"]] == ["too-few"]
        return
    (advice,) = told["advice"]
    most = site.measured("memory")
    assert f"none of {RUNS} jobs used more than {most:.0f} % of the memory" in advice["text"]
    if advice["kind"] == "smaller":
        assert advice["text"].startswith("ml.t3.medium (2 vCPUs, 4 GiB of memory, no GPU) is enough")
        assert "(list price, if it takes as long)" in advice["text"]
    else:  # this machine had little else to do: the notebook had both cores
        assert advice["kind"] == "fits"


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 800])
def test_the_drawer_draws_it_in_both_themes_at_both_widths(site, told, theme, width):
    answers = {f"{BASE}/probe.html": probe()}
    for name in ("", "/notebook.json", "/notebook.html", "/machine.json", "/state.json"):
        answer = site.get(name, **({"theme": theme} if name == "/notebook.html" else {}))
        kept = {key: value for key, value in answer.headers.items() if key != "content-length"}
        answers[BASE + name] = (answer.content, kept)
    with chromium() as running, serving(answers) as url:
        context = running.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        page = context.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security" in said.text else None)
        page.goto(url + BASE)
        page.locator("#machine summary").click()
        page.locator("#machine figure:visible").wait_for()
        page.frame_locator("#notebook iframe").locator("main").wait_for()
        chart = page.locator("#machine figure > svg")
        assert chart.get_attribute("aria-label").startswith(f"{TYPE}: 2 vCPUs, 8 GiB of memory, no GPU. ")
        assert page.locator("#machine .curve.memory").count() == 2  # and its mark
        assert page.locator("#machine rect.span").count() == len(told["spans"])
        assert page.locator("#machine li").all_inner_texts() == [each["text"] for each in told["advice"]]
        box = chart.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        stroke = page.locator("#machine polyline.memory").first.evaluate("each => getComputedStyle(each).stroke")
        assert stroke == ("rgb(180, 35, 24)" if theme == "light" else "rgb(255, 123, 114)")
        folder = os.environ.get("NBJOBS_TEST_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/tab-machine-{width}-{theme}.png")
        # By keyboard, a cell below the curves leads to its place.
        page.locator("#machine rect.span").last.focus()
        page.keyboard.press("Enter")
        page.frame_locator("#notebook iframe:not(.coming)").locator("section", has_text="del held").last.wait_for()
        assert page.locator("#notebook iframe").last.evaluate("frame => document.activeElement === frame")
        context.close()
        assert errors == []
