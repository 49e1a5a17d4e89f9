"""Which of two webhooks Twilio sent because it took no answer to the other one."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.webhooks import is_retry, name_webhook

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
FIRST = name_webhook(TEN, "a")


def later(token: str, milliseconds: int = 1) -> str:
    return name_webhook(TEN + timedelta(milliseconds=milliseconds), token)


@pytest.mark.parametrize(
    ("webhook", "earlier", "fallback", "is_one"),
    [
        (later("a"), FIRST, False, True),
        (later("b"), FIRST, False, False),
        (later(""), FIRST, False, False),
        (later(""), name_webhook(TEN), False, False),
        (later("a", 0), FIRST, False, False),
        (later("a", -1), FIRST, False, False),
        (later("b"), FIRST, True, True),
        (later(""), FIRST, True, True),
        (later("b", -1), FIRST, True, False),
        # As webhooks were named before they had a time.
        (later("a"), "00000000000000ff", False, False),
        (later("a"), "00000000000000ff", True, True),
    ],
)
def test_a_retry_comes_later_with_the_same_token_or_as_the_fallback(webhook, earlier, fallback, is_one):
    assert is_retry(webhook, earlier, fallback=fallback) is is_one


def test_a_name_is_one_word_whatever_the_token():
    assert " " not in name_webhook(TEN, "a b\n\ud800")
    assert len({name_webhook(TEN, "a") for _ in range(100)}) == 100
