"""The backfill a worker does by itself: when, from where, and by whom."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gateway.conversation import backfill_turns
from gateway.conversation.backfill_turns import JOB, LEASE, take_turn
from gateway.store import turns
from tests.brokers import wait_for
from tests.cli.test_serve import ROOT, clean_environment
from tests.conftest import ACCOUNT, TEN, TOKEN
from tests.conversation.logbook import OURS, PERSON, Logbook, at, sessions
from tests.stand_ins.twilio import Fault, TwilioStandIn


@pytest.fixture
def book(make_app, clock):
    with TwilioStandIn(now=clock.now, tokens={ACCOUNT: [TOKEN]}) as stand_in:
        app = make_app(
            reply={"responder": "none"},
            twilio={"api_base_url": stand_in.url, "timeout_seconds": 5},
            backfill={"every_minutes": 10, "overlap_minutes": 30},
        )
        yield Logbook(app, stand_in, clock)


def turn(book, **options):
    return take_turn(book.runtime, book.source(), **options)


def test_the_first_look_goes_back_a_day_and_the_next_a_little_behind_the_last(book, clock):
    clock.moment = at(0)
    first = turn(book)
    assert (first.since, first.until) == (TEN - timedelta(days=1, minutes=30), at(-2))
    clock.moment = at(10)
    second = turn(book)
    assert (second.since, second.until) == (at(-32), at(8))


def test_it_is_done_every_so_many_minutes_and_on_start(book, clock):
    clock.moment = at(0)
    assert turn(book)
    clock.moment = at(9, 59)
    assert turn(book) is None
    assert turn(book, on_start=True)
    clock.moment = at(19, 58)
    assert turn(book) is None
    clock.moment = at(19, 59)
    assert turn(book)


def test_one_worker_at_a_time(book):
    begin, reports = threading.Barrier(4), []

    def run():
        begin.wait()
        reports.append(turn(book))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(report is not None for report in reports) == [False, False, False, True]


def test_the_turn_of_a_dead_worker_is_taken_over_when_its_lease_ends(book, clock):
    clock.moment = at(0)
    assert turns.take(JOB, "dead", clock.now(), lease=clock.now() + LEASE)
    clock.moment = at(0) + LEASE - timedelta(seconds=1)
    assert turn(book, on_start=True) is None
    clock.moment = at(0) + LEASE
    assert turn(book)


def test_a_worker_whose_turn_ran_out_leaves_the_rest_to_the_next(book, clock, monkeypatch):
    for day in (2, 1):
        book.text(f"{day} days ago", TEN - timedelta(days=day), lost=True)
    clock.moment = at(0)
    turns.take(JOB, "before", clock.now(), lease=clock.now())
    turns.give_back(JOB, "before", due=clock.now(), until=TEN - timedelta(days=3))
    renewed = []

    def renew(*args):
        renewed.append(args)
        return False

    monkeypatch.setattr(turns, "renew", renew)
    assert turn(book) is None
    assert len(renewed) == 1
    monkeypatch.undo()
    assert turn(book, on_start=True).total.in_log == 2
    assert sessions() == [["2 days ago"], ["1 days ago"]]


def test_a_log_that_cannot_be_read_leaves_the_place_where_it_was(book, clock):
    clock.moment = at(0)
    turn(book)
    clock.moment = at(10)
    book.stand_in.faults.append(Fault(401, 20003, on="list"))
    assert turn(book) is None
    clock.moment = at(20)
    assert turn(book).since == at(-32)


def test_a_worker_that_stops_stops_reading(book, clock):
    book.text("lost", at(-60), lost=True)
    clock.moment = at(0)
    stop = threading.Event()
    stop.set()
    backfill_turns.by_itself(book.runtime, stop)()
    assert sessions() == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("minutes", [0, 15])
def test_a_worker_fills_the_gap_when_it_starts_if_it_is_told_to(db, make_settings, tmp_path, minutes):
    when = format_datetime(datetime.now(UTC) - timedelta(minutes=30))
    told = {"date_created": when, "date_sent": when, "direction": "inbound", "status": "received"}
    with TwilioStandIn() as stand_in:
        sid = stand_in.accept(ACCOUNT, {"From": PERSON, "To": OURS, "Body": "Hello"}, **told)["sid"]
        environ = {
            "GATEWAY_ENV": "test",
            "MONGODB_URI": make_settings().mongodb_uri,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "GATEWAY_TWILIO__API_BASE_URL": stand_in.url,
            "GATEWAY_DATA_DIR": str(tmp_path),
            "GATEWAY_BACKFILL__EVERY_MINUTES": str(minutes),
        }
        worker = subprocess.Popen([sys.executable, "-m", "gateway.worker"], cwd=ROOT, env=clean_environment(**environ))
        try:
            if minutes:
                wait_for(lambda: db.jobs.find_one({"_id": JOB, "until": {"$exists": True}}), seconds=30)
            else:
                wait_for(lambda: db.jobs.find_one({"_id": "settle"}), seconds=30)
        finally:
            worker.terminate()
        assert worker.wait(20) == 0
        assert [row["_id"] for row in db.messages.find()] == ([sid] if minutes else [])
        assert bool(stand_in.requests) is bool(minutes)
