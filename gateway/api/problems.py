"""What the API says when something is wrong: problem details (RFC 9457), with a code for programs."""

import json
from collections.abc import Mapping, Sequence

from flask import Response, current_app, request
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import HTTPException, NotFound

from gateway.core.errors import GatewayError, StoreRefused, StoreUnavailable
from gateway.logs import log

CONTENT_TYPE = "application/problem+json"
# How soon to try again where MongoDB is away.
RETRY_SECONDS = 5
# A wrong value is quoted so far.
_QUOTED = 80

_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Not possible now",
    413: "Too large",
    415: "Not a type this takes",
    416: "No such range",
    422: "Wrong value",
    429: "Too many requests",
    500: "Our fault",
    502: "Not available at the provider",
    503: "Not available",
}
_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    416: "no_such_range",
    503: "busy",
}


class FieldProblem(BaseModel):
    """What is wrong with one value."""

    field: str = Field(description="Where it is: `query.limit`, `body.text`, `body.media.0`.")
    message: str
    code: str = Field(description="What is wrong, in a word that stays the same.")


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(title="Problem")

    type: str = Field("about:blank", description="A URI that names the kind of problem.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    code: str = Field(description="The problem in a word that stays the same, for programs.")
    detail: str = Field(description="What happened, and what to do about it.")
    field: str | None = Field(None, description="The value that is wrong, where it is one.")
    errors: list[FieldProblem] | None = Field(None, description="All values that are wrong.")


class Refused(GatewayError):
    """A request that is answered with a problem; raised by views."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})
        self.problem = Problem(
            title=_TITLES.get(status, "Refused"),
            status=status,
            code=code,
            detail=detail,
            field=field,
            errors=list(errors) or None,
        )

    def response(self) -> Response:
        """Write it down."""
        body = self.problem.model_dump_json(exclude_none=True)
        return Response(body, self.status, self.headers, content_type=CONTENT_TYPE)


def not_found(what: str, given: str) -> Refused:
    """Say that there is no such thing, for whoever asks: what a key may not see is not there for it."""
    return Refused(404, "not_found", f"There is no {what} {given[:_QUOTED]!r} that this key may see.")


def no_such_page(error: ValueError) -> Refused:
    """Say that a cursor is none of this list."""
    return Refused(404, "no_such_page", f"{error}. Begin without a cursor.", field="query.cursor")


def conflict(error: GatewayError, code: str = "conflict", status: int = 409) -> Refused:
    """Say what a use case said when it refused."""
    return Refused(status, code, str(error))


def documented(*statuses: int) -> ResponseDict:
    """Give the responses that answer with a problem, for the OpenAPI file."""
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _TITLES[status], "content": content} for status in statuses}


def of_validation(error: ValidationError) -> Response:
    """Answer a request whose values do not fit; flask-openapi3 asks for it."""
    kinds = {"query": "query", "path": "path", "header": "header", "body": "body", "form": "form"}
    where = next((name for kind, name in kinds.items() if error.title.lower().endswith(kind)), "body")
    if where == "body" and (why := _why_unreadable()):
        unread = FieldProblem(field="body", message=why, code="json_invalid")
        return Refused(422, "wrong_value", f"body: {why}", field="body", errors=[unread]).response()
    found = [
        FieldProblem(
            field=".".join([where, *(str(part) for part in one["loc"])]),
            message=one["msg"].removeprefix("Value error, "),
            code=one["type"],
        )
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first, several = found[0], f" There are {len(found)} such values." if len(found) > 1 else ""
    detail = f"{first.field}: {first.message}.{several}"
    return Refused(422, "wrong_value", detail, field=first.field, errors=found).response()


def _why_unreadable() -> str:
    """Say why the body of a request could not be read as JSON, without a word of it; nothing where it could."""
    if not request.is_json:
        return "Send JSON, and say so: Content-Type: application/json."
    try:
        current_app.json.loads(request.get_data())
    except json.JSONDecodeError as error:
        return f"This is no valid JSON at line {error.lineno}, column {error.colno}: {error.msg}."
    except UnicodeDecodeError as error:
        return f"This is no valid JSON: byte {error.start + 1} is no {error.encoding}."
    except ValueError:
        return "This is JSON that cannot be read: it is nested too deep, or a number in it is too long."
    return ""


def answer(error: Exception) -> Response:
    """Answer an error under the API's paths."""
    if isinstance(error, Refused):
        return error.response()
    if isinstance(error, StoreRefused):
        return Refused(422, "not_storable", "MongoDB cannot hold one of the values.").response()
    if isinstance(error, StoreUnavailable):
        log.error("store_unavailable", message=str(error)[:300], path=request.path)
        detail = "MongoDB does not answer. Nothing was changed that was not confirmed; try again."
        return Refused(503, "store_unavailable", detail, headers={"Retry-After": str(RETRY_SECONDS)}).response()
    if isinstance(error, HTTPException):
        status = error.code or 500
        if error.description == NotFound.description:
            return Refused(status, _CODES[status], _nothing_here()).response()
        kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
        return Refused(status, _CODES.get(status, "refused"), error.description or error.name, headers=kept).response()
    log.exception("request_failed", path=request.path)
    return Refused(500, "our_fault", "That is our fault, and it is in the log.").response()


def _nothing_here() -> str:
    asked = (request.script_root + request.path)[:_QUOTED]
    return f"There is nothing at {asked!r}. All addresses are in {request.script_root}/api/docs."
