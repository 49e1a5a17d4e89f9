"""kill -9 at each step of a split, a merge and an undo: a worker, or whoever tries next, finishes it, exactly."""

from datetime import timedelta

import pytest

from gateway.conversation import upkeep
from gateway.conversation.regroup import merge, split, undo
from gateway.store import audit, moving, regrouped, regroupings, retiming
from tests.conftest import TEN, Twilio
from tests.conversation.conftest import Person
from tests.conversation.test_crashes import _in_a_process_that_dies
from tests.conversation.test_regroup import drawn, newest, sid, whole

SHARED = [
    (regroupings, "claim", "after"),
    (regroupings, "begin", "after"),
    (moving, "move", "before"),
    (moving, "move", "after"),
    (moving, "_count", "before"),
    (regrouped, "move_calls", "after"),
    (regrouped, "hand_open_keys", "before"),
    (regrouped, "hand_open_keys", "after"),
    (retiming, "set_times", "after"),
    (regrouped, "relink", "after"),
    (regrouped, "tidy", "after"),
    (audit, "note_once", "after"),
    (regroupings, "let_go", "before"),
    (regroupings, "let_go", "after"),
]
PARTING = [(regrouped, "bring_forth", "after"), (regrouped, "close_off", "before"), (regrouped, "close_off", "after")]
JOINING = [(regrouped, "make_room", "after"), (regrouped, "absorb", "before"), (regrouped, "absorb", "after")]
UNDOING = [
    (regroupings, "claim_again", "after"),
    (regroupings, "turn_back", "after"),
    *(step for step in SHARED if step[1] not in ("claim", "begin")),
]


def do_split(runtime, db):
    return split(
        runtime, str(db.sessions.find_one({"previous_session_id": None})["_id"]), sid(1), by="ada", token="a" * 32
    )


def do_merge(runtime, db):
    opened = [{f"{where}opening.message_id": sid(2)} for where in ("", "absorbed.session.")]
    later = db.sessions.find_one({"$or": opened})
    return merge(runtime, str(later["_id"]), by="ada", token="a" * 32)


def do_undo(runtime, _db):
    return undo(runtime, "a" * 32, by="bob")


# The steps that are the same both ways are killed at one way each.
FEW = [step for step in SHARED if step[1:] in {("move", "before"), ("_count", "before"), ("hand_open_keys", "after")}]
CASES = [
    *((do_split, None, step) for step in PARTING + FEW),
    *((do_merge, None, step) for step in JOINING + SHARED),
    *((do_undo, do_split, step) for step in JOINING + FEW),
    *((do_undo, do_merge, step) for step in PARTING + UNDOING),
]


def named(case):
    what, first, step = case
    return f"{what.__name__[3:]}{' a ' + first.__name__[3:] if first else ''} {step[2]} {step[1]}"


def talk(app, clock):
    ada = Person(Twilio(app.test_client()), clock, "sms")
    for number, minute in enumerate((0, 1, 30, 31)):
        ada.say(minutes=minute, sid=sid(number))
    return ada


@pytest.fixture(scope="module")
def wanted():
    """What each comes to when nothing goes wrong, filled in by the first test of its kind."""
    return {}


def picture(db):
    sessions, messages, _ = whole(db)
    links = [(s["first_message_at"], s.get("open_keys"), s["keys"], bool(s["previous_session_id"])) for s in sessions]
    return drawn(db), sorted(map(repr, links)), sorted((m["_id"], len(m.get("moved") or [])) for m in messages)


def without_a_crash(make_app, clock, what, first, live_db, wanted):
    if (what, first) not in wanted:
        app = make_app()
        talk(app, clock)
        runtime = app.extensions["gateway"]
        for one in filter(None, (first, what)):
            one(runtime, live_db)
        wanted[what, first] = picture(live_db)
        for name in ("sessions", "messages", "contacts", "regroupings", "audit", "jobs", "outbox"):
            getattr(live_db, name).delete_many({})
    return wanted[what, first]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: named(CASES[number]))
def test_i5_after_kill_9_a_worker_or_the_next_attempt_finishes_it(make_app, clock, live_db, wanted, number):
    what, first, step = CASES[number]
    right = without_a_crash(make_app, clock, what, first, live_db, wanted)
    app = make_app()
    talk(app, clock)
    if first:
        first(app.extensions["gateway"], live_db)
    before = picture(live_db)
    clock.tick(1)
    died = _in_a_process_that_dies(make_app, step, lambda child: what(child.extensions["gateway"], live_db))
    assert died, "the step is never reached"
    runtime = make_app().extensions["gateway"]
    clock.tick(41)
    if number % 3:  # else whoever tries next comes before any worker does
        upkeep.settle(runtime)
        upkeep.settle(runtime)
        assert picture(live_db) in ([right] if step[1] not in ("claim", "claim_again") else [right, before])
    assert what(runtime, live_db).state == ("undone" if what is do_undo else "done")
    clock.tick(10)
    upkeep.settle(runtime)
    assert picture(live_db) == right
    assert live_db.regroupings.count_documents({"busy": {"$exists": True}}) == 0
    assert live_db.regroupings.count_documents({}) == 1
    told = [(entry["action"], entry["session_id"]) for entry in live_db.audit.find()]
    assert len(told) == len(set(told)) == (4 if first else 2)


@pytest.mark.parametrize("case", [case for case in CASES if case[2] in PARTING + JOINING], ids=named)
def test_who_writes_before_it_is_finished_finds_the_session_it_will_be(make_app, clock, live_db, case):
    what, first, step = case
    app = make_app()
    talk(app, clock)
    if first:
        first(app.extensions["gateway"], live_db)
    assert _in_a_process_that_dies(make_app, step, lambda child: what(child.extensions["gateway"], live_db))
    app = make_app()
    Person(Twilio(app.test_client()), clock, "sms").say(minutes=32, sid=sid(9))
    clock.tick(60)
    for _ in range(2):
        upkeep.settle(app.extensions["gateway"])
        clock.tick(10)
    found = drawn(live_db)
    assert found[-1][2:4] == ("active", None)
    assert sid(9) in found[-1][0]
    assert found[-1][4][1:] == [32, 32]
    assert all(count == len(messages) for messages, count, *_ in found)
    assert len(found) == {(do_split, None): 3, (do_merge, None): 1}.get((what, first), 2)


def test_while_it_is_not_dead_for_sure_nobody_else_touches_it(make_app, clock, live_db, monkeypatch):
    from gateway.conversation import regroup

    monkeypatch.setattr(regroup, "PATIENCE_SECONDS", 0.2)
    app = make_app()
    talk(app, clock)
    step = (moving, "move", "before")
    assert _in_a_process_that_dies(make_app, step, lambda child: do_merge(child.extensions["gateway"], live_db))
    runtime = make_app().extensions["gateway"]
    clock.tick(10)
    upkeep.settle(runtime)
    with pytest.raises(regroup.CannotRegroup, match="right now"):
        do_merge(runtime, live_db)
    assert live_db.messages.count_documents({"moved": {"$exists": True}}) == 0
    clock.moment = TEN + timedelta(hours=1)
    upkeep.settle(runtime)
    assert len(drawn(live_db)) == 1
    assert newest(live_db)
