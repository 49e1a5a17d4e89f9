"""A consolidation as a run of its own: what it takes out, verified, stopped, gone on with, and taken back exactly."""

from datetime import timedelta

import pytest
from bson import ObjectId

from gateway.conversation import consolidated, forget, importing, regroup, undoing, upkeep, verifying
from gateway.conversation.consolidating import consolidate
from gateway.conversation.consolidation import Hands as Working
from gateway.conversation.importing import Busy
from gateway.conversation.undoing import CannotUndo
from gateway.store import consolidations, import_claims, imports, repeated
from gateway.store import undoing as store_undoing
from tests.conftest import TEN
from tests.conversation.test_consolidating import BY, CHANNEL, SENDER, ada, at, bring_in, node_message, node_session
from tests.conversation.test_undoing import snapshot

__all__ = ["ada"]

SAME = {"content": "Hello", "createdAt": {"$date": at(seconds=1)}}


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


def taken(db):
    return snapshot(db)


def undo(runtime, clock, run_id):
    hands = undoing.Hands(lambda seconds: clock.tick(seconds + 0.1))
    return undoing.undo(runtime, run_id, "ada", hands)


def twice(folder, runtime, sender=SENDER, first=1, **more):
    """Three sessions of one conversation, of which all have the same greeting, and two the same answer."""
    ids = [first, first + 1, first + 2]
    rows = [node_message(number, of=number, named=False, **SAME) for number in ids]
    answer = {"direction": "outbound", "sender": "ai", "content": "Hi", "createdAt": {"$date": at(seconds=2)}}
    rows += [node_message(10 + number, of=number, named=False, **answer) for number in ids[1:]]
    rows += [node_message(20 + number, of=number) for number in ids]
    return bring_in(
        runtime,
        folder,
        channels=[CHANNEL],
        sessions=[node_session(number, sender=sender, **more) for number in ids],
        messages=rows,
    )


@pytest.fixture
def imported(runtime, tmp_path):
    return twice(tmp_path / "node", runtime)


def shown(db):
    return list(db.sessions.find({"merged_into": {"$exists": False}}).sort("_id", 1))


def contents(db, session_id):
    return sorted(row["content"] for row in db.messages.find({"session_id": session_id}))


ONCE = ["Hello", "Hi", "Text 21", "Text 22", "Text 23"]


def test_what_is_there_twice_is_there_once_and_comes_back_with_an_undo(imported, runtime, db, clock):
    before = taken(db)
    tried = consolidate(runtime, BY, is_dry=True)
    assert taken(db) == before
    done = consolidate(runtime, BY)
    assert (done.sessions_merged, done.messages_removed) == (2, 3)
    assert tried.messages_removed == 3
    (session,) = shown(db)
    assert (contents(db, session["_id"]), session["message_count"]) == (ONCE, 5)
    run = imports.get(done.run_id)
    assert (run.state, run.layout, run.consolidated["messages_removed"]) == ("done", "consolidation", 3)
    lines = list(consolidations.lines(run.id))
    assert sorted(one for line in lines for one in line.get("messages", ())) == sorted(
        row["_id"].removeprefix("removed:") for row in db.import_changes.find({"kind": "removed"})
    )
    audited = db.audit.find({"action": "duplicates_removed", "session_id": session["_id"]})
    assert sum(row["details"]["removed"] for row in audited) == 3
    assert (run.days, run.oldest_stored) == ([TEN.replace(hour=0)], TEN - timedelta(minutes=2, seconds=59))
    assert verifying.verify(runtime, run.id).is_same
    assert consolidate(runtime, BY).run_id == "", "a run that finds nothing leaves nothing"
    undone = undo(runtime, clock, run.id)
    assert taken(db) == before
    assert undone.undone == {
        "people": 0, "contacts_merged": 0, "session_groups": 1, "sessions_merged": 2, "messages_removed": 3,
        "sessions_kept": 0, "taken_apart": 2,
    }  # fmt: skip
    assert consolidate(runtime, BY).messages_removed == 3, "what was taken back as a whole may be done again"


def test_of_what_one_session_says_twice_itself_two_stay(runtime, db, tmp_path):
    bring_in(
        runtime,
        tmp_path / "node",
        channels=[CHANNEL],
        sessions=[node_session(1), node_session(2)],
        messages=[
            *(node_message(number, of=1, named=False, **SAME) for number in (1, 2)),
            *(node_message(number, of=2, named=False, **SAME) for number in (3, 4, 5)),
            *(node_message(number, of=number - 5, **SAME) for number in (6, 7)),
        ],
    )
    assert consolidate(runtime, BY).messages_removed == 2
    (session,) = shown(db)
    assert db.messages.count_documents({"provider_sid": {"$exists": False}}) == 3
    assert session["message_count"] == 5, "what the provider named is another message each"


def test_copies_of_what_the_provider_named_are_one(imported, runtime, db):
    """As rows are that were adopted in place: with ids of their own beside the provider's."""
    ids = [ObjectId(f"{number:024x}") for number in (1, 2)]
    for number, session_id in enumerate(ids, 1):
        copy = {"_id": ObjectId(), "session_id": session_id, "provider_sid": "SM" + "a" * 32, "content": f"{number}"}
        copy |= {"direction": "inbound", "sender": "contact", "createdAt": TEN, "communication_type": "sms"}
        db.messages.insert_one(copy)
        db.sessions.update_one({"_id": session_id}, {"$inc": {"message_count": 1}})
    assert consolidate(runtime, BY).messages_removed == 4
    assert db.messages.count_documents({"provider_sid": "SM" + "a" * 32}) == 1
    (session,) = shown(db)
    assert session["message_count"] == db.messages.count_documents({"session_id": session["_id"]}) == 6


def test_what_has_files_or_is_to_be_answered_stays(imported, runtime, db):
    db.messages.update_many({"content": "Hello"}, {"$set": {"media": [{"url": "https://example.com/a"}]}})
    db.messages.update_many({"content": "Hi"}, {"$set": {"answer": {"state": "none"}}})
    assert consolidate(runtime, BY).messages_removed == 0


STEPS = [
    (consolidations, "begin"), (regroup, "join"), (repeated, "put_aside"), (consolidations, "advance"),
    (repeated, "take_out"), (consolidated, "settle"),
]  # fmt: skip


class Killed(BaseException):
    pass


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("place", "name"), STEPS, ids=[name for _, name in STEPS])
def test_killed_at_any_step_it_goes_on_and_is_taken_back_exactly(
    imported, runtime, db, clock, monkeypatch, place, name, when
):
    before, real = taken(db), getattr(place, name)

    def killed(*given, **named):
        if when == "after":
            real(*given, **named)
        raise Killed

    clock.tick(0)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(import_claims, "release", lambda run: None)
        patch.setattr(place, name, killed)
        if name == "settle":
            patch.setattr("gateway.conversation.consolidation.GRACE", timedelta(seconds=-1))
        consolidate(runtime, BY)
    with pytest.raises(Busy):
        consolidate(runtime, BY)
    clock.tick(100)
    done = consolidate(runtime, BY)
    upkeep.settle(runtime)
    assert (done.sessions_merged, done.messages_removed) == (2, 3)
    (session,) = shown(db)
    assert (contents(db, session["_id"]), session["message_count"]) == (ONCE, 5)
    assert db.audit.count_documents({"action": "duplicates_removed"}) == 2
    assert verifying.verify(runtime, done.run_id).is_same
    undo(runtime, clock, done.run_id)
    assert taken(db) == before


UNDOING = [(repeated, "put_back"), (regroup, "undo"), (consolidated, "settle"), (consolidations, "forget_merges")]
UNDOING += [(consolidations, "restore_times"), (consolidations, "drop"), (store_undoing, "end")]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("place", "name"), UNDOING, ids=[name for _, name in UNDOING])
def test_an_undo_that_is_killed_at_any_step_goes_on(imported, runtime, db, clock, monkeypatch, place, name, when):
    before, real = taken(db), getattr(place, name)
    done = consolidate(runtime, BY)

    def killed(*given, **named):
        if when == "after":
            real(*given, **named)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(place, name, killed)
        undo(runtime, clock, done.run_id)
    clock.tick(400)
    undo(runtime, clock, done.run_id)
    assert taken(db) == before


def test_who_stops_it_goes_on_later(imported, runtime, db):
    asked = []

    def wait(seconds):
        asked.append(seconds)
        return len(asked) > 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.conversation.consolidation._TELL_SECONDS", 0)
        stopped = consolidate(runtime, BY, Working(wait=wait))
    assert not stopped.is_done
    assert imports.get(stopped.run_id).state == "running"
    for run_id in (stopped.run_id, imported.id):
        with pytest.raises(CannotUndo, match="not at its end"):
            undoing.undo(runtime, run_id, "ada", undoing.Hands())
    done = consolidate(runtime, BY)
    assert (done.run_id, done.is_done, done.sessions_merged) == (stopped.run_id, True, 2)


def test_it_rests_while_the_gateway_serves(app, imported, runtime, db, clock):
    rests = []
    consolidate(runtime, BY, Working(wait=lambda seconds: rests.append(seconds)))
    assert not any(rests)
    beat = {"_id": "web", "kind": "web", "host": "a", "pid": 1, "version": "1", "started_at": clock.now()}
    db.heartbeats.insert_one(beat | {"seen_at": clock.now(), "every_seconds": 10, "facts": {}})
    for number in (51, 52):
        session = {"_id": ObjectId(f"{number:024x}"), "channel_id": "c", "communication_type": "sms"}
        session |= {"keys": ["sms|+15017122661|+15550000009"], "status": "closed", "closed_reason": "idle"}
        session |= {"createdAt": TEN, "first_message_at": TEN, "last_message_at": TEN, "message_count": 0}
        db.sessions.insert_one(session)
    consolidate(runtime, BY, Working(wait=lambda seconds: rests.append(seconds)))
    assert any(rests)


def test_an_import_is_taken_back_exactly_after_a_consolidation(imported, runtime, db, clock, ada, tmp_path):
    """Also of a group that had something before, of which the import is only a part."""
    before = taken(db)
    again = twice(tmp_path / "more", runtime, first=4)
    first = consolidate(runtime, BY)
    assert (first.sessions_merged, first.messages_removed) == (5, 8)
    assert verifying.verify(runtime, again.id).differences == []
    undone = undo(runtime, clock, again.id)
    assert taken(db) == before
    assert (undone.undone["taken_apart"], undone.undone["sessions_kept"]) == (5, 0)


def test_what_came_in_before_comes_in_once_more_after_a_consolidation(imported, runtime, db, tmp_path):
    consolidate(runtime, BY)
    again = twice(tmp_path / "again", runtime)
    assert (again.tally.messages_imported, again.tally.messages_duplicate, again.tally.rejected) == (0, 8, 0)
    more = bring_in(
        runtime,
        tmp_path / "more",
        channels=[CHANNEL],
        sessions=[node_session(number) for number in (1, 2)],
        messages=[node_message(90 + number, of=number) for number in (1, 2)],
    )
    assert more.tally.messages_imported == 2
    (session,) = shown(db)
    assert session["message_count"] == db.messages.count_documents({"session_id": session["_id"]}) == 7


def test_a_merge_undone_by_hand_gives_each_session_all_of_its_own(imported, runtime, db, clock):
    before = taken(db)["messages"]
    done = consolidate(runtime, BY)
    for merged in db.regroupings.find().sort("order", -1):
        regroup.undo(runtime, merged["_id"], by="ada")
    back = [{k: v for k, v in row.items() if (k, v) != ("moved", [])} for row in db.messages.find().sort("_id", 1)]
    assert back == before
    told = verifying.verify(runtime, done.run_id)
    assert dict(told.counts) == {"apart again": 2}


def test_consolidations_are_taken_back_the_last_first(imported, runtime, db, clock, tmp_path):
    before = taken(db)
    first = consolidate(runtime, BY)
    twice(tmp_path / "more", runtime, first=4)
    second = consolidate(runtime, BY)
    with pytest.raises(CannotUndo, match=f"gateway import undo {second.run_id}"):
        undo(runtime, clock, first.run_id)
    undo(runtime, clock, second.run_id)
    later = next(run for run in imports.page(cursor=None, limit=9).imports if run.layout == "node")
    undo(runtime, clock, later.id)
    undo(runtime, clock, first.run_id)
    assert taken(db) == before


def test_what_is_on_a_call_comes_apart_when_that_is_over(imported, runtime, db, clock, monkeypatch):
    before = taken(db)
    done = consolidate(runtime, BY)
    (session,) = shown(db)
    call = {"live": ["CA1"], "live_until": clock.now() + timedelta(hours=1)}
    db.sessions.update_one({"_id": session["_id"]}, {"$set": call})
    with pytest.raises(CannotUndo, match="A call is on"):
        undo(runtime, clock, done.run_id)
    told, real = [], store_undoing.being_undone

    def notices_late():
        """Whoever begins at the very same moment sees it after the claim only."""
        told.append(1)
        return real() if len(told) > 1 else None

    for look in (real, notices_late):
        monkeypatch.setattr(store_undoing, "being_undone", look)
        with pytest.raises(Busy, match=f"Import {done.run_id} is being taken back"):
            consolidate(runtime, BY)
    assert db.imports.count_documents({"unfinished": {"$exists": True}}) == 1
    db.sessions.update_one({"_id": session["_id"]}, {"$unset": dict.fromkeys(call, "")})
    undo(runtime, clock, done.run_id)
    assert taken(db) == before
    assert consolidate(runtime, BY).sessions_merged == 2, "nothing keeps it out any more"


def test_what_is_said_since_stays_in_the_session_it_was_said_in(imported, runtime, db, clock, ada):
    done = consolidate(runtime, BY)
    ada.say(minutes=1, sid="SM" + "e" * 32)
    undo(runtime, clock, done.run_id)
    assert db.messages.count_documents({}) == 8 + 2
    for session in shown(db):
        assert session["message_count"] == db.messages.count_documents({"session_id": session["_id"]})
    assert sum(one["status"] == "active" for one in shown(db)) == 1


def test_a_run_that_was_canceled_ends_and_can_be_taken_back(imported, runtime, db, clock, monkeypatch):
    before, real = taken(db), repeated.take_out
    monkeypatch.setattr("gateway.conversation.consolidation._TELL_SECONDS", 0)

    def canceling(*given):
        importing.cancel(runtime, str(db.imports.find_one({"layout": "consolidation"})["_id"]), "ada")
        return real(*given)

    monkeypatch.setattr(repeated, "take_out", canceling)
    done = consolidate(runtime, BY)
    assert not done.is_done
    clock.tick(200)
    undo(runtime, clock, done.run_id)
    assert taken(db) == before


def test_who_is_forgotten_is_forgotten_in_what_was_put_aside_too(imported, runtime, db, clock):
    consolidate(runtime, BY)
    assert db.import_changes.count_documents({"kind": "removed"}) == 3
    forget.forget(runtime, SENDER, wait=lambda seconds: clock.tick(seconds + 0.1))
    assert db.import_changes.count_documents({}) == 0


def test_ten_thousand_messages(runtime, db, tmp_path, clock):
    """Of twelve senders every third has its conversation three times over."""
    sessions, messages = [], []
    for sender in range(12):
        for copy in range(1 if sender % 3 else 3):
            number = 1 + sender * 3 + copy
            began = {"$date": at(hours=-1, milliseconds=number)}
            sender_is = {"sender": f"+1555{sender:07}", "status": "closed"}
            sessions.append(node_session(number, createdAt=began, **sender_is))
            said = 525
            messages += [
                node_message(
                    1000 * number + turn, of=number, named=False, content=f"{turn}",
                    createdAt={"$date": at(hours=-1, seconds=turn)},
                )
                for turn in range(said)
            ]  # fmt: skip
    assert len(messages) == 10_500
    bring_in(runtime, tmp_path / "node", channels=[CHANNEL], sessions=sessions, messages=messages)
    before = taken(db)
    tried, done = consolidate(runtime, BY, is_dry=True), consolidate(runtime, BY)
    assert (done.session_groups, done.sessions_merged, done.messages_removed) == (4, 8, 4200)
    assert tried.messages_removed == 4200
    in_each = db.messages.aggregate([{"$group": {"_id": "$session_id", "messages": {"$sum": 1}}}])
    counted = {row["_id"]: row["messages"] for row in in_each}
    assert {row["_id"]: row["message_count"] for row in shown(db)} == counted
    assert verifying.verify(runtime, done.run_id).is_same
    undo(runtime, clock, done.run_id)
    assert taken(db) == before
