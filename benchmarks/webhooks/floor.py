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

IDLE = timedelta(seconds=300)

app = Flask(__name__)
validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])
db = pymongo.MongoClient(os.environ["MONGODB_URI"]).get_default_database()
db.sessions.create_index({"sender": 1, "channel": 1, "status": 1})


def verified(view: Callable[[], Response]) -> Callable[[], Response]:
    """Refuse what Twilio did not sign."""

    @functools.wraps(view)
    def guarded() -> Response:
        if not validator.validate(request.url, request.form, request.headers.get("X-Twilio-Signature", "")):
            abort(403)
        return view()

    return guarded


@app.post("/webhooks/sms")
@verified
def sms() -> Response:
    """File one text in its sender's open session, or open one."""
    form, now = request.form, datetime.now(UTC)
    found = {"sender": form["From"], "channel": form["To"], "status": "active", "last_message_at": {"$gte": now - IDLE}}
    session = db.sessions.find_one_and_update(
        found,
        {"$set": {"last_message_at": now}, "$inc": {"message_count": 1}, "$setOnInsert": {"created_at": now}},
        projection={"_id": 1},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    db.messages.insert_one(
        {
            "_id": form["MessageSid"], "session_id": session["_id"], "direction": "inbound", "sender": form["From"],
            "content": form["Body"], "metadata": form.to_dict(), "created_at": now,
        }
    )  # fmt: skip
    return Response(str(MessagingResponse()), mimetype="text/xml")


@app.get("/healthz")
def healthz() -> str:
    """Say that it is up."""
    return "ok"
