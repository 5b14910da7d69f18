"""What an hour of an instance costs, from Airflow's configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_nbjobs.ui.times import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Prices:
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


def read_prices() -> Prices:
    """Read ``[nbjobs] instance_prices``; what is no JSON object of numbers is no price."""
    from airflow.configuration import conf

    try:
        configured = json.loads(conf.get("nbjobs", "instance_prices", fallback="") or "{}")
    except ValueError:
        configured = {}
    items = configured.items() if isinstance(configured, dict) else ()
    per_hour = {name: float(price) for name, price in items if is_number(price)}
    return Prices(per_hour, conf.get("nbjobs", "currency", fallback="$") or "$")
