"""kill -9 of everything in the middle of many orders, real processes and all: each goes on where it was."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from xml.etree import ElementTree

import pymongo
import pytest
import requests

from benchmarks.reliability.cluster import single
from benchmarks.reliability.gateway import ACCOUNT, TOKEN, Gateway
from gateway.channels.signature import sign
from tests.stand_ins.twilio import TwilioStandIn

LINE = "+15017122661"
LINES = (
    "bulk order",
    "20 T-shirts and 5 caps",
    "Name is Hari and phone number is 8848850922 and email is h@example.com",
    "Airport Road",
    "yes",
)
QUESTIONS = (
    "What would you like",
    "Got it: 20 T-shirts, 5 caps",
    "Where would you like",
    "Let me check",
    "Thank you, Hari",
)
PEOPLE = 16


@dataclass
class Person:
    """Somebody who orders; `told` is what their webhooks were answered, by line."""

    number: str
    told: dict[int, set[str]] = field(default_factory=dict)

    def says(self, gateway: Gateway, line: int) -> None:
        """Text a line; whatever dies meanwhile, the same message may be delivered again."""
        form = {
            "MessageSid": self.sid(line), "AccountSid": ACCOUNT, "From": self.number, "To": LINE, "Body": LINES[line],
            "NumMedia": "0",
        }  # fmt: skip
        signed = {"X-Twilio-Signature": sign(TOKEN, f"{gateway.url}/webhooks/sms", form)}
        try:
            answer = requests.post(f"{gateway.url}/webhooks/sms", data=form, headers=signed, timeout=15)
        except requests.RequestException:
            return
        if answer.ok:
            said = {message.text or "" for message in ElementTree.fromstring(answer.content).iter("Message")}
            self.told.setdefault(line, set()).update(said)

    def sid(self, line: int) -> str:
        return f"SM{self.number[1:]:0>28}{line:04d}"


@pytest.fixture(scope="module")
def twilio():
    with TwilioStandIn(tokens={ACCOUNT: [TOKEN]}) as stand_in:
        yield stand_in


@pytest.mark.timeout(240)
def test_orders_go_on_where_they_were_after_kill_9_of_every_process(tmp_path, twilio):
    mongo = single(tmp_path / "mongo")
    mongo.start()
    gateway = Gateway(
        tmp_path / "gateway", mongodb_uri=mongo.uri, twilio_url=twilio.url, responder="flow", idle_seconds=300
    )
    people = [Person(f"+1555000{number:04d}") for number in range(PEOPLE)]
    try:
        gateway.migrate()
        gateway.start()
        with ThreadPoolExecutor(PEOPLE) as threads:
            for line in range(2):
                list(threads.map(lambda one, line=line: one.says(gateway, line), people))
            _kill_while(threads, people, 2, gateway, mongo)
            _everybody_hears(threads, people, 2, gateway, twilio)
            for line in (3, 4):
                list(threads.map(lambda one, line=line: one.says(gateway, line), people))
        _everybody_ordered_once(mongo.uri)
        for one in people:
            for line, question in enumerate(QUESTIONS):
                assert len(_heard(one, line, question, twilio)) == 1, (one, line)
    finally:
        gateway.stop()
        mongo.stop()


def _kill_while(threads, people, line, gateway, mongo):
    """Kill the web, the worker and MongoDB while everybody's message is under way, and bring them back."""
    said = [threads.submit(one.says, gateway, line) for one in people]
    time.sleep(0.05)
    killing = threading.Thread(target=gateway.kill)
    killing.start()
    mongo.kill()
    killing.join()
    for one in said:
        one.result()
    mongo.start()
    gateway.start()


def _everybody_hears(threads, people, line, gateway, twilio):
    """Wait for the answers of those whose message was stored; the others' is delivered again, as half of those are."""
    again = [one for number, one in enumerate(people) if number % 2]
    list(threads.map(lambda one: one.says(gateway, line), again))
    until = time.monotonic() + 90
    while waiting := [one for one in people if not _heard(one, line, QUESTIONS[line], twilio)]:
        assert time.monotonic() < until, waiting
        time.sleep(1)
        if time.monotonic() > until - 75:  # it never arrived: its sender writes it again
            list(threads.map(lambda one: one.says(gateway, line), waiting))


def _heard(person, line, question, twilio):
    """Give the ways in which somebody heard the answer to a line: by a webhook, or sent to them."""
    by_webhook = [text for text in person.told.get(line, ()) if text.startswith(question)]
    sent = [one["body"] for one in twilio.messages if one["to"] == person.number and one["body"].startswith(question)]
    return by_webhook + sent


def _everybody_ordered_once(uri):
    with pymongo.MongoClient(uri, tz_aware=True) as client:
        db = client.get_default_database()
        sessions = list(db.sessions.find())
        assert len(sessions) == PEOPLE
        for session in sessions:
            state = session["context"]["flow"]
            assert (state["outcome"], state["values"]["pickup"]) == ("completed", "Airport Road")
            assert state["values"]["email"] == "h@example.com"
        assert db.flow_runs.count_documents({"outcome": "completed"}) == PEOPLE
        for message in db.messages.find({"direction": "inbound"}):
            assert db.messages.count_documents({"_id": f"re:{message['_id']}"}) == 1
