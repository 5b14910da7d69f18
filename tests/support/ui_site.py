"""The pages of one task instance, asked for as a server would ask; nothing is rendered, and no process is started."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext

import httpx
from airflow.api_fastapi.core_api.security import get_user
from ui_account import RAN, Account, in_routes, task_instance

from airflow_nbjobs.ui import access
from airflow_nbjobs.ui.app import build_app
from airflow_nbjobs.ui.data.task_instance import Kind
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.renderer import Outcome, Renderer
from airflow_nbjobs.ui.rendering import LINK_MARK, THEME_MARK

PAGE = f"<html data-theme={THEME_MARK}><a href='{LINK_MARK}#https://e.com'>accuracy</a></html>"
SUMMARY = {"unrendered": [], "progress": {"is_complete": True}, "parameters": None, "outputs": []}
TEXTS = {"parts": [{"anchor": "cell-1", "text": "a\u202eb"}], "is_whole": True}
TASK = "/ti/d/r/t/-1"
ALL = ("/jobs", "/link.html", "/nothing")


class NoRenderer(Renderer):
    """Leaves a page that says where it is shown, and starts no process."""

    def __init__(self):
        super().__init__({})
        self.is_warm = False
        self.scripted = 1

    def warm_up(self):
        self.is_warm = True

    def render(self, order):
        for name in ("document.html", "scripted.html", "report.html"):
            (order.folder / name).write_text(PAGE + name)
        (order.folder / "texts.json").write_text(json.dumps(TEXTS))
        if order.member:
            (order.folder / "notebook.ipynb").write_bytes(RAN)
        (order.folder / "summary.json").write_text(json.dumps(SUMMARY | {"scripted": self.scripted}))
        return Outcome("ok")


class Site:
    """
    The pages of one task instance under ``/air``, with what is known of it.

    :ivar allowed: what the reader may do beyond reading results.
    """

    def __init__(self, monkeypatch):
        self.account = Account()
        self.notebooks = Notebooks(self.account.access, NoRenderer(), live_seconds=0)
        self.ti = task_instance()
        self.instances = (Kind.OTHER, [])
        self.outputs = {}
        self.allowed = [access.may_read_logs, access.may_trigger, access.may_read_runs]
        self.app = build_app(self.notebooks)
        self.app.dependency_overrides = {
            permission.dependency: lambda: None for permission in (access.may_read_results, access.may_read_logs)
        } | {get_user: lambda: None}
        in_routes(monkeypatch, "new_session", nullcontext)
        in_routes(monkeypatch, "read_task_instance", lambda *_, **__: self.ti)
        in_routes(monkeypatch, "read_instances", lambda *_, **__: self.instances)
        in_routes(monkeypatch, "is_allowed", lambda permission, *_: permission in self.allowed)
        in_routes(monkeypatch, "read_outputs", lambda *_: (self.outputs, len(self.outputs)))

    def add_job(self, of=None, **job):
        name = self.account.add_job(of or self.ti, **job)
        self.account.deliver(name)
        return name

    def get(self, path="", *, headers=None, **query):
        async def asked():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, root_path="/air/nbjobs")
            async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
                is_whole = path in ALL or (path.count("/") > 1 and not path.startswith("/files/"))
                address = path if is_whole else TASK + path
                return await client.get("/air/nbjobs" + address, params=query, headers=headers)

        return asyncio.run(asked())
