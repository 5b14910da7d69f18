"""
What two jobs were given, recorded and cost, side by side, as rows for the page: texts, not objects.

Called by ``routes/compare.py``. Pure; the values are untrusted texts of ``value_rows``.
"""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.values.received import VALUE_CHARACTERS, value_rows
from airflow_nbjobs.ui.times import checked_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_nbjobs.core.job.prices import Prices

_DIGITS_CHARACTERS = 400  # of a number that is subtracted
_SHOWN_DIGITS = 12
_NUMBERS = ("int", "float")
_MINUS = "\N{MINUS SIGN}"


def compared_rows(
    left: Sequence[Mapping[str, str]] | None, right: Sequence[Mapping[str, str]] | None
) -> list[dict[str, Any]]:
    """
    Return the values of both sides by name, in the order of the left one, then what the right one has besides; none where one side's are not known (None).

    Each row has a ``name``, ``left`` and ``right`` (``{"type", "text"}``, None where a side has no such value), ``differs``, and ``difference`` in words.
    """
    if left is None or right is None:
        return []
    one, other = _by_name(left), _by_name(right)
    return [_row(name, one.get(key), other.get(key)) for key in {**one, **other} for name in [key[0]]]


def _by_name(rows: Sequence[Mapping[str, str]]) -> dict[tuple[str, int], Mapping[str, str]]:
    """Return rows by name; what has no name of its own, such as a note, by how many of that name come before it."""
    seen: Counter[str] = Counter()
    found = {}
    for row in rows:
        found[row["name"], seen[row["name"]]] = row
        seen[row["name"]] += 1
    return found


def _row(name: str, left: Mapping[str, str] | None, right: Mapping[str, str] | None) -> dict[str, Any]:
    sides = [None if each is None else {"type": each["type"], "text": each["text"]} for each in (left, right)]
    row: dict[str, Any] = {"name": name, "left": sides[0], "right": sides[1]}
    if left is None or right is None:
        return row | {"differs": True, "difference": "only on the right" if left is None else "only on the left"}
    if (left["type"], left["text"]) == (right["type"], right["text"]):
        is_cut = len(left["text"]) > VALUE_CHARACTERS
        return row | {"differs": False, "difference": "the same as far as they are kept here" if is_cut else ""}
    is_number = left["type"] in _NUMBERS and right["type"] in _NUMBERS
    said = number_difference(left["text"], right["text"]) if is_number else ""
    is_other_type = left["type"] != right["type"] and not said
    return row | {"differs": True, "difference": "another type" if is_other_type else said}


def number_difference(left: str, right: str) -> str:
    """
    Return how much more the right one of two numbers is, and in per cent where they have not opposite signs; empty where that says nothing.

    Exact as decimals: of 0.87 and 0.875 it is 0.005.
    """
    one, other = _decimal(left), _decimal(right)
    if one is None or other is None:
        return ""
    with localcontext() as context:
        context.prec = 2 * _DIGITS_CHARACTERS
        context.traps[InvalidOperation] = False
        difference = other - one
        if not difference.is_finite() or not difference:
            return ""
        said = _signed(difference)
        if not one or one * other < 0:
            return said
        percent = 100 * difference / abs(one)
        is_sensible = Decimal("0.005") <= abs(percent) < 100_000
        return f"{said} ({_signed(percent.quantize(Decimal('0.01'), ROUND_HALF_UP))} %)" if is_sensible else said


def _decimal(text: str) -> Decimal | None:
    if len(text) > _DIGITS_CHARACTERS:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    # An exponent that no number of Python's has would make a number of as many digits.
    return number if number.is_finite() and abs(number.adjusted()) <= _DIGITS_CHARACTERS else None


def _signed(number: Decimal) -> str:
    with localcontext() as context:
        if number != number.to_integral_value() or abs(number.adjusted()) >= 2 * _SHOWN_DIGITS:
            context.prec = _SHOWN_DIGITS
            number = +number
        is_plain = -6 <= number.adjusted() < 2 * _SHOWN_DIGITS
        text = f"{number.normalize():{'f' if is_plain else '.6g'}}"
    return text.replace("-", _MINUS) if number < 0 else f"+{text}"


def duration_difference(left: float | None, right: float | None) -> str:
    """Return how much longer the right one of two times in seconds is."""
    if left is None or right is None or round(left) == round(right):
        return ""
    longer = right - left
    said = checked_duration(abs(longer))
    if said is None:
        return ""
    percent = f" ({longer / left * 100:+.0f} %)".replace("-", _MINUS) if left > 0 and abs(longer / left) < 1000 else ""
    return f"{_MINUS if longer < 0 else '+'}{said}{percent}"


def cost_difference(left: float | None, right: float | None, prices: Prices) -> str:
    """Return how much more the right one of two amounts is, of the amounts as they are shown: a reader may subtract them."""
    if left is None or right is None or prices.text(left) == prices.text(right):
        return ""
    return f"{_MINUS if right < left else '+'}{prices.text(abs(round(right, 4) - round(left, 4)))}"


def parameters_of_both(
    read: Sequence[Sequence[Mapping[str, str]] | None],
    rendered: Sequence[object],
    hyperparameters: Sequence[Mapping[str, str] | None],
) -> list[Sequence[Mapping[str, str]] | None]:
    """
    Return both sides' parameters as rows from one place, since each place writes them in its own way; None for a side of which nothing is known.

    :param read: as the notebooks got them; None where that cannot be read.
    :param rendered: as Airflow recorded them.
    :param hyperparameters: as the jobs have them.
    """
    recorded = [value_rows(each, is_python=True) if isinstance(each, dict) else None for each in rendered]
    texts = [
        None if each is None else [{"name": name, "type": "", "text": text} for name, text in each.items()]
        for each in hyperparameters
    ]
    places = (list(read), recorded, texts)
    for place in places:
        if all(each is not None for each in place):
            return [each or [] for each in place]
    return [next((rows for place in places if (rows := place[side]) is not None), None) for side in (0, 1)]
