"""What the API takes and gives: its documentation, and the check of every value."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from flask import Response
from flask.json.provider import DefaultJSONProvider
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d")
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)


def _read(given: Any) -> Any:
    """Read RFC 3339 and nothing else: with an offset; 23:59:60, which Python does not know, as the second before."""
    if not isinstance(given, str):
        return given
    if not _RFC_3339.match(given):
        raise ValueError("write a time as 2026-03-01T10:00:00Z")
    written = given.upper()
    moment = datetime.fromisoformat(f"{written[:16]}:59{written[19:]}" if written[16:19] == ":60" else written)
    if moment.tzinfo is None:
        raise ValueError("a time needs its offset: write 2026-03-01T10:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _FIRST if moment.year == 1 else _LAST


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# A moment in RFC 3339: any offset is taken, UTC with milliseconds is given.
Moment = Annotated[
    datetime,
    BeforeValidator(_read),
    PlainSerializer(_written, return_type=str, when_used="json"),
    Field(examples=["2026-03-01T10:00:00.000Z"]),
]

# Text of people and programs: anything but NUL, which MongoDB's indexes and CSV files stumble over.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


def worded(remedy: str) -> WrapValidator:
    """Tell people in words what a value must be, where its pattern (for programs, in the OpenAPI file) is not met."""

    def check(given: Any, read: ValidatorFunctionWrapHandler) -> Any:
        try:
            return read(given)
        except ValidationError as error:
            code = error.errors()[0]["type"]
            if code != "string_pattern_mismatch":
                raise
            raise PydanticCustomError(code, remedy) from None

    return WrapValidator(check)


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
        value.pop("examples", None)  # a parameter's are named, and in another place


class Query(BaseModel):
    """Parameters of an address. Names end in `Query`; flask-openapi3 takes them as the argument `query`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_null)


class PagedQuery(Query):
    """Parameters of a list."""

    cursor: Cursor = ""
    limit: Limit = 50


class Path(BaseModel):
    """Parts of an address. Names end in `Path`; flask-openapi3 takes them as the argument `path`."""


class ReadJson(DefaultJSONProvider):
    """How the app reads JSON: what Python gives up on is no JSON."""

    def loads(self, s: str | bytes, **given: Any) -> Any:
        """Read JSON; ValueError for what is none, or nested so deep that it cannot be read."""
        try:
            return super().loads(s, **given)
        except RecursionError:
            raise ValueError("nested too deep") from None


# Deeper than anybody writes, and less than what reading it again takes of Python's stack.
_DEEPEST = 150


def _whole(given: Any, depth: int = 0) -> Any:
    """Read 1.0 as 1: to JSON they are the same number. PydanticCustomError for what JSON does not have."""
    if depth > _DEEPEST:
        raise PydanticCustomError("too_deep", f"Nest values {_DEEPEST} deep at most")
    if isinstance(given, dict):
        return {name: _whole(value, depth + 1) for name, value in given.items()}
    if isinstance(given, list):
        return [_whole(value, depth + 1) for value in given]
    if isinstance(given, float) and not math.isfinite(given):
        raise PydanticCustomError("no_number", "Send finite numbers: JSON has no others")
    return int(given) if isinstance(given, float) and given.is_integer() else given


class Body(BaseModel):
    """What is sent as JSON. Names end in `Body`; flask-openapi3 takes them as the argument `body`."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def model_validate(cls, obj: Any, **given: Any) -> Self:
        """Take what the schema says and nothing that merely resembles it: 0 is not false, "1" is not 1."""
        try:
            written = json.dumps(_whole(obj))
        except PydanticCustomError as error:
            raise ValidationError.from_exception_data(cls.__name__, [{"type": error, "input": None}]) from None
        return super().model_validate_json(written, **(given | {"strict": True}))


class Page(BaseModel):
    """A page of a list; lists declare `items` beside it."""

    next_cursor: str | None = Field(None, description="Give it as `cursor` for the next page; null on the last one.")


def reply(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a model."""
    return Response(model.model_dump_json(), status, headers, content_type="application/json")
