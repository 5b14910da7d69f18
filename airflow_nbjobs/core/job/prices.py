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

    def cost(self, instance_type: object, billable_seconds: object) -> str | None:
        price = self.per_hour.get(instance_type) if isinstance(instance_type, str) else None
        if price is None or not is_number(billable_seconds):
            return None
        return f"{self.currency}{price * billable_seconds / 3600:,.4f}"


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
