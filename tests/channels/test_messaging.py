"""Answers as TwiML messages."""

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from gateway.channels import messaging
from gateway.channels.base import Form, field_name, pieces, writable
from gateway.channels.line import Line
from gateway.core.errors import Malformed
from gateway.core.reach import PublicAddress
from gateway.core.replies import Reply

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
NOTHING: Any = None
FORM = {"MessageSid": "SM1", "From": "+15558675310", "To": "+15017122661"}


LINE = Line("", "", "en-US", "alice", public=PublicAddress("https://gateway.example"), serializer=NOTHING)


def answer(reply: Reply) -> ElementTree.Element:
    return ElementTree.fromstring(messaging.render(reply, messaging.parse(Form(FORM), TEN), "", LINE))


def rendered(text: str) -> list[str]:
    return [message.text or "" for message in answer(Reply(text))]


def test_each_part_of_an_answer_asks_for_its_delivery_status():
    urls = [message.attrib["statusCallback"] for message in answer(Reply("a" * 1601))]
    assert urls == [f"https://gateway.example/webhooks/status?m=re:SM1{part}" for part in ("", ":2")]


def test_an_answer_carries_its_files_once():
    parts = answer(Reply("a" * 1601, media=("https://bot.example/menu.png",)))
    assert [[media.text for media in part.iter("Media")] for part in parts] == [["https://bot.example/menu.png"], []]


def test_an_answer_may_be_a_file_alone():
    (part,) = answer(Reply("", media=("https://bot.example/menu.png",)))
    assert [media.text for media in part.iter("Media")] == ["https://bot.example/menu.png"]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\0", "\x07 \x1b"])
def test_an_answer_without_words_is_no_message(text):
    assert rendered(text) == []


@pytest.mark.parametrize(("length", "parts"), [(1, [1]), (1600, [1600]), (1601, [1600, 1]), (3201, [1600, 1600, 1])])
def test_an_answer_is_cut_at_the_length_twilio_takes(length, parts):
    assert [len(part) for part in rendered("🙂" * length)] == parts


def test_an_answer_is_cut_between_words():
    assert rendered("word " * 400) == [("word " * 320).rstrip(), ("word " * 80)]


@pytest.mark.parametrize("text", ["a" * 1600 + " ", "a" * 1600 + "\n \n", "a" * 1600 + " b"])
def test_no_part_of_an_answer_is_empty(text):
    assert all(part.strip() for part in rendered(text))


@pytest.mark.parametrize("text", ["", "abc", "a b", "aaaa bbbb cccc dddd eeee", "x" * 35, "\n" * 12])
def test_pieces_lose_nothing_but_white_space(text):
    assert "".join("".join(pieces(text, 10)).split()) == "".join(text.split())
    assert all(len(piece) <= 10 for piece in pieces(text, 10))


@pytest.mark.parametrize("letter", ["\0", "\x01", "\x0b", "\x1f", "\ud800", "\udfff", "\ufffe", "\uffff"])
def test_what_xml_cannot_carry_is_left_out(letter):
    assert writable(f"a{letter}b") == "ab"
    assert rendered(f"a{letter}b") == ["ab"]


@pytest.mark.parametrize("text", ["<b>&amp;</b>", "]]>", "a\tb\nc", "مرحبا", "👩🏽‍🔧", "\x7f\x85\u200f"])
def test_everything_else_is_carried(text):
    assert rendered(text) == [text]


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("a.b", "a．b"),
        ("$where", "＄where"),
        ("a\0b", "a\ufffdb"),
        ("", "_"),
        ("Body", "Body"),
        ("..", "．．"),
    ],
)
def test_a_parameter_name_becomes_one_field(name, stored):
    assert field_name(name) == stored


@pytest.mark.parametrize("name", list(FORM))
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_a_message_without_one_of_its_names_is_malformed(name, value):
    form = Form(FORM | ({name: value} if value is not None else {}))
    if value is None:
        del form[name]
    with pytest.raises(Malformed) as refused:
        messaging.parse(form, TEN)
    assert refused.value.context["parameter"] == name


def test_repeated_parameters_are_all_kept():
    form = Form([*FORM.items(), ("Odd", "1"), ("Odd", "2")])
    assert messaging.parse(form, TEN).metadata["Odd"] == ["1", "2"]


def test_files_are_read_by_their_addresses_whatever_is_counted():
    form = Form(FORM | {"NumMedia": "0", "MediaUrl0": "https://x/0", "MediaUrl1": "https://x/1"})
    assert [media.url for media in messaging.parse(form, TEN).media] == ["https://x/0", "https://x/1"]
