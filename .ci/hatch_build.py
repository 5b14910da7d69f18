"""
README.md as a package index shows it, which has none of the repository's files.

Called by hatchling when it builds. ``NBJOBS_PICTURES_URL`` says where the folder ``.pictures`` is published; without it each picture becomes its caption.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURE = re.compile(r"!\[(?P<caption>[^\]]*)\]\(\.pictures/(?P<name>[^)]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Fills in the project's ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        url = os.environ.get("NBJOBS_PICTURES_URL", "").rstrip("/")
        shown = (
            rf"![\g<caption>]({url}/\g<name>)"
            if url
            else r"*\g<caption>* (`.pictures/\g<name>` of the source distribution)"
        )
        metadata["readme"] = {"content-type": "text/markdown", "text": _PICTURE.sub(shown, text)}
