"""One event told to one program: signed, posted, and what becomes of the answer."""

import time
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from gateway import metrics
from gateway.clients import posting
from gateway.clients.posting import Answer, NotAllowed, Reach, Unreachable
from gateway.conversation.events import payload, queue, secrets
from gateway.conversation.release import pause
from gateway.conversation.runtime import Runtime
from gateway.core.signing import signed_headers
from gateway.logs import log
from gateway.store import deliveries, outbox, outbox_claims, subscriptions
from gateway.store.connection import deadline
from gateway.store.outbox import Row
from gateway.store.subscriptions import Subscription

# After so many failures in a row a program is left alone for a while, and then asked with one event.
HELD_AFTER = 3
LONGEST_HOLD = timedelta(minutes=5)
# What a program that was away for this long has missed is due as soon as it is back.
AWAY = timedelta(minutes=1)
# How soon an event is looked at again whose subscription is paused.
PAUSED = timedelta(minutes=1)

DELIVERED, RETRIED, FAILED, CANCELED = "delivered", "retried", "failed", "canceled"
_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
NEW_SECRET = "secret_unknown: SECRET_KEY was changed since the secret was shown; make a new one (rotate-secret)"  # noqa: S105


def reach(runtime: Runtime) -> Reach:
    """Tell where events may be sent to."""
    return Reach(runtime.settings.env == "production", runtime.settings.events.private_networks)


def deliver(runtime: Runtime, row: Row) -> None:
    """Tell the program of a claimed row, and note what came of it."""
    with deadline():
        to = subscriptions.get(row.subscription)
        if to is None or not queue.has_key(to, runtime.clock.now()):
            _cancel(runtime, row, "its subscription has ended")
            return
        if not to.active:
            outbox_claims.postpone(row, runtime.clock.now() + PAUSED)
            return
        if not secrets.is_known(runtime, to):
            _put_off(runtime, row, to, NEW_SECRET, {})
            return
        body = payload.body(row.event, to)
        if body is None:
            _cancel(runtime, row, "what it is about is gone")
            return
    _post(runtime, row, to, body)


def _post(runtime: Runtime, row: Row, to: Subscription, body: bytes) -> None:
    began, now = time.monotonic(), runtime.clock.now()
    answer: Answer | None = None
    problem = ""
    try:
        answer = posting.post(
            to.url, body, _headers(runtime, row, to, body),
            seconds=runtime.settings.events.timeout_seconds, reach=reach(runtime), now=now,
        )  # fmt: skip
    except (Unreachable, NotAllowed) as error:
        problem = f"{'not_allowed' if isinstance(error, NotAllowed) else 'unreachable'}: {error}"
    response = {"milliseconds": round((time.monotonic() - began) * 1000), "at": now}
    if answer:
        response["status"] = answer.status
    with deadline():
        _judge(runtime, row, to, answer, problem, response)


def _headers(runtime: Runtime, row: Row, to: Subscription, body: bytes) -> dict[str, str]:
    """Sign for the moment of this try: a retry must not look like a replayed request."""
    now = runtime.clock.now()
    signed = signed_headers(secrets.signing(runtime, to, now), str(int(now.timestamp())), body)
    return signed | {
        "User-Agent": "conversation-gateway",
        "X-Gateway-Event": row.event["type"],
        "X-Gateway-Event-Id": row.event["id"],
        "X-Gateway-Delivery-Id": deliveries.delivery_id(row.id),
    }


def _judge(
    runtime: Runtime, row: Row, to: Subscription, answer: Answer | None, problem: str, response: Mapping[str, Any]
) -> None:
    status = answer.status if answer else 0
    if 200 <= status < 300:
        _succeed(runtime, row, to, response)
    elif status == HTTPStatus.GONE:
        _end(runtime, row, FAILED, outbox.FAILED, f"{status}: the program wants no more", response)
        queue.disable(runtime, to, queue.GONE)
    elif answer is None or status >= 500 or status in _AGAIN:
        _put_off(runtime, row, to, problem or f"{status}: to be tried again", response, answer)
    else:
        _end(runtime, row, FAILED, outbox.FAILED, f"{status}: refused for good", response)
        _note_failure(runtime, to, f"answered {status}")


def _succeed(runtime: Runtime, row: Row, to: Subscription, response: Mapping[str, Any]) -> None:
    now = runtime.clock.now()
    _end(runtime, row, DELIVERED, outbox.DONE, "", response)
    subscriptions.succeeded(to, now)
    if to.failing_since and now - to.failing_since >= AWAY:
        deliveries.hurry(to.id, now)


def _put_off(
    runtime: Runtime,
    row: Row,
    to: Subscription,
    problem: str,
    response: Mapping[str, Any],
    answer: Answer | None = None,
) -> None:
    """Try a row again later; a program that fails again and again, or asks for it, is left alone meanwhile."""
    now = runtime.clock.now()
    if row.give_up_at and now >= row.give_up_at:
        _end(runtime, row, FAILED, outbox.FAILED, problem, response)
    else:
        outbox_claims.put_off(row, now + pause(row.tries), error=problem, response=response)
        _count(row, RETRIED, problem)
    failing = _note_failure(runtime, to, problem)
    asked = timedelta(seconds=answer.retry_after or 0) if answer else timedelta()
    failures = failing.failures if failing else 0
    held = min(pause(failures), LONGEST_HOLD) if failures >= HELD_AFTER else timedelta()
    if max(asked, held):
        subscriptions.hold(to.id, now + max(asked, held))


def _note_failure(runtime: Runtime, to: Subscription, problem: str) -> Subscription | None:
    now = runtime.clock.now()
    failing = subscriptions.failed(to.id, problem[:200], now)
    patience = timedelta(days=runtime.settings.events.disable_after_days)
    if failing and failing.failing_since and now - failing.failing_since >= patience:
        queue.disable(runtime, failing, queue.FAILING)
        log.warning("subscription_disabled", subscription=to.id, reason=queue.FAILING, message=problem[:200])
    return failing


def _cancel(runtime: Runtime, row: Row, reason: str) -> None:
    outbox_claims.finish(row, outbox.CANCELED, runtime.clock.now(), error=reason)
    _count(row, CANCELED, reason)


def _end(runtime: Runtime, row: Row, outcome: str, state: str, problem: str, response: Mapping[str, Any]) -> None:
    outbox_claims.finish(row, state, runtime.clock.now(), error=problem, response=response)
    _count(row, outcome, problem)


def _count(row: Row, outcome: str, problem: str) -> None:
    metrics.EVENTS.labels(outcome).inc()
    say = log.warning if outcome in (RETRIED, FAILED) else log.debug
    say(
        "event_" + outcome,
        subscription=row.subscription,
        event_id=row.event["id"],
        tries=row.tries,
        message=problem[:200],
    )
