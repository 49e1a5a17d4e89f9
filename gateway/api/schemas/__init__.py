"""What the API takes and gives: its documentation, and the check of every value."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints

_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)


def _without_leap_second(given: Any) -> Any:
    """Read 23:59:60, which RFC 3339 allows and Python does not, as the second before."""
    return given.replace(":60", ":59", 1) if isinstance(given, str) and given[16:19] == ":60" else given


def _in_utc(given: datetime) -> datetime:
    if given.tzinfo is None:
        raise ValueError("a time needs its offset: write 2026-03-01T10:00:00Z")
    try:
        return given.astimezone(UTC)
    except OverflowError:
        return _FIRST if given.year == 1 else _LAST


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# A moment in RFC 3339: any offset is taken, UTC with milliseconds is given.
Moment = Annotated[
    datetime,
    BeforeValidator(_without_leap_second),
    AfterValidator(_in_utc),
    PlainSerializer(_written, return_type=str, when_used="json"),
    Field(examples=["2026-03-01T10:00:00.000Z"]),
]

# Text of people and programs: anything but NUL, which MongoDB's indexes and CSV files stumble over.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]

Limit = Annotated[int, Field(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[str, Field(max_length=200, description="`next_cursor` of the page before.")]


def _without_null(schema: dict[str, Any]) -> None:
    """What is left out of an address is not there: no parameter has the value null."""
    for value in schema.get("properties", {}).values():
        kinds = [kind for kind in value.pop("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            value.update(kinds[0])
        elif kinds:
            value["anyOf"] = kinds
        if "default" in value and value["default"] is None:
            del value["default"]


class Query(BaseModel):
    """Parameters of an address. Names end in `Query`; flask-openapi3 takes them as the argument `query`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_null)


class PagedQuery(Query):
    """Parameters of a list."""

    cursor: Cursor = ""
    limit: Limit = 50


class Path(BaseModel):
    """Parts of an address. Names end in `Path`; flask-openapi3 takes them as the argument `path`."""


class Body(BaseModel):
    """What is sent as JSON. Names end in `Body`; flask-openapi3 takes them as the argument `body`."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel):
    """A page of a list; lists declare `items` beside it."""

    next_cursor: str | None = Field(None, description="Give it as `cursor` for the next page; null on the last one.")


def reply(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a model."""
    return Response(model.model_dump_json(), status, headers, content_type="application/json")
