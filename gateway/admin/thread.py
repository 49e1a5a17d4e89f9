"""One session: what was said in it and why, and the files that came with it."""

import secrets
from typing import Any
from urllib.parse import urlencode

from flask import Response, abort, render_template, request

from gateway import downloads
from gateway.admin import cursors, flow_shown, inbox, listed, panel, transcript
from gateway.admin.blueprint import bp
from gateway.admin.login import access, runtime
from gateway.conversation import media, outlook
from gateway.conversation.outlook import Outlook
from gateway.core.fetching import MediaFailed, MediaNotThere, MediaRefused
from gateway.core.replies import NOBODY
from gateway.store import finding, listing, people, transcripts, users
from gateway.store.connection import deadline
from gateway.store.people import Person
from gateway.store.transcripts import Page

PAGE_SIZE = 100
# How much a page that is open for hours may have grown before it begins again with the newest messages.
REFRESH_LIMIT = 500
BEFORE, SINCE = "messages_before", "messages_since"

_WRITTEN = ("kind", "text", "content_sid", "variables")

NOT_YOURS = "Their messages come on a channel that you do not see, so you cannot write to them."


@bp.get("/sessions/<session_id>")
def session(session_id: str) -> str:
    """Show one session: what was said, why each message is in it, and who wrote."""
    return page(session_id)


@bp.get("/sessions/<session_id>/messages")
def session_messages(session_id: str) -> str:
    """Give the messages of a session alone: the newest for a page that has it open, or the ones before a moment."""
    with deadline():
        found = inbox.seen(session_id)
        shown = _messages(found)
        if shown["is_past"]:
            return render_template("_earlier.html", **shown)
        readers = users.readers().of([found.get("channel_id") or ""])
        standing = _standing(found, shown["person"])
    return render_template("_news.html", people=readers, now=runtime().clock.now(), **standing, **shown)


def page(session_id: str, *, refusal: str = "", wrong: str = "", stands: str = "") -> str:
    """Show a session. `wrong` is the field that was refused: its form says why, and keeps what was written in it.

    `stands` is the session that stood in the way of what was wanted.
    """
    with deadline():
        found = inbox.seen(session_id)
        shown = _messages(found)
        around = inbox.around()
        beside = panel.of(found, shown["person"], around.lines, runtime().clock.now())
        stands = next(iter(transcripts.visible({stands}, access().channels)), "") if stands else ""
    return render_template(
        "session.html",
        panel=beside,
        flow=flow_shown.of(found, runtime().clock.now()),
        flows=flow_shown.startable(),
        draft=_draft(wrong),
        refusal=refusal,
        wrong=wrong,
        given=request.form,
        stands=stands,
        **_standing(found, shown["person"]),
        **inbox.opened(found, around),
        **shown,
    )


def _draft(wrong: str) -> dict[str, str]:
    """Give what stands in the form for messages: nothing, or what was written there and refused."""
    written = {name: request.form.get(name, "") for name in _WRITTEN} if wrong in _WRITTEN else {}
    return {"kind": "reply", "nonce": secrets.token_hex(16)} | written


def _standing(found: dict[str, Any], person: Person | None) -> dict[str, Any]:
    """Give what can be done about a session now, for whoever may do it."""
    may_write = access().has("agent")
    ahead = _as_theirs(outlook.of(runtime(), finding.numbered(found), person)) if may_write else None
    return {"outlook": ahead, "has_bot": _has_bot(found)}


def outlook_for(session_id: str) -> Outlook:
    """Tell how whoever is logged in can write to the person of a session."""
    return _as_theirs(outlook.outlook(runtime(), session_id))


def _as_theirs(now: Outlook) -> Outlook:
    if now.refusal or access().sees(now.channel_id):
        return now
    return Outlook(refusal=NOT_YOURS)


def _has_bot(found: dict[str, Any]) -> bool:
    channel = runtime().channels.get(str(found.get("channel_id")))
    return channel is not None and runtime().responder_for(channel)[0] != NOBODY


def _messages(found: dict[str, Any]) -> dict[str, Any]:
    before, since = cursors.read(request.args.get(BEFORE)), cursors.read(request.args.get(SINCE))
    limit = REFRESH_LIMIT if since else PAGE_SIZE
    said = transcripts.page(found["id"], access().channels, limit=limit, since=since, before=before)
    oldest = said.messages[0]["createdAt"] if said.messages else None
    person = people.get(str(found.get("contact_id")))
    return {
        "row": listed.row(found, runtime().clock.now()),
        "session": found,
        "person": person,
        "days": transcript.days(
            said.messages,
            name=person.name if person else "",
            at_provider=runtime().settings.media.keep == "twilio",
        ),
        "earlier": cursors.write(said.earlier) if said.earlier and not since else "",
        "oldest": cursors.write(oldest) if oldest else "",
        "is_past": before is not None,
        "visible": _visible(found, said),
        "query": kept_query(),
    }


def _visible(found: dict[str, Any], said: Page) -> set[str] | None:
    """Give the sessions that this page may lead to; None where its reader sees all."""
    if access().channels is None:
        return None
    named = {str(value) for message in said.messages for value in (message.get("decision") or {}).values()}
    return transcripts.visible({*named, str(found.get("previous_session_id"))}, access().channels)


def kept_query() -> str:
    """Give what the address says of the list, for messages that are fetched alone: their links keep it too."""
    kept = [(name, value) for name, value in request.args.items(multi=True) if name not in (BEFORE, SINCE)]
    return urlencode(kept)


@bp.get("/media/<message_id>/<int:number>")
def media_file(message_id: str, number: int) -> Response:
    """Give a file that somebody sent."""
    with deadline():
        if not listing.has_message(message_id, access().channels):
            abort(404, "There is no such message. It may have been deleted since.")
    try:
        return downloads.send(
            lambda: media.read(runtime(), message_id, number),
            lambda: abort(404, "There is no such file here. It was not kept, or is not fetched yet."),
        )
    except (MediaRefused, MediaNotThere) as refusal:
        abort(404, str(refusal))
    except MediaFailed as failure:
        abort(502, f"{failure} Reload this page in a moment.")
