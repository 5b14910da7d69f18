"""
The routes, each behind Airflow's own permission for its DAG.

Built by ``plugin.LazyApp`` at the first request. Every route is a plain function, which FastAPI runs in its thread pool: neither the database nor
AWS nor the rendering holds up the API server's event loop.
"""

from __future__ import annotations

from fastapi import FastAPI

from airflow_nbjobs.ui.error_pages import add_error_pages
from airflow_nbjobs.ui.notebook.aws_access import airflow_access
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.files import Files
from airflow_nbjobs.ui.notebook.renderer import Renderer
from airflow_nbjobs.ui.routes import again, compare, files, jobs, log, machine, report, tab, trend

ROUTERS = tuple(each.router for each in (tab, report, files, again, log, machine, jobs, trend, compare))


def build_app(notebooks: Notebooks | None = None) -> FastAPI:
    """
    Return the app.

    :param notebooks: default: of this process, with Airflow's connections.
    """
    app = FastAPI(title="Notebook jobs", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.notebooks = notebooks or Notebooks(airflow_access, Renderer())
    app.state.files = Files(app.state.notebooks.jobs)
    for router in ROUTERS:
        app.include_router(router)
    add_error_pages(app)
    return app
