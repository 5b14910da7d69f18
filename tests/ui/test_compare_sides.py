"""What is said of one of two jobs where less is known of it: nothing of it counts as a difference, and none is said to be missing."""

from urllib.parse import parse_qs, urlsplit

import pytest
from test_compare import SIDE, STARTED, SUMMARY, Site, row
from ui_account import RAN, ROOT, hint, task_instance

from airflow_nbjobs.core.job.naming import JobLocation
from airflow_nbjobs.ui.data.other_runs import OtherRun, OtherRuns
from airflow_nbjobs.ui.notebook import executed
from airflow_nbjobs.ui.notebook.renderer import Outcome

ACCURACY = {"accuracy": 0.87}


@pytest.fixture
def site(monkeypatch):
    made = Site(monkeypatch)
    yield made
    made.notebooks.close()


def add_earlier(site, *, deliver=RAN):
    """Add a task instance with two jobs; return the first one's name as an address has it."""
    fields = {"job": hint(attempt=1), "attempts": (hint(attempt=0),)}
    site.add("tried", **fields)
    first = site.account.add_job(
        task_instance(run_id="tried", job=None, attempts=(hint(attempt=0),)), NBJOBS_TRY_NUMBER="1"
    )
    if deliver:
        site.account.deliver(first, deliver)
    return f"d/tried/t/-1/{first}"


def test_of_an_earlier_job_beside_one_without_a_notebook_its_own_notebook_tells(site):
    earlier = add_earlier(site)
    site.add("two", deliver=None)
    site.outputs = {"two": ACCURACY}
    recorded = [{"name": "accuracy", "type": "float", "text": "0.87"}]
    failed = {"index": 3, "ename": "ValueError", "evalue": "x"}
    site.renderer.summary = SUMMARY | {"left": SIDE | {"outputs": recorded, "failed": failed}}
    answer = site.answer(left=earlier)
    assert [missing["side"] for missing in answer["missing"]] == ["right"]
    assert not row(answer, "outputs", "accuracy")["differs"]
    assert row(answer, "facts", "error")["left"] == "Cell 3: ValueError: x"
    assert (answer["unknown"], len(site.renderer.rendered)) == ([], 1)


@pytest.mark.parametrize("deliver", [None, RAN])
def test_outputs_that_are_not_known_are_left_out_and_it_is_said(site, deliver):
    earlier = add_earlier(site, deliver=deliver)
    site.add("two")
    site.outputs = {"two": ACCURACY}
    site.renderer.outcome = Outcome("memory")  # of the comparison, where there are two notebooks
    answer = site.answer(left=earlier)
    assert answer["outputs"] == []
    assert answer["unknown"] == [{"side": "left", "what": "outputs"}]
    assert answer["counts"]["outputs"] == 0
    assert "output" not in answer["verdict"]
    assert "could be compared" in answer["verdict"]


def test_parameters_that_are_not_known_are_left_out_as_well(site):
    site.add("two", rendered={"parameters": {"a": 5}})
    site.instances["none"] = task_instance(run_id="none", job=None, state="failed", rendered={})
    site.renderer.summary = SUMMARY | {"left": SIDE}
    answer = site.answer(left="d/none/t/-1")
    assert answer["parameters"] == []
    assert {"side": "left", "what": "parameters"} in answer["unknown"]


def test_a_fact_that_one_side_does_not_know_is_not_the_same(site):
    site.add("one", description={"AlgorithmSpecification": {"TrainingImage": "image:4"}})
    site.add("two", description={"AlgorithmSpecification": {}})
    answer = site.answer()
    image = row(answer, "facts", "image")
    assert (image["differs"], image["is_unknown"], image["difference"]) == (False, True, "not known on the right")
    assert answer["verdict"] == "Nothing differs in what could be compared."


def test_a_second_comparison_asks_the_renderer_nothing(site, monkeypatch):
    """The files that a comparison leaves are fewer than those of a rendering; each must know its own."""
    names = [site.add("one"), site.add("two")]
    both = [(site.instances[run], site.notebooks.jobs.find(site.instances[run], None)) for run in ("one", "two")]
    first = site.notebooks.compared(*both)
    asked = len(site.renderer.asked)
    site.account.clients.objects.bodies.clear()
    assert site.notebooks.compared(*both) == first
    assert len(site.renderer.asked) == asked == 1
    assert {each.name for each in first.document.parent.iterdir()} - {"outcome.json"} == set(
        executed._LEFT_BY_COMPARING
    )
    assert len(names) == 2


def test_a_refusal_says_which_of_the_two(site, monkeypatch):
    site.add("one")
    site.add("two", deliver=RAN + b" " * 1_000_000)
    monkeypatch.setattr(executed, "LONGEST_BYTES", 500_000)
    assert "the right one: it has 1 MiB" in site.answer()["problem"]["text"]


@pytest.mark.parametrize(("which", "code"), [("right", "filling-in"), ("left", "render-unreadable")])
def test_a_running_jobs_notebook_that_was_caught_half_written_comes_later(site, which, code):
    site.add("one")
    name = site.add("two", deliver=None, status="InProgress", NBJOBS_LIVE_NOTEBOOK="1", state="deferred")
    site.account.clients.objects.bodies[JobLocation(ROOT, name).live_notebook_uri] = RAN
    site.renderer.outcome = Outcome("unreadable", f"the {which} one: line 1 is no JSON")
    assert site.answer()["problem"]["code"] == code


def test_what_a_child_leaves_of_an_archive_is_taken_away(site, monkeypatch):
    site.add("one")
    site.add("two")

    def killed(order):
        (order.folder / "left.ipynb").write_bytes(RAN)
        (order.folder / "right.ipynb").write_bytes(RAN)
        return Outcome("memory")

    monkeypatch.setattr(site.renderer, "render", killed)
    site.answer()
    assert list(site.notebooks._folder.rglob("*.ipynb")) == []


def test_an_address_names_both_jobs(site):
    names = {run: site.add(run) for run in ("one", "two")}
    for run, name in names.items():
        site.instances[run] = task_instance(run_id=run, job=hint(job_name=name))
    page = site.get("/compare", left="d/one/t/-1", right="d/two/t/-1").text
    left, right = (f"d%2F{run}%2Ft%2F-1%2F{name}" for run, name in names.items())
    assert f'data-here="/air/nbjobs/compare?left={left}&amp;right={right}"' in page
    assert f'id="swap" href="/air/nbjobs/compare?left={right}&amp;right={left}"' in page
    other = OtherRun(run_id="one", state="success", moment=STARTED, is_before=True)
    site.runs = OtherRuns(last_success=None, nearest=(other,))
    ((offered),) = site.get("/ti/d/two/t/-1/others.json").json()["others"]
    assert parse_qs(urlsplit(offered["address"]).query)["right"] == [f"d/two/t/-1/{names['two']}"]
    for doctored in ("a/b", "x" * 64, 7, None, "a\u202eb", ""):
        site.instances["two"] = task_instance(run_id="two", job=hint(job_name=doctored))
        assert "right=d%2Ftwo%2Ft%2F-1&" in site.get("/compare", left="d/one/t/-1", right="d/two/t/-1").text.replace(
            "&#34;", "&"
        ).replace('"', "&")
