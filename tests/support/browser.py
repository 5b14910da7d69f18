"""Debian's chromium, driven by Playwright; tests that need it are skipped where either is missing."""

from __future__ import annotations

import json
import os
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from airflow_nbjobs.ui.pages import NO_CONNECTIONS, TAB_SCRIPTS, page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHROMIUM = os.environ.get("NBJOBS_TEST_CHROMIUM") or shutil.which("chromium")
# What keeps scripts off every network: before version 156 behind these flags, if at all.
ALLOWLIST = "--enable-features=ConnectionAllowlists,OverrideConnectionAllowlistOriginTrial"
NO_ALLOWLIST = "--disable-features=ConnectionAllowlists"


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """Yield a browser; it talks to nobody but the tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra browser")
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver, started(driver.chromium, *arguments) as browser:
        yield browser


@contextmanager
def started(kind: Any, *arguments: str) -> Iterator[Any]:
    """Yield one more browser where there is one already: ``kind`` is its ``browser_type``."""
    browser = kind.launch(
        executable_path=CHROMIUM,
        args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", ALLOWLIST, *arguments],
    )
    try:
        yield browser
    finally:
        browser.close()


@contextmanager
def serving(answers: Mapping[str, tuple[str | bytes, Mapping[str, str]]]) -> Iterator[str]:
    """Serve bodies with their headers by path, and an empty object elsewhere; yield the server's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, headers = answers.get(urlsplit(self.path).path, ("{}", {"content-type": "application/json"}))
            sent = body if isinstance(body, bytes) else body.encode()
            self.send_response(200)
            for name, value in {"content-type": "text/html", "content-length": str(len(sent)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def probe() -> tuple[bytes, dict[str, str]]:
    """Return what the tab asks a browser with, as the tab answers it."""
    answer = page("probe.html", "probe.js")
    return bytes(answer.body), dict(answer.headers) | NO_CONNECTIONS


def tab(base: str = "", **notebook: Any) -> dict[str, tuple[str | bytes, dict[str, str]]]:
    """Return the answers that make the tab of a job which has ended, by path; ``base`` is the path of its routes."""
    facts = ("job_name", "notebook", "instance_type", "started", "duration", "billable", "cost", "sha256")
    task = SimpleNamespace(task_id="train", state="success", is_finished=True, try_number=1, map_index=-1, end=None)
    shown = page(
        "tab.html",
        *TAB_SCRIPTS,
        ti=task,
        words="success",
        facts=dict.fromkeys(facts),
        known={},
        base=base,
        requested=None,
    )
    summary = {"scripted": 0, "failed": None, "outline": [], "progress": {}} | notebook
    answer = json.dumps({"status": "ok", "tag": "t", "notebook": summary})
    return {
        f"{base}/tab": (bytes(shown.body), dict(shown.headers)),
        f"{base}/notebook.json": (answer, {"content-type": "application/json"}),
        f"{base}/probe.html": probe(),
    }


def keeps_off_network(running: Any) -> bool:
    """Say whether a browser keeps a page that may connect to nothing off the network: asked as the tab asks it."""
    around = "<!doctype html><script>said = new Promise((done) => { onmessage = (event) => done(event.data) })</script><iframe src=/probe.html></iframe>"
    with serving({"/probe.html": probe(), "/around": (around, {})}) as url:
        asked = running.new_page()
        asked.goto(f"{url}/around")
        is_open = asked.evaluate("said")["nbjobsIsOpen"]
        asked.close()
    return is_open is False


def skip_where_scripts_reach_a_network(running: Any) -> None:
    if not keeps_off_network(running):
        pytest.skip("this chromium does not obey Connection-Allowlist: the tab offers it no scripts")
