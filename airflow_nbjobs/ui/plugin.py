"""
The plugin that Airflow finds through the entry point ``airflow.plugins``: a tab on task instances and a page in the navigation.

Loaded in every process of Airflow, also where DAGs are parsed: nothing is imported here but Airflow's own base classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from airflow_nbjobs.links import TAB_ROUTE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

URL_PREFIX = "/nbjobs"


class LazyApp:
    """
    The FastAPI app, built at its first request: only the API server ever gets one.

    Airflow mounts any ASGI app. Where its own parts that the pages build on are missing or have moved, every page says just that.
    """

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        if self._app is None:
            self._app = _built()
        await self._app(scope, receive, send)


def _built() -> Any:
    try:
        from airflow_nbjobs.ui.app import build_app
    except ImportError as error:
        from starlette.responses import PlainTextResponse

        return PlainTextResponse(
            f"The pages of airflow-nbjobs need Airflow 3.1 or later, as this release of them knows it ({error}). Tasks are not affected.\n",
            status_code=501,
        )
    return build_app()


class NotebookJobsPlugin(AirflowPlugin):
    """
    Airflow 3.1 and later show both views; 3.0 has no external views and ignores them.

    Addresses are relative, without a leading slash, so that they work under a ``base_url`` with a path.
    """

    name = "airflow_nbjobs"
    fastapi_apps = [{"app": LazyApp(), "url_prefix": URL_PREFIX, "name": "Notebook jobs"}]  # noqa: RUF012 - Airflow's own form
    external_views = [  # noqa: RUF012 - Airflow's own form
        {
            "name": "Notebook",
            "href": "nbjobs/ti/{DAG_ID}/{RUN_ID}/{TASK_ID}/{MAP_INDEX}",
            "url_route": TAB_ROUTE,
            "destination": "task_instance",
        },
        {
            "name": "Notebook jobs",
            "href": "nbjobs/jobs",
            "url_route": "nbjobs_jobs",
            "destination": "nav",
            "category": "browse",
        },
    ]
