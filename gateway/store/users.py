"""The people who may log in to the admin page."""

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
from gateway.store.connection import collection
from gateway.store.documents import UserDocument


class UserExists(GatewayError):
    """There is a user of that name."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who logged in. `token` is in the cookie: another one ends all of a user's logins."""

    id: str
    name: str
    token: str
    access: Access


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
        collection(UserDocument).insert_one(document)
    except DuplicateKeyError:
        raise UserExists(f"There is a user {name!r} already. Give --replace to set a new password.") from None


def set_password(name: str, password: str) -> bool:
    """Give a user a new password and end all their logins; False if there is nobody of that name."""
    changes = {"password_hash": _hasher().hash(password), "session_token": secrets.token_urlsafe(24)}
    return collection(UserDocument).update_one({"name": name}, {"$set": changes}).matched_count == 1


def exists(name: str) -> bool:
    """Tell whether there is a user of that name."""
    return collection(UserDocument).find_one({"name": name}, {"_id": 1}) is not None


def names() -> list[str]:
    """List all users' names."""
    return sorted(user["name"] for user in collection(UserDocument).find({}, {"name": 1}))


def authenticate(name: str, password: str) -> User | None:
    """Check a password, in the same time whether or not there is such a user."""
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
    channels = found.get("channels")
    access = Access(found["name"], found.get("role") or "admin", None if channels is None else frozenset(channels))
    return User(str(found["_id"]), found["name"], found["session_token"], access)
