"""The console's blueprint: what holds for every page of it, and the way to each part."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort
from flask.typing import ResponseReturnValue

from gateway.admin import errors, headers, login
from gateway.admin.login import access, runtime
from gateway.core.access import Role
from gateway.core.errors import SpoolUnavailable
from gateway.logs import log

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

bp = Blueprint("admin", __name__, url_prefix="/admin", template_folder="templates", static_folder="static")
bp.before_request(login.require)
errors.register(bp)
headers.register(bp)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the console in its navigation; `pages` are all endpoints that belong to it, the first is its start."""

    name: str
    pages: tuple[str, ...]
    needs: Role = "viewer"
    in_development: bool = False
    # For those who see every channel: what is shown there is of all of them.
    everywhere: bool = False


PARTS = (
    Part("Sessions", ("admin.sessions", "admin.session", "admin.contact_sessions", "admin.contact_history")),
    Part("What-if", ("admin.what_if",)),
    Part("Analytics", ("admin.analytics_page",)),
    Part(
        "Operations",
        (
            "admin.operations", "admin.outbox", "admin.webhooks", "admin.webhook", "admin.channels", "admin.channel",
            "admin.set_channel", "admin.api_keys", "admin.add_api_key", "admin.events",
        ),
        needs="admin",
        everywhere=True,
    ),
    Part("People", ("admin.people_list", "admin.add_person", "admin.change_person"), needs="admin"),
    Part("Phone", ("admin.phone", "admin.phone_text", "admin.phone_call"), needs="agent", in_development=True),
)  # fmt: skip


@bp.context_processor
def _surroundings() -> dict[str, Any]:
    """Let every page show the parts its reader may use, and tell of what waits in this host's spool."""
    serving, reader = runtime(), access()
    parts = [
        part
        for part in PARTS
        if reader.has(part.needs)
        and (serving.settings.is_development or not part.in_development)
        and (reader.channels is None or not part.everywhere)
    ]
    try:
        return {"spooled": serving.spool.depth(), "parts": parts, "access": reader}
    except SpoolUnavailable as error:
        log.error("spool_unavailable", message=str(error)[:300])
        return {"spooled": None, "parts": parts, "access": reader}


# Without these, what is no page of the console would be answered by the app, outside the console's layout.
@bp.route("/", methods=METHODS[1:], endpoint="no_such_method")
@bp.route("/<path:_rest>", methods=METHODS, endpoint="no_such_page")
@login.needs("viewer")
def no_such_page(_rest: str = "") -> ResponseReturnValue:
    """Say that there is no such page."""
    abort(404 if _rest else 405)
