"""Random timelines of messages, splits, merges and undos against a model, and webhooks that race with them."""

import threading
from dataclasses import dataclass, field
from datetime import timedelta

import mongoengine
from bson import ObjectId
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from gateway.conversation import upkeep
from gateway.conversation.receive import receive
from gateway.conversation.regroup import merge, split, undo
from gateway.conversation.regrouping import CannotRegroup
from gateway.conversation.runtime import build
from gateway.core.messages import InboundMessage
from gateway.core.participant import address, participant
from tests.conftest import TEN, StoppedClock, Twilio
from tests.conversation.conftest import Person
from tests.conversation.test_regroup import sid

THRESHOLD = 300_000
GAPS = [0, 1, 1000, 150_000, 300_000, 300_001, 600_000]
PICK = st.integers(0, 1000)


@dataclass
class Span:
    """A session as the rules draw it: each message with its time in ms, and after when nothing joins it any more."""

    id: str
    members: dict[str, int] = field(default_factory=dict)
    final: int | None = None
    first: int = 0

    @property
    def last(self):
        return max(self.members.values())


@dataclass
class Change:
    """A split or merge, with what is needed to take it back."""

    id: str
    kind: str
    earlier: Span
    later: Span
    boundary: int
    known: set[str]
    of_later: set[str]
    final: int | None
    order: int


class Model:
    """What split, merge, undo and rule T4 say, over lists."""

    def __init__(self):
        self.spans, self.done, self.orders = [], [], 0

    def receive(self, message_id, t, landed_in):
        ordered = sorted(self.spans, key=lambda span: span.first)
        before = next((span for span in reversed(ordered) if span.first <= t), None)
        after = next((span for span in ordered if span.first > t), None)
        if before and not (before.final is not None and t > before.final) and t - before.last <= THRESHOLD:
            span = before
        elif after and after.first - t <= THRESHOLD:
            span = after
        else:
            span = Span(landed_in, first=t)
            self.spans.append(span)
        span.members[message_id] = t
        span.first = min(span.first, t)

    def order(self):
        self.orders += 1
        return self.orders

    def split(self, span, new_id, regrouping_id, t):
        gone = {one for one, at in span.members.items() if at >= t}
        later = Span(new_id, {one: span.members.pop(one) for one in gone}, span.final, t)
        self.done.append(Change(regrouping_id, "split", span, later, t, set(), gone, span.final, self.order()))
        span.final = t - 1
        self.spans.append(later)

    def merge(self, earlier, later, regrouping_id):
        known = set(earlier.members) | set(later.members)
        gone = set(later.members)
        change = Change(regrouping_id, "merge", earlier, later, later.first, known, gone, earlier.final, self.order())
        self.done.append(change)
        self._join(earlier, later)

    def _join(self, earlier, later):
        earlier.members |= later.members
        earlier.final, later.members = later.final, {}
        earlier.first = min(earlier.members.values())
        self.spans.remove(later)

    def is_last(self, change):
        pair = {change.earlier.id, change.later.id}
        return not any(other.order > change.order and pair & {other.earlier.id, other.later.id} for other in self.done)

    def undo(self, change):
        self.done.remove(change)
        earlier, later = change.earlier, change.later
        if change.kind == "split":
            self._join(earlier, later)
            return
        gone = change.of_later | {
            one for one, at in earlier.members.items() if one not in change.known and at >= change.boundary
        }
        later.members = {one: earlier.members.pop(one) for one in gone}
        later.final, earlier.final = earlier.final, change.final
        later.first, earlier.first = min(later.members.values()), min(earlier.members.values())
        self.spans.append(later)


def drawn(db):
    return {
        str(session["_id"]): (
            (session["first_message_at"] - TEN) // timedelta(milliseconds=1),
            (session["last_message_at"] - TEN) // timedelta(milliseconds=1),
            frozenset(message["_id"] for message in db.messages.find({"session_id": session["_id"]})),
        )
        for session in db.sessions.find({"merged_into": {"$exists": False}})
    }


def assert_invariants(db):
    held = [key for session in db.sessions.find({"open_keys": {"$exists": True}}) for key in session["open_keys"]]
    assert len(held) == len(set(held)), "I2: two open sessions of one sender"
    shown = {session["_id"]: session for session in db.sessions.find({"merged_into": {"$exists": False}})}
    for session in shown.values():
        assert session["message_count"] == db.messages.count_documents({"session_id": session["_id"]}) > 0, "I5"
        assert (session["status"] == "active") == ("open_keys" in session)
        assert session["previous_session_id"] in {None, *shown}
        assert not {"absorbed", "heir"} & set(session)
    assert db.messages.count_documents({"session_id": {"$nin": list(shown)}}) == 0, "lost"
    for gone in db.sessions.find({"merged_into": {"$exists": True}}):
        while gone is not None and gone["_id"] not in shown:
            gone = db.sessions.find_one({"_id": gone["merged_into"]})
        assert gone is not None, "a link leads nowhere"
    assert db.regroupings.count_documents({"busy": {"$exists": True}}) == 0


def test_i2_i5_sessions_are_drawn_as_the_model_does_and_undo_brings_back_what_was(make_app, make_settings, clock):
    make_app()
    serving = build(make_settings(reply={"responder": "none"}), clock=clock)
    db = mongoengine.get_db()

    class Timeline(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            for name in ("sessions", "messages", "contacts", "regroupings", "audit", "jobs"):
                db[name].delete_many({})
            self.model, self.now, self.sent = Model(), 0, 0

        def tick(self):
            self.now += 1
            clock.moment = TEN + timedelta(milliseconds=self.now)

        def deliver(self, t):
            self.tick()
            self.sent += 1
            name, at = sid(self.sent), TEN + timedelta(milliseconds=t)
            person, ours = participant("+15558675310"), address("+15017122661")
            done = receive(serving, InboundMessage(name, "sms", person, ours, "Hi", at, name))
            self.model.receive(name, t, done.session_id)
            self.check()

        def check(self):
            assert_invariants(db)
            assert drawn(db) == {span.id: (span.first, span.last, frozenset(span.members)) for span in self.model.spans}

        @rule(gap=st.sampled_from(GAPS))
        def next_message(self, gap):
            self.now += gap
            self.deliver(self.now)

        @rule(late=st.sampled_from(GAPS) | st.integers(0, 2_000_000))
        def late_message(self, late):
            self.deliver(self.now - late)

        @rule(which=PICK)
        @precondition(lambda self: self.model.spans)
        def split_somewhere(self, which):
            self.tick()
            where = [(span, name) for span in self.model.spans for name in span.members]
            span, name = where[which % len(where)]
            t = span.members[name]
            if t == min(span.members.values()):
                try:
                    split(serving, span.id, name, by="ada")
                    raise AssertionError("split at the first message")
                except CannotRegroup:
                    return
            done = split(serving, span.id, name, by="ada")
            self.model.split(span, done.later, done.id, t)
            self.check()

        @rule(which=PICK)
        @precondition(lambda self: len(self.model.spans) > 1)
        def merge_somewhere(self, which):
            self.tick()
            later = self.model.spans[which % len(self.model.spans)]
            previous = db.sessions.find_one({"_id": ObjectId(later.id)})["previous_session_id"]
            try:
                done = merge(serving, later.id, by="ada")
            except CannotRegroup:
                assert previous is None
                return
            assert done.earlier == str(previous)
            earlier = next(span for span in self.model.spans if span.id == done.earlier)
            self.model.merge(earlier, later, done.id)
            self.check()

        @rule(which=PICK)
        @precondition(lambda self: self.model.done)
        def undo_something(self, which):
            self.tick()
            change = self.model.done[which % len(self.model.done)]
            if not self.model.is_last(change):
                try:
                    undo(serving, change.id, by="bob")
                    raise AssertionError("undone out of order")
                except CannotRegroup:
                    return
            undo(serving, change.id, by="bob")
            self.model.undo(change)
            self.check()

        @rule()
        def upkeep(self):
            self.tick()
            upkeep.sweep(serving)
            upkeep.settle(serving)
            self.check()

    run_state_machine_as_test(
        Timeline,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_webhooks_that_race_with_splits_merges_and_undos_lose_nothing(make_app, live_db):
    clock = StoppedClock()
    app = make_app(reply={"hourly_limit": 0})
    app.extensions["gateway"] = serving = build(app.extensions["gateway"].settings, clock=clock)
    ada = Person(Twilio(app.test_client()), clock, "sms")
    for number, minute in enumerate((0, 1, 30, 31)):
        ada.say(minutes=minute, sid=sid(number))
    stop, sent, failed = threading.Event(), [], []

    def write(writer):
        twilio = Twilio(app.test_client())
        number = 0
        while not stop.is_set() and number < 400:
            number += 1
            name = sid(writer * 1000 + number)
            answer = twilio.sms(MessageSid=name, From=ada.number, To=ada.ours)
            (sent if answer.status_code == 200 else failed).append(name)

    writers = [threading.Thread(target=write, args=(one,)) for one in range(1, 5)]
    for writer in writers:
        writer.start()
    for turn in range(12):
        clock.tick(1)
        newest = live_db.sessions.find_one({"merged_into": {"$exists": False}}, sort=[("first_message_at", -1)])
        inbound = list(
            live_db.messages.find({"session_id": newest["_id"], "direction": "inbound"}).sort("createdAt", 1)
        )
        later = [one for one in inbound if one["createdAt"] > newest["first_message_at"]]
        if turn % 2 and newest["previous_session_id"]:
            done = merge(serving, str(newest["_id"]), by="ada")
        elif later:
            done = split(serving, str(newest["_id"]), later[len(later) // 2]["_id"], by="ada")
        else:
            continue
        if turn % 3 == 0:
            undo(serving, done.id, by="bob")
    stop.set()
    for writer in writers:
        writer.join()
    assert (len(failed), len(sent) > 20) == (0, True)
    for _ in range(2):
        clock.tick(20)
        upkeep.settle(serving)
    assert_invariants(live_db)
    stored = {message["_id"] for message in live_db.messages.find()}
    wanted = {sid(number) for number in range(4)} | set(sent)
    assert stored == wanted | {f"re:{one}" for one in wanted}
    for answer in live_db.messages.find({"direction": "outbound"}):
        asked = live_db.messages.find_one({"_id": answer["metadata"]["inReplyTo"]})
        assert asked["session_id"] == answer["session_id"]


def test_agents_who_split_and_merge_the_same_session_at_once_do_it_one_after_another(make_app, live_db, clock):
    app = make_app()
    serving = app.extensions["gateway"]
    ada = Person(Twilio(app.test_client()), clock, "sms")
    for number, minute in enumerate((0, 1, 2, 3, 30, 31, 32, 33)):
        ada.say(minutes=minute, sid=sid(number))
    second = live_db.sessions.find_one({"status": "active"})
    done, refused, start = [], [], threading.Barrier(6)

    def act(number):
        start.wait()
        try:
            if number % 3 == 0:
                done.append(merge(serving, str(second["_id"]), by=f"agent {number}"))
            else:
                done.append(split(serving, str(second["_id"]), sid(6), by=f"agent {number}"))
        except CannotRegroup as refusal:
            refused.append(str(refusal))

    agents = [threading.Thread(target=act, args=(number,)) for number in range(6)]
    for agent in agents:
        agent.start()
    for agent in agents:
        agent.join()
    assert len(done) + len(refused) == 6
    assert len([one for one in done if one.kind == "merge"]) <= 1
    assert len([one for one in done if one.kind == "split"]) <= 1
    assert done
    assert_invariants(live_db)
    for one in sorted(done, key=lambda one: -one.order):
        undo(serving, one.id, by="root")
    assert_invariants(live_db)
    assert [span[2] for span in drawn(live_db).values()] == [
        frozenset(name for number in numbers for name in (sid(number), f"re:{sid(number)}"))
        for numbers in (range(4), range(4, 8))
    ]
