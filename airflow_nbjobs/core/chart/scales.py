"""
Scales of a chart: where a value lies between its ends, and which ticks are written there; for numbers and for instants.

Called by ``drawing.py`` and the pages that draw. Pure; the standard library alone.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DIGITS = 60  # of Decimal: a step of one unit in the last place, of the greatest number there is, leaves no more than 17 that count
_PLAIN = range(-4, 7)  # the exponents of the greatest tick that are written out; others as 1.5e8
_HUGE, _TINY = 1e290, 1e-290
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400
_FIRST, _LAST = (
    (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds(),
    (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH).total_seconds(),
)
_SECONDS = (*(1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200), *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY))
_MONTHS = (1, 2, 3, 6)
_YEARS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Tick(msgspec.Struct, frozen=True):
    """
    One tick.

    :param share: where it lies: 0 at the lower end, 1 at the upper.
    """

    share: float
    label: str


class Scale(msgspec.Struct, frozen=True):
    """
    Maps values from ``low`` to ``high`` to shares from 0 to 1.

    :param factor: what values are multiplied with before they are subtracted, so that neither the greatest nor the smallest floats are lost.
    """

    low: float
    high: float
    ticks: Sequence[Tick] = ()
    factor: float = 1.0

    def share(self, value: float) -> float:
        return (value * self.factor - self.low) / (self.high - self.low)


def number_scale(values: Sequence[float], *, most: int = 6, from_zero: bool = False) -> Scale:
    """
    Return a scale whose ends are ticks: multiples of 1, 2 or 5 times a power of ten.

    :param values: finite; none give a scale from 0 to 1, equal ones a scale around them.
    :param most: ticks, about.
    :param from_zero: the scale begins at 0, or ends there; for quantities.
    """
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = _DIGITS, 999_999, -999_999
        low, high = map(_decimal, (min(values), max(values)) if values else (0.0, 1.0))
        if from_zero:
            low, high = min(low, Decimal(0)), max(high, Decimal(0))
        if low == high:
            around = abs(low) / 10 or Decimal(1)
            low, high = low - around, high + around
        step = _step((high - low) / (most - 1))
        first, last = (
            int((end / step).to_integral_value(rounding))
            for end, rounding in ((low, ROUND_FLOOR), (high, ROUND_CEILING))
        )
        places = [number * step for number in range(first, last + 1)]
        low, high = places[0], places[-1]
        labels = _labels(places, step)
        ticks = tuple(
            Tick(float((place - low) / (high - low)), label) for place, label in zip(places, labels, strict=True)
        )
        greatest = max(abs(low), abs(high))
        factor = 1e-10 if greatest > _HUGE else 1e150 if greatest < _TINY else 1.0
        exact = Decimal(repr(factor))
        return Scale(float(low * exact), float(high * exact), ticks, factor)


def _decimal(value: float) -> Decimal:
    value = float(value)
    # As a person would write it, so that 0.9 lies on the tick 0.9; of the smallest floats that is another number.
    return Decimal(value) if abs(value) < _TINY else Decimal(repr(value))


def _step(least: Decimal) -> Decimal:
    unit = Decimal(1).scaleb(least.adjusted())
    return next(step for times in (1, 2, 5, 10) if (step := unit * times) >= least)


def _labels(places: Sequence[Decimal], step: Decimal) -> list[str]:
    exponent = max(place.adjusted() for place in places if place)
    least = step.normalize().as_tuple().exponent
    assert isinstance(least, int)  # noqa: S101 - a step is finite
    if exponent in _PLAIN and least >= -9:
        return [f"{place:,.{max(-least, 0)}f}" if place else "0" for place in places]
    return [_scientific(place, place.adjusted() - least) for place in places]


def _scientific(place: Decimal, digits: int) -> str:
    if not place:
        return "0"
    mantissa, _, exponent = f"{place:.{max(digits, 0)}E}".partition("E")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def time_scale(moments: Sequence[float], *, most: int = 7) -> Scale:
    """
    Return a scale of instants; its ticks lie on seconds, hours, days, months or years of UTC.

    :param moments: seconds since 1970; none give one day, equal ones half a day around them.
    """
    low, high = (min(moments), max(moments)) if moments else (0.0, float(_DAY))
    low, high = max(low, _FIRST), min(high, _LAST)
    if high - low < 1:
        low, high = low - _DAY / 2, high + _DAY / 2
    ticks, before = [], None
    for moment, kind in _time_ticks(low, high, most):
        label = _time_label(moment, before, kind)
        ticks.append(Tick(((moment - _EPOCH).total_seconds() - low) / (high - low), label))
        before = moment
    return Scale(low, high, tuple(ticks))


def _time_ticks(low: float, high: float, most: int) -> Iterator[tuple[datetime, str]]:
    least = (high - low) / (most - 1)
    for seconds in _SECONDS:
        if seconds >= least:
            shift = 4 * _DAY if seconds >= 7 * _DAY else 0  # weeks begin on Mondays; 1970 began on a Thursday
            kind = "day" if seconds >= _DAY else "minute" if seconds >= 60 else "second"
            number = math.ceil((low - shift) / seconds)
            while number * seconds + shift <= high:
                if (moment := _moment(number * seconds + shift)) is not None:
                    yield moment, kind
                number += 1
            return
    months = next((each for each in _MONTHS if each * 30.44 * _DAY >= least), None)
    years = next((each for each in _YEARS if each * 365.25 * _DAY >= least), _YEARS[-1])
    first_year = (_moment(low) or datetime(1, 1, 1, tzinfo=UTC)).year
    last_year = (_moment(high) or datetime(9999, 1, 1, tzinfo=UTC)).year
    for year in range(first_year, last_year + 1):
        if months is None and year % years:
            continue
        for month in range(1, 13, months) if months else (1,):
            moment = datetime(year, month, 1, tzinfo=UTC)
            if low <= (moment - _EPOCH).total_seconds() <= high:
                yield moment, "month" if months else "year"


def _moment(seconds: float) -> datetime | None:
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _time_label(moment: datetime, before: datetime | None, kind: str) -> str:
    """Return a tick's label; what is the same as at the tick before it is left out."""
    day = f"{moment.day} {moment:%b}"
    if kind == "year":
        return str(moment.year)
    if kind == "month":
        return f"{moment:%b} {moment.year}" if before is None or before.year != moment.year else f"{moment:%b}"
    if kind == "day":
        return f"{day} {moment.year}" if before is None or before.year != moment.year else day
    clock = f"{moment:%H:%M}" if kind == "minute" else f"{moment:%H:%M:%S}"
    return f"{day} {clock}" if before is None or before.date() != moment.date() else clock


def order_scale(moments: Sequence[float], *, most: int = 7) -> Scale:
    """
    Return a scale on which each stands for itself, equally far from the next: 0, 1, 2 …

    :param moments: when each was, for the labels.
    """
    last = max(len(moments) - 1, 0)
    low, high = (-0.5, 0.5) if last == 0 else (0.0, float(last))
    every = max(math.ceil((last + 1) / most), 1)
    ticks, before = [], None
    for place in range(0, len(moments), every):
        moment = _moment(moments[place])
        if moment is not None:
            ticks.append(Tick((place - low) / (high - low), _time_label(moment, before, "day")))
            before = moment
    return Scale(low, high, tuple(ticks))
