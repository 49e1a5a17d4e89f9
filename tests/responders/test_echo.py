"""The echo."""

from datetime import UTC, datetime

import pytest

from gateway.core.replies import Reply, Turn
from gateway.responders.echo import respond


@pytest.mark.parametrize("text", ["Hello", "", "  ", "a\nb", "👩🏽‍🔧"])
def test_it_repeats_the_words(text):
    assert respond(Turn(text, "sms", datetime(2026, 3, 1, tzinfo=UTC))) == Reply(text, "echo")
