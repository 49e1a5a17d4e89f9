"""The real store against an oracle, over random timelines: many senders, duplicates, late and edge arrivals."""

from dataclasses import dataclass, field
from datetime import timedelta

import mongoengine
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from gateway.conversation import upkeep
from gateway.conversation.receive import receive
from gateway.conversation.runtime import build
from gateway.core.messages import InboundMessage
from gateway.core.participant import address, participant
from tests.conftest import TEN

THRESHOLD = 300_000
GAPS = [0, 1, 1000, 150_000, 299_999, 300_000, 300_001, 600_000, 3_600_000]


@dataclass
class Span:
    """A session as the rules draw it, in milliseconds."""

    first: int
    last: int
    members: set[str] = field(default_factory=set)


class Oracle:
    """Rule T4, word for word, over lists."""

    def __init__(self) -> None:
        self.senders: dict[str, list[Span]] = {}
        self.seen: set[str] = set()

    def receive(self, sender: str, message_id: str, t: int) -> None:
        if message_id in self.seen:
            return
        self.seen.add(message_id)
        spans = sorted(self.senders.setdefault(sender, []), key=lambda span: span.first)
        before = next((span for span in reversed(spans) if span.first <= t), None)
        after = next((span for span in spans if span.first > t), None)
        if before and t - before.last <= THRESHOLD:
            span = before
        elif after and after.first - t <= THRESHOLD:
            span = after
        else:
            span = Span(t, t)
            self.senders[sender].append(span)
        span.first, span.last = min(span.first, t), max(span.last, t)
        span.members.add(message_id)

    def drawn(self) -> set[tuple[int, int, frozenset[str]]]:
        return {(s.first, s.last, frozenset(s.members)) for spans in self.senders.values() for s in spans}


def test_the_store_draws_sessions_as_the_oracle_does(make_app, make_settings, clock):
    make_app()
    serving = build(make_settings(reply={"responder": "none"}), clock=clock)
    db = mongoengine.get_db()

    class Timeline(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            for name in ("sessions", "messages", "contacts"):
                db[name].delete_many({})
            self.oracle, self.now, self.sent = Oracle(), 0, []

        def deliver(self, sender: str, message_id: str, t: int) -> None:
            moment = TEN + timedelta(milliseconds=t)
            clock.moment = moment
            message = InboundMessage(
                message_id, "sms", participant(sender), address("+15017122661"), "Hi", moment, message_id
            )
            receive(serving, message)
            self.oracle.receive(sender, message_id, t)

        def new(self, sender: str, t: int) -> None:
            self.sent.append((sender, f"SM{len(self.sent)}"))
            self.deliver(*self.sent[-1], t)

        @rule(sender=st.sampled_from(["+15558675310", "+15558675311", "12345"]), gap=st.sampled_from(GAPS))
        def next_message(self, sender: str, gap: int) -> None:
            self.now += gap
            self.new(sender, self.now)

        @rule(
            sender=st.sampled_from(["+15558675310", "+15558675311"]),
            late=st.sampled_from(GAPS) | st.integers(0, 8_000_000),
        )
        def late_message(self, sender: str, late: int) -> None:
            self.new(sender, self.now - late)

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
            still_open = db.sessions.count_documents({"status": "active"})
            assert still_open <= len(self.oracle.senders)

    run_state_machine_as_test(
        Timeline,
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
