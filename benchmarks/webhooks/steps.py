"""What each step of a webhook costs by itself: microseconds of processor time here, and of mongod where it is asked.

    .venv/bin/python -m benchmarks.webhooks.steps

Beside what the gateway does stands what else would do, so that one can see what a change would be worth.
"""

import itertools
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pymongo
import structlog
from bson import ObjectId
from pymongo import UpdateOne
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse
from werkzeug.wrappers import Request

from benchmarks.webhooks import processes, signed
from gateway.channels import messaging, signature
from gateway.channels.base import Form
from gateway.store.documents import SessionDocument
from gateway.store.embedded import EmbeddedMongo

ROUNDS, SECONDS = 5, 0.2
GROUP = 16
_ADDRESS = "gateway.example.com"
_URL = f"http://{_ADDRESS}/webhooks/sms"

Step = Callable[[], object]


def main() -> None:
    """Print the steps without MongoDB, then those with it."""
    print("| step | us |\n|---|---|")
    for name, step in _computing().items():
        print(f"| {name} | {_cost(step)[0]:.1f} |", flush=True)
    Path(".data").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=".data", prefix="bench-") as folder:
        mongo = EmbeddedMongo(Path(folder), cache_gb=1)
        mongo.start()
        try:
            _print_storing(mongo)
        finally:
            mongo.stop()


def _print_storing(mongo: EmbeddedMongo) -> None:
    mongod = mongo.process.pid if mongo.process else 0
    uri = mongo.uri + "&w=majority&journal=true"
    print("\n| operation, majority and journalled | us here | us of mongod |\n|---|---|---|")
    with pymongo.MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        for name, step in _storing(client).items():
            here, there = _cost(step, mongod)
            print(f"| {name} | {here:.0f} | {there:.0f} |", flush=True)


def _cost(step: Step, mongod: int = 0) -> tuple[float, float]:
    """Give the processor time of one step, here and of mongod, in microseconds: the median of a few rounds' means."""
    step()
    here, there = [], []
    for _ in range(ROUNDS):
        times, until = 0, time.monotonic() + SECONDS * (5 if mongod else 1)
        # mongod's time is known to the hundredth of a second only, so its rounds are longer.
        before = time.process_time(), processes.cpu_seconds(mongod) if mongod else 0.0
        while time.monotonic() < until:
            for _ in range(10):
                step()
            times += 10
        spent = time.process_time() - before[0]
        here.append(spent * 1e6 / times)
        there.append((processes.cpu_seconds(mongod) - before[1]) * 1e6 / times if mongod else 0.0)
    return sorted(here)[ROUNDS // 2], sorted(there)[ROUNDS // 2]


def _computing() -> dict[str, Step]:
    form = next(signed.texts()).form
    headers, body = signed.sign(_ADDRESS, signed.Webhook("/webhooks/sms", form))
    given, raw = headers["X-Twilio-Signature"], body.encode()
    keyring = signature.Keyring([signed.TOKEN], main_account=signed.ACCOUNT)
    account, ours, now = signed.ACCOUNT, Form(form), datetime.now(UTC)
    environ = {
        "REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(raw)), "wsgi.url_scheme": "http",
        "CONTENT_TYPE": headers["Content-Type"], "SERVER_NAME": "localhost", "SERVER_PORT": "80",
    }  # fmt: skip
    return {
        "signature: RequestValidator.validate": lambda: RequestValidator(signed.TOKEN).validate(_URL, form, given),
        "signature: gateway.channels.signature.verify": lambda: signature.verify(
            keyring, urls=[_URL], form=ours, signature=given, account_sid=account
        ),
        "signature: an HMAC by hand": lambda: signed.sign_form(_URL, form) == given,
        "form: werkzeug's Request.form": lambda: Request({**environ, "wsgi.input": BytesIO(raw)}).form,
        "form: parse_qsl": lambda: parse_qsl(raw.decode(), keep_blank_values=True),
        "form: parse_qsl into the gateway's Form": lambda: Form(parse_qsl(raw.decode(), keep_blank_values=True)),
        "message: gateway.channels.messaging.parse": lambda: messaging.parse(ours, now),
        "TwiML: MessagingResponse, empty": lambda: str(MessagingResponse()),
        "TwiML: MessagingResponse with one message": _answering,
        **_logging(),
        "session: a document of mongoengine made": lambda: SessionDocument(title="SMS", status="active"),
    }


def _answering() -> str:
    response = MessagingResponse()
    response.message("Hi, are you open on Saturday?")
    return str(response)


def _logging() -> dict[str, Step]:
    facts = {"session_id": str(ObjectId()), "message_sid": "SM" + "0" * 32, "gap_seconds": 120.5, "restored": False}
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars, structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]  # fmt: skip
    plain = structlog.wrap_logger(
        structlog.PrintLogger(StringIO()), processors=[*processors, structlog.processors.JSONRenderer()]
    )
    quick = structlog.wrap_logger(
        structlog.BytesLogger(BytesIO()), processors=[*processors, structlog.processors.JSONRenderer(orjson.dumps)]
    )
    return {
        "log line: structlog, json": lambda: plain.info("session_reused", **facts),
        "log line: structlog, BytesLogger and orjson": lambda: quick.info("session_reused", **facts),
    }


def _storing(client: pymongo.MongoClient[dict[str, Any]]) -> dict[str, Step]:
    """Give the operations of a webhook on collections that hold some thousand documents."""
    sessions, messages = client.steps.sessions, client.steps.messages
    ids = [ObjectId() for _ in range(2000)]
    sessions.insert_many([{"_id": one, "open_keys": [f"sms|{one}"], "status": "active"} for one in ids])
    sessions.create_index("open_keys", unique=True, partialFilterExpression={"status": "active"})
    messages.create_index([("session_id", 1), ("createdAt", 1)])
    turn, form = itertools.cycle(ids), dict(next(signed.texts()).form)

    def message() -> dict[str, Any]:
        own = {"_id": str(ObjectId()), "session_id": next(turn), "createdAt": datetime.now(UTC)}
        return own | {"content": "Hello", "metadata": form}

    def touch() -> tuple[dict[str, Any], dict[str, Any]]:
        return {"_id": next(turn)}, {"$inc": {"message_count": 1}, "$max": {"last_message_at": datetime.now(UTC)}}

    def open_one() -> dict[str, Any]:
        return {"open_keys": f"sms|{next(turn)}", "status": "active"}

    return {
        "find_one, the open session": lambda: sessions.find_one(open_one()),
        f"find, the open sessions of {GROUP}": lambda: list(
            sessions.find({"open_keys": {"$in": [open_one()["open_keys"] for _ in range(GROUP)]}, "status": "active"})
        ),
        "insert_one, a message": lambda: messages.insert_one(message()),
        f"insert_many, {GROUP} messages unordered": lambda: messages.insert_many(
            [message() for _ in range(GROUP)], ordered=False
        ),
        "update_one, a touch": lambda: sessions.update_one(*touch()),
        "find_one_and_update, a touch": lambda: sessions.find_one_and_update(*touch(), projection={"_id": 1}),
        f"bulk_write, {GROUP} touches unordered": lambda: sessions.bulk_write(
            [UpdateOne(*touch()) for _ in range(GROUP)], ordered=False
        ),
    }


if __name__ == "__main__":
    main()
