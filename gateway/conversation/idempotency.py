"""Requests that are done once, however often they are made: under a key that whoever asks chose."""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.store import idempotency
from gateway.store.connection import deadline

Answer = Mapping[str, Any]


class KeyReused(GatewayError):
    """A key that was used for another request before."""


def new_message_id() -> str:
    """Make the id of a message that a program sends."""
    return f"api:{secrets.token_hex(16)}"


def once(runtime: Runtime, owner: str, key: str, request: Mapping[str, Any], do: Callable[[str], Answer]) -> Answer:
    """Do a request of a key's owner under the id of a message, once; asked again, give what was answered first.

    Only what succeeded is kept, for 24 hours: what was refused changed nothing, and is tried again. KeyReused where
    the key stands for another request.
    """
    if not key:
        return do(new_message_id())
    fingerprint = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    with deadline():
        claimed = idempotency.claim(owner, key, fingerprint, new_message_id(), runtime.clock.now())
    if claimed.fingerprint != fingerprint:
        raise KeyReused("This Idempotency-Key was used for another request. Choose a new one for each request.")
    if claimed.answer is not None:
        return claimed.answer
    answer = do(claimed.message_id)
    with deadline():
        return idempotency.settle(claimed, answer)
