"""The list's queries, explained: each reads an index in order, none sorts or reads all there is."""

from dataclasses import replace
from datetime import timedelta

import pytest
from bson import ObjectId

from gateway.settings import load
from gateway.store import capped, connection, listing, transcripts
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument
from gateway.store.listing import STATUSES, TYPES, Wanted
from gateway.store.walking import NEWEST_FIRST
from tests.conftest import TEN, USUAL

SESSIONS = 3000


@pytest.fixture(scope="module")
def kept(mongo, cleaner):
    """A database of these tests' own, which they only read: sessions of all kinds, few of which carry a mark."""
    settings = load(**USUAL, mongodb_uri=mongo.uri.replace("/gateway?", "/listing?"))
    connection.connect(settings)
    connection.create_indexes()
    collection(SessionDocument).insert_many(
        {
            "channel_id": f"sms:{number % 7}",
            "communication_type": TYPES[number % 3],
            "status": STATUSES[1 if number % 50 else 2],
            "title": f"SMS from +1555{number:07}",
            "metadata": {"fromNumber": f"+1555{number:07}"},
            "last_message_at": TEN + timedelta(seconds=number),
            **({"has_failed": True, "tags": ["vip"], "assigned_to": "ada"} if number % 100 == 0 else {}),
            **({"needs_person": {"reason": "handed_over", "at": TEN}} if number % 100 == 1 else {}),
        }
        for number in range(SESSIONS)
    )
    yield settings
    cleaner.drop_database("listing")


@pytest.fixture
def many(kept):
    connection.connect(kept)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted("voice"),
        Wanted("chat"),
        Wanted(status="archived"),
        Wanted("sms", "archived"),
        Wanted(channel_id="sms:3"),
        Wanted(since=TEN, until=TEN + timedelta(seconds=500)),
        Wanted(failed=True),
        Wanted(needs_person=True),
        Wanted(tag="vip"),
        Wanted(assigned_to="ada"),
    ],
    ids=lambda wanted: repr(wanted)[:60],
)
@pytest.mark.parametrize("channels", [None, ["sms:2", "sms:3"]], ids=["all", "some"])
def test_a_page_reads_about_as_many_sessions_as_it_shows(many, wanted, channels):
    query = listing.matching(wanted, channels)
    cursor = collection(SessionDocument).find(query).sort(NEWEST_FIRST).limit(51)
    explained = cursor.explain()
    assert "COLLSCAN" not in str(explained["queryPlanner"]["winningPlan"])
    stats = explained["executionStats"]
    # Of some channels MongoDB may as well read all that is there: which is shorter, it tries.
    most = 51 + 200 if channels is None else SESSIONS * 2 / 7 + 51
    assert stats["totalDocsExamined"] <= most
    assert stats["totalKeysExamined"] <= most


@pytest.mark.parametrize("channels", [None, ["sms:3"]], ids=["all", "its own"])
def test_the_errors_of_a_channel_are_read_by_themselves(many, channels):
    query = listing.matching(Wanted(failed=True, channel_id="sms:3"), channels)
    stats = collection(SessionDocument).find(query).sort(NEWEST_FIRST).limit(51).explain()["executionStats"]
    assert stats["nReturned"] >= 4
    assert stats["totalKeysExamined"] <= stats["nReturned"] + 1


@pytest.mark.parametrize("wanted", [Wanted(), Wanted("sms"), Wanted(assigned_to="ada")], ids=["all", "type", "mark"])
@pytest.mark.parametrize(("few", "most"), [(2000, 1100), (100, 1500)], ids=["few begin so", "many begin so"])
@pytest.mark.parametrize("channels", [None, ["sms:2", "sms:3"]], ids=["all channels", "some"])
def test_the_beginning_of_a_number_reads_those_few_or_keys_alone(many, monkeypatch, wanted, few, most, channels):
    monkeypatch.setattr(listing, "FEW", few)
    query, index = listing.reading(replace(wanted, number_starts=("+15550001", "15550001")), channels)
    stats = collection(SessionDocument).find(query).sort(NEWEST_FIRST).limit(26).hint(index).explain()["executionStats"]
    assert stats["totalKeysExamined"] <= most
    assert stats["totalDocsExamined"] <= (26 if few == 100 and not wanted.mark else 1000)


@pytest.mark.parametrize("wanted", [Wanted(), Wanted("voice"), Wanted(channel_id="sms:3")], ids=["all", "type", "line"])
def test_the_oldest_come_first_from_the_same_indexes(many, wanted):
    order = [(name, -direction) for name, direction in NEWEST_FIRST]
    stats = collection(SessionDocument).find(listing.matching(wanted, None)).sort(order).limit(51).explain()
    assert stats["executionStats"]["totalKeysExamined"] <= 51 + 200


def test_a_contacts_sessions_are_found_by_their_index(many):
    query = listing.matching(Wanted(contact_ids=("0" * 24,)), None)
    plan = collection(SessionDocument).find(query).sort(NEWEST_FIRST).limit(51).explain()
    assert "'indexName': 'contact'" in str(plan["queryPlanner"]["winningPlan"])


@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_page_of_messages_reads_as_many_as_it_shows(app, oldest_first):
    session_id = ObjectId()
    said = ({"_id": f"SM{at}", "session_id": session_id, "createdAt": TEN + timedelta(seconds=at)} for at in range(500))
    collection(MessageDocument).insert_many(said)
    wanted = {"session_id": session_id, "$and": [{"createdAt": {"$gt": TEN}}]}
    way = 1 if oldest_first else -1
    stats = collection(MessageDocument).find(wanted).sort("createdAt", way).limit(21).explain()["executionStats"]
    assert stats["totalDocsExamined"] == 21
    walked = transcripts.walk(str(session_id), None, limit=20, oldest_first=oldest_first)
    assert [row["_id"] for row in walked.messages][:1] == ["SM0" if oldest_first else "SM499"]


@pytest.mark.parametrize("channels", [None, ["sms:2"]], ids=["all", "some"])
def test_a_count_reads_keys_alone(many, channels):
    counting = [*capped._count("sms", Wanted("sms"), channels)]
    explained = SessionDocument._get_db().command(
        "explain", {"aggregate": "sessions", "pipeline": counting, "cursor": {}}, verbosity="executionStats"
    )
    assert "'totalDocsExamined': 0" in str(explained)
    counted = capped.counts({"some": (Wanted("sms"), channels), "none": (Wanted("chat"), channels)})
    assert counted["some"] > 0
    assert counted["none"] == 0


def test_words_are_found_by_their_index(many):
    explained = collection(MessageDocument).find({"$text": {"$search": '"late"'}}).limit(5).explain()
    assert "TEXT" in str(explained["queryPlanner"]["winningPlan"])
