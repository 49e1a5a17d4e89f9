"""What stored messages and sessions say has happened: events, without a word of what people wrote."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from gateway.core.messages import VOICE
from gateway.core.notifications import (
    CALL_ENDED,
    CALL_STARTED,
    FLOW_ABANDONED,
    FLOW_COMPLETED,
    FLOW_STARTED,
    MESSAGE_RECEIVED,
    MESSAGE_SENT,
    MESSAGE_STATUS,
    PERSON_REQUESTED,
    SESSION_CLOSED,
    SESSION_CREATED,
    SESSION_REOPENED,
    SESSION_ROLLED_OVER,
    Event,
)
from gateway.core.sessions import Kind
from gateway.core.statuses import CALL_ENDS, CALL_RANK, MESSAGE_RANK
from gateway.core.times import epoch_ms
from gateway.store.connection import collection
from gateway.store.documents import NOT_PRIVATE, FlowRunDocument, MessageDocument, SessionDocument
from gateway.store.flow_runs import COMPLETED

# What was this old when it was stored was brought from elsewhere: history, and no news.
HISTORY = timedelta(days=7)

_FIRST_OF_CALL = ":0"
_MESSAGE = dict.fromkeys(
    (
        "session_id", "channel_id", "communication_type", "direction", "decision", "status_history", "createdAt",
        "storedAt",
    ),
    1,
)  # fmt: skip
_RUN = dict.fromkeys(
    ("flow", "version", "session_id", "channel_id", "started_at", "ended_at", "outcome", "last_step"), 1
)
_SESSION = dict.fromkeys(("channel_id", "createdAt", "opening.message_id"), 1)

Document = Mapping[str, Any]


def messages(ids: Sequence[str]) -> dict[str, Document]:
    """Read messages as far as events need them; private notes are not there."""
    found = collection(MessageDocument).find({"_id": {"$in": list(ids)}, **NOT_PRIVATE}, _MESSAGE)
    return {row["_id"]: row for row in found}


def sessions(ids: Iterable[ObjectId]) -> dict[ObjectId, Document]:
    """Read sessions as far as events need them."""
    found = collection(SessionDocument).find({"_id": {"$in": list(ids)}}, _SESSION)
    return {row["_id"]: row for row in found}


def runs(ids: Sequence[str]) -> dict[str, Document]:
    """Read runs of flows as far as events need them; those of people who were forgotten are not there."""
    wanted = {"_id": {"$in": list(ids)}, "session_id": {"$exists": True}}
    return {row["_id"]: row for row in collection(FlowRunDocument).find(wanted, _RUN)}


def stored(since: datetime, until: datetime, limit: int) -> Sequence[Document]:
    """Read messages by when they were stored, the first ones of a time; private notes are left out.

    Those of one moment stay together, so that whoever goes on does so behind the last one's moment.
    """
    found = collection(MessageDocument).find({"storedAt": {"$gte": since, "$lt": until}, **NOT_PRIVATE}, _MESSAGE)
    rows = list(found.hint("stored").sort("storedAt", 1).limit(limit))
    if len(rows) < limit:
        return rows
    last = rows[-1]["storedAt"]
    whole = [row for row in rows if row["storedAt"] != last]
    return whole or list(collection(MessageDocument).find({"storedAt": last, **NOT_PRIVATE}, _MESSAGE).hint("stored"))


def of_messages(rows: Sequence[Document], *, history: bool = False) -> list[Event]:
    """Tell everything that these messages say has happened; of what was old when it was stored only with `history`."""
    placed, news = Placed(rows), [row for row in rows if history or not is_history(row, row["storedAt"])]
    return [event for row in news for event in placed.all_of(row)]


def is_history(row: Document, stored_at: datetime) -> bool:
    """Tell whether something is from long before it was stored here."""
    return bool(stored_at - row["createdAt"] > HISTORY)


class Placed:
    """Messages with the channels of their sessions: a message and its session may be on two."""

    def __init__(self, rows: Iterable[Document]) -> None:
        self._sessions = sessions({row["session_id"] for row in rows})

    def _event(self, kind: str, row: Document, at: datetime, about: str, **more: Any) -> Event:
        session = self._sessions.get(row["session_id"], {})
        on = {str(one.get("channel_id") or "") for one in (row, session)}
        return Event(kind, at, about, str(row["session_id"]), row["_id"], frozenset(on), **more)

    def all_of(self, row: Document) -> Iterator[Event]:
        """Tell what a message says has happened, as far as it is known now."""
        yield from self.stored(row)
        for status in dict.fromkeys(_effective(row)):
            yield from self.reached(row, status)

    def stored(self, row: Document) -> Iterator[Event]:
        """Tell that a message is there, and of the session it opened."""
        at, message_id = row.get("storedAt") or row["createdAt"], row["_id"]
        yield from self.decided(row)
        if row.get("direction") == "outbound":
            yield self._event(MESSAGE_SENT, row, at, message_id, order=_piece(message_id))
        elif _begins_call(row):
            yield self._event(CALL_STARTED, row, at, message_id)
        else:
            yield self._event(MESSAGE_RECEIVED, row, at, message_id)

    def decided(self, row: Document) -> Iterator[Event]:
        """Tell of the session that was opened for a message."""
        decision, at = row.get("decision") or {}, row.get("storedAt") or row["createdAt"]
        kind, about = decision.get("kind"), str(row["session_id"])
        if kind not in (Kind.CREATED, Kind.ROLLED_OVER):
            return
        previous = decision.get("previous_session_id")
        facts = {"previous_session_id": str(previous)} if previous else {}
        yield self._event(SESSION_CREATED, row, at, about, facts=facts)
        if kind == Kind.ROLLED_OVER:
            gap = {name: decision.get(name) for name in ("gap_seconds", "threshold_seconds")}
            yield self._event(SESSION_ROLLED_OVER, row, at, about, facts=facts | gap)

    def reached(self, row: Document, status: str) -> Iterator[Event]:
        """Tell that a message of ours, or a call, came to a status."""
        entries = [entry for entry in row.get("status_history") or () if entry["status"] == status]
        if not entries:
            return
        entry, outbound = entries[-1], row.get("direction") == "outbound"
        facts = {name: entry[name] for name in ("status", "error_code") if entry.get(name)}
        about = f"{row['_id']}:{status}:{epoch_ms(entry['at'])}"
        if outbound and not _is_first(row, entry):
            yield self._event(MESSAGE_STATUS, row, entry["at"], about, order=MESSAGE_RANK.get(status, 0), facts=facts)
        elif not outbound and _begins_call(row) and status in CALL_ENDS:
            yield self._event(CALL_ENDED, row, entry["at"], row["_id"], facts=facts)


def _effective(row: Document) -> Iterator[str]:
    """List the statuses that took effect, in order: callbacks that came late did not (I8)."""
    best = -1
    for entry in row.get("status_history") or ():
        status, calls = entry["status"], row.get("direction") != "outbound"
        rank = (CALL_RANK if calls else MESSAGE_RANK).get(status, -1)
        # What failed for good here is queued again by somebody's hand.
        if rank > best or status == "queued":
            best = rank
            yield status


def _is_first(row: Document, entry: Document) -> bool:
    """Tell whether a status is the one a message was stored with, which `message.sent` says already."""
    first = row["status_history"][0]
    return bool(entry is first and entry["at"] == row["createdAt"])


def _begins_call(row: Document) -> bool:
    voice = row.get("communication_type") == VOICE and row.get("direction") == "inbound"
    return voice and str(row["_id"]).endswith(_FIRST_OF_CALL)


def _piece(message_id: str) -> int:
    """Tell which piece of a long answer a message is, from 0."""
    start, _, number = message_id.rpartition(":")
    return min(int(number), 9) - 1 if ":" in start and number.isdecimal() and 0 < len(number) < 4 else 0


def of_new_session(session: Document) -> Iterator[Event]:
    """Tell of a session that was opened for no message; those are told of by the message."""
    if "message_id" not in (session.get("opening") or {}):
        yield _of_session(SESSION_CREATED, session, session["createdAt"], "")


def of_changed_session(session: Document, change: Document) -> Iterator[Event]:
    """Tell what a change of these fields of a session means."""
    status = change.get("status")
    at = change.get("updatedAt") or change.get("closed_at") or change.get("reopened_at") or session["createdAt"]
    if status == "closed" and change.get("closed_at"):
        # Closed for idleness it ends where its last message was, which is not when that was found out.
        facts = {"closed_reason": change.get("closed_reason")}
        yield _of_session(SESSION_CLOSED, session, at, f":{epoch_ms(at)}", facts=facts)
    elif status == "active":
        yield _of_session(SESSION_REOPENED, session, at, f":{epoch_ms(at)}")
    asked = change.get("needs_person") or {}
    if asked.get("at"):
        yield _of_session(
            PERSON_REQUESTED, session, asked["at"], f":{epoch_ms(asked['at'])}", facts={"reason": asked.get("reason")}
        )


def _of_session(kind: str, session: Document, at: datetime, moment: str, **more: Any) -> Event:
    on = frozenset({str(session.get("channel_id") or "")})
    return Event(kind, at, f"{session['_id']}{moment}", str(session["_id"]), None, on, **more)


def of_run(run: Document, *, began: bool) -> Iterator[Event]:
    """Tell that a flow began, or how it ended; what was said in it is read when it is told."""
    facts = {"flow": run["flow"], "version": run["version"], "run": run["_id"]}
    session_id, on = str(run["session_id"]), frozenset({str(run.get("channel_id") or "")})
    if began:
        yield Event(FLOW_STARTED, run["started_at"], run["_id"], session_id, channels=on, facts=facts)
    elif run.get("outcome"):
        kind = FLOW_COMPLETED if run["outcome"] == COMPLETED else FLOW_ABANDONED
        facts |= {"outcome": run["outcome"], "step": run.get("last_step") or None}
        yield Event(kind, run["ended_at"], run["_id"], session_id, channels=on, facts=facts)
