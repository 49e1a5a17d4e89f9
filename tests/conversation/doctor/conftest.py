"""A gateway to be examined, and one check of it at a time."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.clients.twilio_account import TwilioAccount
from gateway.conversation.doctor.findings import Finding, Patient, State
from gateway.settings import Settings
from tests.conftest import StoppedClock

Check = Callable[[Patient], Any]


@pytest.fixture
def patient(make_settings: Any, clock: StoppedClock) -> Callable[..., Patient]:
    """Make a patient; `settings` are given by name, and so are the addresses."""

    def make(*, public_url: str = "", local_url: str = "http://127.0.0.1:9", **given: Any) -> Patient:
        settings: Settings = make_settings(public_url=public_url, **given)
        account = TwilioAccount(settings, pause=lambda _seconds: None)
        return Patient(settings, settings.public_url, local_url, clock, account)

    return make


def states(found: list[Finding]) -> list[State]:
    return [one.state for one in found]


def only(found: list[Finding], state: State) -> Finding:
    """Give the one finding of a state."""
    (one,) = [finding for finding in found if finding.state is state]
    return one
