"""
Asks every route as every user, with one of Airflow's auth managers; prints the answers as JSON. Run by ``test_permissions.py``.

The auth manager, its users, roles and tokens are real, and so are the routes; what a task instance is and AWS are given, since who may see them is
decided before either is looked at.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

NAME, HOME = sys.argv[1], Path(sys.argv[2])
MANAGERS = {
    "fab": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
    "simple": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
}
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME / 'airflow.db'}",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__AUTH_MANAGER": MANAGERS[NAME],
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "root:admin,reader:viewer",
    "AIRFLOW__API__SECRET_KEY": "a-secret-key-of-this-test-alone-0123456789-0123456789",
    "AIRFLOW__API_AUTH__JWT_SECRET": "a-jwt-secret-of-this-test-alone-0123456789abcdef-0123456789abcdef",
}
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]

import httpx  # noqa: E402
from airflow import settings  # noqa: E402
from airflow.api_fastapi.app import init_auth_manager  # noqa: E402
from airflow.models.dag import DagModel  # noqa: E402
from airflow.models.dagbundle import DagBundleModel  # noqa: E402
from airflow.utils.db import initdb  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402
from job_rows import add_jobs, job  # noqa: E402
from sqlalchemy.orm import Session  # noqa: E402
from test_permissions import ROUTES  # noqa: E402
from ui_account import RAN, Account, task_instance  # noqa: E402

DAGS = ("dag_00", "dag_01")
FAB_USERS = {"root": "Admin", "reader": "Viewer", "neighbour": "OnlyOther", "stranger": "Public"}
# Of one DAG everything that a viewer has, and of the other nothing.
FAB_GRANTS = [
    ("can_read", f"DAG:{DAGS[1]}"),
    *(("can_read", name) for name in ("DAG Runs", "Task Instances", "XComs", "Task Logs", "Website")),
]


def add_rows() -> None:
    with create_session() as session:
        session.add(DagBundleModel(name="b"))
        session.flush()
        for dag_id in DAGS:
            session.add(DagModel(dag_id=dag_id, bundle_name="b", is_paused=False))
    with Session(settings.engine) as session:
        add_jobs(session, (job(number, dags=2) for number in range(10)))


def tokens(manager):
    if NAME == "simple":
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        users = {"root": "admin", "reader": "viewer"}
        return {
            name: manager.generate_jwt(SimpleAuthManagerUser(username=name, role=role)) for name, role in users.items()
        }
    from airflow.providers.fab.www.app import create_app

    app = create_app(enable_plugins=False)
    with app.app_context():
        security = app.appbuilder.sm
        role = security.add_role("OnlyOther")
        for action, resource in FAB_GRANTS:
            security.add_permission_to_role(role, security.create_permission(action, resource))
        found = {}
        for name, role_name in FAB_USERS.items():
            user = security.add_user(name, name, name, f"{name}@example.com", security.find_role(role_name), "secret")
            assert user, name
            found[name] = manager.generate_jwt(user)
        return found


async def ask(app, held):
    answers = {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        for user, token in ({"anonymous": None, "forger": "e30.e30.x"} | held).items():
            headers = {"Cookie": f"_token={token}"} if token else {}
            for dag_id in DAGS:
                for route in ROUTES:
                    answer = await client.get(f"/ti/{dag_id}/r/{route}", headers=headers)
                    answers[f"{user} {dag_id} {route}"] = [
                        answer.status_code,
                        "accuracy" in answer.text or f"{dag_id}-t-" in answer.text,
                    ]
            answer = await client.get(f"/link.html?dag_id={DAGS[0]}", headers=headers)
            answers[f"{user} link"] = [answer.status_code, answer.text]
            for query in ("", "?text=ValueError", f"?dag_id={DAGS[0]}"):
                answer = await client.get(f"/jobs{query}", headers=headers)
                rows = [dag_id for dag_id in DAGS if f'<span class="clip" title="{dag_id}">' in answer.text]
                named = [dag_id for dag_id in DAGS if f">{dag_id}</option>" in answer.text]
                answers[f"{user} jobs {query}"] = [answer.status_code, rows, named]
    return answers


def main() -> None:
    initdb()
    add_rows()
    manager = init_auth_manager()
    held = tokens(manager)
    from airflow_nbjobs.ui.app import build_app
    from airflow_nbjobs.ui.data.task_instance import Instance, Kind
    from airflow_nbjobs.ui.notebook.executed import Notebooks
    from airflow_nbjobs.ui.notebook.renderer import Renderer
    from airflow_nbjobs.ui.routes import dependencies

    account = Account()
    for dag_id in DAGS:
        account.deliver(account.add_job(task_instance(dag_id=dag_id)), RAN)
    # A mapped task has no instance without an index.
    dependencies.read_task_instance = lambda _session, dag_id, task_id, **_: (
        task_instance(dag_id=dag_id) if task_id == "t" else None
    )
    instance = Instance(map_index=0, state="success", label=None, parameters={"accuracy": 1}, job=None)
    dependencies.read_instances = lambda _session, **_: (Kind.OPERATOR, [instance])
    notebooks = Notebooks(account.access, Renderer())
    try:
        answers = asyncio.run(ask(build_app(notebooks), held))
    finally:
        notebooks.close()
    print("ANSWERS" + json.dumps(answers))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main()
