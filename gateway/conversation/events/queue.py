"""Events put into the outbox for the programs that hear of them: one row each, and one only however often."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from gateway.conversation import alerts
from gateway.conversation.runtime import Runtime
from gateway.core.notifications import PERSON_REQUESTED, PING, Event
from gateway.core.times import MILLISECOND
from gateway.store import api_keys, audit, deliveries, outbox, subscriptions
from gateway.store.api_keys import ACTIVE
from gateway.store.outbox import Row
from gateway.store.subscriptions import Subscription

KEY_ENDED, GONE, FAILING = "key_ended", "gone", "failing"
GATEWAY = "gateway"


def listening(runtime: Runtime) -> list[Subscription]:
    """List who is told of events; those whose key has ended are told nothing more."""
    now, found = runtime.clock.now(), subscriptions.listening()
    ended = {one.key for one in found if one.key and not has_key(one, now)}
    for one in found:
        if one.key in ended:
            disable(runtime, one, KEY_ENDED)
    return [one for one in found if one.key not in ended]


def has_key(subscription: Subscription, now: datetime) -> bool:
    """Tell whether the key a subscription was made with still works; without one it is the operators' own."""
    key = api_keys.find(subscription.key) if subscription.key else None
    return subscription.key is None or (key is not None and key.state(now) == ACTIVE)


def disable(runtime: Runtime, subscription: Subscription, reason: str) -> None:
    """Stop telling a program, and let nothing more wait for it."""
    now = runtime.clock.now()
    if subscriptions.disable(subscription.id, reason, now):
        audit.note(now, GATEWAY, "subscription_disabled", subscription=subscription.id, reason=reason)
    deliveries.cancel_all(subscription.id, now, reason)


def tell(runtime: Runtime, events: Sequence[Event], among: Sequence[Subscription]) -> int:
    """Queue events for those who listen; gives how many rows are new."""
    rows = [row_of(runtime, one, event) for event in events for one in among if one.hears(event) and one.heard(event)]
    return len(outbox.put_all(rows))


def row_of(runtime: Runtime, to: Subscription, event: Event, *, again: str = "") -> Row:
    """Give the row that tells a program of an event. What is told `again` is the same event in a row of its own."""
    now, suffix = runtime.clock.now(), f".{again}" if again else ""
    return Row(
        id=deliveries.row_id(to.id, event.id + suffix),
        step=outbox.EVENT,
        about=event.message_id or event.session_id or event.about,
        # Due when it happened, so that events are told in their order.
        due=now if again else min(now, event.at + event.order * MILLISECOND),
        queued_at=now,
        subscription=to.id,
        event=_as_stored(event),
        give_up_at=give_up_at(runtime),
    )


def give_up_at(runtime: Runtime) -> datetime:
    """Tell until when an event is tried that is queued now."""
    return runtime.clock.now() + timedelta(hours=runtime.settings.events.retry_hours)


def ping(at: datetime, token: str) -> Event:
    """Make an event that says nothing."""
    return Event(PING, at, token)


def _as_stored(event: Event) -> dict[str, object]:
    facts = dict(event.facts)
    if event.type == PERSON_REQUESTED:
        facts["reason"] = alerts.REASONS.get(str(facts.get("reason")), alerts.HANDED_OVER)
    return {
        "id": event.id,
        "type": event.type,
        "at": event.at,
        "sequence": event.sequence,
        "session_id": event.session_id,
        "message_id": event.message_id,
        "facts": facts,
    }
