"""
The pages around the notebook, which are ours: templates, and the policy that each is served under.

Called by the routes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.ui import rendering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_CHUNK_BYTES = 256 * 1024

# The notebook: opaque origin, no script, no request; images are its own bytes. Airflow's pages and ours may frame it.
_FRAMED = "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
NOTEBOOK_POLICY = f"sandbox; {rendering.POLICY}; {_FRAMED}"
# The notebook whose reader has asked for its scripts. A policy of content alone does not keep scripts off the network (WebRTC); from version 156 on at
# the latest Chromium does so where a page names what it may connect to: nothing. `templates/tab.js` offers scripts only to a browser that does.
SCRIPTED_POLICY = f"sandbox allow-scripts; {rendering.SCRIPTED_POLICY}; {_FRAMED}"
NO_CONNECTIONS = {"Connection-Allowlist": "()"}
TEXT_POLICY = "sandbox; default-src 'none'; frame-ancestors 'self'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-DNS-Prefetch-Control": "off",
}
TAB_SCRIPTS = ("tab_page.js", "tab.js", "tab_log.js")
UNSTORED = HEADERS | {"Cache-Control": "private, no-store"}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("airflow_nbjobs.ui", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"style": _style, "script_text": _script}
    return environment


def _visible(value: Any) -> Any:
    """Mark what is unseen in every text of a page that is not its own."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


class VisibleJSONResponse(JSONResponse):
    """An answer for our pages' scripts, in which what is unseen is marked: they show it as it comes."""

    def render(self, content: Any) -> bytes:
        return visible(json.dumps(content, ensure_ascii=False, separators=(",", ":"))).encode()


@cache
def _style() -> Markup:
    return Markup(_part("page.css"))  # noqa: S704 - our own file


@cache
def _script(*names: str) -> Markup:
    return Markup("".join(_part(name) for name in ("common.js", *names)))  # noqa: S704 - our own files


def _part(name: str) -> str:
    return files("airflow_nbjobs.ui").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _policy(*scripts: str) -> str:
    """Return the policy of one of our pages: these scripts and our styles, known by their hashes; requests to this server only."""

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {hashed(_script(*scripts))}; style-src {hashed(_style())}; img-src data:; "
        "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    )


def page(template: str, *scripts: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """
    Return one of our own pages.

    :param scripts: files of ``templates/``, which the page holds one after another.
    """
    html = _environment().get_template(template).render(scripts=scripts, **values)
    headers = UNSTORED | {"Content-Security-Policy": _policy(*scripts)}
    return HTMLResponse(html, status_code=status_code, headers=headers)


def link_page() -> HTMLResponse:
    """Return the page in the notebook's frame that asks the page around it about a link; of an origin of its own there as well."""
    answer = page("link.html", "link.js")
    answer.headers["Content-Security-Policy"] = f"sandbox allow-scripts; {_policy('link.js')}"
    return answer


def marked(document: BinaryIO, marks: dict[str, str]) -> Iterator[bytes]:
    """Yield a document with values for the marks that the rendering left in it."""
    values = [(mark.encode(), value.encode()) for mark, value in marks.items()]
    most = max(len(mark) for mark, _ in values)
    held = b""
    with document as file:
        while chunk := file.read(_CHUNK_BYTES):
            held += chunk
            for mark, value in values:
                held = held.replace(mark, value)
            yield held[:-most]
            held = held[-most:]  # a mark may end in the next chunk
    yield held
