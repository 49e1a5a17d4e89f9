"""kill -9 at each step of merging two contacts and of parting them: a worker, or whoever tries next, finishes it."""

import pytest

from gateway.conversation import optouts, upkeep
from gateway.conversation.merging import merge, unmerge
from gateway.store import audit, groups, merges, merging, sessions
from tests.conversation.test_crashes import _in_a_process_that_dies
from tests.conversation.test_merging import ADA, BOB, Scene

JOINING = [
    (merges, "claim", "after"),
    (merges, "begin", "after"),
    (groups, "link", "before"),
    (groups, "link", "after"),
    (optouts, "spread", "before"),
    (sessions, "mark_opted_out", "after"),
    (merges, "note_closed", "before"),
    (merges, "note_closed", "after"),
    (merging, "close", "after"),
    (sessions, "add_keys", "after"),
    (audit, "note_once", "after"),
    (merges, "let_go", "before"),
    (merges, "let_go", "after"),
]
PARTING = [
    (merges, "claim_again", "after"),
    (merges, "turn_back", "after"),
    (groups, "unlink", "after"),
    (merging, "give_back", "before"),
    (merging, "give_back", "after"),
    (merging, "part_keys", "after"),
    (optouts, "spread", "after"),
    (merging, "restore", "before"),
    (merging, "restore", "after"),
    (audit, "note_once", "after"),
    (merges, "let_go", "before"),
    (merges, "let_go", "after"),
]


def do_merge(scene):
    return merge(scene.runtime, scene.id(ADA), scene.id(BOB), by="ada")


def do_unmerge(scene):
    return unmerge(scene.runtime, scene.id(BOB), by="bob")


CASES = [*((do_merge, step) for step in JOINING), *((do_unmerge, step) for step in PARTING)]


def talk(make_app, clock, db, what):
    """Two people have a session open each, one has said STOP, and to be parted they are merged and go on."""
    scene = Scene(make_app(sessions={"scope": "contact"}), clock, db)
    scene.says(ADA, "STOP")
    scene.says(BOB)
    if what is do_unmerge:
        do_merge(scene)
        scene.says(ADA)
    clock.tick(1)
    return scene


def picture(scene):
    number = {one["_id"]: one["phones"][0] for one in scene.db.contacts.find()}
    return [
        (
            one["status"],
            one.get("closed_reason"),
            one.get("open_keys"),
            sorted(one["keys"]),
            number[one["contact_id"]],
            sorted(one.get("opted_out") or []),
            one["message_count"],
        )
        for one in scene.db.sessions.find().sort("first_message_at", 1)
    ] + [(one["phones"], number.get(one.get("merged_into"))) for one in scene.db.contacts.find()]


def named(number):
    what, step = CASES[number]
    return f"{what.__name__[3:]} {step[2]} {step[1]}"


@pytest.fixture(scope="module")
def wanted():
    """What each comes to when nothing goes wrong, filled in by the first test of its kind."""
    return {}


def without_a_crash(make_app, clock, db, what, wanted):
    if what not in wanted:
        scene = talk(make_app, clock, db, what)
        what(scene)
        wanted[what] = picture(scene)
        for name in ("sessions", "messages", "contacts", "merges", "audit", "jobs", "outbox"):
            getattr(db, name).delete_many({})
    return wanted[what]


@pytest.mark.parametrize("number", range(len(CASES)), ids=named)
def test_after_kill_9_a_worker_or_the_next_attempt_finishes_it(make_app, clock, live_db, wanted, number):
    what, step = CASES[number]
    right = without_a_crash(make_app, clock, live_db, what, wanted)
    scene = talk(make_app, clock, live_db, what)

    def doomed(app):
        scene.runtime = app.extensions["gateway"]
        what(scene)

    def same():
        return make_app(sessions={"scope": "contact"})

    assert _in_a_process_that_dies(same, step, doomed), "the step is never reached"
    scene.runtime = same().extensions["gateway"]
    assert scene.out(ADA) == {"+15017122661"}
    clock.tick(41)
    if number % 2:  # else whoever tries next comes before any worker does
        upkeep.settle(scene.runtime)
    assert what(scene).state == ("done" if what is do_merge else "undone")
    upkeep.settle(scene.runtime)
    assert picture(scene) == right
    assert live_db.merges.count_documents({"busy": {"$exists": True}}) == 0
    assert live_db.merges.count_documents({}) == 1
    told = sorted(entry["action"] for entry in live_db.audit.find())
    assert told == ["contacts_merged", "contacts_unmerged"][: 1 if what is do_merge else 2]
