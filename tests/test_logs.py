"""Log lines: one JSON object each, and nothing private in them."""

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog

from gateway import logs

NUMBER, SHORTENED = "+15558675310", "+1555...5310"


class Output(io.TextIOWrapper):
    """A stdout whose lines can be looked at."""

    def lines(self) -> list[str]:
        self.flush()
        return self.buffer.getvalue().decode().splitlines()  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Any, Output]]]:
    """Set logging up over a stdout of this test; everything is put back afterwards."""
    before, redacting, handlers = structlog.get_config(), logs._redacting, logging.getLogger().handlers[:]
    level = logging.getLogger().level

    def configured(fmt: str = "json", *, redact: bool = True) -> tuple[Any, Output]:
        out = Output(io.BytesIO(), encoding="utf-8")
        monkeypatch.setattr(sys, "stdout", out)
        logs.configure(fmt=fmt, redact=redact)
        return structlog.get_logger(), out

    yield configured
    structlog.configure(**before)
    logs.forget_configuration()
    logs._redacting = redacting
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_i11_a_number_is_shortened_wherever_it_stands(configured, fmt):
    log, out = configured(fmt)
    log.info("event", sender=NUMBER, message=f"from {NUMBER} to whatsapp:{NUMBER}", key=f"sms|{NUMBER}|{NUMBER}")
    (line,) = out.lines()
    assert "5558675310" not in line
    assert line.count(SHORTENED) == 5


@pytest.mark.parametrize("number", ["+4930123456", "+491512345678901", "+2901234", "+49301234", "+123456789"])
def test_a_number_of_any_length_is_shortened(configured, number):
    log, out = configured()
    log.info("event", message=f"for {number}.")
    assert number not in out.lines()[0]
    assert number not in logs.show_number(number)


@pytest.mark.parametrize("value", [[NUMBER], (NUMBER,), {"from": NUMBER}, {"deep": [{"er": NUMBER}]}], ids=str)
def test_a_number_inside_a_value_is_shortened(configured, value):
    log, out = configured()
    log.info("event", value=value)
    assert NUMBER not in out.lines()[0]


class Silent:
    """Something that cannot say what it is as text."""

    def __repr__(self) -> str:
        raise ValueError


ODD = [2**64, {"deep": [10**30]}, "\ud800", {1: 2}, 10**5000, Silent()]


@pytest.mark.parametrize("value", ODD, ids=["large", "deep", "half", "key", "huge", "silent"])
def test_whatever_is_logged_becomes_one_line(configured, value):
    log, out = configured()
    log.info("odd", value=value)
    (line,) = out.lines()
    assert json.loads(line)["event"] == "odd"


@pytest.mark.parametrize("fmt", ["json", "console"])
@pytest.mark.parametrize("name", ["body", "content", "text", "token", "auth_token", "password", "secret"])
def test_what_is_private_is_never_in_a_line(configured, fmt, name):
    log, out = configured(fmt)
    log.warning("event", **{name: "a private matter"})
    (line,) = out.lines()
    assert "private matter" not in line
    assert "[redacted]" in line


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_traceback_holds_no_number(configured, fmt):
    log, out = configured(fmt)
    try:
        raise ValueError(f"no session for {NUMBER}")
    except ValueError:
        log.exception("webhook_failed")
    written = "\n".join(out.lines())
    assert "ValueError" in written
    assert NUMBER not in written


def _break(words):
    raise ValueError(f"cannot read {words}") from RuntimeError(words)


@pytest.mark.parametrize("fmt", ["json", "console"])
@pytest.mark.parametrize("logger", [logs.log, logging.getLogger("library")], ids=["ours", "a library's"])
def test_i11_a_traceback_shows_where_and_not_what_an_error_says(configured, fmt, logger, monkeypatch):
    monkeypatch.delitem(logs.log.__dict__, "bind", raising=False)
    _, out = configured(fmt)
    try:
        _break("my knee " + "hurts")
    except ValueError:
        logger.exception("webhook_failed")
    written = "\n".join(out.lines())
    assert "knee hurts" not in written
    assert "in _break" in written
    assert "RuntimeError" in written
    assert "ValueError" in written


def test_without_redaction_a_traceback_is_as_it_is(configured):
    log, out = configured(redact=False)
    try:
        _break("my knee " + "hurts")
    except ValueError:
        log.exception("webhook_failed")
    assert "ValueError: cannot read my knee hurts" in json.loads(out.lines()[0])["exception"]


def test_errors_that_came_from_each_other_are_told_once(configured):
    log, out = configured()
    one, other = KeyError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    log.error("webhook_failed", exc_info=one)
    assert json.loads(out.lines()[0])["exception"].splitlines() == ["ValueError", "which led to", "KeyError"]


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_what_libraries_log_is_shortened_too(configured, fmt):
    _, out = configured(fmt)
    logging.getLogger("library").warning("failed for %s", NUMBER)
    assert SHORTENED in out.lines()[0]
    assert NUMBER not in out.lines()[0]


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_traceback_of_a_library_holds_no_number(configured, fmt):
    _, out = configured(fmt)
    try:
        raise ValueError(NUMBER)
    except ValueError:
        logging.getLogger("library").exception("failed")
    assert NUMBER not in "\n".join(out.lines())


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_without_redaction_lines_are_as_they_are(configured, fmt):
    log, out = configured(fmt, redact=False)
    log.info("event", sender=NUMBER, body="a private matter")
    (line,) = out.lines()
    assert NUMBER in line
    assert "a private matter" in line
    assert logs.show_number(NUMBER) == NUMBER


@pytest.mark.parametrize("value", ["two\nlines", "\r\n", "\u2028", '"quoted"', "ü👩🏽‍🔧", "\x00\x1b[31m"])
def test_a_json_line_is_one_line_whatever_it_holds(configured, value):
    log, out = configured()
    log.info("event", message=value)
    written = out.buffer.getvalue()  # type: ignore[attr-defined]
    assert written.count(b"\n") == 1
    line = json.loads(written)
    assert (line["event"], line["message"], line["level"]) == ("event", value, "info")
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_one_json_line_too(configured):
    log, out = configured()
    try:
        raise RuntimeError("burst\nhere")
    except RuntimeError:
        log.exception("webhook_failed")
    assert len(out.lines()) == 1
    assert "RuntimeError" in json.loads(out.lines()[0])["exception"]


def test_values_json_does_not_know_are_written_as_text(configured):
    log, out = configured()
    log.info("event", kinds={1}, kind=ValueError("x"))
    assert json.loads(out.lines()[0])["kind"] == "x"


def test_what_libraries_log_is_json_too(configured):
    _, out = configured()
    logging.getLogger("library").error("failed")
    line = json.loads(out.lines()[0])
    assert (line["event"], line["level"]) == ("failed", "error")


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_debug_lines_and_chatty_libraries_are_left_out(configured, fmt):
    log, out = configured(fmt)
    log.debug("event")
    logging.getLogger("library").info("chat")
    assert out.lines() == []


def test_what_is_bound_to_the_request_is_in_its_lines(configured):
    log, out = configured()
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        log.info("event")
    assert json.loads(out.lines()[0])["request_id"] == "r1"


def test_logging_can_be_set_up_again(configured, monkeypatch):
    monkeypatch.delitem(logs.log.__dict__, "bind", raising=False)
    _, first = configured(redact=True)
    logs.log.info("one")
    _, second = configured()
    logs.log.info("two")
    monkeypatch.delitem(logs.log.__dict__, "bind", raising=False)
    assert [json.loads(line)["event"] for line in first.lines()] == ["one"]
    assert [json.loads(line)["event"] for line in second.lines()] == ["two"]


@pytest.mark.parametrize(
    ("label", "shown"), [("5558675310", "5558...5310"), ("12345", "12345"), ("US.1349", "US.1349")]
)
def test_a_label_of_bare_digits_is_shortened_unless_it_is_a_short_code(configured, label, shown):
    configured()
    assert logs.show_number(label) == shown


def test_lines_of_many_threads_are_each_written_once_and_whole(configured):
    log, out = configured()
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(lambda number: log.info("told", number=number, padding="x" * 2000), range(2000)):
            pass
    assert sorted(json.loads(line)["number"] for line in out.lines()) == list(range(2000))


def test_who_finds_another_thread_writing_leaves_the_line_to_it():
    begun, on, written = threading.Event(), threading.Event(), []

    class Slow(io.BytesIO):
        def write(self, text):
            written.append(bytes(text))
            begun.set()
            assert on.wait(30)
            return len(text)

    lines = logs._Lines(Slow())
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lines.msg, b"one")
        assert begun.wait(30)
        lines.msg(b"two")
        lines.msg(b"three")
        on.set()
        first.result()
    assert written == [b"one\n", b"two\nthree\n"]
