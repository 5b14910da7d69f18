"""Entries of AWS's Price List of SageMaker, as GetProducts sends them."""

from __future__ import annotations

import json

REGION = "eu-west-1"


def row(name="ml.m5.large", price="0.1380000000", *, as_text=True, unit="Hrs", currency="USD", **attributes):
    """Return an entry as GetProducts sends it: a JSON text."""
    given = {
        "regionCode": REGION,
        "servicecode": "AmazonSageMaker",
        "instanceName": name,
        "platoinstancetype": "Training",
        "usagetype": f"EU-Train:{name}",
        "operation": "RunInstance",
    } | attributes
    dimension = {
        "unit": unit,
        "rateCode": "x.y.z",
        "pricePerUnit": {currency: price},
        "beginRange": "0",
        "endRange": "Inf",
    }
    entry = {
        "product": {"productFamily": "ML Instance", "attributes": {k: v for k, v in given.items() if v is not None}},
        "serviceCode": "AmazonSageMaker",
        "terms": {"OnDemand": {"x.y": {"priceDimensions": {"x.y.z": dimension}, "sku": "x"}}},
    }
    return json.dumps(entry) if as_text else entry
