"""The console's pages: each view reads what one page shows."""

import re
import secrets
from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway import files
from gateway.admin import errors, headers, listed, login, transcript
from gateway.admin.login import runtime
from gateway.channels import CHANNELS
from gateway.conversation import actions, media, send
from gateway.conversation.send import CannotSend, Draft
from gateway.core.errors import SpoolUnavailable
from gateway.core.fetching import MediaFailed, MediaNotThere, MediaRefused
from gateway.logs import log
from gateway.store import listing, messages, users
from gateway.store.connection import deadline

PAGE_SIZE = 50
TRANSCRIPT_LIMIT = 500

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

bp = Blueprint("admin", __name__, url_prefix="/admin", template_folder="templates", static_folder="static")
bp.before_request(login.require)
errors.register(bp)
headers.register(bp)


@bp.context_processor
def _outage() -> dict[str, Any]:
    """Let every page tell of what waits in this host's spool."""
    try:
        return {"spooled": runtime().spool.depth()}
    except SpoolUnavailable as error:
        log.error("spool_unavailable", message=str(error)[:300])
        return {"spooled": None}


@bp.get("/")
def sessions() -> str:
    """List the sessions of all channels or of one, newest first."""
    chosen, cursor = request.args.get("type", ""), request.args.get("cursor", "")
    if chosen and chosen not in CHANNELS:
        abort(404, "There is no channel of that type.")
    with deadline():
        counts = {name: listing.count(name) for name in CHANNELS}
        try:
            page = listing.page([chosen] if chosen else list(CHANNELS), cursor=cursor, limit=PAGE_SIZE)
        except ValueError:
            abort(400, "This address names no page of the list. Start again from the newest sessions.")
    now = runtime().clock.now()
    rows = [listed.row(session, now) for session in page.sessions]
    tabs = listed.tabs(counts, chosen)
    return render_template("sessions.html", rows=rows, tabs=tabs, page=page, cursor=cursor, chosen=chosen, now=now)


@bp.get("/sessions/<session_id>")
def session(session_id: str) -> str:
    """Show one session: what was said, and why each message is in it."""
    return _session(session_id)


def _session(session_id: str, *, text: str = "", refusal: str = "") -> str:
    with deadline():
        found = listing.one(session_id)
        said = messages.transcript(session_id, limit=TRANSCRIPT_LIMIT + 1) if found else []
    if found is None:
        abort(404, "There is no session of that id. It may have been deleted since.")
    at_provider = runtime().settings.media.keep == "twilio"
    days = transcript.days(said[-TRANSCRIPT_LIMIT:], at_provider=at_provider)
    shown = TRANSCRIPT_LIMIT if len(said) > TRANSCRIPT_LIMIT else None
    row = listed.row(found, runtime().clock.now())
    draft = {"text": text, "refusal": refusal, "nonce": secrets.token_hex(16)}
    return render_template("session.html", row=row, session=found, days=days, shown=shown, draft=draft)


@bp.post("/sessions/<session_id>/messages")
def reply(session_id: str) -> ResponseReturnValue:
    """Write to the person of a session; what cannot be sent is given back, with the reason."""
    text, nonce = request.form.get("text", ""), request.form.get("nonce", "")
    if not re.fullmatch(r"[0-9a-f]{32}", nonce):
        nonce = secrets.token_hex(16)
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
        if listing.one(session_id) is None:
            abort(404, "There is no session of that id. It may have been deleted since.")
        actions.hand_back(runtime(), session_id)
    return redirect(url_for(".session", session_id=session_id))


@bp.get("/media/<message_id>/<int:number>")
def media_file(message_id: str, number: int) -> Response:
    """Give a file that somebody sent."""
    try:
        opened = media.read(runtime(), message_id, number)
    except (MediaRefused, MediaNotThere) as refusal:
        abort(404, str(refusal))
    except MediaFailed as failure:
        abort(502, f"{failure} Reload this page in a moment.")
    if opened is None:
        abort(404, "There is no such file here. It was not kept, or is not fetched yet.")
    return files.response(opened)


@bp.get("/login")
def login_form() -> ResponseReturnValue:
    """Ask who it is."""
    if login.current():
        return redirect(login.destination())
    return login.page()


@bp.post("/login")
def log_in() -> ResponseReturnValue:
    """Log somebody in; one answer to whatever is wrong, so that it tells nobody which names exist."""
    name, password = login.credentials()
    with deadline():
        user = users.authenticate(name, password) if password else None
    if user is None:
        return login.refuse(name)
    login.begin(user)
    return redirect(login.destination())


@bp.post("/logout")
def logout() -> ResponseReturnValue:
    """Log out."""
    login.end()
    return redirect(url_for(".login_form"))


# Without these, what is no page of the console would be answered by the app, outside the console's layout.
@bp.route("/", methods=METHODS[1:], endpoint="no_such_method")
@bp.route("/<path:_rest>", methods=METHODS, endpoint="no_such_page")
def no_such_page(_rest: str = "") -> ResponseReturnValue:
    """Say that there is no such page."""
    abort(404 if _rest else 405)
