"""People on three channels, each texting or phoning at a given time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mongoengine
import pytest

from tests.conftest import StoppedClock, Twilio

CHANNELS = ("sms", "whatsapp", "voice")


@dataclass
class Person:
    """Sends one message a call of `say`; on the phone that is a whole call, begun and ended."""

    twilio: Twilio
    clock: StoppedClock
    channel: str
    number: str = "+15558675310"
    ours: str = "+15017122661"

    def say(self, *, minutes: float = 0, seconds: float = 0, sid: str | None = None, body: str = "Hi") -> Any:
        self.clock.move_to(minutes=minutes, seconds=seconds)
        if self.channel == "voice":
            return self._phone(sid or self.twilio.sid("CA"))
        params = {"Body": body, "MessageSid": sid or self.twilio.sid()}
        if self.channel == "whatsapp":
            line = {"From": f"whatsapp:{self.number}", "To": f"whatsapp:{self.ours}", "WaId": self.number[1:]}
            return self.twilio.whatsapp(**(params | line))
        return self.twilio.sms(**(params | {"From": self.number, "To": self.ours}))

    def _phone(self, sid: str) -> Any:
        line = {"CallSid": sid, "From": self.number, "To": self.ours}
        answer = self.twilio.call(**line)
        ended = {"CallStatus": "completed", "CallDuration": "1", "SequenceNumber": "0"}
        assert self.twilio.post("/webhooks/voice/status", line | ended).status_code == 204
        return answer


@pytest.fixture(params=CHANNELS)
def channel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def quiet_app(make_app: Any) -> Any:
    """An app that answers nothing, so that counts are those of inbound messages alone."""
    return make_app(reply={"responder": "none"})


@pytest.fixture
def people(quiet_app: Any, clock: StoppedClock, channel: str) -> Callable[..., Person]:
    twilio = Twilio(quiet_app.test_client())
    return lambda **changes: Person(twilio, clock, channel, **changes)


class LiveDatabase:
    """The database of whatever app was made last."""

    def __getattr__(self, name: str) -> Any:
        return mongoengine.get_db()[name]


@pytest.fixture
def live_db() -> LiveDatabase:
    return LiveDatabase()
