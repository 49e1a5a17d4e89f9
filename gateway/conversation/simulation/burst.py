"""Open-loop load: webhooks are sent when they are due, however long the gateway takes with those before.

A latency counts from the moment its webhook was due, so a gateway that stands still for a second is seen to.
"""

import heapq
import random
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import urlencode

import urllib3

from gateway.channels import signature
from gateway.conversation.phoning import new_sid
from gateway.conversation.simulation.forms import Said, text_form, whatsapp_form
from gateway.conversation.simulation.line import Line, signing_token
from gateway.core.messages import WHATSAPP

# As long as Twilio waits for an answer.
PATIENCE_SECONDS = 15
# A redelivery comes within so many seconds after the first delivery, or with it.
REDELIVERED_WITHIN = 2
FEWEST_HANDS, MOST_HANDS = 16, 256
TICK_SECONDS = 0.2
LATELY = 1000
NO_ANSWER = 0

_HEADERS = {"User-Agent": "TwilioProxy/1.1", "Accept": "*/*", "Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent: `rate` a second for `seconds`, from so many people, a share of it (0 to 1) twice."""

    kind: str
    to: str
    senders: int
    rate: float
    seconds: float
    duplicates: float = 0.0

    @property
    def webhooks(self) -> int:
        """Give how many there are, without redeliveries."""
        return max(1, round(self.rate * self.seconds))


@dataclass
class Burst:
    """What has come back so far. `latencies` are ms by HTTP status, under NO_ANSWER where none came.

    `senders` are by SID, `acknowledged` the SIDs that got a 2xx, `differing` those whose redelivery got another
    answer. `lately` are the last latencies of all.
    """

    plan: Plan
    sent: int = 0
    redelivered: int = 0
    seconds: float = 0.0
    latencies: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    senders: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    differing: set[str] = field(default_factory=set)
    lately: deque[float] = field(default_factory=lambda: deque(maxlen=LATELY))
    interrupted: bool = False
    told_at: float = 0.0
    _answers: dict[str, bytes] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def answered(self) -> int:
        """Give how many came back, or were given up."""
        return sum(map(len, self.latencies.values()))

    @property
    def all_latencies(self) -> list[float]:
        """Give the latencies of all webhooks, in no order."""
        return [one for many in self.latencies.values() for one in many]

    def note(self, webhook: "_Webhook", status: int, latency: float, body: bytes, error: str) -> None:
        """Note what became of one webhook; from any thread."""
        with self._lock:
            self.latencies[status].append(latency)
            self.lately.append(latency)
            self.senders[webhook.sid] = webhook.sender
            self.redelivered += webhook.again
            if error:
                self.errors[error] += 1
            if 200 <= status < 300:
                self.acknowledged.add(webhook.sid)
                if webhook.twice and self._answers.setdefault(webhook.sid, body) != body:
                    self.differing.add(webhook.sid)


@dataclass(frozen=True, slots=True)
class _Webhook:
    due: float
    sid: str
    sender: str
    number: int
    twice: bool = False
    again: bool = False


def percentile(latencies: list[float], share: float) -> float:
    """Give the value below which a share of these is; 0 of none."""
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def run(line: Line, plan: Plan, tell: Callable[[Burst], object] = lambda _burst: None) -> Burst:
    """Send it all, telling of it five times a second. Ctrl-C ends it, and what came back until then is given."""
    burst, started = Burst(plan), time.monotonic()
    hands = min(MOST_HANDS, max(FEWEST_HANDS, round(2 * plan.rate)))
    pool = urllib3.PoolManager(maxsize=hands, retries=False, timeout=PATIENCE_SECONDS)
    with ThreadPoolExecutor(hands, "sender") as senders:
        try:
            for webhook in _schedule(plan):
                _wait(started + webhook.due, burst, tell)
                burst.sent += 1
                senders.submit(_send, pool, line, burst, webhook, started)
            burst.seconds = time.monotonic() - started
            while burst.answered < burst.sent:
                _wait(time.monotonic() + TICK_SECONDS, burst, tell)
        except KeyboardInterrupt:
            burst.interrupted, burst.seconds = True, time.monotonic() - started
            senders.shutdown(cancel_futures=True)
    burst.sent = burst.answered
    return burst


def _schedule(plan: Plan) -> Iterator[_Webhook]:
    """Give webhooks in the order they are due: first one of each person, then of any of them."""
    rng, base = random.Random(secrets.randbits(64)), secrets.randbelow(10**7)  # noqa: S311 - no secret hangs on it
    later: list[tuple[float, int, _Webhook]] = []
    for number in range(plan.webhooks):
        due = number / plan.rate
        while later and later[0][0] <= due:
            yield heapq.heappop(later)[2]
        who = number if number < plan.senders else rng.randrange(plan.senders)
        sender, twice = f"+1555{(base + who) % 10**7:07d}", rng.random() < plan.duplicates
        webhook = _Webhook(due, new_sid("SM"), sender, number, twice)
        if twice:
            again = due + rng.random() * REDELIVERED_WITHIN
            heapq.heappush(later, (again, number, _Webhook(again, webhook.sid, sender, number, twice, again=True)))
        yield webhook
    while later:
        yield heapq.heappop(later)[2]


def _wait(until: float, burst: Burst, tell: Callable[[Burst], object]) -> None:
    while (left := until - time.monotonic()) > 0:
        if (now := time.monotonic()) - burst.told_at >= TICK_SECONDS:
            burst.told_at = now
            tell(burst)
        time.sleep(min(left, TICK_SECONDS))


def _send(pool: urllib3.PoolManager, line: Line, burst: Burst, webhook: _Webhook, started: float) -> None:
    plan, said = burst.plan, Said(f"Message {webhook.number + 1} of a burst")
    if plan.kind == WHATSAPP:
        form = whatsapp_form(line.configured, webhook.sender, plan.to, said, name="Burst", sid=webhook.sid)
    else:
        form = text_form(line.configured, webhook.sender, plan.to, said, sid=webhook.sid)
    path = f"/webhooks/{plan.kind}"
    signed = signature.sign(signing_token(line.configured, form["AccountSid"]), line.public_url + path, form)
    headers = _HEADERS | {signature.SIGNATURE_HEADER: signed}
    status, body, error = NO_ANSWER, b"", ""
    try:
        answer = pool.request("POST", line.url + path, body=urlencode(form), headers=headers, redirect=False)
        status, body = answer.status, answer.data
    except (urllib3.exceptions.HTTPError, OSError) as failure:
        error = type(failure).__name__
    burst.note(webhook, status, (time.monotonic() - started - webhook.due) * 1000, body, error)
