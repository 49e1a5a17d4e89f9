"""Which of two webhooks Twilio sent because it took no answer to the other one."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.webhooks import is_retry, name_webhook

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("token", "milliseconds", "fallback", "is_one"),
    [
        ("a", 1, False, True),
        ("b", 1, False, False),
        ("", 1, False, False),
        ("a", 0, False, False),
        ("a", -1, False, False),
        ("b", 1, True, True),
        ("", 1, True, True),
        ("b", -1, True, False),
    ],
)
def test_a_retry_comes_later_with_the_same_token_or_as_the_fallback(token, milliseconds, fallback, is_one):
    webhook = name_webhook(TEN + timedelta(milliseconds=milliseconds), token)
    assert is_retry(webhook, name_webhook(TEN, "a"), fallback=fallback) is is_one


def test_what_came_without_a_token_has_no_retries():
    assert not is_retry(name_webhook(TEN + timedelta(seconds=1)), name_webhook(TEN), fallback=False)


@pytest.mark.parametrize("fallback", [False, True])
def test_the_names_of_earlier_versions_have_no_time(fallback):
    assert is_retry(name_webhook(TEN, "a"), "00000000000000ff", fallback=fallback) is fallback


def test_a_name_is_one_word_whatever_the_token():
    assert " " not in name_webhook(TEN, "a b\n\ud800")
    assert len({name_webhook(TEN, "a") for _ in range(100)}) == 100
