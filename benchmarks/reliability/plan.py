"""What is to be sent and when: signed webhooks at a fixed rate, each from a sender drawn by lot."""

import random
from dataclasses import dataclass
from urllib.parse import urlencode

from benchmarks.reliability.gateway import ACCOUNT, TOKEN
from gateway.channels.signature import SIGNATURE_HEADER, sign

LINE = "+15017122661"
PATH = "/webhooks/sms"


@dataclass(frozen=True)
class Load:
    """How much is sent: `rate` webhooks a second, each `copies` times, the copies up to `spread` seconds late."""

    seconds: float = 60
    rate: float = 100
    senders: int = 500
    copies: int = 1
    spread: float = 0
    seed: int = 7

    @property
    def idle_seconds(self) -> float:
        """Give a threshold that decides about every message: four fifths of the mean gap of a sender."""
        return round(0.8 * self.senders / self.rate, 3)

    @property
    def lasts(self) -> float:
        """Tell when the last copy goes out."""
        return self.seconds + self.spread


@dataclass(frozen=True)
class Sending:
    """One delivery: `at` seconds after the start, all bytes of the request."""

    at: float
    sid: str
    sender: str
    request: bytes


def write(load: Load, port: int) -> list[Sending]:
    """Write all deliveries, in the order they go out."""
    rng, sendings = random.Random(load.seed), []
    for number in range(round(load.seconds * load.rate)):
        sid, sender = f"SM{load.seed:08x}{number:024x}", f"+1555{rng.randrange(load.senders):07d}"
        request = _request(sid, sender, port)
        delays = [rng.uniform(0, load.spread) if load.spread else 0.0 for _ in range(load.copies)]
        sendings += [Sending(number / load.rate + delay, sid, sender, request) for delay in delays]
    return sorted(sendings, key=lambda sending: sending.at)


def _request(sid: str, sender: str, port: int) -> bytes:
    form = {
        "MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "AccountSid": ACCOUNT, "ApiVersion": "2010-04-01",
        "From": sender, "FromCity": "SPRINGFIELD", "FromState": "IL", "FromZip": "62701", "FromCountry": "US",
        "To": LINE, "ToCity": "LITTLE ROCK", "ToState": "AR", "ToZip": "72201", "ToCountry": "US",
        "Body": f"This is {sid}.", "NumMedia": "0", "NumSegments": "1", "SmsStatus": "received",
    }  # fmt: skip
    body = urlencode(form)
    host = f"127.0.0.1:{port}"
    head = [
        f"POST {PATH} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: TwilioProxy/1.1",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        f"{SIGNATURE_HEADER}: {sign(TOKEN, f'http://{host}{PATH}', form)}",
    ]
    return "\r\n".join([*head, "", body]).encode()
