"""A flow that asks three plain questions, so that a step skipped, repeated or told wrongly is seen in its answers."""

import itertools
import tomllib
from dataclasses import replace
from typing import Any

import mongoengine
from flask import Flask

from gateway.clients.loopback import Loopback
from gateway.conversation import flow_begin
from gateway.conversation.flow_begin import Beginning
from gateway.core import flows
from gateway.core.flows import Flow
from gateway.core.sending import Outgoing, Sent
from gateway.store.outbound import Place
from tests.conftest import StoppedClock, Twilio
from tests.conversation.worker import Worker
from tests.webhooks.conftest import texts

ORDER = """
title = "Order"
version = 1
timeout_minutes = 60

[triggers]
words = ["order"]
intents = ["wants_order"]

[steps.what]
prompt = "What would you like?"
spoken = "Please say what you would like."
kind = "text"

[steps.who]
prompt = "Thanks, {what}. What is your name?"
kind = "text"

[steps.where]
prompt = "Where, {who}?"
kind = "choice"
options = [{ value = "Harbour", key = "1" }, { value = "Market", key = "2" }]

[endings.completed]
text = "Noted: {what} for {who} at {where}."
"""
ASKED = ("What would you like?", "Thanks, twenty shirts. What is your name?", "Where, Hari?\n1 Harbour\n2 Market")
SPOKEN = ("Please say what you would like.", ASKED[1], "Where, Hari? For Harbour press 1, for Market press 2.")
SAID = ("twenty shirts", "Hari", "Harbour")
NOTED = "Noted: twenty shirts for Hari at Harbour."


def order() -> Flow:
    return flows.read("order.toml", tomllib.loads(ORDER))


def with_flows(app: Flask, *more: Flow) -> Flask:
    """Give an app the flow, and others."""
    serving: Any = app.extensions["gateway"]
    app.extensions["gateway"] = replace(serving, flows={flow.name: flow for flow in (order(), *more)})
    return app


class Carrier(Loopback):
    """Takes every message, and remembers what it said."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, outgoing: Outgoing) -> Sent:
        self.sent.append(outgoing.text)
        return super().send(outgoing)


class Scene:
    """A gateway whose responder is `flow`; what it stores, its worker and Twilio's side.

    Its flow is `order`, or those that come with the gateway.
    """

    def __init__(self, make_app: Any, clock: StoppedClock, *, shipped: bool = False, **given: Any) -> None:
        self.make_app, self.clock, self.shipped = make_app, clock, shipped
        self.carrier, self.sids = Carrier(), itertools.count(1)
        self.serve(**given)

    def serve(self, **given: Any) -> None:
        """Start the gateway, or start it anew with other settings."""
        app = self.make_app(**({"reply": {"responder": "flow"}} | given))
        self.app = app if self.shipped else with_flows(app)
        self.twilio, self.worker = self.line(), Worker(self.app, self.clock, sender=self.carrier)

    def line(self) -> Twilio:
        """Give Twilio's side, which never uses an id twice; a thread needs one of its own."""
        twilio = Twilio(self.app.test_client())
        twilio._sids = self.sids
        return twilio

    @property
    def runtime(self) -> Any:
        return self.app.extensions["gateway"]

    @property
    def db(self) -> Any:
        return mongoengine.get_db()

    def play(self, *lines: str, seconds: float = 1, **changes: str) -> list[str]:
        """Text some lines, so many seconds apart; gives what was answered."""
        told = []
        for line in lines:
            told += texts(self.twilio.sms(line, **changes))
            self.clock.tick(seconds)
        return told

    def session(self) -> dict[str, Any]:
        """Give the newest session."""
        found: dict[str, Any] = self.db.sessions.find_one(sort=[("first_message_at", -1), ("_id", -1)])
        return found

    def flow(self) -> dict[str, Any]:
        """Give the state of the newest session's flow."""
        state: dict[str, Any] = self.session()["context"].get("flow") or {}
        return state

    def place(self) -> Place:
        session = self.session()
        return Place.of(session | {"session_id": session["_id"]})

    def begin(self, *, told: bool = True) -> None:
        """Begin the flow in the newest session without a word of anybody."""
        begun = flow_begin.begin(self.runtime, self.place(), Beginning(order(), run="run", by="x" if told else ""))
        assert begun

    def ours(self) -> list[str]:
        """Give what we said, in order."""
        found = self.db.messages.find({"direction": "outbound"})
        return [row["content"] for row in found.sort([("createdAt", 1), ("storedAt", 1)])]

    def assert_sound(self) -> None:
        """What a flow answered has one answer each, none waits, and each session counts what it has."""
        for message in self.db.messages.find({"direction": "inbound"}):
            state = message["answer"]["state"]
            assert state in ("done", "none"), message
            if message["answer"].get("responder") == "flow":
                answers = self.db.messages.count_documents({"_id": f"re:{message['_id']}"})
                assert answers == (state == "done"), message
        for session in self.db.sessions.find({"merged_into": None}):
            stored = self.db.messages.count_documents({"session_id": session["_id"]})
            assert session["message_count"] == stored
        assert self.db.outbox.count_documents({"state": "waiting"}) == 0
