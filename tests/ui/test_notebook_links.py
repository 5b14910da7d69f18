"""A link out of a notebook, in a real browser: our tab, framed as Airflow frames it, asks; only then is it followed."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from browser import chromium
from test_rendering import code, document, markdown

from airflow_nbjobs.ui.pages import NOTEBOOK_POLICY, link_page, marked, page
from airflow_nbjobs.ui.rendering import LINK_MARK, THEME_MARK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.browser]

FRAME = "#notebook iframe[sandbox=allow-scripts]"  # the notebook has loaded
AIRFLOWS = "allow-scripts allow-same-origin allow-forms"  # of the frame that it puts a plugin's page into
NO_ADDRESSES = ("javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "//e.com", "x")
SUBJECT = SimpleNamespace(
    task_id="train", state="success", is_finished=True, try_number=1, map_index=-1, end=None, started=None
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the tab in a frame with the rights that Airflow gives it, and what the tab asks for."""
    made = document(
        markdown("[out](https://example.com/a?b#c) [in](#the-end) [mail](mailto:a@e.com)\n\n" + "text\n\n" * 200),
        markdown("[deep](http://example.com/deep)\n\n# the end"),
        code(),
    )
    path: Path = tmp_path_factory.mktemp("links") / "document.html"
    path.write_text(made.html)
    html = b"".join(marked(path.open("rb"), {THEME_MARK: "light", LINK_MARK: "/link.html"})).decode()
    facts = dict.fromkeys(
        ("job_name", "notebook", "instance_type", "started", "duration", "billable", "cost", "sha256")
    )
    links = link_page()
    summary = '{"status":"ok","tag":"t","notebook":{"scripted":0,"failed":null,"outline":[],"progress":{}}}'
    raw = "".join(f'<p><a id=a{place} href="/link.html#{each}">x</a>' for place, each in enumerate(NO_ADDRESSES))
    answers: dict[str, tuple[str, str | bytes, dict[str, str]]] = {
        "/link.html": ("text/html", links.body, dict(links.headers))
    }
    for base, notebook in (("", html), ("/raw", f"<!doctype html>{raw}")):
        tab = page(
            "tab.html", script="tab.js", subject=SUBJECT, facts=facts, base=base, asked=None, parameters=[], outputs=[]
        )
        frame = f'<!doctype html><iframe sandbox="{AIRFLOWS}" src="{base}/tab" width=900 height=600></iframe>'
        answers |= {
            f"{base}/airflow": ("text/html", frame, {}),
            f"{base}/tab": ("text/html", tab.body, dict(tab.headers)),
            f"{base}/notebook.html": (
                "text/html; charset=utf-8",
                notebook,
                {"content-security-policy": NOTEBOOK_POLICY},
            ),
            f"{base}/notebook.json": ("application/json", summary, {}),
        }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body, headers = answers.get(urlsplit(self.path).path, ("application/json", "{}", {}))
            sent = body if isinstance(body, bytes) else body.encode()
            self.send_response(200)
            given = {"content-type": kind, "content-length": str(len(sent))} | headers
            for name, value in given.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def context() -> Iterator[Any]:
    with chromium("--host-resolver-rules=MAP example.com 127.0.0.1:9") as browser:
        yield browser.new_context()


def test_a_link_is_followed_after_a_question_and_never_without_one(site, context):
    opened: list[str] = []

    def elsewhere(route: Any) -> None:
        opened.append(route.request.url.partition("#")[0])
        route.fulfill(body="there", headers={"content-type": "text/plain"})

    context.route("**://example.com/**", elsewhere)
    outer = context.new_page()
    outer.goto(f"{site}/airflow")
    tab = outer.frame_locator("iframe")
    notebook = tab.frame_locator(FRAME)
    question = tab.locator("dialog#leave")

    notebook.locator("a", has_text="deep").click()
    question.wait_for()
    assert question.locator("p").inner_text() == "http://example.com/deep"
    assert question.locator("strong").inner_text() == "example.com"
    question.locator("button", has_text="Stay").click()
    question.wait_for(state="hidden")
    # The notebook is back where it was, and no script of its own would run there.
    notebook.locator("a", has_text="deep").wait_for()
    assert notebook.locator("a", has_text="deep").bounding_box()["y"] < 600
    assert opened == []

    notebook.locator("a", has_text="out").click()
    question.wait_for()
    with context.expect_page() as coming:
        question.locator("button", has_text="Open").click()
    coming.value.wait_for_load_state()
    assert coming.value.evaluate("window.opener") is None
    assert coming.value.evaluate("document.referrer") == ""
    assert opened[0] == "https://example.com/a?b"
    assert all(each.endswith("/favicon.ico") for each in opened[1:])
    assert outer.url == f"{site}/airflow"
    coming.value.close()

    notebook.locator("a", has_text="mail").click()
    question.wait_for()
    assert question.locator("p").inner_text() == "mailto:a@e.com"
    question.locator("button", has_text="Stay").click()
    notebook.locator("a", has_text="in").first.click()
    notebook.locator("h1:target").wait_for()
    outer.close()


def test_the_tab_asks_about_addresses_of_the_web_and_of_mail_only(site, context):
    """Whatever a notebook gets past the cleaning of its links."""
    outer = context.new_page()
    outer.goto(f"{site}/raw/airflow")
    tab = outer.frame_locator("iframe")
    for place in range(len(NO_ADDRESSES)):
        with outer.expect_request("**/link.html"):
            tab.frame_locator(FRAME).locator(f"#a{place}").click()
        tab.frame_locator(FRAME).locator("#a0").wait_for()
        assert tab.locator("dialog#leave").is_hidden()
    outer.close()
