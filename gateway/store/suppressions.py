"""The STOPs of people who were forgotten, kept in a form that does not name them.

Under a hash of each identity, salted with what only this database knows and slow to compute, so that going through
all numbers takes years. Not keyed with SECRET_KEY: that may be changed, and then everybody would be texted again.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument

from gateway.core import identifiers
from gateway.store import held
from gateway.store.connection import collection
from gateway.store.documents import SuppressionDocument

SALT = "salt"
# About 50 ms and 16 MB each (RFC 7914): paid by senders we do not know, and only where somebody was forgotten.
_COST = {"n": 2**14, "r": 8, "p": 1}


def keep(identities: Sequence[str], lines: Sequence[str], now: datetime) -> int:
    """Keep what a person said STOP to, in the place of what was kept before; gives under how many identities."""
    suppressions = collection(SuppressionDocument)
    if not lines:
        if is_empty():
            return 0
        suppressions.delete_many({"_id": {"$in": [_hashed(identity) for identity in _spelt(identities)]}})
        return 0
    for identity in _spelt(identities):
        suppressions.update_one({"_id": _hashed(identity)}, {"$set": {"lines": list(lines), "at": now}}, upsert=True)
    return len(identities)


def lines_of(identities: Sequence[str]) -> tuple[str, ...]:
    """Give the lines that somebody said STOP to before they were forgotten."""
    if not identities or is_empty():
        return ()
    wanted = {"_id": {"$in": [_hashed(identity) for identity in _spelt(identities)]}}
    return tuple(sorted({line for row in collection(SuppressionDocument).find(wanted) for line in row["lines"]}))


def _spelt(identities: Sequence[str]) -> tuple[str, ...]:
    """Give these and the one form of each: who comes back by another spelling of a number is not texted either."""
    return tuple(dict.fromkeys((*identities, *map(identifiers.canonical, identities))))


def is_empty() -> bool:
    """Tell whether nobody who said STOP was forgotten."""
    return held.find_first(SuppressionDocument, {"_id": {"$ne": SALT}}, {"_id": 1}) is None


def _hashed(identity: str) -> str:
    kept: Any = collection(SuppressionDocument).find_one_and_update(
        {"_id": SALT},
        {"$setOnInsert": {"salt": secrets.token_bytes(32)}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return hashlib.scrypt(identity.encode(), salt=kept["salt"], dklen=32, **_COST).hex()
