"""Fixed texts by word and time of day."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway import settings
from gateway.core.replies import Turn
from gateway.responders.canned import build

DEFAULT = "Thanks, we will be back."


def answer(text: str = "", *, at: str = "12:00", zone: str = "UTC", rules: list[dict[str, Any]]) -> str:
    configured = settings.load(env="test", reply={"timezone": zone}, canned={"default": DEFAULT, "rules": rules})
    hour, minute, *second = map(int, at.split(":"))
    turn = Turn(text, "sms", datetime(2026, 7, 1, hour, minute, *second, tzinfo=UTC))
    reply = build(configured)(turn)
    assert reply.responder == "canned"
    return reply.text


HOURS = [{"text": "Open 9 to 5.", "words": ["hours", "Öffnungszeiten"]}]


@pytest.mark.parametrize("text", ["hours", "HOURS?", "Your hours, please", "öffnungszeiten!", "ÖFFNUNGSZEITEN"])
def test_a_word_in_the_message_picks_its_text(text):
    assert answer(text, rules=HOURS) == "Open 9 to 5."


@pytest.mark.parametrize("text", ["", "hour", "hourss", "after-hourly"])
def test_other_messages_get_the_default(text):
    assert answer(text, rules=HOURS) == DEFAULT


def test_without_rules_everybody_gets_the_default():
    assert answer("hello", rules=[]) == DEFAULT


def test_the_first_rule_that_fits_wins():
    assert answer("a b", rules=[{"text": "B", "words": ["b"]}, {"text": "A", "words": ["a"]}]) == "B"


def test_a_rule_without_words_fits_every_message():
    assert answer("anything", rules=[{"text": "always"}]) == "always"


CLOSED = [{"text": "closed", "start": "18:00", "end": "08:00"}]
OPEN = [{"text": "open", "start": "08:00", "end": "18:00"}]


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("07:59:59", False),
        ("08:00", True),
        ("12:00", True),
        ("17:59:59", True),
        ("18:00", False),
        ("23:59", False),
        ("00:00", False),
    ],
)
def test_a_time_of_day_goes_from_its_start_to_before_its_end(at, is_open):
    assert answer(at=at, rules=OPEN) == ("open" if is_open else DEFAULT)
    assert answer(at=at, rules=CLOSED) == (DEFAULT if is_open else "closed")


@pytest.mark.parametrize(
    ("zone", "expected"), [("UTC", DEFAULT), ("America/New_York", "open"), ("Asia/Tokyo", DEFAULT)]
)
def test_times_of_day_are_those_of_the_time_zone(zone, expected):
    assert answer(at="20:00", zone=zone, rules=OPEN) == expected


@pytest.mark.parametrize(
    ("rule", "at", "fits"),
    [
        ({"start": "18:00"}, "18:00", True),
        ({"start": "18:00"}, "17:59", False),
        ({"start": "18:00"}, "23:59:59", True),
        ({"end": "08:00"}, "07:59", True),
        ({"end": "08:00"}, "08:00", False),
        ({"start": "00:00", "end": "00:00"}, "12:00", False),
    ],
)
def test_a_rule_with_one_end_is_open_at_the_other(rule, at, fits):
    assert answer(at=at, rules=[{"text": "fits"} | rule]) == ("fits" if fits else DEFAULT)


def test_word_and_time_must_both_fit():
    rules = [{"text": "late hours", "words": ["hours"], "start": "18:00", "end": "23:00"}]
    assert answer("hours", at="19:00", rules=rules) == "late hours"
    assert answer("hours", at="12:00", rules=rules) == DEFAULT
    assert answer("hello", at="19:00", rules=rules) == DEFAULT
