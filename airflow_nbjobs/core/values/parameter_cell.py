"""
How parameters reach the notebook: as the strings of the request, and as a typed cell in the staged notebook.

Called by ``aws/submit/content.py``. Must never import airflow or boto3.
"""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.document import MARK, code_cell, mark_of, tagged_index
from airflow_nbjobs.core.notebook.papermill import INJECTED, cells_before_values
from airflow_nbjobs.core.values.literals import literal
from airflow_nbjobs.core.visible import SURROGATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbformat import NotebookNode

TYPED_PARAMETERS = "typed-parameters"
PARAMETER_TEXT_LIMIT = 2_500  # characters
# Characters that the pattern ".*" of a hyperparameter's value does not match.
_LINE_ENDS = re.compile(r"[\n\r\x85\u2028\u2029]")


def is_plain(text: str) -> bool:
    return not _LINE_ENDS.search(text) and not SURROGATE.search(text)


def hyperparameter_strings(values: Mapping[str, object]) -> dict[str, str]:
    """
    The parameters as CreateTrainingJob takes them: strings as they are, other values as compact JSON of one line.

    nan and infinity are ``NaN`` and ``Infinity``. A string with a line end or a lone surrogate goes as JSON text too, since
    the service's pattern is ``.*``. A form longer than 2,500 characters is left out: the typed cell carries the value.

    Source: shape ``HyperParameters``, botocore ``sagemaker/2017-07-24/service-2``.
    """
    texts = {name: _hyperparameter(value) for name, value in values.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _hyperparameter(value: object) -> str | None:
    if isinstance(value, str) and is_plain(value):
        text = value
    else:
        try:
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            if not is_plain(text):
                text = json.dumps(value, separators=(",", ":"))
        except ValueError:  # an int of more than 4,300 digits
            return None
    return text if len(text) <= PARAMETER_TEXT_LIMIT else None


def prepare_parameters(nb: NotebookNode, values: Mapping[str, object]) -> NotebookNode:
    """
    Return a copy of the notebook with one cell more, which assigns the values as literals.

    It comes right after ``injected-parameters``, else after ``parameters``, else first: papermill puts its own cell of
    strings before it in each case, so the typed values win. Without need, when the hyperparameters carry every value
    unchanged, no cell is added; a notebook that needs no change is returned itself.
    """
    injected = tagged_index(nb, INJECTED)
    is_needed = hyperparameter_strings(values) != dict(values)
    if not is_needed and injected is None and not any(mark_of(cell) == TYPED_PARAMETERS for cell in nb.cells):
        return nb
    nb = copy.deepcopy(nb)
    nb.cells = [cell for cell in nb.cells if mark_of(cell) != TYPED_PARAMETERS]  # a staged copy that is run again
    injected = tagged_index(nb, INJECTED)
    if injected is not None:
        # The author's file counts this cell; one that papermill adds later is none of theirs (``core.notebook.failing_cell``).
        nb.metadata[MARK] = {"has_injected_parameters": True}
    if is_needed:
        place = cells_before_values(nb) + (injected is not None)
        nb.cells.insert(place, _typed_cell(values, nbformat_minor=nb.nbformat_minor))
    return nb


def _typed_cell(values: Mapping[str, object], *, nbformat_minor: int) -> NotebookNode:
    lines = ["# Parameters with their types (added by airflow_nbjobs; they win over the strings above)"]
    lines += [f"{name} = {literal(value)}" for name, value in values.items()]
    return code_cell("\n".join(lines), {MARK: TYPED_PARAMETERS}, nbformat_minor=nbformat_minor)
