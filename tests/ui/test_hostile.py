"""
Hostile notebooks in a real browser: no script runs, no request leaves.

Each fence is tested by itself, with the others taken away: what sanitising leaves, and what the policy and the frame stop. A control shows that a
script which does run, and a request which does leave, would have been seen.
"""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
from browser import chromium
from hostile import MARKUP, NOTEBOOKS, RUN

from airflow_nbjobs.ui.pages import NOTEBOOK_POLICY
from airflow_nbjobs.ui.renderer import Order, Renderer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.browser]

GROUP = 15
# Too much of it, not too clever: refused in words.
MAY_BE_REFUSED = {"html-deep", "nested-quotes"}


class Documents:
    """A server of documents by name, and the sentinel: whatever it is asked for beyond them has left a page."""

    def __init__(self) -> None:
        self.documents: dict[str, tuple[str, dict[str, str]]] = {}
        self.left: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = unquote(urlsplit(self.path).path).removeprefix("/")
                if self.headers["Host"].startswith("sentinel.invalid") or name not in owner.documents:
                    owner.left.append(f"{self.headers['Host']}{self.path}")
                    self.send_response(204)
                    self.end_headers()
                    return
                text, headers = owner.documents[name]
                body = text.encode("utf-8", "replace")
                self.send_response(200)
                for header, value in (
                    {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))} | headers
                ).items():
                    self.send_header(header, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the base class's name

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Documents]:
    documents = Documents()
    yield documents
    documents.close()


@pytest.fixture(scope="module")
def browser(server: Documents) -> Iterator[Any]:
    with chromium(f"--host-resolver-rules=MAP sentinel.invalid 127.0.0.1:{server.port}") as running:
        yield running


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return each hostile notebook's document by name."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    renderer, documents, failed = Renderer(), {}, {}
    try:
        for name, text in NOTEBOOKS.items():
            source = folder / "source"
            source.write_text(text)
            outcome = renderer.render(Order(source=source, folder=folder, title=name))
            if outcome.status == "ok":
                documents[name] = (folder / "document.html").read_text()
            else:
                failed[name] = outcome
    finally:
        renderer.close()
    assert set(failed) <= MAY_BE_REFUSED, failed
    return documents


def shown(
    browser: Any, server: Documents, documents: dict[str, str], *, headers: dict[str, str], sandbox: bool
) -> dict[str, Any]:
    """Show documents in frames, a few at a time; return what ran, what left and where frames went."""
    server.left.clear()
    ran: list[str] = []
    strayed: list[str] = []
    names = sorted(documents)
    for start in range(0, len(names), GROUP):
        group = names[start : start + GROUP]
        # A name in the address must not be one that the sentinel would count.
        server.documents = {f"d{start + place}": (documents[name], headers) for place, name in enumerate(group)}
        frames = "".join(f'<iframe {"sandbox" if sandbox else ""} src="/{each}"></iframe>' for each in server.documents)
        server.documents |= {
            "page": (
                f"<!doctype html><link rel=icon href='data:,'><script>window.messages=[];onmessage=(e)=>messages.push(String(e.data))</script>{frames}",
                {},
            ),
            "favicon.ico": ("", {}),
        }
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/page", wait_until="load")
        # Three frames of animation after every document has loaded: focus, toggle, animation and refresh events have come by then.
        page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"
        )
        ran += [f"{message} in one of {group}" for message in page.evaluate("messages")]
        for place, frame in enumerate(page.main_frame.child_frames[: len(group)]):
            if not re.fullmatch(rf"http://127\.0\.0\.1:{server.port}/d\d+", frame.url):
                strayed.append(f"{group[place]} -> {frame.url}")
        assert page.url.endswith("/page")
        context.close()
    return {"ran": ran, "left": list(server.left), "strayed": strayed}


NOTHING = {"ran": [], "left": [], "strayed": []}


def raw(text: str) -> str:
    return f"<!doctype html><html><body>{text}</body></html>"


def test_there_are_enough_of_them():
    assert len(NOTEBOOKS) >= 60


def test_the_control_runs_and_leaves(server, browser):
    """Without any fence both are seen; if not, the tests below would mean nothing."""
    seen = shown(
        browser,
        server,
        {"control": raw(MARKUP["script"] + MARKUP["img-src"] + MARKUP["style-import"])},
        headers={},
        sandbox=False,
    )
    assert len(seen["ran"]) == 1
    assert {"sentinel.invalid/ran", "sentinel.invalid/i.png", "sentinel.invalid/i.css"} <= set(seen["left"])


def test_most_of_the_corpus_is_dangerous_without_a_fence(server, browser):
    seen = shown(browser, server, {name: raw(text) for name, text in MARKUP.items()}, headers={}, sandbox=False)
    assert len(seen["left"]) >= 25, seen["left"]
    assert len(seen["ran"]) >= 10, seen["ran"]


def test_sanitising_alone_leaves_nothing_that_runs_or_asks(server, browser, rendered):
    """Without the policy, in a frame that may do everything."""
    meta = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    documents = {name: meta.sub("", text, count=1) for name, text in rendered.items()}
    assert all(documents[name] != rendered[name] for name in rendered)
    assert shown(browser, server, documents, headers={}, sandbox=False) == NOTHING


def test_the_policy_alone_stops_what_was_never_sanitised(server, browser):
    """The notebook's own markup, word for word, in a frame without any attribute."""
    documents = {name: raw(text) for name, text in MARKUP.items()}
    seen = shown(browser, server, documents, headers={"Content-Security-Policy": NOTEBOOK_POLICY}, sandbox=False)
    # A refresh moves the frame itself: that is the outer page's to forbid (`frame-src 'self'`), see below.
    assert [each for each in seen["left"] if not each.endswith("/meta")] == []
    assert seen["ran"] == []


def test_all_fences_together(server, browser, rendered):
    headers = {"Content-Security-Policy": NOTEBOOK_POLICY}
    assert shown(browser, server, rendered, headers=headers, sandbox=True) == NOTHING


def test_a_document_that_was_downloaded_runs_nothing_either(server, browser, rendered):
    """Opened from a disk there is no header: the policy stands in the document as well."""
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', rendered["html-script"])
    assert policy is not None
    poisoned = {
        "downloaded": rendered["html-script"].replace(
            "</main>", f"<script>{RUN}</script>{MARKUP['img-src']}{MARKUP['style-import']}</main>"
        )
    }
    assert shown(browser, server, poisoned, headers={}, sandbox=False) == NOTHING
