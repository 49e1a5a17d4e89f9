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
# One text in so many is its sender's first.
FIRST_TEXTS = 100

_FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"
_TEXTS = ("Hi, are you open on Saturday?", "Yes", "Can I come at 10:30?", "Thank you, see you then. Grüße!")


class Webhook(NamedTuple):
    """One request: where it goes, with the query, and what it says."""

    path: str
    form: Mapping[str, str]


def write(path: Path, address: str, webhooks: Iterable[Webhook]) -> int:
    """Write requests to a server at this address, each after its length in eight digits; gives how many."""
    written = 0
    with path.open("wb") as file:
        for webhook in webhooks:
            headers, body = sign(address, webhook)
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            request = f"POST {webhook.path} HTTP/1.1\r\n{lines}\r\n{body}".encode()
            file.write(b"%08d\n%s" % (len(request), request))
            written += 1
    return written


def sign(address: str, webhook: Webhook) -> tuple[dict[str, str], str]:
    """Give the headers and the body with which Twilio would send a webhook to this address."""
    body = urlencode(webhook.form)
    headers = {
        "Host": address,
        "User-Agent": "TwilioProxy/1.1",
        "Accept": "*/*",
        "X-Twilio-Signature": sign_form(f"http://{address}{webhook.path}", webhook.form),
        "I-Twilio-Idempotency-Token": hashlib.sha256(body.encode()).hexdigest()[:36],
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "Content-Length": str(len(body)),
    }
    return headers, body


def sign_form(url: str, form: Mapping[str, str]) -> str:
    """Sign as https://www.twilio.com/docs/usage/security says; RequestValidator takes ten times as long."""
    signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return base64.b64encode(hmac.digest(TOKEN.encode(), signed.encode(), "sha1")).decode()


def texts(seed: int = 8, *, first_texts: int = FIRST_TEXTS) -> Iterator[Webhook]:
    """Give texts without end: first one of each sender, then of any of them, and one in `first_texts` of a new one."""
    rng, form = random.Random(seed), shape("sms/text")
    for number in itertools.count():
        is_first = number < SENDERS or number % first_texts == 0
        sender = number if is_first else rng.randrange(SENDERS)
        sid = f"SM{number:032x}"
        own = {"MessageSid": sid, "SmsMessageSid": sid, "SmsSid": sid, "From": f"+1555{sender:07d}"}
        yield Webhook("/webhooks/sms", form | own | {"Body": _TEXTS[number % len(_TEXTS)]})


def shape(fixture: str) -> dict[str, str]:
    """Give the parameters of a captured webhook, of our account."""
    params = json.loads((_FIXTURES / f"{fixture}.json").read_text())["params"]
    return params | {"AccountSid": ACCOUNT}
