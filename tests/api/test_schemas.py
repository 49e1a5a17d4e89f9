"""What every body is read by: what the schema says, and nothing that resembles it."""

import importlib
import pkgutil
from collections import Counter

import pytest
from pydantic import BaseModel, ValidationError

from gateway.api import schemas
from gateway.api.schemas import Body, Moment, Text
from tests.api.conftest import problem


class ThingBody(Body):
    count: int = 1
    flag: bool = False
    at: Moment | None = None
    text: Text = ""


WRONG = (
    {"flag": 0}, {"count": "1"}, {"count": True}, {"count": 1.5}, {"other": 1}, {"text": "a\0b"}, {"at": 1700000000},
    {"at": "2026-03-01"}, {"at": "1700000000"}, {"at": "2026-13-01T10:00:00Z"}, [], None, 7,
)  # fmt: skip


@pytest.mark.parametrize("given", WRONG)
def test_what_only_resembles_the_schema_is_refused(given):
    with pytest.raises(ValidationError):
        ThingBody.model_validate(given)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_half_a_character_is_refused(text):
    with pytest.raises(ValidationError):
        ThingBody.model_validate({"text": text})


@pytest.mark.parametrize("depth", [200, 450, 900, 100_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_a_body_nested_deeper_than_python_reads_is_a_wrong_value(owner, depth, opens, closes):
    """However deep: each stage of reading it gives up at another depth."""
    written = '{"name": ' + opens * depth + "1" + closes * depth + "}"
    answer = owner.post("/contacts", data=written, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (422, "wrong_value")


UNREADABLE = (
    (b"{bad", "no valid JSON at line 1, column 2"),
    (b'{"name":\n  secret}', "no valid JSON at line 2, column 3"),
    (b'{"name": "\xff"}', "byte 11 is no utf-8"),
    (b"", "no valid JSON at line 1, column 1"),
    (b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
    (b'{"name": ' + b"9" * 5000 + b"}", "too long"),
)


@pytest.mark.parametrize(("written", "words"), UNREADABLE)
def test_a_body_that_is_no_json_is_told_where_and_not_quoted(owner, written, words):
    answer = owner.post("/contacts", data=written, content_type="application/json")
    told = problem(answer, 422, "wrong_value")
    assert words in told["detail"]
    assert "secret" not in answer.text
    assert (told["field"], told["errors"][0]["code"]) == ("body", "json_invalid")


def test_a_body_that_is_not_called_json_is_told_so(owner):
    answer = owner.post("/contacts", data='{"name": "Ada"}', content_type="text/plain")
    assert "Content-Type: application/json" in problem(answer, 422, "wrong_value")["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_number_that_json_does_not_have_is_a_wrong_value(writer, number):
    """Python would read it, and nothing that it is passed on to."""
    written = f'{{"user_id": "ada", "context": {{"much": [{number}]}}}}'
    answer = writer.post("/api/chat/sessions", data=written, content_type="application/json")
    assert "finite" in problem(answer, 422, "wrong_value")["detail"]


def test_a_number_without_a_fraction_is_whole():
    assert ThingBody.model_validate({"count": 2.0}).count == 2


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.000Z"),
        ("2026-03-01T12:00:00.1239+02:00", "2026-03-01T10:00:00.123Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z"),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999Z"),
        ("0001-01-01T00:00:00+12:00", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_every_moment_of_rfc_3339_is_read_and_given_in_utc(written, read):
    assert ThingBody.model_validate({"at": written}).model_dump(mode="json")["at"] == read


def test_a_moment_without_its_offset_is_refused_with_the_remedy():
    with pytest.raises(ValidationError, match="needs its offset"):
        ThingBody.model_validate({"at": "2026-03-01T10:00:00"})


@pytest.mark.parametrize(
    ("method", "path", "given", "field"),
    [
        ("POST", "/api/chat/message", {"user_id": "alice", "content": " "}, "content"),
        ("POST", "/api/chat/message", {"user_id": "a b", "content": "Hi"}, "user_id"),
        ("POST", "/api/chat/message", {"email": "ada", "content": "Hi"}, "email"),
        ("POST", "/contacts", {"phones": ["0555 12"]}, "phones.0"),
        ("POST", "/contacts", {"emails": ["ada"]}, "emails.0"),
        ("POST", "/sessions/x/messages", {"media": ["ftp://example.com"]}, "media.0"),
        ("POST", "/sessions/x/messages", {"template": {"content_sid": "x"}}, "template.content_sid"),
        ("POST", "/webhooks", {"url": "example.com", "events": ["*"]}, "url"),
        ("PATCH", "/channels/x", {"settings": {"dial_to": "5"}}, "settings.dial_to"),
    ],
)
def test_what_a_value_must_be_is_told_in_words_and_not_by_its_pattern(owner, method, path, given, field):
    told = problem(owner.ask(method, path, json=given), 422, "wrong_value")
    assert (told["field"], told["errors"][0]["code"]) == (f"body.{field}", "string_pattern_mismatch")
    assert told["detail"].startswith(f"body.{field}: write ")


def test_no_two_models_share_a_name():
    """In the OpenAPI file one would stand for both."""
    modules = [
        importlib.import_module(one.name) for one in pkgutil.iter_modules(schemas.__path__, "gateway.api.schemas.")
    ]
    models = {model for module in modules for model in vars(module).values() if isinstance(model, type)}
    names = Counter(model.__name__ for model in models if issubclass(model, BaseModel))
    assert [name for name, count in names.items() if count > 1] == []
