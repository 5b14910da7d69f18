"""
What the addresses of the pages over many runs ask for: read from the query, and written back into links.

Called by the routes and by the queries beside it. Whatever stands in a query, what is understood is done, and the rest is named.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, field_validator

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_COLUMNS = 12  # that one chooses
MOST_RUNS = 10_000
TEXT_CHARACTERS = 1000  # as long as the longest headline that is kept
_NAME_CHARACTERS = 250


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("no database holds a NUL")
    return value


def _one_of_each(values: object) -> object:
    if not isinstance(values, list):
        return [values] if values else []
    return list(dict.fromkeys(each for each in values if each))


_Day = Annotated[
    date | None, BeforeValidator(lambda value: None if value == "" else value)
]  # a form sends "" for a field left empty
_Names = Annotated[
    list[Annotated[str, Field(max_length=_NAME_CHARACTERS), AfterValidator(_storable)]], BeforeValidator(_one_of_each)
]


class Query(BaseModel):
    """A page's query: what is absent does not filter."""

    since: _Day = None
    until: _Day = None
    page: int = Field(1, ge=1, le=100_000)

    def query(self, **changes: Any) -> dict[str, Any]:
        """Return the query's parameters, with changes, without what is at its default; lists for those that there are several of."""
        fields = self.model_copy(update=changes).model_dump(mode="json", exclude_defaults=True)
        return {
            name: value if isinstance(value, list) else str(value)
            for name, value in fields.items()
            if value not in ("", None, [])
        }

    def address(self, **changes: Any) -> str:
        """Return the query as a link has it, after the question mark."""
        return urlencode(self.query(**changes), doseq=True)

    @property
    def first(self) -> datetime | None:
        return _midnight(self.since) if self.since else None

    @property
    def end(self) -> datetime | None:
        """The instant after the last day."""
        return _midnight(self.until + timedelta(days=1)) if self.until and self.until < date.max else None


class Filters(Query):
    """
    The query of the page of all jobs.

    :param output: names of outputs that are columns; ``parameter``: of parameters.
    """

    dag_id: str = Field("", max_length=_NAME_CHARACTERS)
    state: Literal["", "running", "waiting", "deferred", "success", "failed", "up_for_retry"] = ""
    text: str = Field("", max_length=TEXT_CHARACTERS)
    sort: Literal["started", "-started", "dag", "-dag", "state", "-state", "duration", "-duration"] = "-started"
    group: Literal["", "dag", "run"] = ""
    output: _Names = Field(default_factory=list, max_length=MOST_COLUMNS)
    parameter: _Names = Field(default_factory=list, max_length=MOST_COLUMNS)

    @field_validator("state")
    @classmethod
    def _one_word(cls, value: str) -> str:
        return "running" if value == "deferred" else value  # of an address that somebody has kept

    @field_validator("dag_id", "text")
    @classmethod
    def _stripped(cls, value: str) -> str:
        return _storable(value).strip()

    @property
    def is_empty(self) -> bool:
        """Whether all jobs are listed, in whichever order and columns."""
        return not self.query(sort="-started", page=1, group="", output=[], parameter=[])


class TrendFilters(Query):
    """
    The query of a task's outputs over its runs.

    :param runs: how many of the newest are shown.
    :param by: what lies across: ``date``, the logical date, or when it was due of a run without one; ``run_after``; ``order``, one run beside the other.
    :param output: names of the outputs that are drawn; none: all.
    """

    runs: int = Field(200, ge=1, le=MOST_RUNS)
    by: Literal["date", "run_after", "order"] = "date"
    output: _Names = Field(default_factory=list, max_length=MOST_COLUMNS)

    @property
    def is_empty(self) -> bool:
        return not self.query(page=1, by="date")


Read = TypeVar("Read", bound=Query)


def read_query(model: type[Read], query: Mapping[str, Any]) -> tuple[Read, dict[str, str]]:
    """
    Return what an address asks for, and what of it says nothing and is left out.

    :param query: of one that holds a name several times (``getlist``) the last one counts, of a list all do.
    """
    of_several = getattr(query, "getlist", None)
    parameters: dict[str, Any] = {}
    for name in query:
        if name in model.model_fields:
            is_list = of_several is not None and model.model_fields[name].default_factory is list
            parameters[name] = of_several(name) if is_list and of_several else query[name]
    try:
        return model(**parameters), {}
    except ValidationError as error:
        wrong = {str(each["loc"][0]) for each in error.errors()}
    rest = {name: value for name, value in parameters.items() if name not in wrong}
    left_out = {name: value if isinstance(value, str) else ", ".join(value) for name, value in parameters.items()}
    return model(**rest), {name: left_out[name][:60] for name in parameters if name in wrong}


def read_filters(query: Mapping[str, Any]) -> tuple[Filters, dict[str, str]]:
    """Read the query of the page of all jobs."""
    return read_query(Filters, query)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
