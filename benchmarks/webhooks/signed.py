"""Twilio's side: webhooks signed and ready for the wire, each with an id of its own, in a file that wrk sends."""

import base64
import hashlib
import hmac
import itertools
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

ACCOUNT, TOKEN = "AC" + "a" * 32, "benchmark-token"
SENDERS = 2000
# One message in so many is somebody's first.
FIRST_TEXTS = 100

_FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"
_TEXTS = ("Hi, are you open on Saturday?", "Yes", "Can I come at 10:30?", "Thank you, see you then. Grüße!")


class Webhook(NamedTuple):
    """One request: where it goes, with the query, and what it says."""

    path: str
    form: Mapping[str, str]


def write(path: Path, port: int, webhooks: Iterable[Webhook]) -> None:
    """Write requests to a server on this port, each after its length in eight digits."""
    with path.open("wb") as file:
        for webhook in webhooks:
            request = _on_the_wire(port, webhook)
            file.write(b"%08d\n" % len(request))
            file.write(request)


def _on_the_wire(port: int, webhook: Webhook) -> bytes:
    body = urlencode(webhook.form)
    signature = _signature(f"http://127.0.0.1:{port}{webhook.path}", webhook.form)
    token = hashlib.sha256(body.encode()).hexdigest()[:36]
    return (
        f"POST {webhook.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\n"
        f"X-Twilio-Signature: {signature}\r\nI-Twilio-Idempotency-Token: {token}\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _signature(url: str, form: Mapping[str, str]) -> str:
    """Sign as https://www.twilio.com/docs/usage/security says; RequestValidator takes ten times as long."""
    signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return base64.b64encode(hmac.digest(TOKEN.encode(), signed.encode(), "sha1")).decode()


def texts(seed: int = 8) -> Iterator[Webhook]:
    """Give texts without end: first one of each sender, then of any of them, and now and then of somebody new."""
    rng, shape = random.Random(seed), _shape("sms/text")
    for number in itertools.count():
        is_first = number < SENDERS or number % FIRST_TEXTS == 0
        sender = number if is_first else rng.randrange(SENDERS)
        sid = f"SM{number:032x}"
        own = {"MessageSid": sid, "SmsMessageSid": sid, "SmsSid": sid, "From": f"+1555{sender:07d}"}
        yield Webhook("/webhooks/sms", shape | own | {"Body": _TEXTS[number % len(_TEXTS)]})


def _shape(fixture: str) -> dict[str, str]:
    params = json.loads((_FIXTURES / f"{fixture}.json").read_text())["params"]
    return params | {"AccountSid": ACCOUNT}
