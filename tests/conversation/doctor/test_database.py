"""What the doctor says of MongoDB: a real one, and ones that are not as they should be."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.conversation import migrating
from gateway.conversation.doctor import arriving, database, working
from gateway.conversation.doctor.findings import State
from gateway.conversation.verdicts import PROBE
from gateway.store import connection, heartbeats, indexes
from gateway.store.documents import ChannelDocument, InspectionDocument, SessionDocument
from gateway.store.health import Member, MongoDB
from gateway.store.heartbeats import Heartbeat
from tests.conftest import TEN
from tests.conversation.doctor.conftest import only, states

OK, WARNING, WRONG = State.OK, State.WARNING, State.WRONG
WELL = MongoDB(
    version="7.0.5", set_name="rs0", members=(Member("a:1", "primary", 1.0), Member("b:1", "secondary", 1.0)),
    write_concern="w: majority, j: true", round_trip_ms=1.0, offset_ms=3,
)  # fmt: skip


@pytest.fixture
def gateway(app, patient):
    """A patient whose database has its indexes."""
    return patient()


def test_a_mongodb_that_is_well_is_one_line(gateway):
    (found,) = database.mongodb_answers(gateway)
    assert found.state is OK
    assert "MongoDB 6.0.5, replica set " in found.what


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, OK, "Answers in 1.0 ms: MongoDB 7.0.5, replica set rs0."),
        ({"write_concern": "w: 1"}, WRONG, "Writes wait for w: 1, so what was answered may be lost."),
        ({"write_concern": "w: majority, j: false"}, WRONG, "Writes wait for w: majority, j: false"),
        ({"set_name": "", "members": (Member("a:1", "standalone", 1.0),)}, WRONG, "no replica set"),
        ({"members": (*WELL.members, Member("c:1", "not reached", None))}, WARNING, "Not reached: c:1."),
        ({"offset_ms": -2400}, WARNING, "-2400 ms off MongoDB's"),
        ({"problem": "it is away"}, WRONG, "MongoDB does not answer: it is away."),
    ],
)
def test_what_is_wrong_with_mongodb_is_said_with_a_remedy(changes, state, words):
    found = only(list(database.judged(replace(WELL, **changes))), state)
    assert words in found.what
    assert bool(found.remedies) == (state is not OK)
    assert bool(found.blocks) == ("problem" in changes)


def test_a_mongodb_that_is_away_or_not_named_blocks_what_needs_it(patient, monkeypatch):
    monkeypatch.setattr(connection, "DEADLINE_SECONDS", 0.1)
    away = only(list(database.mongodb_answers(patient(mongodb_uri="mongodb://127.0.0.1:9/x"))), WRONG)
    assert (away.blocks, "Connection refused" in away.what) == ("MongoDB is away", True)
    unset = only(list(database.mongodb_answers(patient(mongodb_uri=""))), WRONG)
    assert (unset.blocks, unset.what) == ("no MongoDB is set", "MONGODB_URI is not set.")
    connection.disconnect()


def test_indexes_that_are_missing_are_made_by_the_mend_and_others_are_named_and_left(gateway, db):
    db["media.files"].create_index([("filename", 1), ("uploadDate", 1)])  # as the driver does for the first file
    assert states(list(database.indexes_are_there(gateway))) == [OK]
    missing = SessionDocument._meta["index_specs"][0]["name"]
    db.sessions.drop_index(missing)
    db.channels.create_index("name", name="theirs", unique=True)
    try:
        lacking, foreign = database.indexes_are_there(gateway)
        assert (lacking.state, lacking.what[:18]) == (WRONG, "1 index is missing")
        assert lacking.mend.lines == (f"create sessions.{missing}: it is missing",)
        assert foreign.what == "1 index is not the gateway's: channels.theirs (unique)."
        assert foreign.mend is None
        assert lacking.mend.apply().startswith("Done: 1 indexes")
        assert states(list(database.indexes_are_there(gateway))) == [OK, WARNING]
        assert "theirs" in db.channels.index_information()
    finally:
        db.channels.drop_index("theirs")


def test_an_index_in_the_way_of_ours_is_not_called_somebody_elses(gateway, db):
    (spec,) = ChannelDocument._meta["index_specs"]
    db.channels.drop_index(spec["name"])
    db.channels.create_index(spec["fields"], name="by_number", unique=True)
    changes, others = indexes.survey()
    assert ([change.in_the_way for change in changes], others) == (["by_number"], [])
    only(list(database.indexes_are_there(gateway)), WRONG).mend.apply()
    assert spec["name"] in db.channels.index_information()


def test_outstanding_migrations_are_done_by_the_mend_and_a_newer_gateway_is_left_alone(gateway, db):
    (found,) = database.documents_are_of_this_version(gateway)
    assert (found.state, "Migrations are outstanding" in found.what) == (WRONG, True)
    found.mend.apply()
    assert states(list(database.documents_are_of_this_version(gateway))) == [OK]
    db.migrations.insert_one(db.migrations.find_one({"_id": 1}) | {"_id": 99, "name": "of tomorrow", "version": "9.9"})
    (found,) = database.documents_are_of_this_version(gateway)
    assert (found.state, found.mend) == (WRONG, None)
    assert "newer gateway (9.9" in found.what
    assert found.remedies == ("Run that version, or restore the backup made before it.",)
    with pytest.raises(migrating.Newer):
        migrating.run("test")


def beat(kind, version="1.0", ago=0.0, host="a"):
    return Heartbeat(f"{host}:{kind}", kind, host, 1, version, TEN, TEN - timedelta(seconds=ago), 10)


@pytest.mark.parametrize(
    ("beats", "expected", "words"),
    [
        ([beat("web"), beat("web", host="b"), beat("worker")], [OK], "2 web and 1 worker on 2 hosts."),
        ([beat("web"), beat("worker", ago=31)], [WRONG], "No worker runs"),
        ([beat("worker")], [WRONG], "No web process runs"),
        ([], [WRONG, WRONG], "No web process runs"),
        ([beat("web"), beat("worker", version="0.9")], [WARNING, OK], "different versions run: 0.9, 1.0."),
    ],
)
def test_processes_that_are_silent_are_missed(gateway, beats, expected, words):
    for one in beats:
        heartbeats.beat(one)
    found = list(working.processes_are_there(gateway))
    assert states(found) == expected
    assert words in " ".join(one.what for one in found)


def test_what_lies_in_the_outbox_is_said(gateway, db, clock):
    assert states(list(working.outbox_is_worked_off(gateway))) == [OK]
    row = {"step": "send", "due": TEN, "queued_at": TEN, "finished_at": TEN}
    db.outbox.insert_many([row | {"_id": "a", "state": "waiting"}, row | {"_id": "b", "state": "failed", "error": "x"}])
    clock.tick(61)
    behind, failed = working.outbox_is_worked_off(gateway)
    assert "its oldest row has waited for over a minute (1 min 1 s)" in behind.what
    assert failed.what == "1 row of the outbox failed."


def test_the_last_webhook_is_told_of_all_numbers(gateway, db, clock):
    assert only(list(arriving.webhooks_came(gateway)), WARNING).what.startswith("No webhook has come yet")
    db.channels.insert_many(
        {"_id": n, "phone_number": n, "name": f"+1501712266{n}", "last_webhook_at": TEN - timedelta(hours=n)}
        for n in (1, 2)
    )
    clock.tick(5)
    assert only(list(arriving.webhooks_came(gateway)), OK).what == (
        "The last webhook came 1 h 0 min ago, to +15017122661."
    )
    clock.tick(8 * 86_400)
    assert states(list(arriving.webhooks_came(gateway))) == [WARNING]


def test_refused_webhooks_are_explained_strangers_and_our_own_are_not(gateway, db):
    kept = {"at": TEN, "path": "/webhooks/sms", "method": "POST", "status": 403}
    strangers = [kept | {"verdict": verdict} for verdict in ("no_signature", "genuine", PROBE, "not_a_probe")]
    db[InspectionDocument._get_collection_name()].insert_many(strangers)
    assert states(list(arriving.webhooks_are_taken(gateway))) == [OK]
    signature = {"given": True, "cause": "public_url", "signed_url": "https://a.example/webhooks/sms", "tried": ["b"]}
    db.inspections.insert_many(kept | {"verdict": "bad_signature", "signature": signature} for _ in range(2))
    (found,) = arriving.webhooks_are_taken(gateway)
    assert found.what.startswith("2 refused within 24 h: signature is wrong. The token is right.")
    assert found.details[1:] == ("signed was https://a.example/webhooks/sms", "compared with b")
    assert found.remedies[0].startswith("Set PUBLIC_URL")
