"""Twilio's stand-in, and clients that speak to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import settings as settings_module
from gateway.clients.twilio import Twilio
from gateway.settings import Settings
from tests.stand_ins.twilio import ACCOUNT, TOKEN, TwilioStandIn


@pytest.fixture
def stand_in() -> Iterator[TwilioStandIn]:
    with TwilioStandIn() as server:
        yield server


@pytest.fixture
def settle(tmp_path: Path) -> Any:
    """Make settings; sections are given as dictionaries."""

    def make(**given: Any) -> Settings:
        defaults: dict[str, Any] = {
            "env": "test",
            "data_dir": tmp_path,
            "twilio_account_sid": ACCOUNT,
            "twilio_auth_token": [TOKEN],
        }
        return settings_module.load(**(defaults | given))

    return make


# Shorter than any fault's wait, long enough for a busy machine.
HASTY = {"timeout_seconds": 0.5}


@pytest.fixture
def client(stand_in: TwilioStandIn, settle: Any) -> Any:
    """Make a client of the stand-in; a test of what hangs names a shorter timeout."""

    def make(*, twilio: dict[str, Any] | None = None, **given: Any) -> Twilio:
        section = {"api_base_url": stand_in.url, "timeout_seconds": 5}
        return Twilio(settle(twilio=section | (twilio or {}), **given))

    return make
