"""
Entries of AWS's Price List of SageMaker: which of them is the hour of a training job's instance, and what it costs.

Called by ``commands/pricing/``; pure. Source: shapes of ``pricing:GetProducts``, whose entries are JSON texts; rows as public programs that read them describe them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SERVICE_CODE = "AmazonSageMaker"
FAMILY = "ML Instance"
_COMPONENTS = ("platoinstancetype", "component")  # now, and in older lists
_NAMES = ("instanceName", "platoinstancename", "instanceType")
_USAGE = re.compile(r"(?:^|-)Train:(ml\.[a-z0-9-]+\.[a-z0-9-]+)$")
_TYPE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9-]+")
# The free tier's hours, geospatial ones, and what is bought for a time in advance.
_OTHERS = re.compile(r"free|_geo|spot|plan|reserved", re.IGNORECASE)
_HOURS = frozenset({"hrs", "hr", "hour", "hours"})


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an hour of each type costs.

    :param currency: as the list says, ``USD``.
    :param unclear: types of which the list says several prices: none of them is taken.
    """

    per_hour: Mapping[str, float]
    currency: str
    unclear: tuple[str, ...] = ()


def filters(region: str, instance_type: str | None = None) -> list[dict[str, str]]:
    """Return what GetProducts is asked for. The component, which has two spellings, is looked at here."""
    wanted = {"regionCode": region, "productFamily": FAMILY} | (
        {"instanceName": instance_type} if instance_type else {}
    )
    return [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]


def parse_price_list(entries: Iterable[object], region: str) -> PriceList:
    """Read entries of GetProducts; those that are not of training jobs' instances in the region, or that cannot be read, are passed over."""
    found: dict[str, dict[bool, set[tuple[str, float]]]] = {}
    for entry in entries:
        product = _object(entry)
        attributes = _texts(_object(_object(product.get("product")).get("attributes")))
        name, is_exact = _instance_of(attributes, region)
        if name:
            found.setdefault(name, {True: set(), False: set()})[is_exact].update(_prices(product))
    prices, unclear, currencies = {}, [], []
    for name, of_rows in found.items():
        candidates = of_rows[True] or of_rows[False]  # what the usage type says as well is surer
        if len(candidates) > 1:
            unclear.append(name)
        elif candidates:
            ((currency, price),) = candidates
            currencies.append(currency)
            prices[name] = price
    currency = max(set(currencies), key=currencies.count) if currencies else "USD"
    return PriceList(per_hour=dict(sorted(prices.items())), currency=currency, unclear=tuple(sorted(unclear)))


def _instance_of(attributes: Mapping[str, str], region: str) -> tuple[str | None, bool]:
    """Return the instance type of a row of a training job, and whether its usage type says so as well."""
    usage = _USAGE.search(attributes.get("usagetype", ""))
    component = next((attributes[name] for name in _COMPONENTS if attributes.get(name)), "")
    if (
        _OTHERS.search(f"{attributes.get('usagetype', '')} {component}")
        or attributes.get("regionCode", region) != region
    ):
        return None, False
    if component.lower() != "training" and not (usage and not component):
        return None, False
    if usage:
        return usage[1], True
    for name in _NAMES:
        if _TYPE.fullmatch(attributes.get(name, "").removesuffix("-Training")):
            return attributes[name].removesuffix("-Training"), False
    return None, False


def _prices(product: Mapping[str, Any]) -> set[tuple[str, float]]:
    found = set()
    for term in _object(_object(product.get("terms")).get("OnDemand")).values():
        for dimension in _object(_object(term).get("priceDimensions")).values():
            row = _object(dimension)
            per_unit = _object(row.get("pricePerUnit"))
            currency = "USD" if "USD" in per_unit else next(iter(per_unit), "")
            try:
                price = float(str(per_unit.get(currency)))
            except ValueError:
                continue
            # An hour that costs nothing is an allowance, not a price.
            if str(row.get("unit", "")).lower() in _HOURS and 0 < price < 1e6:
                found.add((str(currency), price))
    return found


def _object(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in values.items() if isinstance(value, str)}
