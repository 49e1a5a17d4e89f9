"""Decisions are found newest first, in pages that cost the same however few of many messages match."""

from datetime import timedelta

import pytest
from bson import ObjectId

from gateway.store import decisions, groups
from gateway.store.decisions import Page, Wanted
from tests.conftest import TEN

SESSIONS = [ObjectId() for _ in range(4)]


@pytest.fixture
def stored(db, monkeypatch):
    """Sixty messages, one a second; of each ten the first opened a session. Windows are small."""
    monkeypatch.setattr(decisions, "WINDOWS", (7, 7, 7, 7))
    monkeypatch.setattr(decisions, "_SESSIONS", 2)
    db.contacts.insert_one({"_id": SESSIONS[0], "phones": ["+15558675310"]})
    for number, session_id in enumerate(SESSIONS):
        first = TEN + timedelta(seconds=15 * number)
        db.sessions.insert_one(
            {"_id": session_id, "channel_id": f"sms:{number % 2}", "contact_id": SESSIONS[0],
             "metadata": {"fromNumber": "+15558675310"}, "first_message_at": first,
             "last_message_at": first + timedelta(seconds=14)}
        )  # fmt: skip
    db.messages.insert_many(
        {"_id": f"SM{number:02}", "session_id": SESSIONS[number // 15], "channel_id": f"sms:{number // 15 % 2}",
         "communication_type": "sms", "createdAt": TEN + timedelta(seconds=number), "direction": "inbound",
         "decision": {"kind": "reused" if number % 10 else "created", "rule": "within_threshold",
                      "gap_seconds": float(number), "previous_session_id": SESSIONS[0]}}
        for number in range(60)
    )  # fmt: skip
    db.messages.insert_one({"_id": "re:1", "session_id": SESSIONS[0], "createdAt": TEN, "direction": "outbound"})


def everything(wanted, *, limit, channels=None):
    found, cursor, pages = [], "", 0
    while cursor is not None:
        page = decisions.page(wanted, cursor=cursor, limit=limit, channels=channels)
        assert len(page.rows) <= limit
        found += [row["_id"] for row in page.rows]
        cursor, pages = page.next_cursor, pages + 1
        assert pages < 200
    return found


def ids(*numbers):
    return [f"SM{number:02}" for number in numbers]


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 60, 200])
def test_every_decision_once_newest_first(stored, limit):
    assert everything(Wanted(), limit=limit) == ids(*range(59, -1, -1))


@pytest.mark.parametrize("limit", [1, 3, 200])
@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted(kind="created"), [50, 40, 30, 20, 10, 0]),
        (Wanted(kind="rolled_over"), []),
        (Wanted(channel_id="sms:1", kind="created"), [50, 20]),
        (Wanted(gap_at_least=57, gap_at_most=58), [58, 57]),
        (Wanted(since=TEN + timedelta(seconds=3), until=TEN + timedelta(seconds=6)), [5, 4, 3]),
        (Wanted(sessions=decisions.of_session(str(SESSIONS[1])), kind="created"), [20]),
        (Wanted(sessions=decisions.of_session("nonsense")), []),
        (Wanted(sessions=decisions.of_number("+15558675310")), list(range(59, -1, -1))),
        (Wanted(sessions=decisions.of_number("+1")), []),
    ],
)
def test_filters(stored, wanted, numbers, limit):
    assert everything(wanted, limit=limit) == ids(*numbers)


def test_those_of_a_contact_and_of_whoever_was_merged_with_them(stored, db):
    db.contacts.insert_one({"_id": SESSIONS[1], "phones": ["+15558675311"]})
    groups.link(str(SESSIONS[1]), str(SESSIONS[0]))
    db.sessions.update_one({"_id": SESSIONS[3]}, {"$set": {"contact_id": SESSIONS[1]}})
    found = everything(Wanted(sessions=decisions.of_contact(str(SESSIONS[0])), kind="created"), limit=3)
    assert found == ids(50, 40, 30, 20, 10, 0)
    assert everything(Wanted(sessions=decisions.of_contact("nonsense")), limit=3) == []


def test_messages_of_one_moment_are_neither_lost_nor_given_twice(stored, db):
    db.messages.update_many({}, {"$set": {"createdAt": TEN}})
    for limit in (1, 9, 200):
        assert everything(Wanted(), limit=limit) == ids(*range(59, -1, -1))
        assert everything(Wanted(kind="created"), limit=limit) == ids(50, 40, 30, 20, 10, 0)


def test_a_page_ends_where_its_look_does_and_says_so(stored):
    page = decisions.page(Wanted(kind="rolled_over"), cursor="", limit=5, channels=None)
    assert page.rows == []
    assert page.next_cursor


def test_only_these_channels_and_not_the_ids_of_sessions_elsewhere(stored):
    assert everything(Wanted(kind="created"), limit=2, channels={"sms:1"}) == ids(50, 20)
    (row,) = decisions.page(Wanted(), cursor="", limit=1, channels={"sms:1"}).rows
    assert row["decision"]["previous_session_id"] is None
    (row,) = decisions.page(Wanted(), cursor="", limit=1, channels=None).rows
    assert row["decision"]["previous_session_id"] == str(SESSIONS[0])
    assert everything(Wanted(sessions=decisions.of_session(str(SESSIONS[0]))), limit=2, channels={"sms:1"}) == []


@pytest.mark.parametrize("cursor", ["nonsense", "1-2-3x"[:1], "99999999999999999-a", "-SM", "１-a"])
def test_a_cursor_that_is_not_ours(stored, cursor):
    with pytest.raises(ValueError, match="no page of this list"):
        decisions.page(Wanted(), cursor=cursor, limit=5, channels=None)


def test_all_queries_use_an_index_and_look_at_a_window_only(stored, db, monkeypatch):
    plans = []
    real = decisions.collection

    class Watched:
        def __init__(self, inner):
            self.inner = inner

        def find(self, *given):
            found = self.inner.find(*given)
            plans.append(found)
            return found

    monkeypatch.setattr(decisions, "collection", lambda document: Watched(real(document)))
    asked = [Wanted(kind="rolled_over"), Wanted(sessions=decisions.of_number("+15558675310"), kind="rolled_over")]
    for wanted in asked:
        assert decisions.page(wanted, cursor="", limit=5, channels={"sms:1"}).rows == Page([], None).rows
    assert len(plans) > 6
    for cursor in plans:
        told = cursor.clone().explain()
        assert "COLLSCAN" not in str(told["queryPlanner"]["winningPlan"])
        assert told["executionStats"]["totalKeysExamined"] <= 40
