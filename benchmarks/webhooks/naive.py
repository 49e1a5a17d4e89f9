"""Naive: the three steps as documents of mongoengine. Counts are read, raised and written back, so some get lost."""

import os
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import mongoengine
from flask import Flask, Response, abort, request
from mongoengine import DateTimeField, DictField, Document, IntField, ObjectIdField, StringField
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

IDLE = timedelta(seconds=300)

app = Flask(__name__)
validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])
mongoengine.connect(host=os.environ["MONGODB_URI"], tz_aware=True)


class Session(Document):
    """A sender's conversation."""

    sender = StringField()
    channel = StringField()
    status = StringField(default="active")
    message_count = IntField(default=0)
    last_message_at = DateTimeField()
    meta: ClassVar = {"collection": "sessions", "indexes": [("sender", "channel", "status")]}


class Message(Document):
    """One text."""

    id = StringField(primary_key=True)
    session_id = ObjectIdField()
    direction = StringField()
    sender = StringField()
    content = StringField()
    metadata = DictField()
    created_at = DateTimeField()
    meta: ClassVar = {"collection": "messages"}


@app.post("/webhooks/sms")
def sms() -> Response:
    """File one text in its sender's newest open session, or in a new one."""
    form, now = request.form, datetime.now(UTC)
    if not validator.validate(request.url, form, request.headers.get("X-Twilio-Signature", "")):
        abort(403)
    found = Session.objects(sender=form["From"], channel=form["To"], status="active")
    session = found.order_by("-last_message_at").first()
    if session and now - session.last_message_at > IDLE:
        session.status = "closed"
        session.save()
        session = None
    session = session or Session(sender=form["From"], channel=form["To"])
    session.message_count += 1
    session.last_message_at = now
    session.save()
    Message(
        id=form["MessageSid"], session_id=session.id, direction="inbound", sender=form["From"],
        content=form["Body"], metadata=form.to_dict(), created_at=now,
    ).save(force_insert=True)  # fmt: skip
    return Response(str(MessagingResponse()), mimetype="text/xml")


@app.get("/healthz")
def healthz() -> str:
    """Say that it is up."""
    return "ok"
