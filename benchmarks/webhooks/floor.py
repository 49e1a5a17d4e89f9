"""The floor: what somebody writes by hand who wants the three steps and nothing else. Not idempotent in its count.

Same signature check as Twilio's documentation shows, same write concern as the gateway (it is in MONGODB_URI).
"""

import functools
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pymongo
from flask import Flask, Response, abort, request
from pymongo import ReturnDocument
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse
from twilio.twiml.voice_response import VoiceResponse

IDLE = timedelta(seconds=300)

app = Flask(__name__)
validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])
db = pymongo.MongoClient(os.environ["MONGODB_URI"]).get_default_database()
db.sessions.create_index({"sender": 1, "channel": 1, "status": 1})
db.messages.create_index("provider_sid", sparse=True)


def verified(view: Callable[[], Response]) -> Callable[[], Response]:
    """Refuse what Twilio did not sign."""

    @functools.wraps(view)
    def guarded() -> Response:
        if not validator.validate(request.url, request.form, request.headers.get("X-Twilio-Signature", "")):
            abort(403)
        return view()

    return guarded


def store(message_id: str, channel: str, content: str) -> None:
    """File a message in its sender's open session, or open one."""
    form, now = request.form, datetime.now(UTC)
    found = {"sender": form["From"], "channel": channel, "status": "active", "last_message_at": {"$gte": now - IDLE}}
    session = db.sessions.find_one_and_update(
        found,
        {"$set": {"last_message_at": now}, "$inc": {"message_count": 1}, "$setOnInsert": {"created_at": now}},
        projection={"_id": 1},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    db.messages.insert_one(
        {
            "_id": message_id, "session_id": session["_id"], "direction": "inbound", "sender": form["From"],
            "content": content, "metadata": form.to_dict(), "created_at": now,
        }
    )  # fmt: skip


@app.post("/webhooks/sms")
@verified
def sms() -> Response:
    """Answer one text."""
    store(request.form["MessageSid"], request.form["To"], request.form["Body"])
    return Response(str(MessagingResponse()), mimetype="text/xml")


@app.post("/webhooks/voice")
@verified
def voice() -> Response:
    """Answer one call."""
    return listen(0, "")


@app.post("/webhooks/voice/turn")
@verified
def turn() -> Response:
    """Take what a caller said."""
    return listen(int(request.args["turn"]), request.form["SpeechResult"])


def listen(number: int, said: str) -> Response:
    """Store a turn of a call and listen to the next."""
    store(f"{request.form['CallSid']}:{number}", f"voice:{request.form['To']}", said)
    answer = VoiceResponse()
    answer.gather(input="speech dtmf", action=f"/webhooks/voice/turn?turn={number + 1}", method="POST")
    return Response(str(answer), mimetype="text/xml")


@app.post("/webhooks/status")
@verified
def status() -> Response:
    """Note what became of a message of ours, even where a later status was there before."""
    told = {"status": request.form["MessageStatus"], "at": datetime.now(UTC)}
    change = {"$set": {"status": told["status"]}, "$push": {"status_history": told}}
    db.messages.update_one({"provider_sid": request.form["MessageSid"]}, change)
    return Response(status=204)


@app.get("/healthz")
def healthz() -> str:
    """Say that it is up."""
    return "ok"
