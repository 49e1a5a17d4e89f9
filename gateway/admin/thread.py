"""One session: what was said in it and why, and what an operator does about it."""

import re
import secrets
from typing import Any

from flask import Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway import files
from gateway.admin import inbox, listed, login, transcript
from gateway.admin.blueprint import bp
from gateway.admin.login import access, runtime
from gateway.conversation import actions, media, send
from gateway.conversation.send import CannotSend, Draft
from gateway.core.fetching import MediaFailed, MediaNotThere, MediaRefused
from gateway.store import listing, messages
from gateway.store.connection import deadline

TRANSCRIPT_LIMIT = 500


@bp.get("/sessions/<session_id>")
def session(session_id: str) -> str:
    """Show one session: what was said, and why each message is in it."""
    return _session(session_id)


def _seen(session_id: str) -> dict[str, Any]:
    """Give a session that whoever is logged in may see; 404 for all others, whether or not they exist."""
    found = listing.one(session_id, access().channels)
    if found is None:
        abort(404, "There is no session of that id. It may have been deleted since.")
    return found


@bp.get("/sessions/<session_id>/messages")
def session_messages(session_id: str) -> str:
    """Give the messages of a session alone, for a page that has it open."""
    return render_template("_messages.html", **_thread(session_id))


def _session(session_id: str, *, text: str = "", refusal: str = "") -> str:
    draft = {"text": text, "refusal": refusal, "nonce": secrets.token_hex(16)}
    return render_template("session.html", draft=draft, **inbox.opened(session_id), **_thread(session_id))


def _thread(session_id: str) -> dict[str, Any]:
    with deadline():
        found = _seen(session_id)
        said = messages.transcript(session_id, access().channels, limit=TRANSCRIPT_LIMIT + 1)
    at_provider = runtime().settings.media.keep == "twilio"
    return {
        "row": listed.row(found, runtime().clock.now()),
        "session": found,
        "days": transcript.days(said[-TRANSCRIPT_LIMIT:], at_provider=at_provider),
        "shown": TRANSCRIPT_LIMIT if len(said) > TRANSCRIPT_LIMIT else None,
    }


@bp.post("/sessions/<session_id>/messages")
def reply(session_id: str) -> ResponseReturnValue:
    """Write to the person of a session; what cannot be sent is given back, with the reason."""
    text, nonce = request.form.get("text", ""), request.form.get("nonce", "")
    if not re.fullmatch(r"[0-9a-f]{32}", nonce):
        nonce = secrets.token_hex(16)
    with deadline():
        _seen(session_id)
    try:
        queued = send.reply(runtime(), session_id, Draft(text, author=login.name()), message_id=f"ag:{nonce}")
    except CannotSend as refusal:
        return _session(session_id, text=text, refusal=str(refusal)), 409
    with deadline():
        actions.person_came(runtime(), session_id)
    return redirect(url_for(".session", session_id=queued.session_id, _anchor=queued.message_ids[-1]))


@bp.post("/sessions/<session_id>/hand-back")
def hand_back(session_id: str) -> ResponseReturnValue:
    """Let a session be answered automatically again."""
    with deadline():
        _seen(session_id)
        actions.hand_back(runtime(), session_id)
    return redirect(url_for(".session", session_id=session_id))


@bp.get("/media/<message_id>/<int:number>")
def media_file(message_id: str, number: int) -> Response:
    """Give a file that somebody sent."""
    with deadline():
        if not listing.has_message(message_id, access().channels):
            abort(404, "There is no such message. It may have been deleted since.")
    try:
        opened = media.read(runtime(), message_id, number)
    except (MediaRefused, MediaNotThere) as refusal:
        abort(404, str(refusal))
    except MediaFailed as failure:
        abort(502, f"{failure} Reload this page in a moment.")
    if opened is None:
        abort(404, "There is no such file here. It was not kept, or is not fetched yet.")
    return files.response(opened)
