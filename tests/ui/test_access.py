"""What each page asks Airflow's auth manager for: those of a log are as Airflow's own logs, all others as its XComs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.models.dag import DagModel
from fastapi import HTTPException

from airflow_nbjobs._compat import has_tabs
from airflow_nbjobs.ui import access
from airflow_nbjobs.ui.app import ROUTERS
from airflow_nbjobs.ui.routes.compare import readable_refs

ROUTES = [route for router in ROUTERS for route in router.routes]


class Manager:
    """An auth manager that allows some of a DAG, and notes what it was asked."""

    def __init__(self, *allowed):
        self.allowed = allowed
        self.asked = []
        self.dag_ids = {"mine"}

    def is_authorized_dag(self, *, method, access_entity, details, user):
        self.asked.append((method, access_entity, details.id, user))
        return access_entity in self.allowed or (access_entity, details.id) in self.allowed

    def batch_is_authorized_dag(self, requests, *, user):
        return all(self.is_authorized_dag(**each, user=user) for each in requests)

    def get_authorized_dag_ids(self, *, user, method):
        self.asked.append((method, user))
        return self.dag_ids


@pytest.fixture
def manager(monkeypatch):
    def use(*allowed):
        made = Manager(*allowed)
        monkeypatch.setattr("airflow.api_fastapi.core_api.security.get_auth_manager", lambda: made)
        monkeypatch.setattr(access, "get_auth_manager", lambda: made)
        monkeypatch.setattr(DagModel, "get_team_name", lambda *_, **__: None, raising=False)
        monkeypatch.setattr(DagModel, "get_dag_id_to_team_name_mapping", lambda *_, **__: {}, raising=False)
        return made

    return use


def status_of(permission):
    request = SimpleNamespace(path_params={"dag_id": "d"}, query_params={})
    try:
        permission.dependency(request=request, user="me")
    except HTTPException as refusal:
        return refusal.status_code
    return 200


@pytest.mark.parametrize(
    ("permission", "entity", "other"),
    [
        (access.may_read_results, DagAccessEntity.XCOM, DagAccessEntity.TASK_LOGS),
        (access.may_read_logs, DagAccessEntity.TASK_LOGS, DagAccessEntity.XCOM),
    ],
    ids=["results", "logs"],
)
def test_a_right_to_the_one_is_none_to_the_other(manager, permission, entity, other):
    asked = manager(entity).asked
    assert status_of(permission) == 200
    assert asked == [("GET", entity, "d", "me")]
    manager(other)
    assert status_of(permission) == 403


def test_pages_of_a_log_ask_for_the_right_to_logs_and_all_others_for_that_to_results():
    asks = {route.path: route.dependencies for route in ROUTES}
    assert asks.pop("/link.html") == []
    # Of two jobs, whose DAGs are asked for one by one.
    compared = {path: asks.pop(path) for path in ("/compare", "/compare.json", "/compare.html")}
    assert set(map(tuple, compared.values())) == {()}
    for route in ROUTES:
        if route.path in compared:
            assert [each for each in _needs(route.dependant) if each is readable_refs], route.path
    logs = {path for path, dependencies in asks.items() if dependencies == [access.may_read_logs]}
    assert {path.rpartition("}")[2] for path in logs} == {"/log", "/log.json"}
    assert all(asks[path] == [access.may_read_results] for path in asks.keys() - logs)


def _needs(dependant):
    """Return every function that a route depends on."""
    return [each.call for each in dependant.dependencies] + [
        call for each in dependant.dependencies for call in _needs(each)
    ]


@pytest.mark.skipif(not has_tabs(), reason="Airflow < 3.1 has no pages, and asks of one DAG only")
def test_a_comparison_asks_for_the_results_of_each_of_its_dags(manager):
    request = SimpleNamespace(path_params={}, query_params={"dag_id": "another"})
    asked = manager(DagAccessEntity.XCOM).asked
    access.refuse_unreadable(request, "me", ["one", "two"])
    assert asked == [("GET", DagAccessEntity.XCOM, dag_id, "me") for dag_id in ("one", "two")]
    manager(DagAccessEntity.TASK_LOGS)
    with pytest.raises(HTTPException) as refused:
        access.refuse_unreadable(request, "me", ["one"])
    assert refused.value.status_code == 403


def test_the_list_of_all_jobs_is_of_the_dags_whose_results_the_user_may_read(manager):
    asked = manager(DagAccessEntity.XCOM).asked
    assert access.readable_dag_ids("me") == {"mine"}
    assert asked == [("GET", "me"), ("GET", DagAccessEntity.XCOM, "mine", "me")]


def test_a_dag_that_may_be_seen_and_whose_results_may_not_is_not_listed(manager, monkeypatch):
    some = manager((DagAccessEntity.XCOM, "mine"), (DagAccessEntity.TASK_LOGS, "yours"))
    some.dag_ids = {"mine", "yours"}
    assert access.readable_dag_ids("me") == {"mine"}
    some.dag_ids = set()
    assert access.readable_dag_ids("me") == set()


def test_a_team_is_told_to_the_auth_manager(manager, monkeypatch):
    if "team_name" not in DagDetails.__dataclass_fields__:
        pytest.skip("this Airflow knows no teams")
    teams = []
    made = manager(DagAccessEntity.XCOM)
    monkeypatch.setattr(DagModel, "get_dag_id_to_team_name_mapping", lambda *_, **__: {"mine": "a"}, raising=False)
    monkeypatch.setattr(made, "is_authorized_dag", lambda *, details, **_: teams.append(details.team_name) or True)
    assert access.readable_dag_ids("me") == {"mine"}
    assert teams == ["a"]
