"""
A plugin of the demo's own Airflow: an address with the password in it logs in, so that nobody has to type one.

Loaded by the file that ``app.py`` writes into the demo's ``plugins`` folder, in every process of that Airflow and of no other. A page that the user happens to open
does not know the password, so it can neither make this address nor log in. The cookie is the one that Airflow's own login page sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from airflow_nbjobs.commands.demo.settings import LOGIN_PREFIX, USER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer ``{LOGIN_PREFIX}/{password}/{page}``: log in and go on to that page of this Airflow, or 401."""
    from fastapi import HTTPException
    from fastapi.responses import PlainTextResponse, RedirectResponse, Response

    password, _, page = str(scope["path"]).partition(f"{LOGIN_PREFIX}/")[2].partition("/")
    response: Response
    try:
        token = _token(password)
    except HTTPException:
        response = PlainTextResponse("This address is not of the demo that runs here now.", status_code=401)
    else:
        # One slash: two would name another host.
        response = RedirectResponse(f"/{page.lstrip('/')}", status_code=303)
        response.set_cookie("_token", token, path="/", samesite="lax")
    response.headers.update({"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    await response(scope, receive, send)


def _token(password: str) -> str:
    from airflow.api_fastapi.auth.managers.simple.datamodels.login import LoginBody
    from airflow.api_fastapi.auth.managers.simple.services.login import SimpleAuthManagerLogin

    return str(SimpleAuthManagerLogin.create_token(body=LoginBody(username=USER, password=password)))


class DemoLoginPlugin(AirflowPlugin):
    """The app below ``LOGIN_PREFIX``."""

    name = "nbjobs_demo_login"
    fastapi_apps = [{"app": app, "url_prefix": LOGIN_PREFIX, "name": "nbjobs demo login"}]  # noqa: RUF012 - Airflow's own form
