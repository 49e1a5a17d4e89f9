"""Sessions that are opened together are those that each message would have opened alone, whoever races."""

import functools
from datetime import timedelta

import mongoengine
import pytest
from bson import ObjectId
from pymongo.collection import Collection

from gateway.conversation import filing, group_commit
from gateway.core.participant import participant
from gateway.core.replies import answer_id
from gateway.store import contacts, held, messages, senders, sessions, suppressions, writing
from gateway.store.connection import insert_new
from gateway.store.documents import ContactDocument
from tests.conftest import Twilio
from tests.conversation.rushing import assert_counts_are_right, number, spy, together

LINE = "+15017122661"
HOUR = 3600
MANY = 6


class Town:
    """People who write at once, and how they are served: in one group, or one after the other."""

    def __init__(self, app, clock):
        self.app, self.clock = app, clock
        self.db = mongoengine.get_db()

    def say(self, person, sid, body="Hi", **also):
        answer = Twilio(self.app.test_client()).sms(body, From=number(person), MessageSid=sid, **also)
        assert answer.status_code == 200
        return answer.data

    def write(self, who, sid, body="Hi", **also):
        answer = Twilio(self.app.test_client()).whatsapp(body, From=f"whatsapp:{who}", MessageSid=sid, **also)
        assert answer.status_code == 200
        return answer.data

    def all_at_once(self, posts):
        together(self.app, posts)

    def texts(self, people, sid="SM{}"):
        return [functools.partial(self.say, person, sid.format(person)) for person in people]

    def stored(self, sid):
        return self.db.messages.find_one({"_id": sid})

    def rules(self, people, sid="SM{}"):
        return [self.stored(sid.format(person))["decision"]["rule"] for person in people]


@pytest.fixture
def town(make_app, clock):
    return Town(make_app(reply={"responder": "echo"}), clock)


@pytest.fixture
def nobody_alone(monkeypatch):
    """Fail where a message is filed by itself."""
    monkeypatch.setattr(filing, "find_session", lambda *_, **__: pytest.fail("filed alone"))


def test_first_texts_share_every_step(town, monkeypatch, nobody_alone):
    calls = []
    steps = [(messages, "stored_among"), (sessions, "open_each"), (messages, "insert"), (sessions, "touch")]
    for module, name in steps:
        spy(monkeypatch, module, name, calls)
    town.all_at_once(town.texts(range(MANY)))
    assert calls == [(name, MANY) for _, name in steps]
    assert town.rules(range(MANY)) == ["first_message"] * MANY
    assert town.db.sessions.count_documents({"status": "active", "message_count": 2}) == MANY
    assert town.db.contacts.count_documents({}) == MANY
    for person in range(MANY):
        session = town.db.sessions.find_one({"_id": town.stored(f"SM{person}")["session_id"]})
        contact = town.db.contacts.find_one({"_id": session["contact_id"]})
        assert contact["phones"] == [number(person)]
        assert town.stored(answer_id(f"SM{person}"))["session_id"] == session["_id"]


@pytest.mark.parametrize("seconds", [301, 24 * HOUR], ids=["a little over", "a day later"])
def test_rollovers_share_every_step_and_close_what_they_leave(town, monkeypatch, nobody_alone, seconds):
    town.all_at_once(town.texts(range(MANY), "SM-before-{}"))
    town.clock.tick(seconds)
    calls = []
    for module, name in [(messages, "received_since"), (sessions, "close_each"), (sessions, "open_each")]:
        spy(monkeypatch, module, name, calls)
    town.all_at_once(town.texts(range(MANY)))
    assert calls == [(name, MANY) for name in ("received_since", "close_each", "open_each")]
    assert town.rules(range(MANY)) == ["past_threshold"] * MANY
    for person in range(MANY):
        left = town.db.sessions.find_one({"_id": town.stored(f"SM-before-{person}")["session_id"]})
        assert (left["status"], left["closed_reason"], left["closed_at"]) == ("closed", "idle", town.clock.now())
        opened = town.db.sessions.find_one({"_id": town.stored(f"SM{person}")["session_id"]})
        assert (opened["previous_session_id"], opened["contact_id"]) == (left["_id"], left["contact_id"])
    assert town.db.contacts.count_documents({}) == MANY
    assert_counts_are_right()


def everything_there_is(town, *, forgotten):
    """Let people be in every state that matters, and give what they write then."""
    db = town.db
    for person in (0, 1, 4, 6, 7, 11, 12, 19, 21):
        town.say(person, f"SM-old-{person}")
    town.write(number(20), "SM-old-20", ProfileName="")
    for person in (18, 24):
        town.write(number(person), f"SM-older-{person}", ExternalUserId=f"whatsapp:US.{person}")
    town.write(number(22), "SM-old-22", ExternalUserId="whatsapp:US.22")
    town.write(number(23), "SM-old-23")
    town.write("US.23", "SM-old-23-too")
    town.say(4, "SM-out", "STOP")
    db.sessions.update_one(of(town, "SM-old-6"), {"$set": {"bot_off": True, "assigned_to": "ada"}})
    db.sessions.update_one(of(town, "SM-old-7"), {"$set": {"context.flow": {"name": "x", "outcome": "completed"}}})
    db.contacts.delete_one({"phones": number(11)})
    waiting = {"name": "x", "run": "r", "outcome": None, "due": town.clock.now() + timedelta(days=1)}
    db.sessions.update_one(of(town, "SM-old-19"), {"$set": {"context.flow": waiting}})
    merged = [db.contacts.find_one({"phones": number(person)})["_id"] for person in (12, 1)]
    db.contacts.update_one({"_id": merged[1]}, {"$set": {"merged_into": merged[0]}})
    db.contacts.update_one({"_id": merged[0]}, {"$set": {"absorbed": True}})
    town.clock.tick(2 * HOUR - 600)
    closed = {"status": "closed", "closed_reason": "operator", "closed_at": town.clock.now()}
    db.sessions.update_one(of(town, "SM-old-1"), {"$set": closed, "$unset": {"open_keys": ""}})
    contacts.resolve(participant(number(5)), town.clock.now(), line=LINE)
    if forgotten:
        suppressions.keep([number(14)], [LINE], town.clock.now())
    for person in (2, 13):
        town.say(person, f"SM-old-{person}")
    town.clock.tick(480)
    for person in (3, 15):
        town.say(person, f"SM-old-{person}")
    for person in (18, 24):
        town.write(number(person), f"SM-old-{person}")
    closed["closed_at"] = town.clock.now()
    db.sessions.update_one(of(town, "SM-old-24"), {"$set": closed, "$unset": {"open_keys": ""}})
    # Writers that died before they stored or counted, and somebody whose sessions went another way.
    db.messages.delete_many({"_id": {"$in": ["SM-old-21", "re:SM-old-21"]}})
    uncounted = db.messages.find_one({"_id": "SM-old-13"}) | {"_id": "SM-uncounted", "createdAt": town.clock.now()}
    db.messages.insert_one(uncounted)
    db.sessions.delete_one(of(town, "SM-old-15"))
    db.contacts.delete_one({"phones": number(15)})
    db.messages.insert_one(town.stored("SM-old-15") | {"_id": "SM15"})
    town.clock.tick(120)
    numbers = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 19]
    return [
        *town.texts(numbers),
        functools.partial(town.say, 8, "SM8", "STOP"),
        functools.partial(town.say, 9, "SM9-again", "and then"),
        functools.partial(town.say, 15, "SM15"),
        functools.partial(town.write, number(10), "SM10-whatsapp"),
        functools.partial(town.write, number(18), "SM18", ExternalUserId="whatsapp:US.18"),
        functools.partial(town.write, number(24), "SM24", ExternalUserId="whatsapp:US.24"),
        functools.partial(town.write, number(20), "SM20", ProfileName="Ada"),
        functools.partial(town.write, number(22), "SM22"),
        functools.partial(town.write, "US.22", "SM22-too"),
        functools.partial(town.write, number(23), "SM23", ExternalUserId="whatsapp:US.23"),
        functools.partial(town.say, 21, "SM-old-21"),
        functools.partial(town.write, number(16), "SM16", ExternalUserId="whatsapp:US.16"),
        functools.partial(town.write, "US.16", "SM16-again"),
        functools.partial(town.write, number(5), "SM5-whatsapp", ProfileName="Grace"),
        functools.partial(town.say, 17, "SM17", NumMedia="1", MediaUrl0="https://x.example/1", MediaContentType0="a/b"),
    ]


def of(town, sid):
    return {"_id": town.stored(sid)["session_id"]}


# How long an answer took, and the name of the webhook that told it: these are never the same.
OTHER_EACH_TIME = {"milliseconds", "processing_time_ms", "webhook"}


def what_is_stored(db):
    """Give all documents, with names in the place of ids that are made anew each time."""
    names = {}
    for one in db.contacts.find():
        names[one["_id"]] = f"contact {sorted(one['identifiers'])}"
    for one in db.sessions.find():
        names[one["_id"]] = f"session {one['opening']['message_id']} {one['keys']}"
    everything = {}
    for kind in ("contacts", "sessions", "messages", "outbox"):
        rows = [_named(one, names) for one in db[kind].find()]
        everything[kind] = sorted(rows, key=lambda one: str(one["_id"]))
    return everything


def _named(value, names):
    if isinstance(value, dict):
        return {name: _named(one, names) for name, one in value.items() if name not in OTHER_EACH_TIME}
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    if isinstance(value, str):
        return functools.reduce(lambda text, one: text.replace(str(one), names[one]), names, value)
    return names.get(value, "an id") if isinstance(value, ObjectId) else value


@pytest.mark.parametrize("scope", ["channel", "contact"])
@pytest.mark.parametrize("forgotten", [False, True], ids=["", "one said STOP and was forgotten"])
def test_what_is_stored_together_is_what_each_alone_would_have_stored(make_app, clock, monkeypatch, scope, forgotten):
    begun, opened = clock.now(), []
    spy(monkeypatch, sessions, "open_each", opened)
    stored = {}
    for how in ("alone", "together"):
        town = Town(make_app(reply={"responder": "echo"}, sessions={"scope": scope}), clock)
        for name in town.db.list_collection_names():
            town.db[name].delete_many({})
        clock.moment = begun
        posts = everything_there_is(town, forgotten=forgotten)
        opened.clear()
        if how == "alone":
            with monkeypatch.context() as patch:
                patch.setattr(group_commit, "_may", lambda *_: False)
                for post in posts:
                    post()
        else:
            town.all_at_once(posts)
        stored[how] = what_is_stored(town.db)
    assert max(size for _, size in opened) >= (5 if forgotten else 10), "most were opened at once"
    for kind, rows in stored["together"].items():
        assert rows == stored["alone"][kind]


def test_a_contact_that_another_process_made_meanwhile_is_the_only_one(town, monkeypatch):
    real = writing.insert

    def beaten(document, rows, *, ordered):
        if document is ContactDocument and len(rows) > 1:
            insert_new(ContactDocument, [dict(rows[2]) | {"_id": ObjectId(), "name": "Faster"}])
        return real(document, rows, ordered=ordered)

    monkeypatch.setattr(writing, "insert", beaten)
    town.all_at_once(town.texts(range(MANY)))
    assert town.db.contacts.count_documents({}) == MANY
    faster = town.db.contacts.find_one({"name": "Faster"})
    assert [town.stored(f"SM{person}")["contact_id"] == faster["_id"] for person in range(MANY)] == [
        person == 2 for person in range(MANY)
    ]
    assert_counts_are_right()


@pytest.mark.parametrize("seconds", [0, 301], ids=["first texts", "rollovers"])
@pytest.mark.parametrize("step", ["close_each", "open_each"])
def test_whom_another_process_overtakes_joins_its_session(town, make_app, monkeypatch, step, seconds):
    if seconds:
        town.all_at_once(town.texts(range(MANY), "SM-before-{}"))
        town.clock.tick(seconds)
    other, real = Town(make_app(reply={"responder": "echo"}), town.clock), getattr(sessions, step)

    def beaten(*given, **named):
        if len(given[0]) > 1:
            monkeypatch.setattr(sessions, step, real)
            other.say(3, "SM-faster")
        return real(*given, **named)

    monkeypatch.setattr(sessions, step, beaten)
    counted = []
    spy(monkeypatch, sessions, "touch", counted)
    town.all_at_once(town.texts(range(MANY)))
    monkeypatch.undo()
    assert max(size for _, size in counted) == (MANY - 1 if seconds or step == "open_each" else MANY)
    if seconds or step == "open_each":
        assert town.stored("SM3")["session_id"] == town.stored("SM-faster")["session_id"]
        assert town.rules([3]) == ["within_threshold"]
    assert town.db.sessions.count_documents({"status": "active"}) == MANY
    assert town.db.sessions.count_documents({}) == (2 * MANY if seconds else MANY)
    assert_counts_are_right()


def test_a_session_that_somebody_closes_at_that_very_moment_is_closed_for_good(town, monkeypatch):
    town.all_at_once(town.texts(range(MANY), "SM-before-{}"))
    town.clock.tick(301)
    real = sessions.close_each

    def beaten(*given, **named):
        closed = {"status": "closed", "closed_reason": "operator", "closed_at": town.clock.now() - timedelta(seconds=1)}
        town.db.sessions.update_one(of(town, "SM-before-3"), {"$set": closed, "$unset": {"open_keys": ""}})
        return real(*given, **named)

    monkeypatch.setattr(sessions, "close_each", beaten)
    town.all_at_once(town.texts(range(MANY)))
    assert town.rules(range(MANY)) == ["past_threshold"] * 3 + ["closed_for_good"] + ["past_threshold"] * (MANY - 4)
    assert_counts_are_right()


def test_an_older_session_under_more_names_hides_no_newer_one(town, monkeypatch):
    town.write(number(1), "SM-older", ExternalUserId="whatsapp:US.1")
    town.clock.tick(2 * HOUR)
    town.write(number(1), "SM-newer")
    closed = {"status": "closed", "closed_reason": "operator", "closed_at": town.clock.now()}
    town.db.sessions.update_one(of(town, "SM-newer"), {"$set": closed, "$unset": {"open_keys": ""}})
    town.clock.tick(60)
    monkeypatch.setattr(filing, "find_session", lambda *_, **__: pytest.fail("filed alone"))
    town.all_at_once(
        [functools.partial(town.write, number(1), "SM1", ExternalUserId="whatsapp:US.1"), *town.texts([2])]
    )
    assert town.rules([1, 2]) == ["closed_for_good", "first_message"]
    assert town.stored("SM1")["decision"]["gap_seconds"] == 60


def test_who_writes_under_another_name_goes_on_where_the_first_one_went(make_app, clock):
    """What is over for a text is not over for a WhatsApp, but the text came first."""
    by_type = {"scope": "contact", "idle_seconds_by_type": {"whatsapp": 900}}
    town = Town(make_app(sessions=by_type), clock)
    town.write(number(1), "SM-old", ExternalUserId="whatsapp:US.1")
    clock.tick(400)
    town.all_at_once([functools.partial(town.say, 1, "SM1"), functools.partial(town.write, "US.1", "SM1-too")])
    assert town.rules([1]) == ["past_threshold"]
    assert town.stored("SM1-too")["decision"]["gap_seconds"] == 0
    assert town.stored("SM1-too")["session_id"] == town.stored("SM1")["session_id"]


def test_yes_is_a_start_where_the_contact_said_stop_and_the_last_session_was_not_told(town):
    town.all_at_once(town.texts(range(2), "SM-before-{}"))
    contact = str(town.stored("SM-before-0")["contact_id"])
    contacts.record_opt_out([contact], [LINE], out=True, message_id=None, at=town.clock.now())
    town.clock.tick(301)
    town.all_at_once([functools.partial(town.say, 0, "SM0", "Yes"), functools.partial(town.say, 1, "SM1")])
    assert town.stored("SM0")["metadata"]["keyword"] == "start"
    assert contacts.opted_out(contact) == ()


def test_what_another_process_stored_meanwhile_is_answered_as_it_did(town, make_app, monkeypatch):
    other, real = Town(make_app(reply={"responder": "echo"}), town.clock), messages.stored_among

    def beaten(ids):
        monkeypatch.setattr(messages, "stored_among", real)
        stored = real(ids)
        other.say(3, "SM3", "what it said there")
        return stored

    monkeypatch.setattr(messages, "stored_among", beaten)
    town.all_at_once(town.texts(range(MANY)))
    assert town.stored("SM3")["content"] == "what it said there"
    assert town.db.messages.count_documents({"direction": "inbound"}) == MANY
    assert town.db.sessions.count_documents({}) == MANY
    assert_counts_are_right()


def test_a_message_that_its_writer_did_not_count_keeps_its_session_alive_in_a_group_too(town):
    town.all_at_once(town.texts(range(MANY), "SM-before-{}"))
    town.clock.tick(240)
    late = {"_id": "SM-uncounted", "createdAt": town.clock.now()}
    town.db.messages.insert_one(town.stored("SM-before-2") | late)
    town.clock.tick(120)
    town.all_at_once(town.texts(range(MANY)))
    assert town.rules(range(MANY)) == ["past_threshold"] * 2 + ["within_threshold"] + ["past_threshold"] * (MANY - 3)
    assert town.stored("SM2")["decision"]["gap_seconds"] == 120


def test_what_is_from_before_its_senders_newest_session_is_filed_between(town):
    town.all_at_once(town.texts(range(MANY), "SM-newest-{}"))
    town.clock.moment -= timedelta(seconds=HOUR)
    town.all_at_once(town.texts(range(MANY)))
    assert town.rules(range(MANY)) == ["before_first"] * MANY
    assert town.db.sessions.count_documents({"status": "active"}) == MANY


def test_of_senders_with_very_many_sessions_only_the_newest_are_read(town, monkeypatch):
    monkeypatch.setattr("gateway.store.finding._READ_AT_MOST", 3)
    town.say(1, "SM-once")
    for _ in range(4):
        town.clock.tick(301 * 13)
        town.say(0, f"SM-{town.clock.now().timestamp()}")
    town.clock.tick(301 * 13)
    opened = []
    spy(monkeypatch, sessions, "open_each", opened)
    town.all_at_once(town.texts(range(MANY)))
    assert town.rules(range(MANY)) == ["past_threshold"] * 2 + ["first_message"] * (MANY - 2)
    assert [size for _, size in opened] == [1] * MANY, "of the others it is not known that they have none"


def test_however_many_come_back_mongodb_is_asked_as_often(town, monkeypatch):
    """All that a group asks shares the deadline of one message."""
    people = range(40)
    town.all_at_once(town.texts(people, "SM-before-{}"))
    for person in range(5):
        mine = town.db.contacts.find_one({"phones": number(person)})["_id"]
        other = town.db.contacts.insert_one({"identifiers": [f"other {person}"], "absorbed": [mine]}).inserted_id
        town.db.contacts.update_one({"_id": mine}, {"$set": {"merged_into": other}})
    town.clock.tick(24 * HOUR)
    closed = {"status": "closed", "closed_reason": "idle", "closed_at": town.clock.now()}
    town.db.sessions.update_many({}, {"$set": closed, "$unset": {"open_keys": ""}})
    asked, commit = [], group_commit._commit

    def committing(*given):
        with pytest.MonkeyPatch.context() as patch:
            count(patch, held._Held, "command", asked)
            count(patch, Collection, "find", asked)
            return commit(*given)

    monkeypatch.setattr(group_commit, "_commit", committing)
    town.all_at_once(town.texts(people))
    assert town.rules(people) == ["past_threshold"] * 40
    assert len(asked) == 8


def count(patch, owner, name, calls):
    real = getattr(owner, name)

    def counted(*given, **named):
        calls.append(name)
        return real(*given, **named)

    patch.setattr(owner, name, counted)


def test_a_fault_of_ours_costs_nobody_anything(town, monkeypatch):
    monkeypatch.setattr(senders, "make", lambda *_, **__: 1 / 0)
    town.all_at_once(town.texts(range(MANY)))
    assert town.rules(range(MANY)) == ["first_message"] * MANY
    assert town.db.contacts.count_documents({}) == MANY
    assert_counts_are_right()


def test_where_a_stop_has_to_be_looked_for_nobody_else_waits_for_it(town, monkeypatch):
    suppressions.keep([number(3)], [LINE], town.clock.now())
    commit, lines_of, busy, looked = group_commit._commit, suppressions.lines_of, [], []

    def committing(*given):
        busy.append(given)
        try:
            return commit(*given)
        finally:
            busy.clear()

    def looking(identities):
        looked.append(bool(busy))
        return lines_of(identities)

    monkeypatch.setattr(group_commit, "_commit", committing)
    monkeypatch.setattr(suppressions, "lines_of", looking)
    town.all_at_once(town.texts(range(MANY)))
    assert looked == [False] * MANY
    out = [row["phones"] for row in town.db.contacts.find({"opted_out": {"$ne": {}}})]
    assert out == [[number(3)]]
