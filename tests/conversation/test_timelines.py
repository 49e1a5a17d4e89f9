"""The real store against an oracle, over random timelines: many senders, duplicates, late and edge arrivals."""

import math
from dataclasses import dataclass, field
from datetime import timedelta

import mongoengine
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from gateway.conversation import upkeep
from gateway.conversation.receive import receive
from gateway.conversation.runtime import build
from gateway.core.messages import InboundMessage
from gateway.core.participant import address, participant
from tests.conftest import TEN

KINDS = st.sampled_from(["sms", "whatsapp"])
SENDERS = st.sampled_from(["+15558675310", "+15558675311", "12345"])
GAPS = [0, 1, 1000, 150_000, 299_999, 300_000, 300_001, 600_000, 3_600_000]


@dataclass
class Span:
    """A session as the rules draw it, in milliseconds."""

    first: int
    last: int
    members: set[str] = field(default_factory=set)


class Oracle:
    """Rule T4, word for word, over lists."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.senders: dict[str, list[Span]] = {}
        self.seen: set[str] = set()

    def receive(self, sender: str, message_id: str, t: int) -> None:
        if message_id in self.seen:
            return
        self.seen.add(message_id)
        spans = sorted(self.senders.setdefault(sender, []), key=lambda span: span.first)
        before = next((span for span in reversed(spans) if span.first <= t), None)
        after = next((span for span in spans if span.first > t), None)
        if before and self.threshold and t - before.last <= self.threshold:
            span = before
        elif after and self.threshold and after.first - t <= self.threshold:
            span = after
        else:
            span = Span(t, t)
            self.senders[sender].append(span)
        span.first, span.last = min(span.first, t), max(span.last, t)
        span.members.add(message_id)

    def drawn(self) -> set[tuple[int, int, frozenset[str]]]:
        return {(s.first, s.last, frozenset(s.members)) for spans in self.senders.values() for s in spans}


@pytest.mark.parametrize("scope", ["channel", "contact"])
@pytest.mark.parametrize("threshold", [300_000, 0, math.inf], ids=["five minutes", "zero", "never"])
def test_the_store_draws_sessions_as_the_oracle_does(make_app, make_settings, clock, threshold, scope):
    make_app()
    seconds = "never" if threshold == math.inf else threshold / 1000
    policy = {"idle_seconds": seconds, "scope": scope}
    serving = build(make_settings(reply={"responder": "none"}, sessions=policy), clock=clock)
    db = mongoengine.get_db()

    class Timeline(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            for name in ("sessions", "messages", "contacts"):
                db[name].delete_many({})
            self.oracle, self.now, self.sent = Oracle(threshold), 0, []

        def deliver(self, kind: str, sender: str, message_id: str, t: int) -> None:
            clock.moment = moment = TEN + timedelta(milliseconds=t)
            ours = address("+15017122661")
            receive(serving, InboundMessage(message_id, kind, participant(sender), ours, "Hi", moment, message_id))
            self.oracle.receive(sender if scope == "contact" else f"{kind} {sender}", message_id, t)

        def new(self, kind: str, sender: str, t: int) -> None:
            self.sent.append((kind, sender, f"SM{len(self.sent)}"))
            self.deliver(*self.sent[-1], t)

        @rule(kind=KINDS, sender=SENDERS, gap=st.sampled_from(GAPS))
        def next_message(self, kind: str, sender: str, gap: int) -> None:
            self.now += gap
            self.new(kind, sender, self.now)

        @rule(kind=KINDS, sender=SENDERS, late=st.sampled_from(GAPS) | st.integers(0, 8_000_000))
        def late_message(self, kind: str, sender: str, late: int) -> None:
            self.new(kind, sender, self.now - late)

        @rule(which=st.integers(0, 1000), late=st.sampled_from(GAPS))
        def duplicate(self, which: int, late: int) -> None:
            if self.sent:
                self.deliver(*self.sent[which % len(self.sent)], self.now + late)

        @rule()
        def sweep(self) -> None:
            clock.moment = TEN + timedelta(milliseconds=self.now)
            upkeep.sweep(serving)

        def teardown(self) -> None:
            drawn = set()
            for session in db.sessions.find():
                members = [m["_id"] for m in db.messages.find({"session_id": session["_id"]})]
                assert session["message_count"] == len(members)
                first, last = (
                    (session[name] - TEN) // timedelta(milliseconds=1)
                    for name in ("first_message_at", "last_message_at")
                )
                drawn.add((first, last, frozenset(members)))
            assert drawn == self.oracle.drawn()
            if threshold:
                held = [session["keys"][0] for session in db.sessions.find({"status": "active"})]
                assert len(held) == len(set(held)), "two open sessions of one sender"

    run_state_machine_as_test(
        Timeline,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
