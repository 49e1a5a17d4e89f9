"""The inbox: the list of sessions, alone and beside the one that is open, and who looks after each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import abort, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import filters, listed, login
from gateway.admin.blueprint import bp
from gateway.admin.filters import Filters
from gateway.admin.login import access, runtime
from gateway.conversation import attention
from gateway.conversation.attention import CannotAssign
from gateway.core.messages import Channel
from gateway.store import channels as lines
from gateway.store import glimpses, listing, users
from gateway.store.connection import deadline
from gateway.store.isolation import Channels
from gateway.store.listing import Page, Wanted
from gateway.store.users import Readers

PAGE_SIZE = 25

# How long a list may take: MongoDB reads what nobody asked for lately from its disk.
READ_SECONDS = 5

# So many sessions at most are told of in a notification at once.
CALLING = 10


# What somebody who has a session open may ask for without leaving the list as it is.
_ALONE = ("admin.session_messages", "admin.mark_seen")

# Other pages say by the same names what is theirs: a page of the what-if list is none of this one.
_LISTING = ("admin.sessions", "admin.session_list")
_OF_A_SESSION = {"session_id", "regrouping_id"}


@bp.url_defaults
def _keep_list(endpoint: str, values: dict[str, Any]) -> None:
    """Let every link to a session, and every form on its page, keep the list as it is."""
    if _OF_A_SESSION & values.keys() and endpoint not in _ALONE:
        if "list_kept" not in g:
            has_list = request.endpoint in _LISTING or _OF_A_SESSION & (request.view_args or {}).keys()
            names = filters.NAMES if has_list else ()
            g.list_kept = {name: request.args[name] for name in names if request.args.get(name)}
        values |= g.list_kept | values


@bp.get("/")
def sessions() -> str:
    """List the sessions that are chosen and searched for, newest first."""
    return render_template("sessions.html", **beside())


@bp.get("/list")
def session_list() -> str:
    """Give the list alone, for a page that shows it."""
    return render_template("_list.html", **beside(request.args.get("open", "")))


@dataclass(frozen=True, slots=True)
class Around:
    """What lists and sessions are shown with: our channels, as far as whoever is logged in sees them, and everybody."""

    lines: Sequence[Channel]
    readers: Readers


def around() -> Around:
    """Read what lists and sessions are shown with."""
    return Around([line for line in lines.by_id().values() if access().sees(line.id)], users.readers())


def beside(open_id: str = "", known: Around | None = None) -> dict[str, Any]:
    """Give what the list shows, as the address asks for; `open_id` is the session that is shown beside it."""
    chosen, channels, now = filters.read(), access().channels, runtime().clock.now()
    with deadline(READ_SECONDS):
        known = known or around()
        searched, ours = filters.wanted(chosen, channels), known.lines
        among = _of_type(chosen["type"], ours, channels)
        page = _page(searched.wanted, chosen, among) if searched.wanted else Page([], None)
        rows = _rows(page.sessions, channels, now)
        tabs = _tabs(chosen, ours, channels)
        calling = _calling(channels)
    return {
        "chosen": chosen,
        "rows": rows,
        "next_cursor": page.next_cursor,
        "too_common": searched.wanted is None,
        "more_matches": searched.more,
        "calling": [listed.row(session, now) for session in calling],
        "lines": sorted(ours, key=lambda line: (line.name, line.communication_type)),
        "colleagues": known.readers.of(channels),
        "now": now,
        "open_id": open_id,
        **tabs,
    }


def _of_type(kind: str, ours: Sequence[Channel], channels: Channels) -> Channels:
    """Leave of the channels somebody is limited to those of a type: no index says that the others have none of it."""
    if channels is None or not kind:
        return channels
    return [line.id for line in ours if line.communication_type == kind]


def _rows(sessions: Sequence[dict[str, Any]], channels: Channels, now: datetime) -> list[listed.Row]:
    names = glimpses.names({session["contact_id"] for session in sessions if session.get("contact_id")})
    last = glimpses.last_messages([session["id"] for session in sessions], channels)
    return [
        listed.row(session, now, name=names.get(session.get("contact_id") or "", ""), last=last.get(session["id"]))
        for session in sessions
    ]


def _page(wanted: Wanted, chosen: Filters, channels: Channels) -> Page:
    try:
        return listing.page(wanted, cursor=chosen["cursor"], limit=PAGE_SIZE, channels=channels)
    except ValueError:
        abort(400, "This address names no page of the list. Start again from the newest sessions.")


def _tabs(chosen: Filters, ours: Sequence[Channel], channels: Channels) -> dict[str, list[listed.Tab]]:
    """Count behind the tabs, unless filters choose among what they count."""
    kind, status, counts = chosen["type"], chosen["status"], {}
    if not chosen.is_filtered:
        among = _of_type(kind, ours, channels)
        wanted = {name: (Wanted(name, status), _of_type(name, ours, channels)) for name in listed.TYPES}
        wanted |= {name: (Wanted(kind, name), among) for name in listed.STATUSES}
        counts = current_app.extensions["tab_counts"].counts(wanted)
    return {"types": listed.type_tabs(counts, kind), "statuses": listed.status_tabs(counts, status)}


def _calling(channels: Channels) -> list[dict[str, Any]]:
    """Give what may be told of in a notification: who asked for a person, and who wrote to whoever is logged in."""
    asked = listing.page(Wanted(needs_person=True), cursor="", limit=CALLING, channels=channels)
    mine = listing.page(Wanted(assigned_to=login.name()), cursor="", limit=CALLING, channels=channels)
    found = asked.sessions + [session for session in mine.sessions if listed.is_unread(session)]
    return list({session["id"]: session for session in found}.values())


def opened(session: dict[str, Any], known: Around) -> dict[str, Any]:
    """Give what stands around an open session; whoever may act on it has read it by that."""
    with deadline():
        if access().has("agent") and listed.is_unread(session):
            attention.seen(runtime(), session["id"], session.get("last_inbound_at"))
    return beside(session["id"], known) | {"people": known.readers.of([session.get("channel_id") or ""])}


def seen(session_id: str) -> dict[str, Any]:
    """Give a session that whoever is logged in may see; 404 for all others, whether or not they exist."""
    found = listing.one(session_id, access().channels)
    if found is None:
        abort(404, "There is no session of that id. It may have been deleted since.")
    if into := found.get("merged_into"):
        # Links to a session that was merged lead on, forms that were open on its page too; not to another's channel.
        if listing.one(str(into), access().channels) is None:
            abort(404, "There is no session of that id. It may have been deleted since.")
        abort(redirect(url_for(request.endpoint or "", **{**(request.view_args or {}), "session_id": into}), 307))
    return found


@bp.post("/sessions/<session_id>/seen")
def mark_seen(session_id: str) -> ResponseReturnValue:
    """Note that what came into an open session was seen."""
    with deadline():
        found = seen(session_id)
        attention.seen(runtime(), session_id, found.get("last_inbound_at"))
    return "", 204


@bp.post("/sessions/<session_id>/unread")
def mark_unread(session_id: str) -> ResponseReturnValue:
    """Mark a session as unread and go back to the list: on its page it would be read again."""
    with deadline():
        seen(session_id)
        attention.unseen(runtime(), session_id, by=login.name())
    return redirect(filters.read().url())


@bp.post("/sessions/<session_id>/assign")
def assign(session_id: str) -> ResponseReturnValue:
    """Leave a session to somebody, or to nobody."""
    to = request.form.get("to", "")
    with deadline():
        seen(session_id)
        try:
            attention.assign(runtime(), session_id, to, by=login.name())
        except CannotAssign as refusal:
            abort(409, str(refusal))
    flash(f"Assigned to {'you' if to == login.name() else to or 'nobody'}.")
    return redirect(filters.read().url("admin.session", session_id=session_id))
