"""The blueprint of /api/chat: who may ask, from which pages, and what every response of it carries."""

from flask import Response, request

from gateway.api import chat_auth, limits, problems
from gateway.api.auth import runtime
from gateway.api.blueprint import SECURITY, name_of_view, tag
from gateway.api.describing import Described
from gateway.core.errors import StoreUnavailable

tags = tag("Chat", "Conversations from a website or an app. See docs/api/chat.md.")

# How long a browser remembers that it may ask.
_REMEMBERED_SECONDS = 600

bp = Described(
    "chat",
    __name__,
    url_prefix="/api/chat",
    abp_security=SECURITY,
    abp_responses=problems.documented(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    operation_id_callback=name_of_view,
)
bp.before_request(chat_auth.require)
bp.register_error_handler(StoreUnavailable, problems.answer)


@bp.after_request
def _open(response: Response) -> Response:
    """Let the pages of the sites in `chat.origins` read it; never with cookies, which nothing here looks at."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin", "")
    if origin in runtime().settings.chat.origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Retry-After, RateLimit-Remaining, RateLimit-Reset"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Access-Control-Max-Age"] = str(_REMEMBERED_SECONDS)
    return limits.tell(response)
