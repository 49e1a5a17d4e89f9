"""What ends is found out, whoever ends it and whatever MongoDB still knows."""

from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import mongoengine
import pytest
from bson import ObjectId

from gateway.conversation import operators
from gateway.conversation.crm import follow, queue, standing
from gateway.store import crm_ends, crm_entries, crm_queue, crm_state
from gateway.store.streams import NoChangeStreams, PlaceLost
from tests.conversation.crm.conftest import Scene
from tests.conversation.events.conftest import wait_for


def waiting_sessions(scene: Scene) -> int:
    return sum(len(row["sessions"]) for row in scene.db.outbox.find({"step": "crm", "state": "waiting"}))


def test_idle_closing_and_rolling_over_are_found_out(scene: Scene) -> None:
    with scene.following():
        scene.text("one")
        scene.move(minutes=10)
        scene.text("two")
        wait_for(lambda: waiting_sessions(scene) == 1)
        scene.idle()
        wait_for(lambda: waiting_sessions(scene) == 2)
    scene.work()
    assert sorted(scene.hubspot.said()) == ["one", "one", "two", "two"]


def test_where_the_place_is_lost_whatever_was_closed_meanwhile_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene.following():
        wait_for(lambda: scene.db.jobs.count_documents({"_id": follow.JOB, "place": {"$exists": True}}))
    scene.text("while away")
    operators.close(scene.runtime, str(scene.db.sessions.find_one()["_id"]), by="ada")
    real, lost = crm_ends.follow, []

    @contextmanager
    def forgetful(place: Any, since: Any) -> Any:
        if not lost:
            lost.append(place)
            raise PlaceLost("gone")
        with real(place, since) as batches:
            yield batches

    monkeypatch.setattr(crm_ends, "follow", forgetful)
    with scene.following():
        wait_for(lambda: waiting_sessions(scene) == 1)
        # And then it follows again.
        scene.text("back", "+15550002222")
        operators.close(scene.runtime, str(scene.db.sessions.find_one({"status": "active"})["_id"]), by="ada")
        wait_for(lambda: waiting_sessions(scene) == 2)
    assert lost


def test_a_mongodb_without_changes_is_looked_at_for_messages(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def standalone(_place: Any, _since: Any) -> Any:
        raise NoChangeStreams("standalone")
        yield

    monkeypatch.setattr(crm_ends, "follow", standalone)
    monkeypatch.setattr(follow, "LOOK_SECONDS", 0.05)
    with scene.following():
        scene.text("one")
        wait_for(lambda: waiting_sessions(scene) == 1)
    assert scene.work() == 0  # It may go on for a while yet.
    assert scene.work(minutes=7) == 1
    assert scene.hubspot.said()


def test_history_that_is_brought_from_elsewhere_is_told_where_somebody_asks(scene: Scene) -> None:
    scene.text("now")
    session, said = scene.db.sessions.find_one(), scene.db.messages.find_one({"direction": "inbound"})
    long_ago = session["last_message_at"] - timedelta(days=30)
    with scene.following():
        session |= {"_id": ObjectId(), "status": "closed", "last_message_at": long_ago, "slot": "old"}
        del session["open_keys"]
        scene.db.sessions.insert_one(session)
        old = {"_id": "SMold", "session_id": session["_id"], "content": "long ago", "createdAt": long_ago}
        scene.db.messages.insert_one(said | old)
        operators.close(scene.runtime, str(scene.db.sessions.find_one({"status": "active"})["_id"]), by="ada")
        wait_for(lambda: waiting_sessions(scene) == 1)
    scene.work()
    assert sorted(scene.hubspot.said()) == ["now", "now"]
    queue.ask(scene.runtime, str(scene.contact()["_id"]), by="ada")
    scene.work()
    assert sorted(scene.hubspot.said()) == ["long ago", "now", "now"]


def test_of_two_workers_that_come_for_the_same_messages_one_gets_them(scene: Scene) -> None:
    scene.text("one")
    session, now = scene.db.sessions.find_one(), scene.runtime.clock.now()
    contact_id = str(scene.contact()["_id"])

    def claim() -> Any:
        number = crm_entries.next_number(session["_id"], "hubspot")
        ids = [row["_id"] for row in crm_entries.untold(session["_id"], "hubspot")]
        return number, ids

    (number, ids), (same, _) = claim(), claim()
    assert crm_entries.claim(session, number, "hubspot", contact_id, ids, now)
    assert crm_entries.claim(session, same, "hubspot", contact_id, ids, now) is None
    # The one that has them has not marked them yet, or has died.
    assert claim() == (number + 1, [])


def test_without_a_crm_nothing_is_followed_and_nothing_is_claimed(make_app: Any, make_scene: Any) -> None:
    scene = make_scene()
    scene.text("one")
    scene.close_all()
    without = make_scene(crm={"provider": "", "access_token": ""})
    assert without.work() == 0
    follow.follow(without.runtime, stop=None)  # type: ignore[arg-type]
    assert "place" not in without.db.jobs.find_one({"_id": follow.JOB})
    with pytest.raises(queue.NoCrm):
        queue.ask_all(without.runtime, by="ada")
    assert standing.overview(without.runtime) is None


def test_everybody_is_synchronised_with_the_past(scene: Scene) -> None:
    numbers = [f"+1555000{index:04d}" for index in range(5)]
    for number in numbers:
        scene.text(f"{number} long ago", number)
        scene.move(minutes=10)
        scene.text(f"{number} and since", number)
    assert queue.ask_all(scene.runtime, by="ada") == 5
    assert scene.work() == 5
    told = [f"{number} {word}" for number in numbers for word in ("long ago", "and since")]
    assert sorted(scene.hubspot.said()) == sorted(told * 2)
    # What is there already is not told again, nor does it cost a request.
    asked = len(scene.hubspot.requests)
    queue.ask_all(scene.runtime, by="ada")
    assert scene.work(minutes=5) == 5
    assert len(scene.hubspot.requests) == asked


def test_queries_use_their_indexes(scene: Scene) -> None:
    scene.text("one")
    scene.close_all()
    scene.work()
    contact, session = scene.contact(), scene.db.sessions.find_one()
    database, seen = mongoengine.get_db(), []
    database.command("profile", 2)
    try:
        list(crm_entries.sessions_of([contact["_id"]], None))
        crm_entries.untold(session["_id"], "hubspot")
        crm_entries.next_number(session["_id"], "hubspot")
        crm_entries.pending([contact["_id"]], "hubspot")
        crm_entries.of_sessions([session["_id"]], "hubspot")
        crm_state.with_errors(10)
        next(crm_state.contacts())
        crm_queue.depth(scene.runtime.clock.now() + timedelta(days=1))
        crm_queue.waits(str(contact["_id"]))
        seen = list(database.system.profile.find({"command.filter": {"$exists": True}}))
        seen += list(database.system.profile.find({"command.aggregate": {"$exists": True}}))
    finally:
        database.command("profile", 0)
        database.system.profile.drop()
    assert len(seen) >= 9
    assert not [
        one["command"] for one in seen if "COLLSCAN" in one.get("planSummary", "") and "profile" not in one["ns"]
    ]
