"""The forms of a session's page: each does one deed and comes back to the page it was sent from."""

import re
import secrets

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import inbox, login, thread
from gateway.admin.blueprint import bp
from gateway.admin.login import access, runtime
from gateway.conversation import operators
from gateway.conversation.operators import CannotDo
from gateway.conversation.send import Draft
from gateway.conversation.ways import CannotSend
from gateway.store import listing, people
from gateway.store.connection import deadline


class WrongVariables(CannotSend):
    """A template's variables that are not written as such."""


# What is said of each deed: when it was done, and when there was nothing to do.
_DEEDS = {
    "take-over": (
        operators.take_over,
        "You have taken over: nothing is answered automatically until somebody hands back.",
        "The bot was off already.",
    ),
    "hand-back": (operators.hand_back, "The bot answers again.", "The bot answered already."),
    "close": (
        operators.close,
        "Closed. Whatever comes next begins a new session.",
        "It was closed already. Whatever comes next begins a new session.",
    ),
    "archive": (operators.archive, "Archived, and closed for good.", "It was archived already."),
    "unarchive": (operators.unarchive, "Taken out of the archive. It is closed.", "It was not in the archive."),
}


@bp.post("/sessions/<session_id>/messages")
def reply(session_id: str) -> ResponseReturnValue:
    """Write to the person of a session, or a note for ourselves; what is refused is given back, with the reason."""
    if request.form.get("kind") == "note":
        return _note(session_id)
    _must_see_where_it_goes(session_id)
    try:
        queued = operators.reply(runtime(), session_id, _draft(), message_id=f"ag:{_nonce()}")
    except CannotSend as refusal:
        return thread.page(session_id, refusal=str(refusal), wrong=_wrong(refusal)), 409
    shown = _shown(queued.session_id, session_id)
    flash("On its way. It is in this session." if queued.session_id == shown != session_id else "On its way.")
    return _back(shown, queued.message_ids[-1])


def _note(session_id: str) -> ResponseReturnValue:
    _must_see(session_id)
    note_id = f"note:{_nonce()}"
    try:
        operators.add_note(runtime(), session_id, request.form.get("text", ""), login.name(), message_id=note_id)
    except CannotDo as refusal:
        return thread.page(session_id, refusal=str(refusal), wrong="text"), 409
    flash("Noted. Only people who use this console see it.")
    return _back(session_id, note_id)


@bp.post("/sessions/<session_id>/begin")
def begin(session_id: str) -> ResponseReturnValue:
    """Begin a new session: with a first message now, or with whatever comes next."""
    if not request.form.get("text", "").strip():
        return act(session_id, "close")
    _must_see_where_it_goes(session_id)
    try:
        queued = operators.begin(runtime(), session_id, _draft(), message_id=f"ag:{_nonce()}")
    except CannotSend as refusal:
        return thread.page(session_id, refusal=str(refusal), wrong="first"), 409
    flash("A new session has begun, with your message on its way.")
    return _back(_shown(queued.session_id, session_id))


@bp.post("/sessions/<session_id>/<any('take-over', 'hand-back', close, archive, unarchive):deed>")
def act(session_id: str, deed: str) -> ResponseReturnValue:
    """Do what needs no more than to be said."""
    _must_see(session_id)
    do, done, nothing_to_do = _DEEDS[deed]
    flash(done if do(runtime(), session_id, login.name()) else nothing_to_do)
    return _back(session_id)


@bp.post("/sessions/<session_id>/reopen")
def reopen(session_id: str) -> ResponseReturnValue:
    """Open a session again; 409 while another one of its sender is open."""
    _must_see(session_id)
    try:
        operators.reopen(runtime(), session_id, login.name())
    except CannotDo as refusal:
        return thread.page(session_id, refusal=str(refusal), stands=refusal.session_id), 409
    flash("Open again. What you write goes in here, and so do the answers to it.")
    return _back(session_id)


@bp.post("/sessions/<session_id>/title")
def retitle(session_id: str) -> ResponseReturnValue:
    """Give a session another title."""
    return _word(session_id, operators.retitle, "title", "The title is changed.")


@bp.post("/sessions/<session_id>/tags")
def tag(session_id: str) -> ResponseReturnValue:
    """Give a session a tag."""
    return _word(session_id, operators.tag, "tag", "Tagged.")


@bp.post("/sessions/<session_id>/untag")
def untag(session_id: str) -> ResponseReturnValue:
    """Take a tag off a session."""
    return _word(session_id, operators.untag, "tag", "The tag is gone.")


def _word(session_id: str, do: operators.WithWord, field: str, done: str) -> ResponseReturnValue:
    _must_see(session_id)
    try:
        do(runtime(), session_id, request.form.get(field, ""), login.name())
    except CannotDo as refusal:
        return thread.page(session_id, refusal=str(refusal), wrong=field), 409
    flash(done)
    return _back(session_id)


@bp.post("/sessions/<session_id>/contact")
def rename_contact(session_id: str) -> ResponseReturnValue:
    """Give the person of a session another name."""
    with deadline():
        person = people.get(str(inbox.seen(session_id).get("contact_id")))
    if person is None:
        abort(404, "Nobody is known here: the caller withheld their number.")
    operators.rename_contact(runtime(), session_id, person.id, request.form.get("name", ""), login.name())
    flash("The contact is renamed.")
    return _back(session_id)


def _must_see(session_id: str) -> None:
    with deadline():
        inbox.seen(session_id)


def _must_see_where_it_goes(session_id: str) -> None:
    """Refuse what would go out on a channel that whoever is logged in may know nothing of."""
    _must_see(session_id)
    if thread.outlook_for(session_id).refusal == thread.NOT_YOURS:
        abort(403, thread.NOT_YOURS)


def _shown(wanted: str, session_id: str) -> str:
    """Give the session a message went into, or the one it was written in where that is not for its writer to see."""
    with deadline():
        return wanted if listing.one(wanted, access().channels) else session_id


def _draft() -> Draft:
    return Draft(
        request.form.get("text", ""),
        author=login.name(),
        content_sid=request.form.get("content_sid", "").strip() or None,
        content_variables=_variables(request.form.get("variables", "")),
    )


def _variables(written: str) -> dict[str, str]:
    """Read a template's variables: a name and its value a line."""
    lines = [line.partition("=") for line in written.splitlines() if line.strip()]
    if wrong := next(("".join(line) for line in lines if not line[1] or not line[0].strip() or "\0" in line[0]), None):
        raise WrongVariables(f"Write each variable as name=value, a line each. This is none: {wrong.strip()[:60]}")
    return {name.strip(): value.strip() for name, _, value in lines}


def _wrong(refusal: CannotSend) -> str:
    """Tell which field of the form for messages is to be looked at."""
    if isinstance(refusal, WrongVariables):
        return "variables"
    return "content_sid" if request.form.get("content_sid", "").strip() else "text"


def _nonce() -> str:
    given = request.form.get("nonce", "")
    return given if re.fullmatch(r"[0-9a-f]{32}", given) else secrets.token_hex(16)


def _back(session_id: str, message_id: str = "") -> ResponseReturnValue:
    """Lead back to a session; the list beside it stays as it was, as on every way to one."""
    return redirect(url_for(".session", session_id=session_id, _anchor=message_id or None))
