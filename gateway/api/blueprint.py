"""The blueprint of /api/v1: what holds for every address of it.

A part of the API is a module here that adds its views to `bp`, with its models in `schemas/`; `PARTS` in the package
lists them. Views take `query`, `path` and `body` as models, give `reply(model)` and raise `Refused`.
"""

from flask import Response
from flask_openapi3.models.tag import Tag

from gateway.api import auth, limits, problems
from gateway.api.describing import Described
from gateway.core.errors import StoreUnavailable

SECURITY: list[dict[str, list[str]]] = [{"key": []}]


def name_of_view(*, bp_name: str = "", name: str = "", path: str = "", method: str = "") -> str:  # noqa: ARG001
    """Give an operation its id: the name of its view, which is what generated clients call it."""
    return name


bp = Described(
    "api",
    __name__,
    url_prefix="/api/v1",
    abp_security=SECURITY,
    abp_responses=problems.documented(400, 401, 403, 404, 409, 413, 422, 429, 503),
    operation_id_callback=name_of_view,
)
bp.before_request(auth.require)
# The app has a handler of webhooks' for these, which answers TwiML.
bp.register_error_handler(StoreUnavailable, problems.answer)


@bp.after_request
def _protect(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return limits.tell(response)


def tag(name: str, description: str) -> list[Tag]:
    """Name a part of the API as its documentation groups it."""
    return [Tag(name=name, description=description)]
