"""The people who may log in to the admin page.

Hashing a password takes long on purpose, on a busy machine longer than MongoDB is waited for: what hashes one here
waits in deadlines of its own, and is called outside any other.
"""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.core.access import Access, Role
from gateway.core.errors import GatewayError
from gateway.store.connection import collection, deadline
from gateway.store.documents import UserDocument
from gateway.store.isolation import Channels

# A person waits, at a form or for the gateway to start.
PATIENCE_SECONDS = 5


class UserExists(GatewayError):
    """There is a user of that name."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who logged in. `token` is in the cookie: another one ends all of a user's logins."""

    id: str
    name: str
    token: str
    access: Access


@dataclass(frozen=True, slots=True)
class Listed:
    """A user as the list shows one. `logged_in_at` is None for somebody who never was."""

    access: Access
    created_at: datetime | None
    logged_in_at: datetime | None


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    return _hasher().hash("nobody")


def add(
    name: str, password: str, now: datetime, *, role: Role = "admin", channels: Collection[str] | None = None
) -> None:
    """Add a user, who sees all channels or only some; UserExists if there is one of that name."""
    document = {
        "name": name,
        "role": role,
        **({} if channels is None else {"channels": sorted(channels)}),
        "password_hash": _hasher().hash(password),
        "session_token": secrets.token_urlsafe(24),
        "createdAt": now,
    }
    try:
        with deadline(PATIENCE_SECONDS):
            collection(UserDocument).insert_one(document)
    except DuplicateKeyError:
        raise UserExists(f"There is a user {name!r} already. Choose another name.") from None


def set_password(name: str, password: str) -> bool:
    """Give a user a new password and end all their logins; False if there is nobody of that name."""
    changes = {"password_hash": _hasher().hash(password), "session_token": secrets.token_urlsafe(24)}
    with deadline(PATIENCE_SECONDS):
        return collection(UserDocument).update_one({"name": name}, {"$set": changes}).matched_count == 1


def change(name: str, role: Role, channels: Collection[str] | None) -> bool:
    """Give a user another role and other channels; False if there is nobody of that name.

    It counts from their next request on: what somebody may do is read anew with each.
    """
    limits = {"$unset": {"channels": ""}} if channels is None else {}
    limited = {} if channels is None else {"channels": sorted(channels)}
    done = collection(UserDocument).update_one({"name": name}, {"$set": {"role": role} | limited} | limits)
    return done.matched_count == 1


def end_logins(name: str) -> None:
    """End all logins of a user."""
    changes = {"session_token": secrets.token_urlsafe(24)}
    collection(UserDocument).update_one({"name": name}, {"$set": changes})


def remove(name: str) -> bool:
    """Take a user away, and with them their logins; False if there is nobody of that name."""
    return collection(UserDocument).delete_one({"name": name}).deleted_count == 1


def has_admin() -> bool:
    """Tell whether anybody is left who may change users. Who was added before there were roles is an admin."""
    return collection(UserDocument).find_one({"role": {"$in": ["admin", None]}}, {"_id": 1}) is not None


def note_login(user: User, now: datetime) -> None:
    """Remember when a user logged in."""
    collection(UserDocument).update_one({"_id": ObjectId(user.id)}, {"$set": {"logged_in_at": now}})


def get(name: str) -> Listed | None:
    """Give a user by name."""
    found = collection(UserDocument).find_one({"name": name})
    return _listed(found) if found else None


def everybody() -> list[Listed]:
    """List all users by name."""
    return [_listed(found) for found in collection(UserDocument).find().sort("name", 1)]


def exists(name: str) -> bool:
    """Tell whether there is a user of that name."""
    return collection(UserDocument).find_one({"name": name}, {"_id": 1}) is not None


@dataclass(frozen=True, slots=True)
class Readers:
    """Who sees which channels, by name."""

    sees: Mapping[str, Channels]

    def of(self, channels: Channels) -> list[str]:
        """List the names of everybody who may see some of these channels."""
        return sorted(
            name
            for name, theirs in self.sees.items()
            if channels is None or theirs is None or not set(theirs).isdisjoint(channels)
        )


def readers() -> Readers:
    """Give everybody, with what they may see."""
    found = collection(UserDocument).find({}, {"name": 1, "channels": 1})
    return Readers({user["name"]: user.get("channels") for user in found})


def who_see(channel_id: str | None) -> list[str]:
    """List the names of everybody who may see what happens on a channel."""
    return readers().of([channel_id or ""])


def authenticate(name: str, password: str) -> User | None:
    """Check a password, in the same time whether or not there is such a user."""
    with deadline():
        found = collection(UserDocument).find_one({"name": name})
    try:
        _hasher().verify(found["password_hash"] if found else _nobody(), password)
    except (VerifyMismatchError, InvalidHashError):
        return None
    return _user(found) if found else None


def find(token: str) -> User | None:
    """Find who a login belongs to."""
    user_id, _, secret = token.partition(".")
    if not ObjectId.is_valid(user_id):
        return None
    found = collection(UserDocument).find_one({"_id": ObjectId(user_id)})
    if found is None or not secrets.compare_digest(found["session_token"], secret):
        return None
    return _user(found)


def _user(found: Mapping[str, Any]) -> User:
    return User(str(found["_id"]), found["name"], found["session_token"], _access(found))


def _listed(found: Mapping[str, Any]) -> Listed:
    return Listed(_access(found), found.get("createdAt"), found.get("logged_in_at"))


def _access(found: Mapping[str, Any]) -> Access:
    channels = found.get("channels")
    return Access(found["name"], found.get("role") or "admin", None if channels is None else frozenset(channels))
