"""
Markdown as a notebook's author knows it, by nbconvert, then sanitised.

Called by ``document.py`` and ``outputs.py``.
"""

from __future__ import annotations

from markupsafe import Markup
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from airflow_nbjobs.ui.rendering.clean import clean


def markdown_html(source: str, attachments: dict[str, dict[str, str]] | None = None) -> Markup:
    """
    Return the text as HTML; formulas stay as they were typed, since no script may set them; what cannot be read as Markdown stays as typed as well.

    :param attachments: images by name, as base64 by MIME type.
    """
    # embed_images would read files of this machine that the notebook names.
    renderer = IPythonRenderer(
        escape=False, embed_images=False, exclude_anchor_links=True, attachments=attachments or {}
    )
    try:
        return Markup(clean(MarkdownWithMath(renderer=renderer).render(source)))  # noqa: S704 - cleaned
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - nbconvert raises what it likes, e.g. for an attachment that is not there
        return Markup("<pre>{}</pre>").format(source)
