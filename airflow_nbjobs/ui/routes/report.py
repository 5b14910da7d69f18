"""The executed notebook without its code, to read and to hand on, and its texts, to search."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
import json

from fastapi import APIRouter
from fastapi.responses import Response

from airflow_nbjobs.ui.access import may_read_results
from airflow_nbjobs.ui.pages import HEADERS, VisibleJSONResponse
from airflow_nbjobs.ui.routes.dependencies import (
    TASK,
    DocumentDep,
    IfNoneMatch,
    JobName,
    NotebooksDep,
    WithJobDep,
    cached,
)

router = APIRouter()


@router.get(TASK + "/report.html", dependencies=[may_read_results])
def report_html(document: DocumentDep) -> Response:
    """Return the report: what is hidden there is not in the answer either."""
    return document.answer("report.html", file_ending="-report.html")


@router.get(TASK + "/texts.json", dependencies=[may_read_results])
def texts_json(
    ti: WithJobDep, notebooks: NotebooksDep, requested: JobName = None, if_none_match: IfNoneMatch = None
) -> Response:
    """Return the texts of the notebook's cells, for the tab to search: the notebook's own frame runs no script that could."""
    rendered, file = notebooks.opened_document(ti, notebooks.jobs.find(ti, requested), "texts.json")
    with file:
        etag = f'"{rendered.tag}-texts"'
        if if_none_match == etag:
            return Response(status_code=304, headers=cached(etag))
        texts = json.load(file)
    return VisibleJSONResponse({"status": "ok", "tag": rendered.tag, **texts}, headers=HEADERS | cached(etag))
