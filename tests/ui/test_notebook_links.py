"""A link out of a notebook, in a real browser: our tab, framed as Airflow frames it, asks; only then is it followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from browser import chromium, serving, tab
from rendered import code, document, markdown

from airflow_nbjobs.ui.pages import NOTEBOOK_POLICY, link_page, marked
from airflow_nbjobs.ui.rendering import LINK_MARK, THEME_MARK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.browser]

FRAME = "#notebook iframe[sandbox=allow-scripts]"  # the notebook has loaded
AIRFLOWS = "allow-scripts allow-same-origin allow-forms"  # of the frame that it puts a plugin's page into
NO_ADDRESSES = ("javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "//e.com", "x")


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
    links = link_page()
    raw = "".join(f'<p><a id=a{place} href="/link.html#{each}">x</a>' for place, each in enumerate(NO_ADDRESSES))
    answers: dict[str, tuple[str | bytes, dict[str, str]]] = {"/link.html": (bytes(links.body), dict(links.headers))}
    for base, notebook in (("", html), ("/raw", f"<!doctype html>{raw}")):
        frame = f'<!doctype html><iframe sandbox="{AIRFLOWS}" src="{base}/tab" width=900 height=600></iframe>'
        answers |= tab(base) | {
            f"{base}/airflow": (frame, {}),
            f"{base}/notebook.html": (
                notebook,
                {"content-type": "text/html; charset=utf-8", "content-security-policy": NOTEBOOK_POLICY},
            ),
        }

    with serving(answers) as url:
        yield url


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
    ours = outer.frame_locator("iframe")
    notebook = ours.frame_locator(FRAME)
    question = ours.locator("dialog#leave")

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
    ours = outer.frame_locator("iframe")
    for place in range(len(NO_ADDRESSES)):
        with outer.expect_request("**/link.html"):
            ours.frame_locator(FRAME).locator(f"#a{place}").click()
        ours.frame_locator(FRAME).locator("#a0").wait_for()
        assert ours.locator("dialog#leave").is_hidden()
    outer.close()
