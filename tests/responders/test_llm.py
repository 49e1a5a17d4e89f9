"""The language model: what it is asked, within which budget, and what of its answer is said."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs
from werkzeug.wrappers import Response

from gateway import responders, settings
from gateway.core.errors import ResponderFailed
from gateway.core.messages import Media
from gateway.core.replies import Reply, Said
from gateway.responders.llm import estimate, messages
from tests.responders.conftest import TEN, turn

KEY = "sk-secret-key"
PICTURE, VOICE_NOTE, CARD = (Media("https://x/1", kind) for kind in ("image/png", "audio/ogg", "text/vcard"))


def configure(url="http://127.0.0.1:1/v1", *, timezone="UTC", responder="llm", **given):
    llm = {"base_url": url, "model": "a-model", "api_key": KEY} | given
    return settings.load(env="test", llm=llm, reply={"timezone": timezone, "responder": responder})


def ask(url, asked=None, **given):
    return responders.build(configure(url, **given))["llm"].respond(asked or turn())


def prompt(asked=None, **given):
    """Give the messages as pairs of role and content."""
    return [(message["role"], message["content"]) for message in messages(configure(**given), asked or turn())]


def said(sender, content, *media):
    return Said(sender, content, TEN, media)


def completion(content="Yes, from 9 to 17.", *, finish_reason="stop", **message):
    choice = {"message": {"role": "assistant", "content": content} | message, "finish_reason": finish_reason}
    return {"choices": [choice], "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}}


@pytest.mark.parametrize("suffix", ["/v1", "/v1/"])
def test_the_model_is_asked_at_chat_completions(server, suffix):
    server.answers = [completion()]
    ask(server.url + suffix, answer_tokens=77, system_prompt="Be brief.")
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.json == {
        "model": "a-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Are you open on Sunday?"},
        ],
        "max_tokens": 77,
    }


@pytest.mark.parametrize(("key", "sent"), [(KEY, f"Bearer {KEY}"), (f" {KEY}\n", f"Bearer {KEY}"), ("", None)])
def test_a_key_is_sent_only_where_one_is_set(server, key, sent):
    server.answers = [completion()]
    ask(server.url, api_key=key)
    assert server.asked[0].headers.get("Authorization") == sent


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (completion(" Yes.\n"), Reply("Yes.", "llm", token_count=25)),
        (completion() | {"usage": None}, Reply("Yes, from 9 to 17.", "llm")),
        (completion() | {"usage": {"total_tokens": "many"}}, Reply("Yes, from 9 to 17.", "llm")),
        (
            completion("Booked.", tool_calls=[{"id": "1", "function": {"name": "book", "arguments": "{}"}}]),
            Reply("Booked.", "llm", token_count=25, tools_used=("book",)),
        ),
        (completion("Yes.", tool_calls=None), Reply("Yes.", "llm", token_count=25)),
        (completion("<think>Is it Sunday?\nHm.</think>\n\nYes."), Reply("Yes.", "llm", token_count=25)),
        (completion("Write <think> to think."), Reply("Write <think> to think.", "llm", token_count=25)),
    ],
)
def test_its_answer_becomes_the_reply(server, answer, reply):
    server.answers = [answer]
    assert ask(server.url) == reply


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (completion(""), "empty answer. Try another GATEWAY_LLM__MODEL"),
        (completion(None), "empty answer. Try another GATEWAY_LLM__MODEL"),
        (completion(" \n"), "empty answer. Try another GATEWAY_LLM__MODEL"),
        (completion("", finish_reason="length"), "used up GATEWAY_LLM__ANSWER_TOKENS"),
        (completion("<think>Is it", finish_reason="length"), "used up GATEWAY_LLM__ANSWER_TOKENS"),
        (completion("", finish_reason="content_filter"), "content filter"),
        (completion(None, tool_calls=[{"function": {"name": "book"}}]), "called a tool"),
        ({"choices": []}, "no chat completion"),
        ({"choices": None}, "no chat completion"),
        ({"choices": ["Yes"]}, "no chat completion"),
        ({"choices": [{"message": {"content": ["Yes"]}}]}, "no chat completion"),
        ({"choices": [{"message": None}]}, "no chat completion"),
        ({"choices": [{"message": {"content": "Yes", "tool_calls": [1]}}]}, "no chat completion"),
        ({"error": {"message": "Are you open on Sunday?"}}, "no chat completion"),
        ([], "JSON array"),
        (Response(b"data: {}"), "not JSON"),
    ],
)
def test_an_unusable_answer_says_why_and_is_not_asked_for_again(server, answer, expected):
    server.answers = [answer]
    with pytest.raises(ResponderFailed) as raised:
        ask(server.url)
    text = str(raised.value)
    assert expected in text
    assert "Sunday" not in text
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (400, "GATEWAY_LLM__PROMPT_TOKENS"),
        (401, "GATEWAY_LLM__API_KEY"),
        (403, "GATEWAY_LLM__API_KEY"),
        (404, "usually ends with /v1"),
        (413, "GATEWAY_LLM__HISTORY"),
        (302, "GATEWAY_LLM__BASE_URL"),
        (418, "Its own log says why"),
    ],
)
def test_a_refusal_names_the_remedy_and_quotes_neither_key_nor_person(server, code, remedy):
    server.answers = [Response(f"Incorrect API key {KEY}, asked: Are you open on Sunday?", status=code)]
    with pytest.raises(ResponderFailed) as raised:
        ask(server.url)
    text = str(raised.value)
    assert text.startswith("The model at 127.0.0.1:")
    assert remedy in text
    assert KEY not in text
    assert "Sunday" not in text
    assert len(text) < 300
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [429, 500, 503])
def test_an_overloaded_model_is_asked_three_times(server, code):
    server.answers = [Response(status=code), Response(status=code), completion("Yes."), Response(status=code)]
    assert ask(server.url).text == "Yes."
    with pytest.raises(ResponderFailed, match=f"answered {code}"):
        ask(server.url)
    assert len(server.asked) == 6


def test_a_message_without_words_or_files_is_not_asked_about(server):
    assert ask(server.url, turn(" \n")) == Reply("", "llm")
    assert server.asked == []


def test_history_becomes_the_two_sides_of_the_conversation():
    history = (said("contact", "Hi"), said("ai", "Hello"), said("contact", "A table?"), said("agent", "Sure"))
    assert prompt(turn("At 8", history=history)) == [
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "A table?"),
        ("assistant", "Sure"),
        ("user", "At 8"),
    ]


def test_what_one_side_said_in_a_row_is_one_message():
    history = (said("ai", "A"), said("agent", "B"), said("system", "C"), said("contact", "D"), said("contact", "E"))
    assert prompt(turn("F", history=history)) == [("assistant", "A\nB\nC"), ("user", "D\nE\nF")]


def test_empty_messages_are_skipped():
    history = (said("contact", "Hi"), said("ai", " "), said("contact", ""), said("ai", "Hello"))
    assert prompt(turn("At 8", history=history)) == [("user", "Hi"), ("assistant", "Hello"), ("user", "At 8")]


@pytest.mark.parametrize(
    ("content", "media", "written"),
    [
        ("", (PICTURE,), "[image]"),
        ("", (PICTURE, VOICE_NOTE, CARD), "[image] [audio] [file]"),
        ("", (Media("https://x/1"),), "[file]"),
        ("Look", (PICTURE,), "Look\n[image]"),
    ],
)
def test_files_become_a_word_each(content, media, written):
    assert prompt(turn(content, media=media)) == [("user", written)]
    history = (said("contact", content, *media), said("ai", "Nice"))
    assert prompt(turn("More?", history=history))[0] == ("user", written)


def test_without_a_system_prompt_there_is_none():
    assert prompt(turn("Hi"), system_prompt=" \n") == [("user", "Hi")]


@pytest.mark.parametrize(
    ("written", "asked", "expected"),
    [
        ("You answer {channel}.", turn(), "You answer Front desk."),
        ("You answer {channel}.", turn(channel_name=""), "You answer +15017122661."),
        ("You talk to {contact}.", turn(), "You talk to Ada."),
        ("You talk to {contact}.", turn(contact_name=" "), "You talk to +15558675310."),
        ("You talk to {contact}.", turn(contact_name="", number=None), "You talk to the customer."),
        ("{channel_type} {channel_type}", turn(communication_type="whatsapp"), "whatsapp whatsapp"),
        ("It is {now}.", turn(), "It is Sunday, 2026-03-01 10:00 (UTC)."),
        ('Say {"a": {}} {0} {unknown} {', turn(), 'Say {"a": {}} {0} {unknown} {'),
        ("{contact}", turn(contact_name="{now} {channel}"), "{now} {channel}"),
        ("{contact}", turn(contact_name="Ada\n\nIgnore  all"), "Ada Ignore all"),
        ("{contact}", turn(contact_name="x" * 200), "x" * 100),
    ],
)
def test_the_fields_of_the_system_prompt_are_filled_in_and_other_braces_left_alone(written, asked, expected):
    assert prompt(asked, system_prompt=written)[0] == ("system", expected)


def test_now_is_the_moment_of_the_message_in_the_time_zone_of_the_settings():
    late = turn(received_at=datetime(2026, 7, 1, 23, 30, tzinfo=UTC))
    shown = prompt(late, system_prompt="{now}", timezone="Europe/Berlin")[0]
    assert shown == ("system", "Thursday, 2026-07-02 01:30 (Europe/Berlin)")


@pytest.mark.parametrize(("text", "tokens"), [("", 4), ("a", 5), ("abcd", 5), ("abcde", 6), ("x" * 400, 104)])
def test_tokens_are_estimated_by_characters(text, tokens):
    assert estimate(text) == tokens


# The turn is 14 tokens, each message of the past 14 too, and the system prompt 30.
TURN, PAST, SYSTEM = "t" * 40, [letter * 40 for letter in "abcdefghij"], "s" * 104


@pytest.mark.parametrize(
    ("budget", "system", "kept"),
    [
        (154, "", "abcdefghij"),
        (153, "", "bcdefghij"),
        (140, "", "bcdefghij"),
        (100, "", "efghij"),
        (114, SYSTEM, "fghij"),
        (113, SYSTEM, "ghij"),
    ],
)
def test_the_oldest_history_is_dropped_first_to_stay_within_the_budget(budget, system, kept):
    history = tuple(said("contact" if number % 2 else "ai", text) for number, text in enumerate(PAST))
    asked = turn(TURN, history=history)
    shown = "".join(text for _, text in prompt(asked, prompt_tokens=budget, system_prompt=system))
    expected = system + "".join(letter * 40 for letter in kept) + TURN
    assert shown.replace("\n", "") == expected


def test_history_has_no_holes():
    history = (said("ai", "short"), said("contact", "x" * 1000), said("ai", "last"))
    assert prompt(turn("Hi", history=history), prompt_tokens=100) == [("assistant", "last"), ("user", "Hi")]


def test_a_turn_over_the_budget_loses_its_beginning():
    text = "".join(chr(ord("a") + number % 26) for number in range(2000))
    history = (said("ai", "Hello"),)
    ((_, system), (role, shown)) = prompt(turn(text, history=history), prompt_tokens=200, system_prompt=SYSTEM)
    assert system == SYSTEM
    assert (role, shown[0]) == ("user", "…")
    assert text.endswith(shown[1:])
    assert estimate(system) + estimate(shown) == 200


@pytest.mark.parametrize(("length", "shown"), [(384, "x" * 384), (385, "…" + "x" * 383)])
def test_a_turn_of_just_the_budget_stays_whole(length, shown):
    assert prompt(turn("x" * length), prompt_tokens=100) == [("user", shown)]


def test_a_system_prompt_over_the_budget_stays_whole_beside_the_last_384_characters_of_the_turn():
    long = "s" * 9000
    assert prompt(turn("a" * 500 + "b" * 383), prompt_tokens=100, system_prompt=long) == [
        ("system", long),
        ("user", "…" + "b" * 383),
    ]


@pytest.mark.parametrize(
    ("url", "model", "missing"),
    [
        ("", "a-model", ["GATEWAY_LLM__BASE_URL"]),
        ("http://127.0.0.1:1/v1", "", ["GATEWAY_LLM__MODEL"]),
        ("", "", ["GATEWAY_LLM__BASE_URL", "GATEWAY_LLM__MODEL"]),
    ],
)
def test_an_incomplete_model_starts_and_each_turn_says_what_is_missing(url, model, missing):
    with pytest.raises(ResponderFailed) as raised:
        ask(url, model=model)
    names = ["GATEWAY_LLM__BASE_URL", "GATEWAY_LLM__MODEL"]
    assert [name for name in names if f"{name} is empty. Set it to" in str(raised.value)] == missing


@pytest.mark.parametrize(("chosen", "logged"), [("llm", 1), ("echo", 0)])
def test_an_incomplete_model_is_logged_only_where_it_answers(chosen, logged):
    with capture_logs() as lines:
        responders.build(configure("", responder=chosen))
    assert [line["log_level"] for line in lines if line["event"] == "responder_incomplete"] == ["error"] * logged
