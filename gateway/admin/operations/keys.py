"""Keys to the REST API: made here, shown once, and ended."""

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import login, sure
from gateway.admin.blueprint import bp
from gateway.admin.login import runtime
from gateway.admin.operations.rooms import operators, show
from gateway.conversation import keys as use
from gateway.conversation.keys import CannotMakeKey
from gateway.store import api_keys as stored
from gateway.store import channels
from gateway.store.connection import deadline

SCOPES = {
    "read": "Read sessions, messages and contacts",
    "write": "Also send messages and act on sessions",
    "admin": "Also what admins may do",
}


@bp.get("/operations/keys")
@operators
def api_keys() -> str:
    """List all keys."""
    return _page()


def _page(*, secret: str = "", refusal: str = "") -> str:
    with deadline():
        keys, lines = stored.every(), channels.listed()
    return show("keys", keys=keys, lines=lines, scopes=SCOPES, secret=secret, refusal=refusal, given=request.form)


@bp.post("/operations/keys")
@operators
def add_api_key() -> ResponseReturnValue:
    """Make a key, and show it this once: a redirect would have to keep it somewhere."""
    form, ticked = request.form, request.form.getlist("channel")
    days = form.get("days", "").strip()
    try:
        if days and not (days.isdecimal() and len(days) <= 5):
            raise CannotMakeKey("Write the days as a whole number, 1 or more, or leave it empty for ever.")
        _, secret = use.create(
            form.get("name", ""),
            form.getlist("scope"),
            runtime().clock.now(),
            by=login.name(),
            limited_to=ticked if ticked or form.get("limited") else None,
            days=int(days) if days else None,
        )
    except CannotMakeKey as refusal:
        return _page(refusal=str(refusal)), 409
    return _page(secret=secret)


@bp.post("/operations/keys/<prefix>/revoke")
@operators
def revoke_api_key(prefix: str) -> ResponseReturnValue:
    """End a key."""
    if not sure.is_sure():
        return sure.ask(url_for(".api_keys"))
    key = use.revoke(prefix, runtime().clock.now(), by=login.name())
    flash(f"The key {key.name} works no more." if key else "That key was ended before.")
    return redirect(url_for(".api_keys"))
