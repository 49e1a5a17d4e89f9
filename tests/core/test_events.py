"""Every event survives being written down, whatever it holds."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.channels import callbacks, messaging, voice
from gateway.channels.base import Form
from gateway.core.events import KINDS, chains, from_plain, key_of, kind_of, to_plain
from gateway.core.messages import UNNUMBERED, CallTurn
from tests.conftest import FIXTURES, TEN, fixture

READERS = {
    "sms": messaging.parse,
    "whatsapp": messaging.parse,
    "status": messaging.parse_status,
    "voice/recording": callbacks.parse_recording,
    "voice/transcription": callbacks.parse_transcription,
    "voice/dial": callbacks.parse_dial,
    "voice/status": callbacks.parse_status,
    "voice": voice.parse,
}
NAMES = sorted(str(path.relative_to(FIXTURES).with_suffix("")) for path in FIXTURES.glob("*/*.json"))


def read(name, **changes):
    reader = next(reader for start, reader in READERS.items() if name.startswith(start))
    return reader(Form(fixture(name) | changes), TEN + timedelta(milliseconds=123))


def again(event):
    return from_plain(kind_of(event), json.loads(json.dumps(to_plain(event))))


@pytest.mark.parametrize("name", NAMES)
def test_every_captured_payload_is_read_back_as_it_was(name):
    event = read(name)
    assert again(event) == event
    assert key_of(again(event)) == key_of(event)


def test_every_kind_is_among_the_payloads():
    assert {kind_of(read(name)) for name in NAMES} == set(KINDS)


def test_signs_of_every_script_and_none_survive():
    event = read("sms/text", Body='\0 "quoted" \u2028 שלום 👋🏽 \r\n')
    assert again(event) == event


def test_a_turn_keeps_where_it_is_in_its_call():
    turn = CallTurn("CA1", 3, session_id="6" * 24, silences=1, began=datetime(2026, 1, 1, tzinfo=UTC))
    event = dataclasses.replace(read("voice/gather_speech"), call=turn)
    assert again(event) == event


def test_turns_without_a_number_are_told_apart_by_their_moment():
    event = dataclasses.replace(read("voice/gather_speech"), call=CallTurn("CA1", UNNUMBERED), id="CA1:-1")
    later = dataclasses.replace(event, received_at=TEN + timedelta(seconds=5))
    assert key_of(event) != key_of(later)


@pytest.mark.parametrize("plain", [{}, {"id": "x"}, {"nobody": "knows"}, {"received_at": "never"}])
def test_what_is_no_event_is_refused(plain):
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_plain("message", plain)


def test_what_is_about_the_same_person_or_call_stays_in_one_chain_and_in_order():
    def text(number, *people):
        event = read("sms/text", MessageSid=f"SM{number}")
        return dataclasses.replace(event, sender=dataclasses.replace(event.sender, identities=people))

    events = [
        text(0, "ada"),
        text(1, "ben"),
        text(2, "user-1"),
        text(3, "ada", "user-1"),  # shows that two are one
        read("voice/status_completed", CallSid="CA1"),
        text(5, "ben"),
        dataclasses.replace(read("status/sent"), sid="SM9", message_id="outage:SM1"),
        read("voice/recording", CallSid="CA1"),
    ]
    assert sorted(chains(events)) == [[0, 2, 3], [1, 5, 6], [4, 7]]
    assert chains([]) == []
