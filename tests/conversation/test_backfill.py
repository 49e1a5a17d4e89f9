"""Gaps filled from Twilio's log: in the right sessions, once, without anybody being answered."""

import os
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import mongoengine
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.conversation import upkeep
from gateway.conversation.backfilled import Stopped
from gateway.core.logged import LogUnreadable
from gateway.core.messages import StatusUpdate
from gateway.core.spans import BadSpan
from gateway.store import backfilling, connection, delivery, messages, outbound, outbox
from gateway.store import sessions as store_sessions
from gateway.store.outbox import Row
from tests.conftest import ACCOUNT, TEN, TOKEN, StoppedClock
from tests.conversation.logbook import OURS, PERSON, Logbook, at, dump, message, sessions
from tests.conversation.test_timelines import Oracle
from tests.stand_ins.twilio import Fault, TwilioStandIn

SUBACCOUNT = "AC" + "b" * 32


@pytest.fixture
def stand_in(clock: StoppedClock) -> Iterator[TwilioStandIn]:
    with TwilioStandIn(now=clock.now, tokens={ACCOUNT: [TOKEN], SUBACCOUNT: ["sub-token"]}) as server:
        yield server


@pytest.fixture
def make_logbook(make_app: Any, stand_in: TwilioStandIn, clock: StoppedClock) -> Any:
    def make(*, responder: str = "none", twilio: dict[str, Any] | None = None, **given: Any) -> Logbook:
        section = {"api_base_url": stand_in.url, "timeout_seconds": 5} | (twilio or {})
        return Logbook(make_app(reply={"responder": responder}, twilio=section, **given), stand_in, clock)

    return make


@pytest.fixture
def book(make_logbook: Any) -> Logbook:
    return make_logbook()


def counts(drift: Any) -> dict[str, int]:
    """Give what is not nought."""
    return {name: count for name, count in drift.total.as_row().items() if count}


def test_a_message_that_was_lost_goes_into_the_session_of_its_time(book):
    book.text("one", at(0))
    book.text("lost", at(4), lost=True)
    book.text("two", at(8))
    book.text("much later", at(60))
    drift = book.backfill()
    assert sessions() == [["one", "lost"], ["two"], ["much later"]]
    assert counts(drift) == {"in_log": 4, "here": 3, "inserted_inbound": 1, "drift": 1}


def test_an_outage_is_filled_as_if_it_had_never_been(book):
    for minute in (0, 4, 8, 13.1, 30):
        book.text(f"minute {minute}", at(minute), lost=minute > 0, sid=f"SM{99 - minute:032}")
    book.backfill()
    assert sessions() == [["minute 0", "minute 4", "minute 8"], ["minute 13.1"], ["minute 30"]]
    first, second, third = mongoengine.get_db().sessions.find().sort("first_message_at", 1)
    assert (second["previous_session_id"], third["previous_session_id"]) == (first["_id"], second["_id"])
    assert [one["message_count"] for one in (first, second, third)] == [3, 1, 1]


def test_what_is_put_in_says_so_and_is_never_answered(make_logbook):
    book = make_logbook(responder="echo")
    sid = book.text("lost", at(0), lost=True)
    book.backfill()
    stored = message(sid)
    assert stored["answer"] == {"state": "none", "twiml": stored["answer"]["twiml"], "reason": "backfilled"}
    assert "<Message" not in stored["answer"]["twiml"]
    assert stored["metadata"]["backfilledAt"] == book.clock.moment
    assert stored["metadata"]["From"] == PERSON
    assert (stored["createdAt"], stored["storedAt"]) == (at(0), book.clock.moment)
    assert mongoengine.get_db().outbox.count_documents({}) == 0
    assert book.stand_in.asked("POST") == []


def test_the_second_run_changes_nothing(make_logbook):
    book = make_logbook(responder="echo")
    book.text("here", at(0))
    book.sent("here", at(0, 1))
    book.text("lost", at(1), lost=True)
    book.sent("from the console", at(2), direction="outbound-api")
    book.call(at(30))
    book.call(at(50), lost=False)
    book.text("STOP", at(70), lost=True)
    assert counts(book.backfill())["drift"] == 4
    before = dump()
    book.clock.tick(3600)
    drift = book.backfill()
    assert counts(drift) == {"in_log": 7, "here": 7}
    assert dump() == before


def test_an_answer_given_with_the_webhook_gets_its_sid_and_is_not_stored_twice(make_logbook):
    book = make_logbook(responder="echo")
    asked = book.text("Hello", at(0))
    sid = book.sent("Hello", at(0, 2), status="undelivered", error_code="30003")
    drift = book.backfill()
    assert counts(drift) == {"in_log": 2, "here": 1, "matched": 1, "repaired": 1}
    answer = message(sid)
    assert answer["_id"] == f"re:{asked}"
    assert (answer["status"], answer["error_code"]) == ("undelivered", "30003")
    assert sessions() == [["Hello", "Hello"]]


def test_each_row_is_one_entry_only(make_logbook):
    book = make_logbook(responder="echo")
    book.text("ok", at(0))
    book.text("ok", at(1))
    first, second, third = (book.sent("ok", at(minute, 1)) for minute in (0, 1, 1.5))
    drift = book.backfill()
    assert counts(drift)["matched"] == 2
    assert counts(drift)["inserted_outbound"] == 1
    assert [message(sid)["_id"][:3] for sid in (first, second)] == ["re:", "re:"]
    assert message(first)["createdAt"] == at(0)
    assert message(second)["createdAt"] == at(1)
    assert message(third)["_id"] == third


def test_a_row_that_somebody_else_takes_meanwhile_is_theirs(make_logbook, monkeypatch):
    book = make_logbook(responder="echo")
    asked = book.text("ok", at(0))
    sid = book.sent("ok", at(0, 1))
    real = backfilling.take

    def take_second(row_id: str, sid: str) -> bool:
        real(row_id, "SMtheirs")
        return real(row_id, sid)

    monkeypatch.setattr(backfilling, "take", take_second)
    assert counts(book.backfill())["inserted_outbound"] == 1
    assert message(f"re:{asked}")["provider_sid"] == "SMtheirs"
    assert message(sid)["_id"] == sid


def test_what_we_answered_is_not_what_they_wrote(make_logbook):
    book = make_logbook(responder="echo")
    book.text("ok", at(0))
    sid = book.text("ok", at(1), lost=True)
    assert counts(book.backfill())["inserted_inbound"] == 1
    assert message(sid)["_id"] == sid


def test_in_a_session_over_several_numbers_a_row_is_matched_on_its_own_only(make_logbook):
    book = make_logbook(responder="echo", sessions={"scope": "contact"})
    answered = book.text("ok", at(0))
    sid = book.sent("ok", at(0, 1), ours="+15017122699", direction="outbound-api")
    book.text("hello", at(1), ours="+15017122699")
    db = mongoengine.get_db()
    theirs = {"direction": "outbound", "content": "yes", "communication_type": "whatsapp", "createdAt": at(2)}
    db.messages.insert_one(theirs | {"session_id": db.sessions.find_one()["_id"]})
    other = book.sent("yes", at(2))
    assert counts(book.backfill())["inserted_outbound"] == 2
    assert message(f"re:{answered}").get("provider_sid") is None
    assert (message(sid)["_id"], message(other)["_id"]) == (sid, other)


def test_a_status_that_was_called_back_before_its_sid_was_known_is_applied(make_logbook):
    book = make_logbook(responder="echo")
    book.text("ok", at(0))
    sid = book.sent("ok", at(0, 1), status="delivered")
    told = {"MessageSid": sid, "MessageStatus": "read", "AccountSid": ACCOUNT}
    assert book.twilio.post("/webhooks/status", told).status_code == 204
    book.backfill()
    assert message(sid)["status"] == "read"
    assert mongoengine.get_db().callbacks.count_documents({}) == 0


def test_the_same_text_at_another_time_is_another_message(make_logbook):
    book = make_logbook(responder="echo")
    asked = book.text("ok", at(0))
    sid = book.sent("ok", at(30))
    book.backfill()
    assert message(sid)["_id"] == sid
    assert message(f"re:{asked}").get("provider_sid") is None


def test_an_adopted_row_without_a_sid_is_matched_and_not_stored_twice(book):
    book.text("one", at(0))
    db = mongoengine.get_db()
    session = db.sessions.find_one()
    theirs = {"direction": "inbound", "sender": "contact", "content": "from the old application"}
    place = {"session_id": session["_id"], "createdAt": at(1, 3), "provider_sid": None}
    own_id = db.messages.insert_one(theirs | place).inserted_id
    sid = book.text("from the old application", at(1), lost=True)
    assert counts(book.backfill()) == {"in_log": 2, "here": 1, "matched": 1}
    assert message(sid)["_id"] == own_id
    before = dump()
    assert counts(book.backfill()) == {"in_log": 2, "here": 2}
    assert dump() == before


def test_an_adopted_row_named_by_its_sid_is_there(book):
    book.text("one", at(0))
    db = mongoengine.get_db()
    sid = book.sent("two", at(1), status="delivered")
    theirs = {"_id": sid, "direction": "outbound", "content": "two", "status": "sent", "createdAt": at(1)}
    db.messages.insert_one(theirs | {"session_id": db.sessions.find_one()["_id"]})
    assert counts(book.backfill()) == {"in_log": 2, "here": 2}


def test_a_message_the_provider_refused_is_no_entry_of_its_log(make_logbook):
    book = make_logbook(responder="echo")
    asked = book.text("ok", at(0))
    delivery.fail(f"re:{asked}", status="failed", code="21610", reason="STOP", at=at(0))
    sid = book.sent("ok", at(0, 5))
    book.backfill()
    assert message(sid)["_id"] == sid


def test_what_the_outbox_is_still_sending_is_left_to_it(make_logbook):
    book = make_logbook(responder="echo")
    asked = book.text("ok", at(0))
    outbox.put(Row(f"re:{asked}", outbox.SEND, f"re:{asked}", due=at(99), queued_at=at(0)))
    sid = book.sent("ok", at(0, 5))
    assert counts(book.backfill())["left"] == 1
    assert mongoengine.get_db().messages.count_documents({"$or": [{"_id": sid}, {"provider_sid": sid}]}) == 0


def test_what_was_sent_from_elsewhere_is_an_agents_and_says_so(book):
    book.text("one", at(0))
    sid = book.sent("Your parcel is here", at(3), direction="outbound-api", status="failed", error_code="30005")
    book.text("two", at(7))
    assert counts(book.backfill())["inserted_outbound"] == 1
    stored = message(sid)
    assert (stored["direction"], stored["sender"], stored["status"]) == ("outbound", "agent", "failed")
    assert (stored["error_code"], stored["metadata"]["author"]) == ("30005", "outside the gateway")
    assert sessions()[0] == ["one", "Your parcel is here"]
    assert mongoengine.get_db().sessions.find_one(sort=[("first_message_at", 1)])["last_message_at"] == at(3)


def test_what_was_sent_just_before_somebody_wrote_is_in_their_session(book):
    book.text("Thanks!", at(3))
    book.sent("Your appointment is tomorrow", at(0), direction="outbound-api")
    book.backfill()
    assert sessions() == [["Your appointment is tomorrow", "Thanks!"]]
    assert mongoengine.get_db().sessions.find_one()["first_message_at"] == at(0)


def know(asked, sid):
    """Let the provider's id of an answer be known."""
    mongoengine.get_db().messages.update_one({"_id": f"re:{asked}"}, {"$set": {"provider_sid": sid}})


@pytest.mark.parametrize(
    ("ours", "theirs", "after"),
    [
        ("sent", "delivered", "delivered"),
        ("delivered", "sent", "delivered"),
        ("read", "delivered", "read"),
        ("delivered", "failed", "delivered"),
        ("undelivered", "failed", "undelivered"),
    ],
)
def test_a_status_that_is_behind_is_repaired_and_none_regresses(make_logbook, ours, theirs, after):
    book = make_logbook(responder="echo")
    asked = book.text("ok", at(0))
    sid = book.sent("ok", at(0, 1), status=theirs)
    know(asked, sid)
    delivery.apply_status(StatusUpdate(sid, ours, at(0, 2), {}))
    drift = book.backfill()
    assert message(sid)["status"] == after
    assert drift.total.repaired == (after != ours)


def test_a_refusal_that_was_never_told_opts_out_and_nothing_is_sent_again(make_logbook):
    book = make_logbook(responder="echo")
    asked = book.text("one", at(0))
    sid = book.sent("one", at(0, 1), status="undelivered", error_code="21610")
    know(asked, sid)
    asked = book.text("two", at(1), person="+15558675399")
    sid = book.sent("two", at(1, 1), status="undelivered", error_code="30003", person="+15558675399")
    know(asked, sid)
    assert counts(book.backfill())["repaired"] == 2
    db = mongoengine.get_db()
    assert OURS in db.contacts.find_one({"phones": PERSON})["opted_out"]
    assert db.outbox.count_documents({}) == 0


def test_a_refusal_takes_back_no_start_said_since(make_logbook):
    book = make_logbook(responder="echo")
    asked = book.text("one", at(0))
    know(asked, book.sent("one", at(0, 1), status="failed", error_code="21610"))
    book.text("START", at(5))
    assert counts(book.backfill())["repaired"] == 1
    assert mongoengine.get_db().contacts.find_one()["opted_out"] == {}


def test_a_stop_that_was_lost_is_recorded(book):
    book.text("Hello", at(0))
    book.text("STOP", at(1), lost=True)
    book.backfill()
    assert mongoengine.get_db().contacts.find_one()["opted_out"][OURS]["at"] == at(1)
    assert message(book.text("x", at(2)))["answer"]["state"] == "none"


@pytest.mark.parametrize(("lost", "said_since", "is_out"), [("STOP", "START", False), ("START", "STOP", True)])
def test_a_keyword_that_was_lost_takes_back_nothing_said_since(book, lost, said_since, is_out):
    book.text("Hello", at(0))
    book.text(lost, at(1), lost=True)
    book.text(said_since, at(2))
    book.backfill()
    assert (OURS in mongoengine.get_db().contacts.find_one()["opted_out"]) is is_out


def test_the_files_of_a_lost_message_are_queued_for_download(book, stand_in):
    sid = book.text("look", at(0), lost=True, num_media="1")
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}/Media/ME1"
    stand_in.media[sid] = [{"sid": "ME1", "content_type": "image/png", "uri": f"{path}.json"}]
    book.backfill()
    assert message(sid)["media"] == [{"url": stand_in.url + path, "content_type": "image/png"}]
    assert mongoengine.get_db().outbox.find_one()["_id"] == f"media:{sid}"


def test_files_that_are_gone_do_not_keep_their_message_out(book):
    sid = book.text("look", at(0), lost=True, num_media="1")
    book.backfill()
    assert message(sid)["media"] == []


def test_a_call_that_was_lost_is_stored_with_its_end_and_holds_no_session_open(book):
    sid = book.call(at(0), seconds=90)
    book.text("about my call", at(5), lost=True)
    assert counts(book.backfill())["inserted_calls"] == 1
    stored = message(f"{sid}:0")
    assert (stored["status"], stored["createdAt"], stored["metadata"]["CallDuration"]) == ("completed", at(0), "90")
    call = mongoengine.get_db().sessions.find_one({"communication_type": "voice"})
    assert call["live"] == []
    assert call["last_message_at"] == at(1.5)


def test_the_end_of_a_call_that_was_never_told_lets_go_of_its_session(book):
    sid = book.call(at(0), lost=False, seconds=30)
    db = mongoengine.get_db()
    assert db.sessions.find_one()["live"] == [sid]
    assert counts(book.backfill()) == {"in_log": 1, "here": 1, "ended": 1}
    assert db.sessions.find_one()["live"] == []
    assert message(f"{sid}:0")["status"] == "completed"


@pytest.mark.parametrize("lost", [True, False], ids=["of a lost call", "of a call that is here"])
def test_a_recording_that_was_never_told_is_put_into_the_session_of_its_call(book, stand_in, lost):
    call = book.call(at(0), lost=lost)
    recording = stand_in.recorded(ACCOUNT, call, date_created=format_datetime(at(0, 20)))
    stand_in.recorded(ACCOUNT, "CAunknown", date_created=format_datetime(at(0, 20)))
    assert counts(book.backfill())["inserted_recordings"] == 1
    stored = message(recording["sid"])
    assert stored["session_id"] == message(f"{call}:0")["session_id"]
    url = stand_in.url + recording["uri"].removesuffix(".json")
    assert stored["media"] == [{"url": url, "content_type": "audio/x-wav", "duration_seconds": 5}]
    db = mongoengine.get_db()
    assert db.outbox.find_one()["_id"] == f"media:{recording['sid']}"
    assert db.sessions.find_one()["message_count"] == 2
    before = dump()
    assert counts(book.backfill()) == {"in_log": 2, "here": 2}
    assert dump() == before


@pytest.mark.parametrize(("numbers", "found"), [((), 1), ((OURS,), 0)], ids=["of all", "of one number"])
def test_a_recording_of_a_call_before_the_span_is_read_with_all_numbers(book, stand_in, numbers, found):
    call = book.call(at(-90), lost=False)
    stand_in.recorded(ACCOUNT, call, date_created=format_datetime(at(0)))
    assert book.backfill(numbers=numbers).total.inserted_recordings == found


def test_a_recording_that_was_only_announced_gets_its_file(book, stand_in):
    call = book.call(at(0), lost=False)
    sid = stand_in.recorded(ACCOUNT, call, date_created=format_datetime(at(0, 20)))["sid"]
    told = {"CallSid": call, "RecordingSid": sid, "RecordingStatus": "in-progress", "AccountSid": ACCOUNT}
    assert book.twilio.post("/webhooks/voice/recording", told).status_code in (200, 204)
    assert message(sid)["media"] == []
    book.backfill()
    assert len(message(sid)["media"]) == 1
    assert counts(book.backfill()) == {"in_log": 2, "here": 2}


def test_a_missed_call_is_stored_as_what_it_was(book):
    sid = book.call(at(0), status="no-answer")
    book.backfill()
    assert message(f"{sid}:0")["status"] == "no-answer"


def test_a_call_late_in_the_day_is_found_though_twilio_looks_at_dates_only(book):
    sid = book.call(at(13 * 60 + 59))
    book.backfill(at(13 * 60), until=at(13 * 60 + 59, 30))
    assert message(f"{sid}:0")


def test_a_dry_run_says_the_same_and_changes_nothing(make_logbook):
    book = make_logbook(responder="echo")
    book.text("ok", at(0))
    for second in (1, 2):
        book.sent("ok", at(0, second))
    book.text("lost", at(1), lost=True, ours="+15017122699")
    for minute, lost in ((30, True), (50, False)):
        call = book.call(at(minute), lost=lost)
        book.stand_in.recorded(ACCOUNT, call, date_created=format_datetime(at(minute, 20)))
    before = dump()
    said = book.backfill(dry_run=True)
    assert dump() == before
    done = book.backfill()
    assert {name: tally.as_row() for name, tally in said.numbers.items()} == {
        name: tally.as_row() for name, tally in done.numbers.items()
    }


def test_what_is_young_or_out_of_the_span_is_left_alone(book):
    for minute in (0, 10, 20):
        book.text(f"minute {minute}", at(minute), lost=True)
    book.clock.moment = at(21)
    drift = backfill_now(book, at(5))
    assert sessions() == [["minute 10"]]
    assert drift.until == at(19)


def backfill_now(book, since, **options):
    from gateway.conversation.backfill import backfill

    return backfill(book.runtime, book.source(), since, **options)


def test_one_number_is_read_and_no_other(book):
    book.text("ours", at(0), lost=True)
    book.text("other", at(1), lost=True, ours="+15017122699")
    book.text("on whatsapp", at(2), lost=True, person=f"whatsapp:{PERSON}", ours=f"whatsapp:{OURS}")
    book.sent("to somebody", at(3), direction="outbound-api")
    book.call(at(30))
    drift = book.backfill(numbers=[OURS])
    assert set(drift.numbers) == {OURS, f"whatsapp:{OURS}"}
    assert counts(drift)["in_log"] == 4
    assert {row["communication_type"] for row in mongoengine.get_db().messages.find()} == {"sms", "whatsapp", "voice"}


def test_subaccounts_are_read_with_their_own_tokens(make_logbook):
    book = make_logbook(twilio={"accounts": {SUBACCOUNT: ["sub-token"]}})
    book.text("main", at(0), lost=True)
    book.text("sub", at(1), lost=True, ours="+15017122699", account=SUBACCOUNT)
    book.backfill()
    assert sorted(sessions()) == [["main"], ["sub"]]


def test_more_than_a_page_is_read(book):
    for number in range(2300):
        book.text(f"{number}", at(number / 60), lost=True, sid=f"SM{number:032x}", person=f"+1555{number % 7:07d}")
    drift = book.backfill(until=at(60), dry_run=True)
    assert drift.total.inserted_inbound == 2300
    assert len(book.stand_in.asked("GET", "Messages.json")) == 3


def test_bounds_are_demanded(book):
    with pytest.raises(BadSpan, match="400 days"):
        book.backfill(TEN - timedelta(days=500))
    with pytest.raises(BadSpan, match="nothing between"):
        book.backfill(TEN + timedelta(days=30))


def test_a_log_that_cannot_be_read_stops_the_run_and_keeps_what_is_done(book, stand_in):
    book.text("lost", at(0) - timedelta(days=1), lost=True)
    book.clock.moment = TEN + timedelta(days=1)

    def fail_then(_done, _drift):
        stand_in.faults.append(Fault(401, 20003, on="list"))

    with pytest.raises(LogUnreadable, match="TWILIO_AUTH_TOKEN"):
        backfill_now(book, TEN - timedelta(days=2), tell=fail_then)
    assert counts(book.backfill(TEN - timedelta(days=3)))["inserted_inbound"] == 1


STEPS = [(store_sessions, "open_session"), (messages, "insert"), (store_sessions, "touch"), (backfilling, "take")]
STEPS += [(outbound, "insert"), (backfilling, "count_sent"), (store_sessions, "end_call")]


@pytest.mark.parametrize(("module", "name"), STEPS, ids=[name for _, name in STEPS])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_step_and_run_again_it_is_complete(make_logbook, clock, module, name, when):
    book = make_logbook(responder="echo")
    book.text("answered", at(0))
    book.sent("answered", at(0, 1))
    book.text("lost", at(2), lost=True)
    book.sent("from the console", at(3), direction="outbound-api")
    book.call(at(30))
    connection.disconnect()
    child = os.fork()
    if child == 0:
        try:
            book = make_logbook(responder="echo")
            real = getattr(module, name)

            def crash(*args: Any, **kwargs: Any) -> None:
                if when == "after":
                    real(*args, **kwargs)
                os.kill(os.getpid(), signal.SIGKILL)

            setattr(module, name, crash)
            book.backfill()
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "the step was never reached"
    connection.connect(book.runtime.settings)
    book.backfill()
    for _ in range(2):
        clock.tick(120)
        upkeep.settle(book.runtime)
    # As after any crash between a call's end and its session.
    upkeep.sweep(book.runtime)
    assert sessions() == [["answered", "answered", "lost", "from the console"], [""]]
    for session in mongoengine.get_db().sessions.find():
        assert session["message_count"] == mongoengine.get_db().messages.count_documents({"session_id": session["_id"]})
        assert not session.get("live")
    assert counts(book.backfill()) == {"in_log": 5, "here": 5}


def test_runs_at_the_same_time_double_nothing(make_logbook):
    book = make_logbook(responder="echo")
    for minute in range(0, 60, 2):
        book.text("ok", at(minute), lost=minute % 4 == 0, person=f"+1555867531{minute % 3}")
        book.sent("ok", at(minute, 1), person=f"+1555867531{minute % 3}")
    begin, reports = threading.Barrier(4), []

    def run():
        begin.wait()
        reports.append(book.backfill())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    db = mongoengine.get_db()
    assert len(reports) == 4
    assert db.messages.count_documents({}) == 60
    sids = [row["provider_sid"] for row in db.messages.find()]
    assert len(set(sids)) == 60
    assert sum(report.total.inserted_inbound for report in reports) == 15
    for session in db.sessions.find():
        assert session["message_count"] == db.messages.count_documents({"session_id": session["_id"]})


@pytest.mark.parametrize(("looks", "done"), [(2, []), (4, [["0"]])], ids=["while it reads", "while it writes"])
def test_a_run_that_is_told_to_stop_stops(book, looks, done):
    for minute in range(3):
        book.text(f"{minute}", at(minute), lost=True)
    answers = [False] * looks + [True]
    with pytest.raises(Stopped):
        book.backfill(is_stopping=lambda: answers.pop(0))
    assert sessions() == done


SPOKEN = st.tuples(
    st.sampled_from([0, 1, 100, 299, 300, 301, 700]),  # seconds since the last one
    st.sampled_from([PERSON, "+15558675311"]),
    st.sampled_from(["arrives", "is lost", "is sent from elsewhere"]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(timeline=st.lists(SPOKEN, min_size=2, max_size=14), swept=st.booleans())
def test_whatever_gets_lost_sessions_are_drawn_by_the_rules(book, timeline, swept):
    db = mongoengine.get_db()
    for name in ("sessions", "messages", "contacts"):
        db[name].delete_many({})
    book.stand_in.messages.clear()
    oracle, late, seconds = Oracle(300_000), [], 0
    for number, (gap, person, how) in enumerate(timeline):
        seconds += gap
        # Ids tell nothing of the order.
        sid = f"SM{99 - number:032x}"
        if how == "is sent from elsewhere":
            late.append((person, book.sent("ours", at(0, seconds), person=person, sid=sid), seconds * 1000))
            continue
        book.text("theirs", at(0, seconds), person=person, lost=how == "is lost", sid=sid)
        if how == "is lost":
            late.append((person, sid, seconds * 1000))
        else:
            oracle.receive(person, sid, seconds * 1000)
    if swept:
        book.clock.tick(3600)
        upkeep.sweep(book.runtime)
    for entry in sorted(late, key=lambda entry: (entry[2], entry[1])):
        oracle.receive(*entry)
    book.backfill()
    drawn = set()
    for session in db.sessions.find():
        members = frozenset(row["_id"] for row in db.messages.find({"session_id": session["_id"]}))
        assert session["message_count"] == len(members)
        first, last = (
            (session[name] - TEN) // timedelta(milliseconds=1) for name in ("first_message_at", "last_message_at")
        )
        drawn.add((first, last, members))
    assert drawn == oracle.drawn()
    before = dump()
    book.backfill()
    assert dump() == before
