"""The session finder's decision: which session a message belongs to, and why.

`decide` is pure. It compares the moment a message was received with the sessions on either side of that
moment, so a message that arrives late, twice or from a spool is filed as it would have been on time.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.core.messages import InboundMessage
from gateway.core.times import ms_between, seconds


class Kind(enum.StrEnum):
    """What happened to the message."""

    CREATED = "created"
    REUSED = "reused"
    ROLLED_OVER = "rolled_over"


class Rule(enum.StrEnum):
    """Which rule said so; `explain` puts each into words."""

    FIRST_MESSAGE = "first_message"
    WITHIN_THRESHOLD = "within_threshold"
    PAST_THRESHOLD = "past_threshold"
    NO_THRESHOLD = "no_threshold"
    EVERY_MESSAGE = "every_message"
    INSIDE_SESSION = "inside_session"
    JOINS_NEXT = "joins_next"
    BEFORE_FIRST = "before_first"
    LIVE_CALL = "live_call"
    SAME_CALL = "same_call"
    CLOSED_FOR_GOOD = "closed_for_good"
    ASKED_FOR = "asked_for"


class Scope(enum.StrEnum):
    """Whether a person has one session per channel, or one in all."""

    CHANNEL = "channel"
    CONTACT = "contact"


class Anchor(enum.StrEnum):
    """Which messages keep a session alive: those of either side, or only the sender's."""

    ANY = "any"
    INBOUND = "inbound"


class CarryOver(enum.StrEnum):
    """What of a session's context goes on when it rolls over: nothing, the flow that runs in it, or all of it."""

    NONE = "none"
    FLOW = "flow"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Policy:
    """How to judge: `threshold_ms` None never rolls over, 0 gives every message its own session.

    `carry_over` is what a session takes along from the one it follows.
    `shared` are the identifiers that many people write by: they tell nothing of who it is.
    """

    threshold_ms: int | None
    scope: Scope = Scope.CHANNEL
    anchor: Anchor = Anchor.ANY
    carry_over: CarryOver = CarryOver.FLOW
    shared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SessionView:
    """A stored session as far as decisions need it. `opened_by` is the message it was opened for.

    `automatic` counts the answers nobody wrote by hand, by the minute; `notices` are those given already. `flow` is
    the state of its flow as stored.
    """

    id: str
    first_message_at: datetime
    last_message_at: datetime
    created_at: datetime
    communication_type: str = ""
    is_open: bool = True
    closed_reason: str | None = None
    closed_at: datetime | None = None
    last_inbound_at: datetime | None = None
    live: tuple[str, ...] = ()
    live_until: datetime | None = None
    previous_session_id: str | None = None
    contact_id: str | None = None
    opened_by: str | None = None
    opening: Mapping[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    opted_out: tuple[str, ...] = ()
    automatic: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    bot_off: bool = False
    assigned_to: str = ""
    flow: Mapping[str, Any] | None = None

    def anchored_at(self, anchor: Anchor) -> datetime:
        """Give the moment that gaps are measured from."""
        if anchor is Anchor.INBOUND:
            return self.last_inbound_at or self.first_message_at
        return self.last_message_at

    def is_final_at(self, moment: datetime) -> bool:
        """Tell whether a person (or a merge) closed it before this moment; idleness is never final."""
        if self.is_open or self.closed_reason == IDLE:
            return False
        return self.closed_at is None or moment > self.closed_at

    def has_live_call_at(self, moment: datetime) -> bool:
        """Tell whether a call is on that keeps the session open whatever the gap."""
        return bool(self.live) and self.live_until is not None and moment <= self.live_until


IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The sender's sessions on both sides of a moment: the newest starting at or before it, and the next."""

    before: SessionView | None = None
    after: SessionView | None = None


def newest_first(found: Sequence[SessionView]) -> list[SessionView]:
    """Put sessions of a sender in order; of those that began at the same moment one that another follows is older."""
    followed = {one.previous_session_id for one in found}
    return sorted(
        found,
        key=lambda one: (one.first_message_at, one.id not in followed, one.is_open, one.created_at, one.id),
        reverse=True,
    )


@dataclass(frozen=True, slots=True)
class SessionDecision:
    """Where a message goes. `session_id` is the session it joins, None where one is to be opened.

    `next_gap_ms` is the distance to the session after it (late arrivals only); `bridges` names that session
    where the message lies in reach of both and would have joined them into one, had it come on time.
    """

    kind: Kind
    rule: Rule
    policy: Policy
    session_id: str | None = None
    gap_ms: int | None = None
    previous_session_id: str | None = None
    next_gap_ms: int | None = None
    bridges: str | None = None

    def as_stored(self) -> dict[str, Any]:
        """Give `messages.decision`; times in seconds, ids as strings."""
        threshold = self.policy.threshold_ms
        stored: dict[str, Any] = {
            "kind": str(self.kind),
            "rule": str(self.rule),
            "gap_seconds": None if self.gap_ms is None else seconds(self.gap_ms),
            "threshold_seconds": None if threshold is None else seconds(threshold),
            "previous_session_id": self.previous_session_id,
            "scope": str(self.policy.scope),
            "anchor": str(self.policy.anchor),
        }
        if self.next_gap_ms is not None:
            stored["next_gap_seconds"] = seconds(self.next_gap_ms)
        if self.bridges is not None:
            stored["bridges_session_id"] = self.bridges
        return stored


def session_keys(message: InboundMessage, scope: Scope) -> tuple[str, ...]:
    """Give the keys a sender's sessions are found by, one for each identity seen in the message."""
    if scope is Scope.CONTACT:
        return message.sender.identities
    line = f"{message.communication_type}|{message.recipient.identity}"
    return tuple(f"{line}|{identity}" for identity in message.sender.identities)


def decide(neighbours: Neighbours, moment: datetime, policy: Policy) -> SessionDecision:
    """File a message of this moment among the sender's sessions (rules T4, T5, T6, T9 of the design)."""
    before, after = neighbours.before, neighbours.after
    gap = None if before is None else max(0, ms_between(before.anchored_at(policy.anchor), moment))
    if policy.threshold_ms == 0:
        return _open(neighbours, moment, policy, gap, Rule.EVERY_MESSAGE)
    rule = None if before is None else _reason_to_join(before, moment, policy)
    if before is not None and rule is not None:
        bridged = None if _parted(before, after) else _in_reach(after, moment, policy)
        return SessionDecision(
            Kind.REUSED,
            rule,
            policy,
            session_id=before.id,
            gap_ms=gap,
            next_gap_ms=bridged,
            bridges=after.id if after is not None and bridged is not None else None,
        )
    distance = _in_reach(after, moment, policy)
    if after is not None and distance is not None:
        return SessionDecision(
            Kind.REUSED, Rule.JOINS_NEXT, policy, session_id=after.id, gap_ms=0, next_gap_ms=distance
        )
    return _open(neighbours, moment, policy, gap)


def decide_anew(neighbours: Neighbours, moment: datetime, policy: Policy) -> SessionDecision:
    """File a message whose sender asked for a new session: whatever the gap, nothing before it is joined."""
    before = neighbours.before
    gap = None if before is None else max(0, ms_between(before.anchored_at(policy.anchor), moment))
    return _open(neighbours, moment, policy, gap, Rule.ASKED_FOR)


def _reason_to_join(before: SessionView, moment: datetime, policy: Policy) -> Rule | None:
    if before.is_final_at(moment):
        return None
    if policy.threshold_ms is None:
        return Rule.NO_THRESHOLD
    gap = ms_between(before.anchored_at(policy.anchor), moment)
    if gap < 0:
        return Rule.INSIDE_SESSION
    if gap <= policy.threshold_ms:
        return Rule.WITHIN_THRESHOLD
    return Rule.LIVE_CALL if before.has_live_call_at(moment) else None


def _in_reach(after: SessionView | None, moment: datetime, policy: Policy) -> int | None:
    if after is None or after.is_final_at(moment):
        return None  # one that was deleted takes nothing more, not even what is from before
    distance = ms_between(moment, after.first_message_at)
    return distance if policy.threshold_ms is None or distance <= policy.threshold_ms else None


def _parted(before: SessionView, after: SessionView | None) -> bool:
    """Tell whether somebody ended the one before the other began: nothing between them would have made them one."""
    if after is None or before.is_open or before.closed_reason == IDLE:
        return False
    return before.closed_at is None or before.closed_at <= after.first_message_at


def _open(
    neighbours: Neighbours, moment: datetime, policy: Policy, gap: int | None, rule: Rule | None = None
) -> SessionDecision:
    """Decide on a session of its own, after whatever came before it."""
    before, after = neighbours.before, neighbours.after
    if before is None:
        kind, default = Kind.CREATED, Rule.BEFORE_FIRST if after else Rule.FIRST_MESSAGE
    elif before.is_final_at(moment):
        kind, default = Kind.CREATED, Rule.CLOSED_FOR_GOOD
    else:
        kind, default = Kind.ROLLED_OVER, Rule.PAST_THRESHOLD
    return SessionDecision(
        kind,
        rule or default,
        policy,
        gap_ms=gap,
        previous_session_id=None if before is None else before.id,
        next_gap_ms=None if after is None else ms_between(moment, after.first_message_at),
    )
