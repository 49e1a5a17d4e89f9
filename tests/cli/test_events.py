"""What came and went, as the command line tells it."""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

import click
import pytest

from gateway.cli import events
from gateway.cli.entries import Entry, Printer, decided
from gateway.cli.events import Following, newest
from gateway.conversation import operators
from gateway.core.errors import StoreUnavailable
from gateway.store import feed, tailing
from gateway.store.streams import NoChangeStreams
from tests.conftest import TEN, Twilio, fixture

PERSON = "+15558675310"


class Lines(Printer):
    """What would be printed."""

    def __init__(self):
        super().__init__(as_json=True)
        self.lines, self.came = [], threading.Event()

    def _write(self, line):
        self.lines.append(json.loads(line))

    def of(self, event):
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def app(make_app):
    return make_app(inspector={"sample_rate": 1}, env="test")


@pytest.fixture
def twilio(app):
    return Twilio(app.test_client())


def flush(app):
    app.extensions["inspector"].flush()


SPANS = [
    ({"kind": "created"}, "created"),
    ({"kind": "reused", "gap_seconds": 0.25}, "reused 0.25s"),
    ({"kind": "reused", "gap_seconds": 300.0}, "reused 5m0s"),
    ({"kind": "rolled_over", "gap_seconds": 300.001}, "rolled over 5m0s"),
    ({"kind": "rolled_over", "gap_seconds": 7500}, "rolled over 2h5m"),
    ({"kind": "rolled_over", "gap_seconds": 273_600}, "rolled over 3d4h"),
    ({}, ""),
]


@pytest.mark.parametrize(("decision", "words"), SPANS)
def test_a_decision_and_its_gap_fit_a_column(decision, words):
    assert decided(decision) == words


def test_the_last_ones_tell_the_decision_who_answered_and_the_verdict(app, twilio, clock):
    twilio.sms(From=PERSON)
    clock.move_to(minutes=10)
    twilio.sms(From=PERSON, Body="secret words")
    twilio.post("/webhooks/sms", fixture("sms/text") | {"MessageSid": twilio.sid()}, **{"X-Twilio-Signature": "AAAA"})
    flush(app)
    told = [entry.as_json() for entry in newest(20)]
    assert [(one["event"], one["what"]) for one in told] == [
        ("message.received", "created"), ("message.sent", "sent"),
        ("message.received", "rolled over 10m0s"), ("message.sent", "sent"), ("webhook", "refused"),
    ]  # fmt: skip
    rolled, refused = told[2], told[4]
    assert (rolled["responder"], rolled["status"], rolled["verdict"], rolled["gap_seconds"]) == (
        "echo", 200, "genuine", 600.0,
    )  # fmt: skip
    assert rolled["milliseconds"] > 0
    assert (refused["status"], refused["verdict"], refused["cause"]) == (403, "bad_signature", "unknown")
    written = json.dumps(told)
    assert "+1555...5310" in written
    assert "8675310" not in written
    assert "secret" not in written


def test_the_turns_of_a_call_are_told_apart(app, twilio):
    sid = twilio.sid("CA")
    said = twilio.call(CallSid=sid).get_data(as_text=True)
    path = "/webhooks" + said.partition('action="')[2].partition('"')[0].partition("/webhooks")[2].replace("&amp;", "&")
    twilio.post(path, fixture("voice/incoming") | {"CallSid": sid, "SpeechResult": "Hello"})
    flush(app)
    told = [entry for entry in newest(20) if entry.event == "message.received"]
    assert [(one.message_id, one.path, one.communication_type) for one in told] == [
        (f"{sid}:0", "/webhooks/voice", "voice"), (f"{sid}:1", "/webhooks/voice/turn", "voice"),
    ]  # fmt: skip


def test_as_many_as_are_wanted_the_newest_last(app, twilio, clock):
    for minute in range(4):
        clock.move_to(minutes=minute)
        twilio.sms()
    assert [entry.what for entry in newest(3)] == ["sent", "reused 1m0s", "sent"]
    assert newest(0) == []


def test_a_line_fits_eighty_columns(capsys):
    entry = Entry(
        TEN, "message.received", decided({"kind": "rolled_over", "gap_seconds": 86_000}), "whatsapp", PERSON,
        responder="http_bot", status=200, milliseconds=1234.5, verdict="genuine",
    )  # fmt: skip
    Printer(as_json=False).entry(entry)
    head, line = capsys.readouterr().out.splitlines()
    assert line[8:] == " whatsapp +1555...5310 rolled over 23h53m  http_bot 200 1234 ms genuine"
    assert len(line) <= 80
    assert head.split() == ["time", "channel", "number", "decision,", "gap", "answered", "verdict"]


@pytest.mark.parametrize(("verdict", "cause"), [("no_signature", ""), ("bad_signature", "unknown")])
def test_what_was_refused_fits_eighty_columns(capsys, verdict, cause):
    entry = Entry(TEN, "webhook", "refused", "whatsapp", PERSON, status=403, milliseconds=999, verdict=verdict,
                  cause=cause)  # fmt: skip
    Printer(as_json=False).entry(entry)
    _, line, *why = capsys.readouterr().out.splitlines()
    assert (verdict in line, line.endswith("403  999 ms refused")) == (True, True)
    assert [one.strip() for one in why] == (["mostly another token: compare TWILIO_AUTH_TOKEN"] if cause else [])
    assert max(map(len, [line, *why])) <= 80


def test_what_was_not_let_through_fits_eighty_columns(capsys):
    printer = Printer(as_json=False)
    for path in ("/admin/", "/" + "x" * 100):
        printer.entry(Entry(TEN, "stopped", f"not let through: GET {path}", status=404, milliseconds=0, path=path))
    _, line, long = capsys.readouterr().out.splitlines()
    assert line[8:] == " not let through: GET /admin/"
    assert len(long) == 80


def test_nothing_that_somebody_sends_moves_the_terminal(capsys):
    entry = Entry(TEN, "webhook", "refused", "sms", "\x1b[2J\x07" + "9" * 200, status=403, path="/webhooks/sms")
    Printer(as_json=False).entry(entry)
    assert not {"\x1b", "\x07"} & set(capsys.readouterr().out)
    # U+009B begins a terminal's commands as ESC [ does, and JSON does not escape it by itself.
    for printer in (Printer(as_json=True), Printer(as_json=False)):
        printer.entry(Entry(TEN, "webhook", "refused", number="\x9b2J", path="/webhooks/\x9b2J\u202e"))
        printer.notice("away", "\x9b2J")
        printer.failure("\x9b2J")
    told = capsys.readouterr()
    assert not {"\x9b", "\u202e"} & set(told.out + told.err)
    assert json.loads(told.out.splitlines()[0])["path"] == "/webhooks/\x9b2J\u202e"


@pytest.fixture
def following(app, monkeypatch):
    monkeypatch.setattr(events, "LOOK_SECONDS", 0)
    monkeypatch.setattr(events, "AGAIN_SECONDS", 0.05)
    serving = app.extensions["gateway"]
    lines = Lines()

    def follow(until, since=None):
        """Follow MongoDB's changes until there are so many lines."""
        one = Following(serving, lines, since or serving.clock.now())
        take, over = one._take, []

        def taken(batch):
            take(batch)
            over.extend([True] if until(lines) else [])
            # What would be told twice would be so by now.
            if len(over) == 3:
                raise KeyboardInterrupt

        one._take = taken
        with pytest.raises(KeyboardInterrupt):
            one.run()
        return lines.lines

    follow.lines = lines
    return follow


def soon(job, seconds=0.3):
    timer = threading.Timer(seconds, job)
    timer.start()
    return timer


def test_what_happens_is_followed_with_statuses_and_refusals(app, twilio, clock, following):
    def happen():
        twilio.sms(MessageSid="SM" + "1" * 32, From=PERSON)
        clock.tick(1)
        twilio.post("/webhooks/status?m=re:SM" + "1" * 32,
                    fixture("sms/text") | {"MessageSid": "SM" + "9" * 32, "MessageStatus": "delivered"})  # fmt: skip
        twilio.post("/webhooks/sms", {"MessageSid": "SM5"}, **{"X-Twilio-Signature": ""})
        flush(app)
        clock.tick(10)

    clock.moment = since_now()
    timer = soon(happen)
    lines = following(lambda lines: lines.of("message.status") and lines.of("message.received") and lines.of("webhook"))
    timer.join()
    received = following.lines.of("message.received")[0]
    assert (received["what"], received["status"], received["responder"]) == ("created", 200, "echo")
    assert following.lines.of("message.status")[0]["what"] == "delivered"
    assert following.lines.of("webhook")[0]["verdict"] == "no_signature"
    assert len(lines) == len({json.dumps(line) for line in lines}), "nothing is told twice"


def since_now():
    """MongoDB's changes have the time of its own clock."""
    return datetime.now(UTC).replace(microsecond=0)


def test_a_session_that_somebody_closes_is_told(app, twilio, clock, following):
    clock.moment = since_now()
    twilio.sms(From=PERSON)
    session = str(tailing.newest(1)[0].session_id)
    timer = soon(lambda: operators.close(app.extensions["gateway"], session, "ada"))
    following(lambda lines: lines.of("session.closed"))
    timer.join()
    (closed,) = following.lines.of("session.closed")
    assert (closed["what"].startswith("session closed"), closed["number"]) == (True, "+1555...5310")


def test_while_mongodb_is_away_it_waits_and_loses_nothing(app, twilio, clock, following, monkeypatch):
    clock.moment = since_now()
    real, broken = tailing.messages, [True]

    def messages(ids):
        if ids and broken.pop(0) if broken else False:
            raise StoreUnavailable("away")
        return real(ids)

    monkeypatch.setattr(tailing, "messages", messages)
    timer = soon(lambda: (twilio.sms(From=PERSON), flush(app)))
    following(lambda lines: lines.of("message.received") and lines.of("message.sent"))
    timer.join()
    assert len(following.lines.of("mongodb_away")) == 1
    assert len(following.lines.of("message.received")) == 1


def test_without_change_streams_it_says_so_in_one_line(app, following, monkeypatch):
    @contextmanager
    def none(*_):
        raise NoChangeStreams("MongoDB is no replica set, so it has no change streams.")
        yield

    monkeypatch.setattr(feed, "follow", none)
    with pytest.raises(click.ClickException, match="Make it a replica set"):
        Following(app.extensions["gateway"], Lines(), TEN).run()
