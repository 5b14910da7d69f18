"""What an hour of an instance costs, as the user has configured it, or as the Price List has it; pure."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.numbers import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

# Beside the prices in what `nbjobs prices update` writes: texts, which are no prices.
CURRENCY_KEY, REGION_KEY, DATE_KEY = "currency", "region", "date"
_CURRENCY_CHARACTERS = 8
_MOST_SECONDS = 1e15  # of all jobs of a sum


class Prices(msgspec.Struct, frozen=True):
    """
    Prices as the user configured them; this package knows none.

    :param currency: shown before the number.
    """

    per_hour: Mapping[str, float]
    currency: str = "$"

    def amount(self, instance_type: object, billable_seconds: object) -> float | None:
        """Return the list price of so many seconds, in the currency; None where the price or the time is not known."""
        price = self.per_hour.get(instance_type) if isinstance(instance_type, str) else None
        # Whoever may edit XComs can have written any number there.
        if price is None or not is_number(billable_seconds) or not 0 <= billable_seconds < _MOST_SECONDS:
            return None
        return price * billable_seconds / 3600

    def text(self, amount: float) -> str:
        return f"{self.currency}{amount:,.4f}"

    def cost(self, instance_type: object, billable_seconds: object) -> str | None:
        amount = self.amount(instance_type, billable_seconds)
        return None if amount is None else self.text(amount)


def parse_prices(configured: str, currency: str, stored: str = "") -> Prices:
    """
    Read the text of ``[nbjobs] instance_prices``; what is no JSON object of numbers is no price.

    :param currency: of ``[nbjobs] currency``, for the configuration's prices; empty: what the object with the prices says of itself, else dollars.
    :param stored: what ``nbjobs prices update`` wrote, in the same form, and in the currency that it names; the configuration wins over it, type by type. Its prices
        are left out where the configuration's are in another currency: they cannot be added up.
    """
    given, kept = _object(configured), _object(stored)
    own, of_list = _numbers(given), _numbers(kept)
    if not own:
        return Prices(of_list, _currency(kept) or currency or _currency(given) or "$")
    shown = currency or _currency(given) or "$"
    return Prices((of_list if (_currency(kept) or shown) == shown else {}) | own, shown)


def _currency(items: Mapping[str, Any]) -> str:
    said = items.get(CURRENCY_KEY)
    return said[:_CURRENCY_CHARACTERS] if isinstance(said, str) else ""


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _numbers(items: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, price in items.items():
        # A whole number of JSON's may be larger than any float.
        if is_number(price) and 0 <= price < 1e9 and math.isfinite(price):
            found[name] = float(price)
    return found


def written(per_hour: Mapping[str, float], *, currency: str, region: str, date: str) -> str:
    """Return prices as the configuration and the Variable hold them, with where and when they are from."""
    about = {CURRENCY_KEY: currency, REGION_KEY: region, DATE_KEY: date}
    return json.dumps(about | dict(sorted(per_hour.items())), ensure_ascii=False)
