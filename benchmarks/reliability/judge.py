"""What MongoDB holds against what was sent: lost, twice, in the wrong session, answered twice or not at all."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from benchmarks.reliability.load import TIMED_OUT, Delivery
from benchmarks.reliability.oracle import OURS, Event, Finding, check
from gateway.core.times import ms_between

# A webhook nobody acknowledged may still be stored until the store's deadline; one that was, is. One that timed out
# waits in a queue of the server's, nobody knows how long.
UNCONFIRMED_MS = 1500
# Two clocks of one host are read on the way, each in whole milliseconds.
SLACK_MS = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sent:
    """All deliveries of one webhook, times in ms: first sent, first acknowledged, and until when it may be stored."""

    sid: str
    sender: str
    sent: float
    acknowledged: float | None
    done: float
    said: bool


@dataclass
class Verdict:
    """The ids of what went wrong; all empty is what is wanted. `reordered` is no fault, see the oracle."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    misdated: list[str] = field(default_factory=list)
    rivals: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    answered_twice: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    stored: int = 0

    @property
    def faults(self) -> dict[str, int]:
        """Count what must be 0."""
        return {name: len(ids) for name, ids in vars(self).items() if name not in ("reordered", "stored")}


def group(deliveries: Iterable[Delivery]) -> dict[str, Sent]:
    """Put the deliveries of each webhook together."""
    by_sid = defaultdict(list)
    for delivery in deliveries:
        by_sid[delivery.sid].append(delivery)
    return {sid: _together(sid, copies) for sid, copies in by_sid.items()}


def _together(sid: str, copies: Sequence[Delivery]) -> Sent:
    acknowledged = min((copy.answered * 1000 for copy in copies if copy.acknowledged), default=None)
    waits = any(copy.outcome == TIMED_OUT for copy in copies)
    latest = math.inf if waits else max(copy.answered for copy in copies) * 1000 + UNCONFIRMED_MS
    return Sent(
        sid,
        copies[0].sender,
        sent=min(copy.sent for copy in copies) * 1000,
        acknowledged=acknowledged,
        done=latest if acknowledged is None else acknowledged,
        said=any(copy.said for copy in copies),
    )


def judge(
    db: Database[dict[str, Any]], deliveries: Iterable[Delivery], threshold_ms: int, sends: Mapping[str, int] | None
) -> Verdict:
    """Compare MongoDB with what was sent.

    `sends` counts what went out through Twilio's API, by the text it repeats; None where nobody is to answer.
    """
    webhooks = group(deliveries)
    rows = list(db.messages.find({"direction": "inbound"}))
    inbound = {row["provider_sid"]: row for row in rows}
    verdict = Verdict(stored=len(rows))
    verdict.lost = [sid for sid, sent in webhooks.items() if sent.acknowledged is not None and sid not in inbound]
    copies = Counter(row["provider_sid"] for row in rows)
    verdict.twice = [sid for sid, count in copies.items() if count > 1]
    verdict.miscounted = [str(wrong) for wrong in miscounted(db)]
    _judge_times(verdict, webhooks, inbound)
    _judge_sessions(verdict, db, webhooks, inbound, threshold_ms)
    if sends is not None:
        _judge_answers(verdict, webhooks, inbound, sends)
    return verdict


def miscounted(db: Database[dict[str, Any]]) -> list[Any]:
    """List the sessions that count other than they have messages."""
    group_by = {"$group": {"_id": "$session_id", "messages": {"$sum": 1}}}
    stored = {row["_id"]: row["messages"] for row in db.messages.aggregate([group_by])}
    counted = {row["_id"]: row["message_count"] for row in db.sessions.find({}, {"message_count": 1})}
    return [one for one in counted | stored if counted.get(one) != stored.get(one, 0)]


def _ms(moment: datetime) -> int:
    return ms_between(_EPOCH, moment)


def _judge_times(verdict: Verdict, webhooks: Mapping[str, Sent], inbound: Mapping[str, Any]) -> None:
    """Find messages whose stored moment is not one at which they can have been received, a replay's for example."""
    for sid, row in inbound.items():
        sent = webhooks[sid]
        if not sent.sent - SLACK_MS <= _ms(row["createdAt"]) <= sent.done + SLACK_MS:
            verdict.misdated.append(sid)


def _judge_sessions(
    verdict: Verdict,
    db: Database[dict[str, Any]],
    webhooks: Mapping[str, Sent],
    inbound: Mapping[str, Any],
    threshold_ms: int,
) -> None:
    sessions = list(db.sessions.find({}, {"keys": 1, "status": 1, "opening": 1}))
    open_ones = Counter(key for row in sessions if row["status"] == "active" for key in row["keys"])
    verdict.rivals = [key for key, count in open_ones.items() if count > 1]
    vague = {sent.sender for sid, sent in webhooks.items() if sid not in inbound}
    for sender, events in _events(db, sessions, webhooks, inbound).items():
        finding: Finding = check(events, threshold_ms, vague=sender in vague)
        verdict.wrong += [event.id for event in finding.misfiled]
        if finding.reordered:
            verdict.reordered.append(sender)


def _events(
    db: Database[dict[str, Any]],
    sessions: Sequence[Mapping[str, Any]],
    webhooks: Mapping[str, Sent],
    inbound: Mapping[str, Any],
) -> dict[str, list[Event]]:
    """Give each sender's events: messages, answers that came by themselves, and what opened a session and is lost."""
    events, senders = defaultdict(list), {}
    for sid, row in inbound.items():
        sent = webhooks[sid]
        session, kind = str(row["session_id"]), row["decision"]["kind"]
        senders[session] = sent.sender
        events[sent.sender].append(Event(sid, _ms(row["createdAt"]), session, kind, sent.sent, sent.done))
    for row in db.messages.find({"direction": "outbound"}):
        asked, at, session = inbound.get(row["_id"][3:37]), _ms(row["createdAt"]), str(row["session_id"])
        if (asked is None or asked["createdAt"] != row["createdAt"]) and session in senders:
            events[senders[session]].append(Event(row["_id"], at, session, OURS, at, at + UNCONFIRMED_MS))
    for row in sessions:
        opening = row.get("opening") or {}
        sent_one = webhooks.get(opening.get("message_id", ""))
        if sent_one and sent_one.sid not in inbound:
            at, kind = _ms(opening["at"]), opening["decision"]["kind"]
            opened = Event(sent_one.sid, at, str(row["_id"]), kind, sent_one.sent, sent_one.done)
            events[sent_one.sender].append(opened)
    return events


def _judge_answers(
    verdict: Verdict, webhooks: Mapping[str, Sent], inbound: Mapping[str, Any], sends: Mapping[str, int]
) -> None:
    for sid, sent in webhooks.items():
        if sid not in inbound or sent.acknowledged is None:
            continue
        answers = sent.said + sends.get(str(inbound[sid]["content"]), 0)
        if answers == 0:
            verdict.unanswered.append(sid)
        elif answers > 1:
            verdict.answered_twice.append(sid)
