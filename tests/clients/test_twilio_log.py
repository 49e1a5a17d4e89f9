"""Twilio's log over real HTTP: every page, both ends of the span, and what is said when it cannot be read."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.clients.twilio_log import TwilioLog
from gateway.core.logged import LogUnreadable
from tests.stand_ins.twilio import ACCOUNT, TOKEN, Fault, TwilioStandIn

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def source(stand_in, settle):
    """Make a reader of the stand-in's log; `pauses` is how long it waited."""

    def make(**given):
        section = {"api_base_url": stand_in.url, "timeout_seconds": 5} | given.pop("twilio", {})
        pauses = []
        log = TwilioLog(settle(twilio=section, **given), pause=pauses.append)
        log.pauses = pauses
        return log

    return make


def put(stand_in, when, account=ACCOUNT, body="Hello", **fields):
    form = {"To": "+15017122661", "From": "+15558675310", "Body": body}
    written = {"date_created": format_datetime(when), "date_sent": format_datetime(when)}
    return stand_in.accept(account, form, **(written | {"direction": "inbound", "status": "received"} | fields))["sid"]


def read(log, since=TEN, until=TEN + HOUR, **which):
    return list(log.messages(ACCOUNT, since, until, **which))


def asked(stand_in):
    return [parse_qs(urlsplit(one.path).query) for one in stand_in.asked("GET")]


def test_all_pages_are_read(stand_in, source):
    sids = {put(stand_in, TEN + timedelta(seconds=number)) for number in range(2001)}
    assert {message.sid for message in read(source())} == sids
    assert [query["PageSize"] for query in asked(stand_in)] == [["1000"]] * 3


def test_the_span_is_asked_for_in_utc_and_includes_its_beginning_only(stand_in, source):
    first = put(stand_in, TEN)
    put(stand_in, TEN + HOUR)
    put(stand_in, TEN - timedelta(seconds=1))
    new_york = (TEN + timedelta(milliseconds=1)).astimezone(datetime.strptime("-0500", "%z").tzinfo)
    assert [message.sid for message in read(source())] == [first]
    assert read(source(), since=new_york) == []
    assert asked(stand_in)[1]["DateSent>"] == ["2026-03-01T10:00:00Z"]


def test_a_message_from_us_was_written_when_it_was_created_and_one_to_us_when_it_was_told(stand_in, source):
    created = format_datetime(TEN - HOUR)
    put(stand_in, TEN, date_created=created)
    put(stand_in, TEN, date_created=created, direction="outbound-api", status="sent", error_code=30003)
    theirs, ours = sorted(read(source()), key=lambda message: not message.inbound)
    assert (theirs.at, theirs.person, theirs.line) == (TEN, "+15558675310", "+15017122661")
    assert (ours.at, ours.person, ours.line) == (TEN - HOUR, "+15017122661", "+15558675310")
    assert (ours.error_code, ours.status) == ("30003", "sent")


def test_a_trial_accounts_sentence_is_no_part_of_what_we_said(stand_in, source):
    put(stand_in, TEN, body="Sent from your Twilio trial account - Hello", direction="outbound-reply")
    assert read(source())[0].content == "Hello"


def test_entries_without_ends_or_time_are_passed_over(stand_in, source):
    put(stand_in, TEN, to=None)
    put(stand_in, TEN, date_created="yesterday", date_sent=None)
    assert read(source()) == []


def test_calls_are_those_that_came_in(stand_in, source):
    ends = {"from": "+15558675310", "to": "+15017122661", "start_time": format_datetime(TEN)}
    sid = stand_in.called(ACCOUNT, **ends, duration="4", end_time=format_datetime(TEN + HOUR))["sid"]
    stand_in.called(ACCOUNT, **ends, direction="outbound-dial", parent_call_sid=sid)
    stand_in.called(ACCOUNT, **ends, direction="outbound-api")
    (call,) = source().calls(ACCOUNT, TEN, TEN + HOUR)
    assert (call.sid, call.status, call.ended_at, call.duration) == (sid, "completed", TEN + HOUR, "4")


def test_recordings_are_those_that_are_finished(stand_in, source):
    when = {"date_created": format_datetime(TEN)}
    sid = stand_in.recorded(ACCOUNT, "CA1", **when)["sid"]
    stand_in.recorded(ACCOUNT, "CA1", **when, status="processing")
    stand_in.recorded(ACCOUNT, None, **when)
    stand_in.recorded(ACCOUNT, "CA1", date_created=format_datetime(TEN + HOUR))
    (recording,) = source().recordings(ACCOUNT, TEN, TEN + HOUR)
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings/{sid}"
    assert (recording.call_sid, recording.url, recording.duration) == ("CA1", stand_in.url + path, "5")


def test_a_passing_refusal_is_asked_again_as_twilio_says(stand_in, source):
    sid = put(stand_in, TEN)
    stand_in.faults += [
        Fault(429, 20429, retry_after="7", on="list"),
        Fault(503, on="list"),
        Fault(reset=True, on="list"),
    ]
    log = source()
    assert [message.sid for message in read(log)] == [sid]
    assert log.pauses == [7, 2, 4]


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ([Fault(429, 20429, retry_after="900", on="list")], r"\(429\)\. Run it again in 900 s"),
        ([Fault(503, on="list")] * 6, "HTTP 503"),
        ([Fault(reset=True, on="list")] * 6, r"could not be reached \(ConnectionError\)"),
        ([Fault(200, raw="<html>", on="list")], "something other than JSON"),
        ([Fault(404, 20404, on="list")], "no account AC"),
    ],
)
def test_what_does_not_pass_is_said_in_one_line_with_the_remedy(stand_in, source, faults, said):
    stand_in.faults += faults
    with pytest.raises(LogUnreadable, match=said) as told:
        read(source())
    assert "\n" not in str(told.value)
    assert TOKEN not in str(told.value)


def test_a_wrong_token_names_the_setting(source):
    with pytest.raises(LogUnreadable, match=r"does not know the token of AC.* \(401\)\. Set TWILIO_AUTH_TOKEN"):
        read(source(twilio_auth_token=["guess"]))


def test_while_tokens_are_rotated_each_is_tried_and_the_one_that_works_is_remembered(stand_in, source):
    put(stand_in, TEN)
    log = source(twilio_auth_token=["old", TOKEN])
    assert len(read(log)) == len(read(log)) == 1
    assert len(stand_in.requests) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"twilio_account_sid": ""}, "needs an account: set TWILIO_ACCOUNT_SID"),
        ({"twilio_auth_token": []}, "no token for the Twilio account AC.*set TWILIO_AUTH_TOKEN"),
    ],
)
def test_without_credentials_nothing_is_asked(stand_in, source, given, said):
    with pytest.raises(LogUnreadable, match=said):
        source(**given).check()
    assert stand_in.requests == []


def test_credentials_are_sent_to_no_other_place_a_page_names(stand_in, source):
    with TwilioStandIn() as other:
        elsewhere = f'{{"messages": [], "next_page_uri": "@127.0.0.1:{other.port}/steal"}}'
        stand_in.faults.append(Fault(200, raw=elsewhere, on="list"))
        with pytest.raises(LogUnreadable, match="not its own"):
            read(source())
        assert other.requests == []
