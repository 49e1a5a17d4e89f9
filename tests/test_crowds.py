"""Crowds at the gateway as it runs in production: two web processes behind 64 connections, whose webhooks come at once.

Half of the connections are held by each process, and both stand still while webhooks are sent, so that each finds all
of them there when it looks.
"""

import contextlib
import http.client
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pymongo
import pytest

from benchmarks.reliability.gateway import ACCOUNT, TOKEN, Gateway
from benchmarks.reliability.judge import miscounted
from gateway import settings
from gateway.channels.signature import sign
from gateway.conversation import upkeep
from gateway.conversation.runtime import build
from gateway.store import connection
from tests.brokers import wait_for
from tests.conftest import USUAL, StoppedClock, fixture
from tests.stand_ins.twilio import TwilioStandIn

pytestmark = pytest.mark.timeout(300)

CONNECTIONS, PEOPLE = 64, 40
PATIENCE_SECONDS = 120
PATH = "/webhooks/sms"


@dataclass(frozen=True)
class Text:
    """One webhook, signed; its text is its sid."""

    sid: str
    sender: str
    url: str

    def form(self) -> dict[str, str]:
        changes = {"AccountSid": ACCOUNT, "MessageSid": self.sid, "From": self.sender, "Body": self.sid}
        return fixture("sms/text") | changes

    def headers(self) -> dict[str, str]:
        signature = sign(TOKEN, self.url + PATH, self.form())
        return {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}


class Line:
    """A connection of Twilio's, kept open, and opened again where it breaks."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def greet(self) -> None:
        self._http.request("GET", "/healthz")
        assert self.hear()[0] == 200

    def say(self, text: Text) -> None:
        self._http.request("POST", PATH, urlencode(text.form()), text.headers())

    def hear(self) -> tuple[int, str]:
        answer = self._http.getresponse()
        return answer.status, answer.read().decode()

    def insist(self, text: Text) -> None:
        """Say a text until it is taken."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                self.say(text)
                if self.hear()[0] < 300:
                    return
            except (OSError, http.client.HTTPException):
                self.close()
            time.sleep(0.05)
        raise AssertionError(f"{text.sid} was not taken")

    def close(self) -> None:
        self._http.close()


@contextlib.contextmanager
def standing_still(pids: Sequence[int]) -> Iterator[None]:
    """Let processes do nothing for a while."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class Crowd:
    """All who write to a gateway at once."""

    def __init__(self, gateway: Gateway, db: Any) -> None:
        self.gateway, self.db = gateway, db
        self._sids = (f"SM{number:032x}" for number in itertools.count(1))
        self.lines = [Line(gateway.port) for _ in range(CONNECTIONS)]

    def gather(self) -> None:
        """Open all connections, half of them to each web process."""
        for number, pid in enumerate(self.gateway.pids()["web"]):
            with standing_still([pid]):
                for line in self.lines[number::2]:
                    line.greet()

    def text(self, sender: str) -> Text:
        return Text(next(self._sids), sender, self.gateway.url)

    def at_once(self, texts: Sequence[Text]) -> list[str]:
        """Let a text each be there on all connections; gives what they were answered."""
        with standing_still(self.gateway.pids()["web"]):
            for line, text in zip(self.lines, texts, strict=False):
                line.say(text)
        answers = [line.hear() for line in self.lines[: len(texts)]]
        assert {status for status, _ in answers} == {200}
        return [said for _, said in answers]

    def twice(self, texts: Sequence[Text], *, halfway: Callable[[], object]) -> None:
        """Say each text on two connections until it is taken on both; something happens when half of them are."""
        lock, taken = threading.Lock(), 0

        def insist(line: Line, own: Sequence[Text]) -> None:
            nonlocal taken
            for text in own:
                line.insist(text)
                with lock:
                    taken += 1
                    if taken == len(texts):
                        halfway()

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            half = CONNECTIONS // 2
            said = [pool.submit(insist, line, texts[n % half :: half]) for n, line in enumerate(self.lines)]
            for one in said:
                one.result()

    def people(self, prefix: str) -> list[str]:
        """Give senders who have a session already."""
        senders = [f"{prefix}{number:04}" for number in range(PEOPLE)]
        self.at_once([self.text(sender) for sender in senders])
        return senders

    def sessions(self, sender: str) -> list[dict[str, Any]]:
        return list(self.db.sessions.find({"metadata.fromNumber": sender}))

    def stored(self, texts: Sequence[Text]) -> Counter[str]:
        """Count what is stored as one of these texts."""
        among = {"direction": "inbound", "content": {"$in": [text.sid for text in texts]}}
        return Counter(row["content"] for row in self.db.messages.find(among))

    def answers(self, texts: Sequence[Text]) -> Counter[str]:
        """Count what is stored as an answer to one of these, each of which repeats it."""
        among = {"direction": "outbound", "content": {"$in": [text.sid for text in texts]}}
        return Counter(row["content"] for row in self.db.messages.find(among))

    @contextlib.contextmanager
    def groups(self) -> Iterator[list[int]]:
        """Tell by MongoDB's profiler how many texts, each with its answer, were stored with each insert meanwhile."""
        sizes: list[int] = []
        self.db.command("profile", 1, filter={"op": "insert", "ns": f"{self.db.name}.messages"})
        try:
            yield sizes
        finally:
            self.db.command("profile", 0, filter="unset")
        sizes += [row["ninserted"] // 2 for row in self.db["system.profile"].find({"ninserted": {"$gt": 0}})]
        self.db.drop_collection("system.profile")


@pytest.fixture(scope="module")
def twilio() -> Iterator[TwilioStandIn]:
    with TwilioStandIn(tokens={ACCOUNT: [TOKEN]}) as standing_in:
        yield standing_in


@pytest.fixture(scope="module")
def crowd(own_mongo, twilio, tmp_path_factory) -> Iterator[Crowd]:
    gateway = Gateway(
        tmp_path_factory.mktemp("gateway"),
        mongodb_uri=own_mongo.uri,
        twilio_url=twilio.url,
        responder="echo",
        idle_seconds=3600,
    )
    gateway.migrate()
    with contextlib.ExitStack() as stack:
        stack.callback(gateway.stop)
        gateway.start()
        client = stack.enter_context(pymongo.MongoClient[dict[str, Any]](own_mongo.uri, tz_aware=True))
        crowd = Crowd(gateway, client.get_default_database())
        for line in crowd.lines:
            stack.callback(line.close)
        crowd.gather()
        yield crowd


def test_64_first_texts_of_one_sender_share_one_open_session_and_one_contact(crowd):
    texts = [crowd.text("+15551110000") for _ in range(CONNECTIONS)]
    answers = crowd.at_once(texts)
    assert all(f">{text.sid}</Message>" in said for text, said in zip(texts, answers, strict=True))
    (session,) = crowd.sessions("+15551110000")
    assert session["status"] == "active"
    assert crowd.db.messages.count_documents({"session_id": session["_id"], "direction": "inbound"}) == CONNECTIONS
    assert session["message_count"] == crowd.db.messages.count_documents({"session_id": session["_id"]})
    assert session["message_count"] == 2 * CONNECTIONS
    assert crowd.db.contacts.count_documents({"phones": "+15551110000"}) == 1


def test_what_is_delivered_twice_at_once_is_stored_once_and_answered_alike(crowd):
    people, chance, sent = crowd.people("+1555222"), random.Random(7), []
    with crowd.groups() as groups:
        for _ in range(10):
            texts = [crowd.text(chance.choice(people)) for _ in range(CONNECTIONS // 2)] * 2
            chance.shuffle(texts)
            answers = crowd.at_once(texts)
            assert all(f">{text.sid}</Message>" in said for text, said in zip(texts, answers, strict=True))
            assert len(set(zip(texts, answers, strict=True))) == CONNECTIONS // 2, "a copy was answered otherwise"
            sent += dict.fromkeys(texts)
    once = Counter(text.sid for text in sent)
    assert crowd.stored(sent) == crowd.answers(sent) == once
    assert miscounted(crowd.db) == []
    for sender in people:
        (session,) = crowd.sessions(sender)
        assert session["message_count"] == 2 + 2 * sum(text.sender == sender for text in sent)
    assert sum(size for size in groups if size > 1) > len(sent) / 2, groups


def test_what_was_taken_while_a_web_process_and_mongod_were_killed_is_there_once(crowd, own_mongo, twilio, tmp_path):
    people, chance = crowd.people("+1555333"), random.Random(8)
    sent = [crowd.text(chance.choice(people)) for _ in range(9 * CONNECTIONS // 2)]
    third, before = len(sent) // 3, crowd.gateway.pids()["web"]
    crowd.twice(sent[:third], halfway=crowd.gateway.kill_one_web_process)
    wait_for(lambda: len(set(crowd.gateway.pids()["web"]) - set(before)) == 1, what="another web process")
    crowd.twice(sent[third : 2 * third], halfway=own_mongo.kill)
    wait_for(crowd.gateway.spool_depth, what="something that was taken while MongoDB was away")
    own_mongo.start()
    crowd.twice(sent[2 * third :], halfway=lambda: None)
    wait_for(lambda: crowd.gateway.spool_depth() == 0, PATIENCE_SECONDS, "an empty spool")
    wait_for(lambda: not crowd.db.outbox.count_documents({"state": "waiting"}), PATIENCE_SECONDS, "the last answer")
    settle(own_mongo.uri, tmp_path)
    once = Counter(text.sid for text in sent)
    assert crowd.stored(sent) == crowd.answers(sent) == once
    assert miscounted(crowd.db) == []
    assert [len(crowd.sessions(sender)) for sender in people] == [1] * PEOPLE
    assert max(Counter(message["body"] for message in twilio.messages).values()) == 1


def settle(uri, folder):
    """Look as the worker does a minute later, so that nobody waits for it: sessions whose writer died are counted."""
    later = StoppedClock(datetime.now(UTC) + timedelta(minutes=1))
    configured = settings.load(**USUAL | {"mongodb_uri": uri, "data_dir": folder})
    connection.connect(configured)
    upkeep.settle(build(configured, clock=later))
