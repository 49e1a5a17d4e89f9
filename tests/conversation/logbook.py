"""A gateway beside Twilio's log: webhooks that arrive, webhooks that get lost, and what the log says of both."""

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import mongoengine
from flask import Flask

from gateway.clients.twilio_log import TwilioLog
from gateway.conversation.backfill import backfill
from gateway.conversation.runtime import Runtime
from gateway.core.drift import Drift
from tests.conftest import ACCOUNT, TEN, StoppedClock, Twilio
from tests.stand_ins.twilio import TwilioStandIn

PERSON, OURS = "+15558675310", "+15017122661"


def at(minutes: float = 0, seconds: float = 0) -> datetime:
    return TEN + timedelta(minutes=minutes, seconds=seconds)


class Logbook:
    """Both sides; what is said here is in Twilio's log, and reaches the gateway unless it is `lost`."""

    def __init__(self, app: Flask, stand_in: TwilioStandIn, clock: StoppedClock) -> None:
        self.app, self.stand_in, self.clock = app, stand_in, clock
        self.twilio = Twilio(app.test_client())

    @property
    def runtime(self) -> Runtime:
        return self.app.extensions["gateway"]

    def text(self, body: str, when: datetime, *, lost: bool = False, sid: str = "", **changes: Any) -> str:
        """Let a person text us."""
        sid = sid or self.twilio.sid()
        ends = {"From": changes.pop("person", PERSON), "To": changes.pop("ours", OURS)}
        self.entry(body, when, sid=sid, direction="inbound", status="received", **ends, **changes)
        if not lost:
            self.clock.moment = when
            post = self.twilio.whatsapp if ends["From"].startswith("whatsapp:") else self.twilio.sms
            assert post(body, MessageSid=sid, **ends).status_code == 200
        return sid

    def sent(self, body: str, when: datetime, *, sid: str = "", status: str = "delivered", **changes: Any) -> str:
        """Let a message of ours be in the log: an answer, or one that was sent past the gateway."""
        sid = sid or self.twilio.sid()
        ends = {"To": changes.pop("person", PERSON), "From": changes.pop("ours", OURS)}
        self.entry(body, when, sid=sid, status=status, **({"direction": "outbound-reply"} | ends | changes))
        return sid

    def entry(self, body: str, when: datetime, *, account: str = ACCOUNT, **fields: Any) -> None:
        form = {"Body": body, "From": fields.pop("From"), "To": fields.pop("To")}
        written = format_datetime(when)
        self.stand_in.accept(account, form, **({"date_created": written, "date_sent": written} | fields))

    def call(self, when: datetime, *, lost: bool = True, seconds: int = 60, status: str = "completed") -> str:
        """Let a person phone us; nobody tells how the call ended."""
        sid = self.twilio.sid("CA")
        ended = {"end_time": format_datetime(when + timedelta(seconds=seconds)), "duration": str(seconds)}
        fields = {"from": PERSON, "to": OURS, "start_time": format_datetime(when), "status": status}
        self.stand_in.called(ACCOUNT, sid=sid, **fields, **(ended if status == "completed" else {}))
        if not lost:
            self.clock.moment = when
            assert self.twilio.call(CallSid=sid, From=PERSON, To=OURS).status_code == 200
        return sid

    def source(self) -> TwilioLog:
        return TwilioLog(self.runtime.settings, pause=lambda _seconds: None)

    def backfill(self, since: datetime = TEN - timedelta(hours=1), **options: Any) -> Drift:
        """Run it a day later."""
        self.clock.moment = max(self.clock.moment, TEN + timedelta(days=1))
        return backfill(self.runtime, self.source(), since, **options)


def dump() -> dict[str, list[Any]]:
    """Give the whole database."""
    db = mongoengine.get_db()
    return {name: sorted(db[name].find(), key=str) for name in sorted(db.list_collection_names())}


def sessions() -> list[list[str]]:
    """Give the texts of each session, in order, the oldest session first."""
    db = mongoengine.get_db()
    return [
        [row["content"] for row in db.messages.find({"session_id": one["_id"]}).sort([("createdAt", 1), ("_id", 1)])]
        for one in db.sessions.find().sort("first_message_at", 1)
    ]


def message(sid: str) -> dict[str, Any]:
    """Give a stored message by its provider's id."""
    found = mongoengine.get_db().messages.find_one({"$or": [{"_id": sid}, {"provider_sid": sid}]})
    assert found, f"{sid} is not stored"
    return dict(found)
