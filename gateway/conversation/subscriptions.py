"""What people and programs do about webhooks: subscribe, change, test, replay; checked, and written into the audit."""

import secrets as tokens
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from gateway.clients import posting
from gateway.conversation.events import feed, queue, secrets
from gateway.conversation.events.deliver import reach
from gateway.conversation.runtime import Runtime
from gateway.core.access import Access
from gateway.core.errors import GatewayError
from gateway.core.notifications import REBUILT, TYPES, matches
from gateway.core.signing import fingerprint
from gateway.logs import log
from gateway.store import audit, channels, deliveries, outbox, subscriptions
from gateway.store.connection import deadline
from gateway.store.subscriptions import Subscription

MOST = 100
URL_LIMIT = 2000
DESCRIPTION_LIMIT = 200
# So many messages at most are looked at by one call of a replay; the next one goes on from there.
REPLAYED = 2000

_FORGIVEN = ("failures", "failing_since", "held_until", "last_error", "disabled_reason", "disabled_at")


class CannotSubscribe(GatewayError):
    """A subscription that cannot be made or changed as asked for. `field` is what is wrong."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class NotNow(GatewayError):
    """Something that cannot be done as things are; the text says why."""


def create(
    runtime: Runtime,
    by: Access,
    *,
    url: str,
    events: Sequence[str],
    description: str = "",
    active: bool = True,
    limited_to: Collection[str] | None = None,
    key: str | None = None,
) -> tuple[Subscription, str]:
    """Tell a URL of events from now on; gives the subscription and, this once, its secret.

    `limited_to` are the channels it hears of, None is all that `by` knows of; `key` is the API key it ends with.
    """
    now, new_id = runtime.clock.now(), subscriptions.new_id()
    heard = by.channels if limited_to is None else frozenset(limited_to)
    secret = secrets.secret_of(runtime, new_id, 1)
    with deadline():
        _require_known(heard, by)
        if subscriptions.count() >= MOST:
            raise NotNow(f"There are {MOST} subscriptions already. Delete one that is not needed.")
        made = Subscription(
            id=new_id, url=_checked_url(runtime, url), events=_checked_events(events),
            description=" ".join(description.split()), active=active, created_at=now, created_by=by.name, generation=1,
            fingerprint=fingerprint(secret), channels=heard, key=key, listens_since=now if active else None,
        )  # fmt: skip
        subscriptions.add(made)
        told = None if heard is None else sorted(heard)
        audit.note(now, by.name, "subscription_added", subscription=made.id, events=list(made.events), channels=told)
    log.info("subscription_added", subscription=made.id, by=by.name)
    return made, secret


def _checked_url(runtime: Runtime, url: str) -> str:
    if len(url) > URL_LIMIT:
        raise CannotSubscribe("url", f"A URL has at most {URL_LIMIT} characters.")
    try:
        posting.check(url, reach(runtime))
    except ValueError as error:
        raise CannotSubscribe("url", f"{url[:80]!r} {error}") from None
    return url


def _checked_events(events: Sequence[str]) -> tuple[str, ...]:
    unknown = [one for one in events if one not in TYPES and one != "*"]
    if unknown or not events:
        named = f"There is no event {unknown[0][:80]!r}. " if unknown else ""
        raise CannotSubscribe("events", f"{named}Choose some of {', '.join(TYPES)}, or * for all.")
    return ("*",) if "*" in events else tuple(sorted(set(events), key=TYPES.index))


def _require_known(heard: Collection[str] | None, by: Access) -> None:
    if heard is None:
        return
    unknown = [one for one in sorted(heard) if not by.sees(one) or one not in channels.by_id()]
    if unknown:
        raise CannotSubscribe("channels", f"There is no channel {unknown[0][:80]!r} that you may see.")
    if not heard:
        raise CannotSubscribe("channels", "A subscription to no channel hears nothing. Name some, or leave it out.")


def change(
    runtime: Runtime,
    which: Subscription,
    by: Access,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
    active: bool | None = None,
) -> Subscription | None:
    """Change what is given; None where it is gone. One that is switched on hears from now on, its failures forgiven."""
    now, values, without = runtime.clock.now(), dict[str, Any](), tuple[str, ...]()
    if url is not None:
        values["url"], without = _checked_url(runtime, url), _FORGIVEN[:4]
    if events is not None:
        values["events"] = list(_checked_events(events))
    if description is not None:
        values["description"] = " ".join(description.split())
    if active is not None and active != which.active:
        values |= {"active": active} | ({"listens_since": now} if active else {})
        without = _FORGIVEN if active else without
    with deadline():
        if active and not queue.has_key(which, now):
            raise NotNow("The key it was made with is revoked or expired. Make a subscription with another key.")
        if not values:
            return which
        changed = subscriptions.change(which.id, values, without=without)
        if changed:
            shown = {name: values[name] for name in ("events", "active") if name in values}
            audit.note(now, by.name, "subscription_changed", subscription=which.id, fields=sorted(values), **shown)
    return changed


def delete(runtime: Runtime, which: Subscription, by: Access) -> bool:
    """Tell a URL nothing more; what waits for it is dropped. False where it was gone."""
    now = runtime.clock.now()
    with deadline():
        gone = subscriptions.remove(which.id)
        deliveries.cancel_all(which.id, now, "its subscription was deleted")
        if gone:
            audit.note(now, by.name, "subscription_deleted", subscription=which.id)
    return gone


def rotate(runtime: Runtime, which: Subscription, by: Access) -> tuple[Subscription, str] | None:
    """Make a new secret; gives it this once, None where the subscription is gone. The old one signs too for a day."""
    now, generation = runtime.clock.now(), which.generation + 1
    secret = secrets.secret_of(runtime, which.id, generation)
    values = {
        "generation": generation,
        "fingerprint": fingerprint(secret),
        "old_secret_until": now + secrets.OVERLAP,
    }
    with deadline():
        changed = subscriptions.change(which.id, values, without=_FORGIVEN[:4])
        if changed is None:
            return None
        audit.note(now, by.name, "subscription_secret_rotated", subscription=which.id)
    return changed, secret


def ping(runtime: Runtime, which: Subscription, by: Access) -> str:
    """Send an event that says nothing, at once; gives the id of its delivery."""
    _require_active(which)
    now = runtime.clock.now()
    row = queue.row_of(runtime, which, queue.ping(now, tokens.token_hex(8)))
    with deadline():
        subscriptions.change(which.id, {}, without=("held_until",))
        outbox.put(row)
        audit.note(now, by.name, "subscription_tested", subscription=which.id)
    return deliveries.delivery_id(row.id)


def replay(runtime: Runtime, which: Subscription, delivery_id: str, by: Access) -> bool:
    """Make a delivery again, however it ended; False where it waits already, or is gone."""
    _require_active(which)
    now = runtime.clock.now()
    with deadline():
        row_id = deliveries.row_id(which.id, delivery_id)
        done = deliveries.again(row_id, now, queue.give_up_at(runtime))
        if done:
            audit.note(now, by.name, "subscription_replayed", subscription=which.id, delivery=delivery_id)
    return done


def replay_failed(runtime: Runtime, which: Subscription, by: Access, limit: int) -> int:
    """Make the newest deliveries again that failed; gives how many."""
    with deadline():
        failed = deliveries.newest_failed(which.id, limit)
    return sum(replay(runtime, which, one, by) for one in failed)


def replay_since(
    runtime: Runtime, which: Subscription, by: Access, since: datetime, until: datetime, events: Sequence[str] = ()
) -> tuple[int, datetime | None]:
    """Queue again what the messages stored in a time say has happened; gives how many, and where to go on.

    Those are told with the ids they had the first time. Looks at REPLAYED messages, and the rest of a batch, at most.
    """
    _require_active(which)
    wanted, again = _checked_replay(events) if events else which.events, tokens.token_hex(4)
    now = runtime.clock.now()
    queued, seen, going_on = 0, 0, None
    for found, messages, behind in feed.stored(since, min(until, now), history=True):
        heard = [event for event in found if matches(wanted, event.type) and which.hears(event)]
        with deadline(feed.PASS_SECONDS):
            queued += len(outbox.put_all([queue.row_of(runtime, which, event, again=again) for event in heard]))
        seen += messages
        if seen >= REPLAYED:
            going_on = behind
            break
    with deadline():
        audit.note(
            now, by.name, "subscription_replayed", subscription=which.id, since=since, until=until, queued=queued
        )
    return queued, going_on


def _checked_replay(events: Sequence[str]) -> tuple[str, ...]:
    wanted = _checked_events(events)
    lost = [one for one in wanted if one != "*" and one not in REBUILT]
    if lost:
        raise CannotSubscribe("events", f"No stored message says {lost[0]}, so it cannot be told again.")
    return wanted


def _require_active(which: Subscription) -> None:
    if not which.active:
        raise NotNow("It is switched off. Switch it on first: PATCH active=true.")


def housekeep(runtime: Runtime) -> int:
    """End what nobody took in time; gives how much that was."""
    with deadline():
        ended = deliveries.give_up(runtime.clock.now())
    if ended:
        log.warning("events_given_up", rows=ended)
    return ended
