"""Every route, asked by everybody: Airflow's own permission for the DAG decides, with FAB's rights per DAG and with SimpleAuthManager."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

FILES = (
    "/notebook.json",
    "/notebook.html",
    "/notebook.ipynb",
    "/log",
    "/log.json",
    "/state.json",
    "/machine.json",
    "/probe.html",
    "/scripted.html",
    "/others.json",
    "/report.html",
    "/texts.json",
    "/files.json",
    "/again.json",
)
FILE = "/files/input/given.ipynb"
# Of a DAG's run: the tab, what it asks for, and the instances of a mapped task.
ROUTES = ("t/-1", *(f"t/-1{name}" for name in (*FILES, FILE)), "mapped/{MAP_INDEX}")
SCRIPTED = "t/-1/scripted.html"
TREND_FILES = ("/trend.json", "/trend.csv")
TRENDS = ("", *TREND_FILES)
MINE, OTHER = "dag_00", "dag_01"
COMPARED = ("/compare", "/compare.json", "/compare.html")


def test_no_route_is_left_out():
    from airflow_nbjobs.ui.app import ROUTERS

    task = "/ti/{dag_id}/{run_id}/{task_id}/{map_index}"
    trend = "/trend/{dag_id}/{task_id}"
    others = {"/jobs", "/jobs.csv", "/jobs/compare", "/link.html", trend, *(trend + name for name in TREND_FILES)}
    assert {route.path for router in ROUTERS for route in router.routes} == {
        task,
        *(task + name for name in FILES),
        task + "/files/{file_name:path}",
        *others,
        *COMPARED,
    }


def answers_of(manager, home):
    probe = Path(__file__).parent / "permissions_probe.py"
    done = subprocess.run(
        [sys.executable, str(probe), manager, str(home)], capture_output=True, text=True, check=False, timeout=1200
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS")]
    assert lines, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(lines[-1].removeprefix("ANSWERS"))


@pytest.fixture(scope="module")
def fab(tmp_path_factory):
    if importlib.util.find_spec("flask_appbuilder") is None:
        pytest.skip("needs the extra browser: FAB's auth manager is the one with rights per DAG")
    return answers_of("fab", tmp_path_factory.mktemp("fab"))


@pytest.fixture(scope="module")
def simple(tmp_path_factory):
    if version("apache-airflow") < "3.1":
        pytest.skip("Airflow < 3.1 has no tabs, and takes no token from a cookie")
    return answers_of("simple", tmp_path_factory.mktemp("simple"))


def statuses(answers, user, dag_id):
    return {route: answers[f"{user} {dag_id} {route}"][0] for route in ROUTES}


def leaks(answers, user, dag_id):
    return [route for route in ROUTES if answers[f"{user} {dag_id} {route}"][1]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("user", "mine", "other"),
    [
        ("anonymous", 401, 401),
        ("forger", 403, 403),
        ("stranger", 403, 403),
        ("neighbour", 403, 200),
        ("reader", 200, 200),
        ("root", 200, 200),
    ],
)
def test_every_route_asks_for_the_right_to_read_its_dag(fab, user, mine, other):
    for dag_id, status in ((MINE, mine), (OTHER, other)):
        # Scripts are for a frame only, and this notebook has none.
        expected = dict.fromkeys(ROUTES, status) | {SCRIPTED: 404 if status == 200 else status}
        assert statuses(fab, user, dag_id) == expected
        assert (leaks(fab, user, dag_id) == []) is (status != 200)


@pytest.mark.slow
@pytest.mark.parametrize(("user", "dags"), [("root", [MINE, OTHER]), ("reader", [MINE, OTHER]), ("neighbour", [OTHER])])
def test_the_page_of_all_jobs_lists_and_offers_only_what_may_be_read(fab, user, dags):
    assert fab[f"{user} jobs "] == [200, dags, dags]
    assert fab[f"{user} jobs ?text=ValueError"] == [200, dags, dags]
    # Airflow looks for a DAG's id in the query as well, and refuses by it.
    assert fab[f"{user} jobs ?dag_id={MINE}"] == ([200, [MINE], dags] if MINE in dags else [403, [], []])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("user", "mine", "other"),
    [
        ("anonymous", 401, 401),
        ("forger", 403, 403),
        ("stranger", 403, 403),
        ("neighbour", 403, 200),
        ("reader", 200, 200),
    ],
)
def test_a_tasks_outputs_over_its_runs_need_the_right_to_read_its_dag(fab, user, mine, other):
    for dag_id, status in ((MINE, mine), (OTHER, other)):
        assert [fab[f"{user} {dag_id} trend{name}"] for name in TRENDS] == [[status, status == 200]] * len(TRENDS)


@pytest.mark.slow
@pytest.mark.parametrize(("user", "dags"), [("root", [MINE, OTHER]), ("neighbour", [OTHER]), ("stranger", None)])
def test_the_file_of_all_jobs_holds_only_what_may_be_read(fab, user, dags):
    assert fab[f"{user} jobs.csv"] == ([200, dags] if dags else [403, []])
    assert fab[f"{user} compare"] == (303 if dags else 403)


@pytest.mark.slow
@pytest.mark.parametrize(("user", "status"), [("anonymous", 401), ("forger", 403), ("stranger", 403)])
def test_the_page_of_all_jobs_needs_a_right_as_well(fab, user, status):
    assert fab[f"{user} jobs "] == [status, [], []]


@pytest.mark.parametrize(("user", "status"), [("anonymous", 401), ("forger", 403), ("reader", 200), ("root", 200)])
def test_simple_auth_manager_is_asked_as_well(simple, user, status):
    assert statuses(simple, user, MINE) == dict.fromkeys(ROUTES, status) | {SCRIPTED: 404 if status == 200 else status}
    assert [simple[f"{user} {MINE} trend{name}"][0] for name in TRENDS] == [status] * len(TRENDS)
    # Its users have the same rights for every DAG.
    assert simple[f"{user} jobs "] == [status, *([[MINE, OTHER]] * 2 if status == 200 else [[], []])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("user", "allowed"),
    [
        ("root", {MINE, OTHER}),
        ("reader", {MINE, OTHER}),
        ("neighbour", {OTHER}),
        ("stranger", set()),
        ("forger", set()),
    ],
)
def test_a_comparison_needs_the_right_to_read_both_dags(fab, user, allowed):
    for left in (MINE, OTHER):
        for right in (MINE, OTHER):
            for route in COMPARED:
                status, tells = fab[f"{user} {route} {left} {right}"]
                may = {left, right} <= allowed
                assert (status, tells) == (200, True) if may else status == 403 and not tells, (route, left, right)


@pytest.mark.parametrize(("user", "status"), [("anonymous", 401), ("forger", 403), ("reader", 200), ("root", 200)])
def test_simple_auth_manager_is_asked_for_comparisons_as_well(simple, user, status):
    assert {simple[f"{user} {route} {MINE} {OTHER}"][0] for route in COMPARED} == {status}


@pytest.mark.slow
def test_the_page_that_tells_of_a_link_is_the_same_for_everybody(fab, simple):
    """Within the notebook's frame, which has no origin, a browser does not say who asks: it can only be for all."""
    from airflow_nbjobs.ui.pages import link_page

    found = [answers[key] for answers in (fab, simple) for key in answers if key.endswith(" link")]
    assert len(found) == 10
    ((status, body),) = {tuple(each) for each in found}
    assert status == 200
    assert body == link_page().body.decode()
