"""Our numbers: which there are, what holds for each, and changing it."""

from typing import Any

from flask import Response

from gateway.api.auth import access, needs, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.problems import Refused, not_found
from gateway.api.schemas import reply
from gateway.api.schemas.channels import Channel, ChannelBody, ChannelPath, Channels
from gateway.conversation import channels as use
from gateway.conversation.channels import CannotSet
from gateway.core.times import seconds
from gateway.settings import idle_ms
from gateway.store import channels as stored
from gateway.store.connection import deadline

TAGS = tag("Channels", "Our own numbers: what holds on each.")


@bp.get("/channels", tags=TAGS, responses={200: Channels})
def list_channels() -> Response:
    """List our numbers, with what holds on each."""
    with deadline():
        rows = [row for row in stored.listed() if access().sees(row["id"])]
    return reply(Channels(items=[_channel(row) for row in rows]))


@bp.get("/channels/<channel_id>", tags=TAGS, responses={200: Channel})
def get_channel(path: ChannelPath) -> Response:
    """Show one of our numbers."""
    return reply(_channel(_seen(path.channel_id)))


@bp.patch("/channels/<channel_id>", tags=TAGS, responses={200: Channel})
@needs("admin")
def update_channel(path: ChannelPath, body: ChannelBody) -> Response:
    """Change one of our numbers; it holds everywhere within five seconds."""
    before = _seen(path.channel_id)
    try:
        changes = use.amended(before, body.model_dump(exclude_unset=True))
        use.configure(runtime(), path.channel_id, changes, access().name)
    except CannotSet as error:
        raise Refused(409, "cannot_set", str(error), field=f"body.{error.name}") from None
    return reply(_channel(_seen(path.channel_id)))


def _seen(channel_id: str) -> dict[str, Any]:
    with deadline():
        found = next((row for row in stored.listed() if row["id"] == channel_id), None)
    if found is None or not access().sees(channel_id):
        raise not_found("channel", channel_id)
    return found


def _channel(row: dict[str, Any]) -> Channel:
    settings, kind = runtime().settings, row.get("communication_type") or ""
    has_own = "idle_seconds" in row and not row.get("problem")
    own = idle_ms(row["idle_seconds"]) if has_own else None
    holds = own if has_own else settings.idle_ms_for(kind)
    return Channel(
        id=row["id"],
        name=row.get("name") or row.get("phone_number") or row["id"],
        phone_number=row.get("phone_number"),
        communication_type=kind,
        account_sid=row.get("account_sid"),
        idle_seconds=None if not has_own else "never" if own is None else seconds(own),
        threshold_seconds=None if holds is None else seconds(holds),
        responder=row.get("responder") or None,
        answered_by=row.get("responder") or settings.reply.responder,
        settings=row.get("settings") or {},
        problem=row.get("problem"),
        last_webhook_at=row.get("last_webhook_at"),
    )
