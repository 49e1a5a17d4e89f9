"""The beginning of a number, page by page: all of it and in order, whichever way it is found and however slowly."""

from datetime import timedelta
from itertools import chain, count

import pytest
from bson import ObjectId
from pymongo.errors import ExecutionTimeout, OperationFailure

from gateway.store import listing, walking
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument
from gateway.store.listing import STATUSES, TYPES, Wanted
from gateway.store.walking import Look
from tests.conftest import TEN

STARTS = ("+1415", "1415")


@pytest.fixture
def numbers(app):
    """Sessions of 60 days, several of one moment, every third of a number that begins so."""
    collection(SessionDocument).insert_many(
        {
            "_id": ObjectId(),
            "channel_id": f"sms:{number % 2}",
            "communication_type": TYPES[number % 4],
            "status": STATUSES[number % 3],
            "metadata": {"fromNumber": f"+1{2121415 if number % 3 else 415555}{number:04}"},
            "last_message_at": TEN + timedelta(days=number // 5 * 5 % 60),
            **({"tags": ["vip"]} if number % 2 else {}),
        }
        for number in range(120)
    )


def pages(wanted, *, oldest_first=False, channels=None, limit=4):
    """Give each page, as the ids on it."""
    cursor = ""
    while cursor is not None:
        page = listing.page(wanted, cursor=cursor, limit=limit, channels=channels, oldest_first=oldest_first)
        yield [row["id"] for row in page.sessions]
        cursor = page.next_cursor


def expected(wanted, *, oldest_first=False, channels=None):
    rows = [
        row
        for row in collection(SessionDocument).find().sort([("last_message_at", -1), ("_id", -1)])
        if row["metadata"]["fromNumber"].startswith("+1415")
        and (channels is None or row["channel_id"] in channels)
        and (not wanted.communication_type or row["communication_type"] == wanted.communication_type)
        and (not wanted.tag or wanted.tag in row.get("tags", ()))
        and (not wanted.until or row["last_message_at"] < wanted.until)
    ]
    return [str(row["_id"]) for row in (rows[::-1] if oldest_first else rows)]


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest first", "oldest first"])
@pytest.mark.parametrize("few", [1, 1000], ids=["many", "few"])
@pytest.mark.parametrize("channels", [None, ["sms:1"]], ids=["all", "some"])
@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(number_starts=STARTS),
        Wanted("voice", number_starts=STARTS),
        Wanted(tag="vip", number_starts=STARTS),
        Wanted(until=TEN + timedelta(days=30), number_starts=STARTS),
    ],
    ids=["plain", "type", "mark", "time"],
)
def test_pages_leave_nothing_out_and_give_nothing_twice(numbers, monkeypatch, wanted, channels, few, oldest_first):
    monkeypatch.setattr(listing, "FEW", few)
    found = list(pages(wanted, oldest_first=oldest_first, channels=channels))
    assert [*chain(*found)] == expected(wanted, oldest_first=oldest_first, channels=channels)
    assert all(len(page) == 4 for page in found[:-1])


def slow(monkeypatch, every):
    """Let time be over at every so manieth of the first questions."""
    asked, answered = count(1), Look._rows

    def ask(*given):
        number = next(asked)
        if number < 100 and number % every == 0:
            raise ExecutionTimeout("operation exceeded time limit", 50, {})
        return answered(*given)

    monkeypatch.setattr(Look, "_rows", ask)


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest first", "oldest first"])
def test_where_time_is_over_the_next_page_goes_on(numbers, monkeypatch, oldest_first):
    monkeypatch.setattr(listing, "FEW", 1)
    wanted = Wanted(number_starts=("+1415555003",))
    everything = [*chain(*pages(wanted))]
    assert len(everything) == 4
    slow(monkeypatch, 4)
    found = list(pages(wanted, oldest_first=oldest_first))
    assert [*chain(*found)] == (everything[::-1] if oldest_first else everything)
    assert [] in found[:-1]


def test_what_stands_still_says_so(numbers, monkeypatch):
    monkeypatch.setattr(listing, "FEW", 1)
    slow(monkeypatch, 2)
    with pytest.raises(ExecutionTimeout):
        next(pages(Wanted(number_starts=STARTS)))


def test_a_failure_is_no_end_of_time(numbers, monkeypatch):
    monkeypatch.setattr(listing, "FEW", 1)
    monkeypatch.setattr(listing, "_MARKS", {"tag": "no such index"})
    with pytest.raises(OperationFailure, match="hint"):
        next(pages(Wanted(tag="vip", number_starts=STARTS)))


def test_what_is_older_than_all_steps_is_looked_at_last(numbers, monkeypatch):
    monkeypatch.setattr(listing, "FEW", 1)
    monkeypatch.setattr(walking, "STEPS", walking.STEPS[:2])
    wanted = Wanted(number_starts=STARTS)
    assert [*chain(*pages(wanted, limit=30))] == expected(wanted)


def test_a_time_without_sessions_has_none_that_begin_so(numbers, monkeypatch):
    monkeypatch.setattr(listing, "FEW", 1)
    assert list(pages(Wanted(until=TEN, number_starts=STARTS))) == [[]]
