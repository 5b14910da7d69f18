"""The hostile notebooks compared with each other, by the rendering process as the API server asks it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hostile import NOTEBOOKS

from airflow_nbjobs.ui.notebook.renderer import ComparedSide, CompareRequest, Renderer

if TYPE_CHECKING:
    from pathlib import Path


def compared_documents(folder: Path, *, may_be_refused: set[str]) -> dict[str, str]:
    """Return the document of each notebook with the next one, so that each is on either side, by their names."""
    renderer, documents, failed = Renderer(), {}, {}
    names = list(NOTEBOOKS)
    try:
        for pair in pairwise([*names, names[0]]):
            sides = []
            for place, name in enumerate(pair):
                source = folder / f"side{place}"
                source.write_text(NOTEBOOKS[name])
                sides.append(ComparedSide(source=source, title=name))
            outcome = renderer.render(CompareRequest(left=sides[0], right=sides[1], folder=folder, title=pair[0]))
            if outcome.status == "ok":
                documents[", ".join(pair)] = (folder / "document.html").read_text()
            elif not set(pair) & may_be_refused:
                failed[pair] = outcome
            for left in ("document.html", "summary.json", "reason.txt"):
                (folder / left).unlink(missing_ok=True)
    finally:
        renderer.close()
    assert failed == {}
    return documents
