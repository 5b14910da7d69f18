"""What an hour of an instance costs, as the user has configured it; pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.numbers import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        return price * billable_seconds / 3600 if price is not None and is_number(billable_seconds) else None

    def text(self, amount: float) -> str:
        return f"{self.currency}{amount:,.4f}"

    def cost(self, instance_type: object, billable_seconds: object) -> str | None:
        amount = self.amount(instance_type, billable_seconds)
        return None if amount is None else self.text(amount)


def parse_prices(configured: str, currency: str) -> Prices:
    """
    Read the text of ``[nbjobs] instance_prices``; what is no JSON object of numbers is no price.

    :param currency: empty: dollars.
    """
    try:
        value = json.loads(configured or "{}")
    except ValueError:
        value = {}
    items = value.items() if isinstance(value, dict) else ()
    return Prices({name: float(price) for name, price in items if is_number(price)}, currency or "$")
