"""Webhooks out: subscribe to events, see what became of them, have them told again."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from flask import Response

from gateway.api.auth import access, key, needs, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.problems import Refused, conflict, not_found
from gateway.api.schemas import PagedQuery, reply
from gateway.api.schemas.webhooks import (
    Deliveries,
    DeliveriesQuery,
    Delivery,
    DeliveryPath,
    NewWebhookBody,
    Queued,
    ReplayBody,
    Replayed,
    Webhook,
    WebhookChangesBody,
    WebhookPath,
    Webhooks,
    WebhookWithSecret,
)
from gateway.conversation import subscriptions as use
from gateway.conversation.subscriptions import CannotSubscribe, NotNow
from gateway.store import deliveries, subscriptions
from gateway.store.connection import deadline
from gateway.store.outbox import CANCELED, DONE, FAILED, WAITING
from gateway.store.subscriptions import Subscription

_TAG = tag("Webhooks", "Your programs, told of what happens: signed, tried again for three days, replayable.")
_STATES = {"waiting": WAITING, "delivered": DONE, "failed": FAILED, "canceled": CANCELED}
_NAMES = {state: name for name, state in _STATES.items()}


@bp.get("/webhooks", tags=_TAG, responses={200: Webhooks})
def list_webhooks(query: PagedQuery) -> Response:
    """List webhooks, the newest first."""
    with deadline():
        try:
            found = subscriptions.page(access().channels, limit=query.limit + 1, before=query.cursor)
        except ValueError:
            raise not_found("page", query.cursor) from None
    items = [Webhook.model_validate(_shown(one)) for one in found[: query.limit]]
    return reply(Webhooks(items=items, next_cursor=items[-1].id if len(found) > query.limit else None))


@bp.post("/webhooks", tags=_TAG, responses={201: WebhookWithSecret})
@needs("admin")
def create_webhook(body: NewWebhookBody) -> Response:
    """Tell a URL of events from now on; the answer shows its secret this once."""
    with _refusals():
        made, secret = use.create(
            runtime(), access(), url=body.url, events=body.events, description=body.description, active=body.active,
            limited_to=body.channels, key=key().prefix,
        )  # fmt: skip
    return reply(WebhookWithSecret.model_validate(_shown(made) | {"secret": secret}), 201)


@bp.get("/webhooks/<webhook_id>", tags=_TAG, responses={200: Webhook})
def get_webhook(path: WebhookPath) -> Response:
    """Show a webhook and how it does."""
    return reply(Webhook.model_validate(_shown(_found(path))))


@bp.patch("/webhooks/<webhook_id>", tags=_TAG, responses={200: Webhook})
@needs("admin")
def change_webhook(path: WebhookPath, body: WebhookChangesBody) -> Response:
    """Change a webhook, or switch it on or off."""
    which = _found(path)
    with _refusals():
        changed = use.change(
            runtime(), which, access(),
            url=body.url, events=body.events, description=body.description, active=body.active,
        )  # fmt: skip
    if changed is None:
        raise _gone(path)
    return reply(Webhook.model_validate(_shown(changed)))


@bp.delete("/webhooks/<webhook_id>", tags=_TAG, responses={204: None})
@needs("admin")
def delete_webhook(path: WebhookPath) -> Response:
    """Delete a webhook; what waits for it is dropped."""
    if not use.delete(runtime(), _found(path), access()):
        raise _gone(path)
    return Response(status=204)


@bp.post("/webhooks/<webhook_id>/rotate-secret", tags=_TAG, responses={200: WebhookWithSecret})
@needs("admin")
def rotate_webhook_secret(path: WebhookPath) -> Response:
    """Make a new secret, shown this once; for 24 hours events are signed with the old one too."""
    rotated = use.rotate(runtime(), _found(path), access())
    if rotated is None:
        raise _gone(path)
    changed, secret = rotated
    return reply(WebhookWithSecret.model_validate(_shown(changed) | {"secret": secret}))


@bp.post("/webhooks/<webhook_id>/test", tags=_TAG, responses={202: Queued})
@needs("admin")
def test_webhook(path: WebhookPath) -> Response:
    """Send a `ping`; the deliveries show what it was answered."""
    with _refusals():
        return reply(Queued(delivery_id=use.ping(runtime(), _found(path), access())), 202)


@bp.get("/webhooks/<webhook_id>/deliveries", tags=_TAG, responses={200: Deliveries})
def list_webhook_deliveries(path: WebhookPath, query: DeliveriesQuery) -> Response:
    """List what a webhook was told, or is to be, the newest first."""
    which = _found(path)
    with deadline():
        try:
            found, following = deliveries.page(
                which.id, state=_STATES[query.status] if query.status else "", cursor=query.cursor, limit=query.limit
            )
        except ValueError:
            raise not_found("page", query.cursor) from None
    return reply(Deliveries(items=[_delivery(one) for one in found], next_cursor=following))


@bp.post("/webhooks/<webhook_id>/deliveries/<delivery_id>/replay", tags=_TAG, responses={202: Queued})
@needs("admin")
def replay_webhook_delivery(path: DeliveryPath) -> Response:
    """Make a delivery again, however it ended."""
    which = _found(path)
    with deadline():
        known = deliveries.get(which.id, path.delivery_id)
    if known is None:
        raise not_found("delivery", path.delivery_id)
    with _refusals():
        if not use.replay(runtime(), which, path.delivery_id, access()):
            raise Refused(409, "waiting", "This delivery waits already; it is made as soon as it is due.")
    return reply(Queued(delivery_id=path.delivery_id), 202)


@bp.post("/webhooks/<webhook_id>/replay", tags=_TAG, responses={202: Replayed})
@needs("admin")
def replay_webhook(path: WebhookPath, body: ReplayBody) -> Response:
    """Tell again what the messages stored in a time say has happened, some 2,000 messages a call."""
    which, until = _found(path), body.until or runtime().clock.now()
    with _refusals():
        queued, following = use.replay_since(runtime(), which, access(), body.since, until, body.events or ())
    return reply(Replayed(queued=queued, continue_from=following), 202)


def _found(path: WebhookPath) -> Subscription:
    """Give the webhook, if the key may see it."""
    with deadline():
        found = subscriptions.get(path.webhook_id, access().channels)
    if found is None:
        raise _gone(path)
    return found


def _gone(path: WebhookPath) -> Refused:
    return not_found("webhook", path.webhook_id)


@contextmanager
def _refusals() -> Iterator[None]:
    """Tell what a use case says against it; a channel that may not be seen is not there."""
    try:
        yield
    except CannotSubscribe as refusal:
        if refusal.field == "channels":
            raise Refused(404, "not_found", str(refusal), field="body.channels") from None
        raise Refused(409, f"{refusal.field}_refused", str(refusal), field=f"body.{refusal.field}") from None
    except NotNow as refusal:
        raise conflict(refusal) from None


def _shown(one: Subscription) -> dict[str, object]:
    """Give a webhook as this key may see it."""
    fields: dict[str, object] = {name: getattr(one, name) for name in Webhook.model_fields}
    parts = urlsplit(one.url)
    return fields | {
        "url": one.url if key().allows("admin") else f"{parts.scheme}://{parts.netloc}/...",
        "events": list(one.events),
        "channels": None if one.channels is None else sorted(one.channels),
    }


def _delivery(one: deliveries.Delivery) -> Delivery:
    event = one.event
    return Delivery(
        id=one.id,
        event_id=event["id"],
        event_type=event["type"],
        sequence=event["sequence"],
        created_at=event["at"],
        session_id=event.get("session_id"),
        message_id=event.get("message_id"),
        status=_NAMES[one.state],
        tries=one.tries,
        response_status=one.status,
        duration_ms=one.milliseconds,
        error=one.error or None,
        next_try_at=one.due if one.state == WAITING else None,
        queued_at=one.queued_at,
        finished_at=one.finished_at,
    )
