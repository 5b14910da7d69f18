"""
Pages for what cannot be shown: each says why, as HTML or as JSON, whichever was asked for.

Called by the routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from msgspec.structs import asdict
from starlette.exceptions import HTTPException

from airflow_nbjobs.core.job.wording import task_words
from airflow_nbjobs.links import tab_path
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.problems import MappedError, Problem, ProblemError
from airflow_nbjobs.ui.pages import HEADERS, VisibleJSONResponse, page
from airflow_nbjobs.ui.views import value_text

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import Response

_FILES = (".ipynb", "/log", ".html")
_HTTP_ERRORS = {
    401: Problem(code="signed-out", title="You are not signed in", text="Reload Airflow and sign in."),
    403: Problem(
        code="not-allowed",
        title="You may not see this notebook",
        text="It needs the permission to read XComs of this DAG (and, for the log, its task logs). Whoever administers Airflow can give it.",
    ),
    404: Problem(
        code="no-page", title="There is no such page", text="The address may have been cut, or be of another version."
    ),
}
_FAILURE = Problem(
    code="failed",
    title="This page cannot be shown now",
    text="Something unexpected went wrong in Airflow's API server. Its log says what; reload to try again.",
)


def add_error_pages(app: FastAPI) -> None:
    """Have the app answer every error with a page."""
    app.exception_handler(ProblemError)(lambda request, error: _response(request, error.problem))
    app.exception_handler(MappedError)(_mapped)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_not_understood)
    app.exception_handler(Exception)(
        lambda request, _: _response(request, _FAILURE, status_code=500)
    )  # the server logs it


def _http_error(request: Request, error: HTTPException) -> Response:
    other = Problem(code="refused", title="This page cannot be shown", text=str(error.detail))
    return _response(request, _HTTP_ERRORS.get(error.status_code, other), status_code=error.status_code)


def _not_understood(request: Request, error: RequestValidationError) -> Response:
    wrong = sorted({str(each["loc"][-1]) for each in error.errors()})
    problem = Problem(
        code="not-understood",
        title="This address says something that is not understood",
        text="Open the task instance's tab Notebook again. What of the address is wrong:",
        details=tuple(wrong),
    )
    return _response(request, problem, status_code=422)


def _mapped(request: Request, error: MappedError) -> Response:
    """Offer the instances of a mapped task."""
    if request.url.path.endswith((".json", *_FILES)):
        return _response(request, problems.MAPPED)
    rows = [
        {
            "index": each.map_index,
            "label": each.label,
            "state": each.state or "none",
            "words": task_words(each.state, each.job),
            "parameters": value_text(each.parameters) if each.parameters else "",
            "path": tab_path(error.dag_id, error.run_id, error.task_id, each.map_index),
        }
        for each in error.instances
    ]
    return page("instances.html", "message.js", task_id=error.task_id, rows=rows, root=root_of(request))


def _response(request: Request, problem: Problem, status_code: int = 200) -> Response:
    """Return a friendly page, or its JSON where a script asked; 404 for files, since no browser shows a page in their place."""
    path = request.url.path
    if path.endswith(".json"):
        return VisibleJSONResponse(
            as_json(problem), status_code=status_code, headers=HEADERS | {"Cache-Control": "no-store"}
        )
    if path.endswith(_FILES) and status_code == 200:
        status_code = 404
    return page("message.html", "message.js", status_code=status_code, problem=problem)


def as_json(problem: Problem) -> dict[str, Any]:
    return {"status": "problem", **asdict(problem)}


def root_of(request: Request) -> str:
    """Return the path that Airflow itself is served under, without a trailing slash."""
    return str(request.scope.get("root_path", "")).removesuffix("/nbjobs").rstrip("/")
