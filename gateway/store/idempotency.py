"""What was answered to a request under its `Idempotency-Key`, for a day: asked again, it is not done again.

The claim is made before anything is done and carries the id of the message that is to be sent. So whoever repeats the
request, at the same time or after a crash, sends under the same id, and that is sent once.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument

from gateway.store.connection import collection
from gateway.store.documents import IdempotencyDocument


@dataclass(frozen=True, slots=True)
class Claim:
    """A request as it was first made under a key; `answer` once it was answered."""

    id: str
    fingerprint: str
    message_id: str
    answer: Mapping[str, Any] | None


def claim(owner: str, key: str, fingerprint: str, message_id: str, now: datetime) -> Claim:
    """Claim a key of its owner for a request, or give what it was claimed for."""
    claim_id = hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest()
    first: dict[str, Any] = {"fingerprint": fingerprint, "message_id": message_id, "createdAt": now}
    before = collection(IdempotencyDocument).find_one_and_update(
        {"_id": claim_id}, {"$setOnInsert": first}, upsert=True, return_document=ReturnDocument.BEFORE
    )
    found = before or first
    return Claim(claim_id, found["fingerprint"], found["message_id"], found.get("answer"))


def settle(claimed: Claim, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep what a request is answered; gives the first answer, which is the one that stands."""
    done = collection(IdempotencyDocument).find_one_and_update(
        {"_id": claimed.id},
        [{"$set": {"answer": {"$ifNull": ["$answer", {"$literal": dict(answer)}]}}}],
        return_document=ReturnDocument.AFTER,
    )
    return done["answer"] if done else answer
