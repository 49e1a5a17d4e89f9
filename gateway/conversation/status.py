"""Delivery statuses of what we sent."""

from gateway.core.messages import StatusUpdate
from gateway.logs import log
from gateway.store import callbacks, messages
from gateway.store.connection import deadline


def apply_status(update: StatusUpdate) -> None:
    """Let a status take effect, in whatever order it comes; one of an unknown message waits for an hour."""
    with deadline():
        known = messages.apply_status(update)
        if not known:
            callbacks.park(f"{update.sid}:{update.status}", update.sid, update)
    log.info(
        "status_applied" if known else "callback_parked",
        message_sid=update.sid,
        status=update.status,
        error_code=update.error_code,
    )
