"""What is kept of rendered notebooks, for whom it is made again, and what is said of one that cannot be had; nothing is rendered here."""

import json

import pytest
from fakes import archive
from msgspec.structs import replace
from ui_account import RAN, ROOT, Account, task_instance
from ui_site import NoRenderer

from airflow_nbjobs.ui.notebook import executed
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.notebook.renderer import Outcome


class Counting(NoRenderer):
    """Keeps what it was asked, with what lay there; its outcome is a test's to set."""

    def __init__(self):
        super().__init__()
        self.asked, self.outcome = [], Outcome("ok")

    def render(self, order):
        sides = [order] if hasattr(order, "source") else [order.left, order.right]
        self.asked.append((order, [each.source.read_bytes() for each in sides]))
        if hasattr(order, "source"):
            super().render(order)
        else:
            (order.folder / "document.html").write_text("compared")
            (order.folder / "summary.json").write_text(json.dumps({"unrendered": []}))
        return self.outcome


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def notebooks(account):
    made = Notebooks(account.access, Counting(), live_seconds=0)
    yield made
    made.close()


def shown(account, notebooks, body=RAN, **fields):
    ti = task_instance(**fields)
    name = account.add_job(ti)
    if body is not None:
        account.deliver(name, body)
    return ti, notebooks.jobs.find(ti, None)


def refused(call, *given):
    with pytest.raises(ProblemError) as caught:
        call(*given)
    return caught.value.problem


def test_a_notebook_is_rendered_once_and_its_copy_taken_away(account, notebooks):
    ti, job = shown(account, notebooks)
    first = notebooks.rendered(ti, job)
    assert notebooks.rendered(ti, job) == first
    ((order, (body,)),) = notebooks.renderer.asked
    assert (order.title, order.member, order.has_failed, body) == (job.name, None, False, RAN)
    assert not order.source.exists()
    assert first.document.parent == order.folder
    assert json.loads((order.folder / "outcome.json").read_text()) == ["ok", ""]


def test_of_a_job_that_has_failed_the_page_is_another(account, notebooks):
    ti, job = shown(account, notebooks)
    first = notebooks.rendered(ti, job)
    name = job.name
    account.clients.jobs.descriptions[name] |= {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed"}
    failed = Notebooks(account.access, Counting(), live_seconds=0)
    try:
        again = failed.rendered(ti, failed.jobs.find(ti, None))
        assert again.tag == f"{first.tag}-failed"
        assert failed.renderer.asked[0][0].has_failed
    finally:
        failed.close()


@pytest.mark.parametrize("status", ["too-large", "unreadable", "time", "memory"])
def test_how_a_rendering_ended_is_kept(account, notebooks, status):
    ti, job = shown(account, notebooks)
    notebooks.renderer.outcome = Outcome(status, "why")
    for _ in range(2):
        assert refused(notebooks.rendered, ti, job).code == f"render-{status}"
    assert len(notebooks.renderer.asked) == 1


def test_a_crash_is_tried_again(account, notebooks):
    ti, job = shown(account, notebooks)
    notebooks.renderer.outcome = Outcome("crashed", "signal 11")
    problem = refused(notebooks.rendered, ti, job)
    assert (problem.code, "signal 11" in problem.text) == ("render-crashed", True)
    notebooks.renderer.outcome = Outcome("ok")
    assert notebooks.rendered(ti, job).document.exists()
    assert len(notebooks.renderer.asked) == 2


@pytest.mark.parametrize("name", ["document.html", "report.html", "texts.json", "summary.json"])
def test_what_somebody_has_tidied_away_is_made_again(account, notebooks, name):
    ti, job = shown(account, notebooks)
    folder = notebooks.rendered(ti, job).document.parent
    (folder / name).unlink()
    assert notebooks.rendered(ti, job).document.parent == folder
    assert (folder / name).exists()
    assert len(notebooks.renderer.asked) == 2


@pytest.mark.parametrize(("more", "is_shown"), [(0, True), (-1, False)])
def test_a_file_as_large_as_is_read_is_shown(account, notebooks, monkeypatch, more, is_shown):
    monkeypatch.setattr(executed, "LONGEST_BYTES", len(RAN) + more)
    ti, job = shown(account, notebooks)
    if is_shown:
        assert notebooks.rendered(ti, job).document.exists()
    else:
        assert refused(notebooks.rendered, ti, job).text.startswith("The notebook is too large to be shown: it has")
        assert notebooks.renderer.asked == []


def test_an_archive_that_is_too_large_is_said_to_be_one(account, notebooks, monkeypatch):
    monkeypatch.setattr(executed, "LONGEST_BYTES", 10)
    ti, job = shown(account, notebooks, body=None)
    account.clients.objects.bodies[f"{ROOT}/{job.name}/output/output.tar.gz"] = archive({f"{job.name}.ipynb": RAN})
    assert "its output archive has 0 MiB" in refused(notebooks.rendered, ti, job).text


def test_a_notebook_that_has_gone_since_it_was_found_is_said(account, notebooks):
    ti, job = shown(account, notebooks)
    notebooks.source(ti, job)
    account.clients.objects.bodies.clear()
    problem = refused(notebooks.rendered, ti, job)
    assert (problem.code, problem.details) == ("gone", (f"{ROOT}/{job.name}/{job.name}.ipynb",))


def test_a_page_that_is_dropped_again_and_again_is_asked_for_later(account, notebooks, monkeypatch):
    ti, job = shown(account, notebooks)
    rendered = notebooks.rendered(ti, job)
    found = []
    monkeypatch.setattr(notebooks, "rendered", lambda *_: found.append(1) or rendered)
    rendered.document.unlink()
    assert refused(notebooks.opened_document, ti, job).code == "busy"
    assert len(found) == 2


def test_scripts_are_opened_only_where_an_output_has_some(account, notebooks):
    ti, job = shown(account, notebooks)
    for name in ("document.html", "report.html", "texts.json", "scripted.html"):
        rendered, file = notebooks.opened_document(ti, job, name)
        with file:
            assert file.read() == rendered.document.with_name(name).read_bytes()
    notebooks.renderer.scripted = 0
    other, job = shown(account, notebooks, task_id="other")
    assert refused(notebooks.opened_document, other, job, "scripted.html").code == "no-scripts"


def test_two_notebooks_are_compared_once_in_their_order(account, notebooks):
    left, right = shown(account, notebooks, RAN, task_id="l"), shown(account, notebooks, RAN + b" ", task_id="r")
    first = notebooks.compared(left, right)
    assert notebooks.compared(left, right) == first
    ((order, bodies),) = notebooks.renderer.asked
    assert bodies == [RAN, RAN + b" "]
    assert (order.left.title, order.right.title) == (left[1].name, right[1].name)
    assert order.title == f"{left[1].name} and {right[1].name}"
    assert not order.left.source.exists()
    assert first.tag.startswith("compared-")
    turned = notebooks.compared(right, left)
    assert turned.tag != first.tag
    _, file = notebooks.opened_comparison(left, right)
    with file:
        assert file.read() == b"compared"


@pytest.mark.parametrize(("place", "which"), [(0, "left"), (1, "right")])
def test_of_two_notebooks_the_one_that_is_too_large_is_named(account, notebooks, monkeypatch, place, which):
    monkeypatch.setattr(executed, "LONGEST_BYTES", len(RAN))
    bodies = [RAN, RAN]
    bodies[place] += b" "
    left, right = (shown(account, notebooks, body, task_id=name) for body, name in zip(bodies, "lr", strict=True))
    problem = refused(notebooks.compared, left, right)
    assert problem.code == "render-too-large"
    assert f"the {which} one: it has" in problem.text


def test_what_a_running_job_is_writing_comes_later_and_what_an_ended_one_wrote_does_not(account, notebooks):
    ti = task_instance(state="running")
    name = account.add_job(ti, status="InProgress", NBJOBS_LIVE_NOTEBOOK="1")
    job = notebooks.jobs.find(ti, None)
    assert refused(notebooks.rendered, ti, job).code == "filling-in"
    account.clients.objects.bodies[job.location.live_notebook_uri] = RAN
    notebooks.renderer.outcome = Outcome("unreadable", "cut off")
    assert refused(notebooks.rendered, ti, job).code == "filling-in"
    account.clients.objects.bodies[job.location.live_notebook_uri] = RAN + b" "
    notebooks.renderer.outcome = Outcome("memory")
    assert refused(notebooks.rendered, ti, job).code == "render-memory"
    account.deliver(name)
    ended = replace(job, snapshot=replace(job.snapshot, state=job.snapshot.state.SUCCEEDED))
    notebooks.renderer.outcome = Outcome("unreadable", "cut off")
    assert refused(notebooks.rendered, ti, ended).code == "render-unreadable"


def test_a_job_that_runs_and_makes_no_copy_is_said_to_run(account, notebooks):
    ti = task_instance(state="running")
    account.add_job(ti, status="InProgress")
    assert refused(notebooks.rendered, ti, notebooks.jobs.find(ti, None)).code == "running"


def test_the_file_itself_is_where_it_lies_or_out_of_the_archive(account, notebooks):
    ti, job = shown(account, notebooks)
    found = notebooks.notebook_file(ti, job)
    assert (found.uri, found.member, found.stored.size_bytes) == (f"{ROOT}/{job.name}/{job.name}.ipynb", None, len(RAN))
    other, job = shown(account, notebooks, body=None, task_id="other")
    account.clients.objects.bodies[f"{ROOT}/{job.name}/output/output.tar.gz"] = archive({f"{job.name}.ipynb": RAN})
    for _ in range(2):
        with notebooks.notebook_file(other, job) as file:
            assert file.read() == RAN
    assert len(notebooks.renderer.asked) == 1
    assert notebooks.renderer.asked[0][0].member == f"{job.name}.ipynb"


def test_closing_takes_everything_away(account):
    made = Notebooks(account.access, Counting(), live_seconds=0)
    folder = made.rendered(*shown(account, made)).document.parent
    made.close()
    assert not folder.parent.exists()
