"""Concrete sessions filed again at another threshold, by the rules that filed them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

from gateway.conversation.runtime import Runtime
from gateway.conversation.whatif import History, as_policy
from gateway.core.rethreading import Piece, Said, cuts, rethread
from gateway.core.sessions import Anchor, Policy, Scope
from gateway.core.times import seconds
from gateway.store import boundaries, gaps
from gateway.store.boundaries import Boundary
from gateway.store.isolation import Channels

# Sessions are read whole to be filed again; of longer ones only the place is shown.
LONGEST = 1_000
# How many places are looked at for one page: some of them people have settled by hand since.
LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Change:
    """A stored session that another threshold would cut up, or join to the one before it.

    `before` is that one: None where it is gone, or not for the reader to see. `pieces` are the numbers of messages of
    the sessions there would be, empty where that was too much to read. `gap_seconds` is the pause it is about, the
    last of several, and `at` the moment after it.
    """

    session: Mapping[str, Any]
    before: Mapping[str, Any] | None
    splits: bool
    at: datetime
    gap_seconds: float
    pieces: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """Some changes, the newest first, and where the next page begins; None on the last."""

    changes: list[Change]
    next_cursor: str | None


def changes(
    runtime: Runtime,
    history: History,
    threshold: float,
    *,
    channels: Channels,
    limit: int,
    since: date | None = None,
    cursor: str = "",
) -> Changes:
    """List the stored sessions a threshold would file otherwise. ValueError if the cursor is not ours."""
    ids = {line.channel.id for line in history.lines}
    found = boundaries.boundaries(
        gaps.spans(history.chunks, threshold, ids), threshold, channels=ids, since=since, cursor=cursor
    )
    settings = runtime.settings.sessions
    policy = Policy(as_policy(threshold), Scope(settings.scope), Anchor(settings.anchor))
    listed: list[tuple[Change, str]] = []
    looked_at = 0
    while batch := list(islice(found, limit)):
        looked_at += len(batch)
        listed += _changes(batch, policy, channels)
        if len(listed) > limit:
            return Changes([change for change, _ in listed[:limit]], listed[limit - 1][1])
        if looked_at >= LOOKED_AT:
            return Changes([change for change, _ in listed], batch[-1].cursor)
    return Changes([change for change, _ in listed], None)


def _changes(batch: Sequence[Boundary], policy: Policy, channels: Channels) -> Iterator[tuple[Change, str]]:
    ids = {one for boundary in batch for one in (boundary.session_id, boundary.previous_session_id) if one}
    stored = boundaries.sessions(ids, channels)
    short = {one["id"] for one in stored.values() if (one.get("message_count") or 0) <= LONGEST}
    said = boundaries.said(short, channels)
    for boundary in batch:
        session = stored.get(boundary.session_id)
        if session is not None:
            view = _split if boundary.splits else _merge
            change = view(boundary, session, stored, said, policy)
            if change is not None:
                yield change, boundary.cursor


Sessions = Mapping[str, Mapping[str, Any]]
Spoken = Mapping[str, Sequence[Said]]


def _split(
    boundary: Boundary, session: Mapping[str, Any], _stored: Sessions, said: Spoken, policy: Policy
) -> Change | None:
    """Show a session that would be cut up, at the last of its cuts only; None at the others, or if it is cut by now."""
    if session["first_message_at"] > boundary.at:
        return None
    pieces: list[Piece] = []
    if messages := said.get(boundary.session_id):
        pieces = rethread(messages, policy)
        known = {one.id for one in messages if _is_cut(one, policy)}
        places = [message_id for message_id in cuts(pieces) if message_id in known]
        if not places or places[-1] != boundary.message_id:
            return None
    return _change(boundary, session, None, pieces)


def _is_cut(message: Said, policy: Policy) -> bool:
    """Tell whether a message is one of those that are listed as places where a session would be cut."""
    if policy.threshold_ms is None:
        return False
    return not policy.threshold_ms or (message.pause or 0.0) > seconds(policy.threshold_ms)


def _merge(
    boundary: Boundary, session: Mapping[str, Any], stored: Sessions, said: Spoken, policy: Policy
) -> Change | None:
    """Show a session that would join the one before it; None where people have joined them by now."""
    before = stored.get(boundary.previous_session_id or "")
    if session["first_message_at"] < boundary.at or (before or {}).get("id") == session["id"]:
        return None
    pieces: list[Piece] = []
    both = [said.get(one["id"]) for one in (before or {"id": ""}, session)]
    if before is not None and all(both):
        pieces = rethread([message for messages in both for message in messages or ()], policy)
        if boundary.message_id in cuts(pieces):
            return None
    return _change(boundary, session, before, pieces)


def _change(
    boundary: Boundary, session: Mapping[str, Any], before: Mapping[str, Any] | None, pieces: Sequence[Piece]
) -> Change:
    return Change(
        session=session,
        before=before,
        splits=boundary.splits,
        at=boundary.at,
        gap_seconds=boundary.gap_seconds,
        pieces=tuple(len(piece.messages) for piece in pieces),
    )
