"""Who may log in, and what each of them may see and do."""

import secrets
from typing import cast

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import login, sure
from gateway.admin.blueprint import bp
from gateway.admin.login import runtime
from gateway.conversation import people
from gateway.conversation.people import CannotChange
from gateway.core.access import Role
from gateway.store import channels, users
from gateway.store.connection import deadline

_DUTIES = {
    "admin": "everything, users and channels included",
    "agent": "read, answer and act on sessions",
    "viewer": "read",
}


@bp.get("/people")
@login.needs("admin")
def people_list() -> str:
    """List who may log in."""
    return _page()


@bp.post("/people")
@login.needs("admin")
def add_person() -> ResponseReturnValue:
    """Add a user with a password that is made up and shown once, on the answer to this very request."""
    name, password = request.form.get("name", "").strip(), secrets.token_urlsafe(12)
    try:
        people.add(runtime(), login.name(), name, password, _role(), _channels())
    except CannotChange as refusal:
        return _page(refusal=str(refusal), of=""), 409
    return _page(made=(name, password))


@bp.post("/people/<name>")
@login.needs("admin")
def change_person(name: str) -> ResponseReturnValue:
    """Give a user another role, or other channels."""
    try:
        with deadline():
            people.change(runtime(), login.name(), name, _role(), _channels())
    except CannotChange as refusal:
        return _page(refusal=str(refusal), of=name), 409
    return redirect(url_for(".people_list"))


@bp.post("/people/<name>/password")
@login.needs("admin")
def reset_password(name: str) -> ResponseReturnValue:
    """Make up a new password for a user, who is logged out by it."""
    password = secrets.token_urlsafe(12)
    try:
        people.reset_password(runtime(), login.name(), name, password)
    except CannotChange as refusal:
        return _page(refusal=str(refusal)), 409
    return _page(made=(name, password))


@bp.post("/people/<name>/remove")
@login.needs("admin")
def remove_person(name: str) -> ResponseReturnValue:
    """Take a user away."""
    if not sure.is_sure():
        return sure.ask(url_for(".people_list"))
    try:
        with deadline():
            people.remove(runtime(), login.name(), name)
    except CannotChange as refusal:
        return _page(refusal=str(refusal)), 409
    return redirect(url_for(".people_list"))


def _page(*, made: tuple[str, str] | None = None, refusal: str = "", of: str | None = None) -> str:
    """Show everybody; `of` is whose form was refused, "" the one that adds somebody: it stays as it was filled in."""
    with deadline():
        everybody, lines = users.everybody(), channels.by_id()
    return render_template(
        "people.html",
        everybody=everybody,
        lines=lines,
        duties=_DUTIES,
        made=made,
        refusal=refusal,
        of=of,
        given={"name": request.form.get("name", ""), "role": _role(), "channels": _channels()},
    )


def _role() -> Role:
    return cast(Role, request.form.get("role", ""))  # which it may not be: the use case says so


def _channels() -> list[str] | None:
    """Read which channels somebody is limited to; None where they see all."""
    return request.form.getlist("channels") if request.form.get("sees") == "some" else None
