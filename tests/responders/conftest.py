"""A turn as the worker hands it over, and a server that stands in for a bot or a model."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tenacity import wait_fixed

from gateway.core.replies import Turn
from gateway.responders import calling
from tests.stand_ins.bots import StandIn, stand_in

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


def turn(content: str = "Are you open on Sunday?", **changes: Any) -> Turn:
    """Make a turn of an SMS conversation."""
    given: dict[str, Any] = {
        "message_id": "SM1",
        "session_id": "6b01018cd99d168fb94171b7",
        "channel_id": "c1",
        "channel_name": "Front desk",
        "line": "+15017122661",
        "contact_id": "p1",
        "contact_name": "Ada",
        "number": "+15558675310",
        "fragments": (content,),
    }
    return Turn(content, **({"communication_type": "sms", "received_at": TEN} | given | changes))


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once, where no Retry-After says otherwise."""
    monkeypatch.setattr(calling, "_BACKOFF", wait_fixed(0.01))
