"""
What a ``ResourceLimitExceeded`` says of a quota: whether waiting can help; pure.

Called by ``aws/errors.py``. Source, of texts seen: "The account-level service limit 'ml.m5.2xlarge for training job usage' is 4 Instances, with current utilization of 4
Instances and a request delta of 1 Instances."; older, "The account-level service limit for training-job/ml.p2.xlarge is 0 Instances, …".
"""

from __future__ import annotations

import re

import msgspec

_NUMBER = r"(?P<number>\d[\d,_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(?P<unit>[A-Za-z]*)"
_LIMIT = re.compile(rf"(?:limit|quota)\s+(?:for\s+)?(?P<name>'[^']+'|\"[^\"]+\"|\S+)\s+is\s+{_NUMBER}", re.IGNORECASE)
_USED = re.compile(rf"utilization\s+(?:of|is)\s+{_NUMBER}", re.IGNORECASE)
_ASKED = re.compile(rf"request delta\s+(?:of|is)\s+{_NUMBER}", re.IGNORECASE)
_INSTANCE_TYPE = re.compile(r"\bml\.\w+\.\w+")
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_GIBIBYTES = {"mb": 1 / 1024, "mib": 1 / 1024, "gb": 1.0, "gib": 1.0, "gigabyte": 1.0, "tb": 1024.0, "tib": 1024.0}


class _Amount(msgspec.Struct, frozen=True):
    value: float
    unit: str  # "s", "GiB", or the text's own in the singular


class Quota(msgspec.Struct, frozen=True):
    """
    A quota that has refused a request.

    :param name: as AWS calls it.
    :param never_fits: the request would be refused with nothing else running, too.
    :param is_of_instance_type: it counts one instance type, so that another may do.
    :param remedy: what of the task to change where it never fits; empty where nothing of it would help.
    """

    name: str
    never_fits: bool
    is_of_instance_type: bool
    remedy: str


def parse_quota(message: str) -> Quota | None:
    """Read a ``ResourceLimitExceeded``'s message; None where its wording is not known: it may be in use, then."""
    found = _LIMIT.search(message)
    if found is None:
        return None
    name = found["name"].strip("'\"")
    limit = _amount(found)
    used, asked = _amount(_USED.search(message)), _amount(_ASKED.search(message))
    is_of_instance_type = bool(_INSTANCE_TYPE.search(name))
    if limit is None:
        return None
    return Quota(name, _never_fits(limit, used, asked), is_of_instance_type, _remedy(limit, is_of_instance_type))


def _amount(found: re.Match[str] | None) -> _Amount | None:
    if found is None:
        return None
    value = float(found["number"].replace(",", "").replace("_", ""))
    unit = found["unit"].lower()
    singular = unit.removesuffix("s")
    if singular in _SECONDS:
        return _Amount(value * _SECONDS[singular], "s")
    if singular in _GIBIBYTES:
        return _Amount(value * _GIBIBYTES[singular], "GiB")
    return _Amount(value, singular)


def _never_fits(limit: _Amount, used: _Amount | None, asked: _Amount | None) -> bool:
    if limit.value == 0:
        return True
    if limit.unit == "s":  # each job has its own time: what other jobs use says nothing
        return True
    if asked is not None and asked.unit == limit.unit:
        return asked.value > limit.value
    # Of a size, only what others use can make room.
    return limit.unit == "GiB" and (used is None or used.value == 0)


def _remedy(limit: _Amount, is_of_instance_type: bool) -> str:
    match limit.unit:
        case "s":
            return "lower max_runtime_in_seconds"
        case "GiB":
            return "lower volume_size"
        case "instance":
            return "use another instance_type" if is_of_instance_type else "ask for fewer instances"
    return ""
