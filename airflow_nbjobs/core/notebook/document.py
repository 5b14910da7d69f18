"""
Notebooks as values: parsed from text, asked about, and written as bytes.

Called by staging, parameters, outputs and results, and while DAGs are parsed, so nbformat is imported inside functions; ``core.notebook.source`` answers
what is asked about the cells' code. Must never import airflow, boto3 or anything that touches disk or network.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.notebook.nesting import is_deeper_than

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbformat import NotebookNode

# Metadata key of the cells that we add to the staged copy; its value says which one it is.
MARK = "airflow_nbjobs"
_NBFORMAT = 4
_NBFORMAT_MINOR_WITH_CELL_IDS = 5
CELL_TYPES = ("code", "markdown", "raw")
# Copying and writing a notebook take Python several calls a level, the driver as well as us. What people plot has some 20 levels.
NESTING_LIMIT = 150
# Kernels whose cells run on a Spark cluster, not in the kernel's own Python: what we add to a notebook cannot work there.
_REMOTE_KERNEL = re.compile(r"spark|glue", re.IGNORECASE)
_PYTHON_KERNEL = re.compile(r"(?:i|x)?python\d*", re.IGNORECASE)
_OTHER_KERNEL = re.compile(r"(?:ir|r|xr|bash|matlab|(?:julia|scala|almond|\.net).*)", re.IGNORECASE)


def parse_notebook(text: str | bytes, *, source: str) -> NotebookNode:
    """
    Return the notebook, in the nbformat 4 minor version that it is written in.

    Checks what the driver would break on; like Jupyter, it does not insist on the schema to the letter (a stray key in an
    output is the author's business).

    :param source: where the text comes from, named first in every error.
    :raises NotebookJobConfigError: not JSON, not nbformat 4, not of a notebook's structure, or without a code cell.

    Source: nbformat's ``v4/nbformat.v4.schema.json``, and what its reader, which the driver calls, raises on.
    """
    raw = load_json(text, source)
    problem = _structure_problem(raw)
    if problem:
        raise NotebookJobConfigError(f"'{source}' is not a valid notebook: {problem}")
    if not any(cell["cell_type"] == "code" for cell in raw["cells"]):
        raise NotebookJobConfigError(f"'{source}' has no code cell: there is nothing to run")
    import nbformat

    nb: NotebookNode = nbformat.v4.to_notebook_json(raw)
    if nb.nbformat_minor >= _NBFORMAT_MINOR_WITH_CELL_IDS:
        for position, cell in enumerate(nb.cells):
            if not isinstance(cell.get("id"), str):  # written by hand or by a careless tool; Jupyter adds them silently
                cell["id"] = _cell_id(f"{position}\n{cell.source}")
    return nb


def read_cells(text: str | bytes, source: str) -> dict[str, Any]:
    """
    Return the notebook as plain JSON whose cells can be asked for tags and source: where that is all, nbformat's import and the check of every output
    would cost more.

    :raises NotebookJobConfigError: not JSON, not nbformat 4, or without a list of cells.
    """
    raw = load_json(text, source)
    cells = raw.get("cells")
    is_sound = isinstance(cells, list) and all(isinstance(cell, dict) for cell in cells)
    if not is_sound or not isinstance(raw.get("metadata", {}), dict):
        raise NotebookJobConfigError(f"'{source}' is not a valid notebook: {_structure_problem(raw)}")
    return raw


def load_json(text: str | bytes, source: str) -> dict[str, Any]:
    """
    Return the JSON object of a notebook in nbformat 4, nothing of it checked but that.

    :raises NotebookJobConfigError: not JSON, no object, or of another nbformat.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise NotebookJobConfigError(f"'{source}' is not a notebook: not UTF-8 text ({exc})") from exc
    if not text.strip():
        raise NotebookJobConfigError(f"'{source}' is empty")
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as exc:
        if text.startswith("version https://git-lfs.github.com/"):
            raise NotebookJobConfigError(
                f"'{source}' is a Git LFS pointer, not the notebook; fetch it where the DAGs are deployed: git lfs pull"
            ) from exc
        hint = "; it contains merge conflict markers (<<<<<<<)" if re.search(r"^<{7} ", text, re.MULTILINE) else ""
        raise NotebookJobConfigError(
            f"'{source}' is not a notebook: not JSON, line {exc.lineno} column {exc.colno}: {exc.msg}{hint}"
        ) from exc
    except (RecursionError, ValueError) as exc:
        raise NotebookJobConfigError(f"'{source}' is not a notebook: {exc}") from exc
    if not isinstance(raw, dict):
        raise NotebookJobConfigError(f"'{source}' is not a notebook: a JSON {type(raw).__name__}, not an object")
    version = raw.get("nbformat")
    if version != _NBFORMAT or isinstance(version, bool):
        raise NotebookJobConfigError(_wrong_version(version, source))
    return raw


def _wrong_version(version: object, source: str) -> str:
    if version is None:
        return f"'{source}' is not a notebook: it has no 'nbformat' key"
    if isinstance(version, int) and version < _NBFORMAT:
        return (
            f"'{source}' has nbformat {version}, notebook jobs run nbformat 4; convert it: "
            f"jupyter nbconvert --to notebook --nbformat 4 --inplace '{source}'"
        )
    return f"'{source}' has nbformat {version!r}, notebook jobs run nbformat 4; save it as nbformat 4"


def _structure_problem(raw: dict[str, Any]) -> str | None:
    if not isinstance(raw.setdefault("nbformat_minor", 0), int):
        return "'nbformat_minor' is not a number"
    metadata = raw.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        return "'metadata' is not an object"
    if not isinstance(metadata.get("papermill", {}), dict):
        return "'metadata.papermill' is not an object; remove it"
    cells = raw.get("cells")
    if not isinstance(cells, list):
        return "'cells' is missing" if cells is None else "'cells' is not a list"
    for position, cell in enumerate(cells, 1):
        problem = _cell_problem(cell)
        if problem:
            return f"cell {position}: {problem}"
    return f"it is nested more than {NESTING_LIMIT} levels deep" if is_deeper_than(raw, NESTING_LIMIT) else None


def _cell_problem(cell: object) -> str | None:
    if not isinstance(cell, dict):
        return "is not an object"
    if cell.get("cell_type") not in CELL_TYPES:
        return f"'cell_type' is {cell.get('cell_type')!r}, not one of {', '.join(CELL_TYPES)}"
    source = cell.get("source")
    if not (isinstance(source, str) or (isinstance(source, list) and all(isinstance(line, str) for line in source))):
        return "'source' is not text"
    metadata = cell.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        return "'metadata' is not an object"
    tags = metadata.get("tags", [])
    if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        return "'metadata.tags' is not a list of texts"
    if not isinstance(metadata.get("papermill", {}), dict):
        return "'metadata.papermill' is not an object; remove it"
    attachments = cell.get("attachments", {})
    if not (isinstance(attachments, dict) and all(isinstance(bundle, dict) for bundle in attachments.values())):
        return "'attachments' is not an object of objects"
    if cell["cell_type"] != "code":
        return None
    cell.setdefault("execution_count", None)
    outputs = cell.setdefault("outputs", [])
    if not (isinstance(outputs, list) and all(isinstance(output, dict) for output in outputs)):
        return "'outputs' is not a list of objects"
    return next((problem for output in outputs if (problem := _output_problem(output))), None)


def _output_problem(output: dict[str, Any]) -> str | None:
    # The driver drops an output without an output_type before it runs the notebook.
    output_type = output.get("output_type", "")
    if not isinstance(output_type, str):
        return f"the 'output_type' of an output is {output_type!r:.40}, not text"
    if not isinstance(output.get("data", {}), dict):
        return "the 'data' of an output is not an object"
    text = output.get("text", "")
    if isinstance(text, list) and not all(isinstance(line, str) for line in text):
        return "the 'text' of an output is a list that does not hold texts alone"
    return None


def kernel_name(nb: Mapping[str, Any]) -> str | None:
    """The kernel that the notebook was saved with; None where it names none."""
    return _metadata_text(nb, "kernelspec", "name")


def language(nb: Mapping[str, Any]) -> str:
    """The language of the cells, in lower case; ``"python"`` where the notebook does not say."""
    found = _metadata_text(nb, "language_info", "name") or _metadata_text(nb, "kernelspec", "language")
    return (found or "python").lower()


def _metadata_text(nb: Mapping[str, Any], section: str, key: str) -> str | None:
    part = nb.get("metadata", {}).get(section)
    value = part.get(key) if isinstance(part, dict) else None
    return value if isinstance(value, str) and value else None


def is_python(nb: Mapping[str, Any], kernel_name: str) -> bool:
    """
    Whether the cells run in an IPython kernel: only there typed parameters and the outputs' recording cell work.

    Spark kernels (sparkmagic, Glue) write Python, but run it elsewhere: False.
    """
    if _REMOTE_KERNEL.search(kernel_name) or _OTHER_KERNEL.fullmatch(kernel_name):
        return False
    return bool(_PYTHON_KERNEL.fullmatch(kernel_name)) or language(nb) in {"python", "ipython"}


def cells_of(nb: NotebookNode) -> list[NotebookNode]:
    """The cells of a notebook that may be malformed: what is no object is left out."""
    cells = nb.get("cells")
    return [cell for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []


def outputs_of(cell: NotebookNode) -> list[dict[str, Any]]:
    """The outputs of a cell that may be malformed: what is no object is left out."""
    outputs = cell.get("outputs")
    return [output for output in outputs if isinstance(output, dict)] if isinstance(outputs, list) else []


def metadata_of(cell: Mapping[str, Any]) -> dict[str, Any]:
    """The cell's metadata; empty where they are malformed."""
    metadata = cell.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def tags_of(cell: Mapping[str, Any]) -> tuple[str, ...]:
    """The cell's tags; none where its metadata is malformed."""
    tags = metadata_of(cell).get("tags")
    return tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()


def tagged_index(nb: Mapping[str, Any], tag: str) -> int | None:
    """Index from 0 of the first cell with the tag, the one that papermill uses; of a notebook or of its plain JSON."""
    return next((index for index, cell in enumerate(nb["cells"]) if tag in tags_of(cell)), None)


def mark_of(cell: NotebookNode) -> str | None:
    """Which of our own cells this is (``"typed-parameters"``, ``"outputs"``); None for the author's."""
    mark = metadata_of(cell).get(MARK)
    return mark if isinstance(mark, str) else None


def code_cell(source: str, metadata: Mapping[str, object], *, nbformat_minor: int = 5) -> NotebookNode:
    """
    A new code cell; equal inputs give an equal cell.

    :param nbformat_minor: of the notebook that it goes into: cells have an id since 4.5, and must have none before.
    """
    import nbformat

    cell = nbformat.NotebookNode(
        cell_type="code", execution_count=None, metadata=nbformat.from_dict(dict(metadata)), outputs=[], source=source
    )
    if nbformat_minor >= _NBFORMAT_MINOR_WITH_CELL_IDS:
        cell["id"] = _cell_id(source)
    return cell


def _cell_id(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def without_saved_widgets(nb: NotebookNode) -> NotebookNode:
    """
    Return the notebook without the widgets' state of an earlier run; itself where it has none.

    The widgets' outputs go when the notebook runs, the state would stay: nbconvert then fails on the one that Colab saves (it has no ``state``).
    """
    if "widgets" not in nb.metadata:
        return nb
    nb = copy.deepcopy(nb)
    del nb.metadata["widgets"]
    return nb


def dumps(nb: NotebookNode) -> bytes:
    """The notebook as a file's bytes: equal notebooks give equal bytes."""
    import nbformat

    text: str
    try:
        text = nbformat.v4.writes_json(nb)
    except (AttributeError, TypeError):  # an output of another shape than nbformat's: texts then stay in one piece
        text = nbformat.v4.writes_json(nb, split_lines=False)
    # nbformat writes lone surrogates raw, which no UTF-8 file can hold; JSON can escape them.
    text = re.sub(r"[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    return (text if text.endswith("\n") else text + "\n").encode()
