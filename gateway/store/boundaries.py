"""The messages another threshold would file otherwise, found by where counted pauses say they are."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from bson import ObjectId

from gateway.core.rethreading import Said
from gateway.core.sessions import Kind, Rule
from gateway.core.statuses import CALL_ENDS
from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.store.connection import collection
from gateway.store.documents import NOT_DELETED, MessageDocument, SessionDocument
from gateway.store.gaps import Span
from gateway.store.isolation import Channels, only

_OPENED_BY_GAP = [Rule.PAST_THRESHOLD, Rule.EVERY_MESSAGE]
_JOINED_BY_GAP = [Rule.WITHIN_THRESHOLD, Rule.NO_THRESHOLD]
_LISTED = {"session_id": 1, "channel_id": 1, "createdAt": 1, "storedAt": 1, "decision": 1}
_SESSION = {
    "title": 1, "communication_type": 1, "channel_id": 1, "message_count": 1, "first_message_at": 1,
    "last_message_at": 1, "metadata": 1, "merged_into": 1,
}  # fmt: skip
_SAID = {
    "session_id": 1, "createdAt": 1, "direction": 1, "sender": 1, "decision.rule": 1, "decision.gap_seconds": 1,
    "status_history.status": 1, "status_history.at": 1, "metadata.private": 1, "metadata.resendOf": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Boundary:
    """A message that would begin a session (`splits`) or no longer begin one. `gap_seconds` is the pause before it."""

    message_id: str
    session_id: str
    previous_session_id: str | None
    splits: bool
    at: datetime
    gap_seconds: float
    cursor: str


def boundaries(
    spans: Sequence[Span],
    threshold: float,
    *,
    channels: Collection[str],
    since: date | None = None,
    cursor: str = "",
) -> Iterator[Boundary]:
    """Go through such messages of these channels, the newest stored first. ValueError if the cursor is not ours."""
    before = _read_cursor(cursor) if cursor else None
    wanted: dict[str, Any] = {"channel_id": {"$in": sorted(channels)}, "$or": _otherwise(threshold)}
    if since is not None:
        wanted["createdAt"] = {"$gte": datetime.combine(since, time(), UTC)}
    for span in spans:
        until = min(span.until, before[0]) if before else span.until
        if before and before[0] < span.since:
            continue
        rows = collection(MessageDocument).find(
            {**wanted, "storedAt": {"$gte": span.since, "$lt": span.until, "$lte": until}}, _LISTED
        )
        # Sorted here: the index knows no ids, and a span holds a few thousand messages at most.
        found = sorted(rows.hint("stored"), key=lambda row: (row["storedAt"], row["_id"]), reverse=True)
        yield from (_boundary(row) for row in found if before is None or (row["storedAt"], row["_id"]) < before)


def _otherwise(threshold: float) -> list[dict[str, Any]]:
    if not threshold:
        return [{"decision.kind": Kind.REUSED, "decision.rule": {"$ne": Rule.SAME_CALL}}]
    opened = {"decision.kind": {"$ne": Kind.REUSED}, "decision.rule": {"$in": _OPENED_BY_GAP}}
    joined = {"decision.kind": Kind.REUSED, "decision.rule": {"$in": _JOINED_BY_GAP}}
    return [
        opened | {"decision.gap_seconds": {"$lte": threshold}},
        joined | {"decision.gap_seconds": {"$gt": threshold}},
    ]


def _boundary(row: Mapping[str, Any]) -> Boundary:
    decision = row["decision"]
    previous = decision.get("previous_session_id")
    return Boundary(
        message_id=row["_id"],
        session_id=str(row["session_id"]),
        previous_session_id=str(previous) if previous else None,
        splits=decision["kind"] == Kind.REUSED,
        at=row["createdAt"],
        gap_seconds=decision.get("gap_seconds") or 0.0,
        cursor=f"{epoch_ms(row['storedAt'])}-{row['_id']}",
    )


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    at, _, message_id = cursor.partition("-")
    if not at.isdecimal() or len(at) > 14 or not message_id:
        raise ValueError(f"{cursor!r} is no page of this list")
    return from_epoch_ms(int(at)), message_id


def sessions(ids: Collection[str], channels: Channels) -> dict[str, dict[str, Any]]:
    """Give these sessions for reading, as far as they are there and on these channels.

    What was merged into another is not there any more: under its id stands the one that it went into.
    """
    found: dict[str, dict[str, Any]] = {}
    asked = {one: {one} for one in ids}  # by which session is looked up, for which ids
    while asked:
        wanted = {"_id": {"$in": [ObjectId(one) for one in sorted(asked)]}} | NOT_DELETED | only(channels)
        further: dict[str, set[str]] = {}
        for row in collection(SessionDocument).find(wanted, _SESSION):
            here = str(row["_id"])
            if into := row.get("merged_into"):
                further.setdefault(str(into), set()).update(asked[here])
            else:
                found |= dict.fromkeys(asked[here], row | {"id": here})
        asked = further
    return found


def said(ids: Collection[str], channels: Channels) -> dict[str, list[Said]]:
    """Give what was said in these sessions on these channels, as far as it is filed by."""
    found: dict[str, list[Said]] = {one: [] for one in ids}
    wanted = {"session_id": {"$in": [ObjectId(one) for one in sorted(ids)]}} | only(channels)
    for row in collection(MessageDocument).find(wanted, _SAID):
        if not (row.get("metadata") or {}).get("private"):
            found[str(row["session_id"])].append(_said(row))
    return found


def _said(row: Mapping[str, Any]) -> Said:
    decision = row.get("decision") or {}
    rule = decision.get("rule")
    call, _, turn = str(row["_id"]).rpartition(":")
    ended = [one["at"] for one in row.get("status_history") or () if one.get("status") in CALL_ENDS]
    begins_call = rule is not None and turn == "0" and call != ""
    return Said(
        id=row["_id"],
        at=row["createdAt"],
        rule=rule,
        pause=decision.get("gap_seconds"),
        # Neither a notice of ours nor a second attempt to send something keeps a session alive.
        activity=row.get("sender") != "system" and "resendOf" not in (row.get("metadata") or {}),
        call=call if begins_call else None,
        call_ended_at=max(ended) if begins_call and ended else None,
    )
