"""What the tab needs to offer a new run with other parameters, in Airflow's own trigger form: nothing is run here."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
import json
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from airflow_nbjobs._compat import redact, trigger_form_item
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.ui.access import GetUserDep, is_allowed, may_read_results, may_read_runs, may_trigger, new_session
from airflow_nbjobs.ui.data.run_conf import read_run_conf
from airflow_nbjobs.ui.error_pages import root_of
from airflow_nbjobs.ui.pages import UNSTORED, VisibleJSONResponse
from airflow_nbjobs.ui.routes.dependencies import TASK, TaskInstanceDep

_LONGEST_CHARACTERS = 100_000

router = APIRouter()


@router.get(TASK + "/again.json", dependencies=[may_read_results])
def again_json(request: Request, ti: TaskInstanceDep, user: GetUserDep) -> Response:
    """Return the run's conf and how the form is opened; nothing to those who may not trigger the DAG, or where a form would ask for nothing."""
    if not (is_allowed(may_trigger, request, user) and is_allowed(may_read_runs, request, user)):
        return VisibleJSONResponse({"status": "ok", "is_offered": False}, headers=UNSTORED)
    with new_session() as session:
        given = read_run_conf(session, dag_id=ti.dag_id, run_id=ti.run_id)
    if not given.conf and not given.has_params:
        return VisibleJSONResponse({"status": "ok", "is_offered": False}, headers=UNSTORED)
    # Looked at before anything walks through it: it may have megabytes.
    is_too_long = len(_json(given.conf)) > _LONGEST_CHARACTERS
    conf = {} if is_too_long else redact(given.conf)
    text = _to_copy(conf) if conf else ""
    run = f"{root_of(request)}/dags/{quote(ti.dag_id, safe='')}/runs/{quote(ti.run_id, safe='')}"
    answer = {
        "status": "ok",
        "is_offered": True,
        "conf": text,
        "is_too_long": is_too_long,
        "is_masked": not is_too_long and conf != given.conf,
        "form": trigger_form_item(),
        "run": run,
    }
    return VisibleJSONResponse(answer, headers=UNSTORED)


def _json(conf: Any) -> str:
    return json.dumps(conf, indent=2, ensure_ascii=False, default=str)


def _to_copy(conf: Any) -> str:
    """Return JSON that means the same wherever it is pasted: what is unseen in it is written as its number."""
    text = _json(conf)
    if visible(text) == text:
        return text
    return "".join(each if visible(each) == each else json.dumps(each)[1:-1] for each in text)
