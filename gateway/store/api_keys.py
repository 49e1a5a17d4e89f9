"""Keys to the REST API: `gw_<prefix>_<secret>`, found by the prefix, proved by a hash of the secret.

A secret is 256 random bits, so there is nothing to guess and a slow hash would protect nothing: SHA-256 is enough,
and costs a request a microsecond where argon2 (which passwords need) would cost 50 ms. It is shown once and kept
nowhere.
"""

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from bson import ObjectId

from gateway.core.access import Access, Role
from gateway.store.connection import collection
from gateway.store.documents import ApiKeyDocument

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")

ACTIVE = "active"

# What a scope may do in the words of `core.access`.
_ROLES: Mapping[str, Role] = {"admin": "admin", "write": "agent", "read": "viewer"}

# A key that is used all the time says so once a minute, and not with a write for every request.
USED_EVERY = timedelta(minutes=1)

_LIMIT = 200
_PREFIX = re.compile(r"[0-9a-f]{8}")
# Compared with where there is no such key, so that this takes the same time.
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its secret. `access` is what its owner may see and do."""

    id: str
    name: str
    prefix: str
    scopes: frozenset[str]
    access: Access
    created_at: datetime
    created_by: str = ""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def allows(self, scope: Scope) -> bool:
        """Tell whether the key was made for this; `admin` includes `write`, which includes `read`."""
        return not self.scopes.isdisjoint(SCOPES[SCOPES.index(scope) :])

    def state(self, now: datetime) -> str:
        """Say whether it is `active`, `expired` or `revoked`."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= now else ACTIVE


def add(
    name: str,
    scopes: Collection[str],
    now: datetime,
    *,
    by: str,
    channels: Collection[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; gives it and, this once, what its owner has to send."""
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    document: dict[str, Any] = {
        "_id": ObjectId(),
        "name": name,
        "prefix": prefix,
        "secret_hash": _hash(secret),
        "scopes": sorted(scopes),
        "createdAt": now,
        "created_by": by,
    }
    if channels is not None:
        document["channels"] = sorted(channels)
    if expires_at:
        document["expires_at"] = expires_at
    collection(ApiKeyDocument).insert_one(document)
    return _key(document), f"gw_{prefix}_{secret}"


def authenticate(key: str, now: datetime) -> ApiKey | None:
    """Find whose key this is; None for one that is unknown, wrong, expired or revoked.

    Notes that it was used, once a minute at most.
    """
    kind, _, rest = key.partition("_")
    prefix, _, secret = rest.partition("_")
    if kind != "gw" or not _PREFIX.fullmatch(prefix) or len(key) > _LIMIT:
        return None
    found = collection(ApiKeyDocument).find_one({"prefix": prefix})
    if not secrets.compare_digest(_hash(secret), found["secret_hash"] if found else _NOBODY) or found is None:
        return None
    known = _key(found)
    if known.state(now) != ACTIVE:
        return None
    if known.last_used_at is None or now - known.last_used_at >= USED_EVERY:
        collection(ApiKeyDocument).update_one({"_id": found["_id"]}, {"$max": {"last_used_at": now}})
    return known


def issuer(prefix: str, now: datetime) -> tuple[ApiKey, str] | None:
    """Give a key that works now, and the hash that only we have of its secret; None where there is none."""
    found = collection(ApiKeyDocument).find_one({"prefix": prefix}) if _PREFIX.fullmatch(prefix) else None
    known = _key(found) if found else None
    return (known, found["secret_hash"]) if found and known and known.state(now) == "active" else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def every() -> list[ApiKey]:
    """Give all keys, the newest first."""
    return [_key(row) for row in collection(ApiKeyDocument).find().sort("_id", -1)]


def find(prefix: str) -> ApiKey | None:
    """Look up a key by its prefix, whatever became of it."""
    found = collection(ApiKeyDocument).find_one({"prefix": prefix})
    return _key(found) if found else None


def revoke(prefix: str, now: datetime, *, by: str) -> ApiKey | None:
    """End a key for good; None where there is none of that prefix, or it was ended before."""
    found = collection(ApiKeyDocument).find_one_and_update(
        {"prefix": prefix, "revoked_at": None}, {"$set": {"revoked_at": now, "revoked_by": by}}
    )
    return _key(found) if found else None


def _key(row: Mapping[str, Any]) -> ApiKey:
    scopes, channels = frozenset(row["scopes"]), row.get("channels")
    role: Role = next((_ROLES[scope] for scope in reversed(SCOPES) if scope in scopes), "viewer")
    return ApiKey(
        id=str(row["_id"]),
        name=row["name"],
        prefix=row["prefix"],
        scopes=scopes,
        access=Access(f"key:{row['name']}", role, None if channels is None else frozenset(channels)),
        created_at=row["createdAt"],
        created_by=row.get("created_by") or "",
        expires_at=row.get("expires_at"),
        last_used_at=row.get("last_used_at"),
        revoked_at=row.get("revoked_at"),
    )
