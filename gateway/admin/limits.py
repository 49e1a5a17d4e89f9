"""How often somebody may try to log in; counted in MongoDB, because every process must see the same count."""

import hashlib
import time
from typing import Any

from flask import Flask, request
from flask_limiter import Limiter
from limits.storage.mongodb import MongoDBStorageBase

from gateway.admin.hooks import hooks_of
from gateway.admin.login import access, address
from gateway.store.connection import collection, deadline
from gateway.store.documents import UserDocument

LOGINS = "5 per minute; 30 per hour"


class SharedStorage(MongoDBStorageBase):
    """Counters beside our own collections, over the connection the process has anyway.

    What comes with limits opens a second connection, has no deadline, and connects when it is thrown away.
    """

    STORAGE_SCHEME = ["gateway"]  # noqa: RUF012 - as the base class has it

    def __init__(self, uri: str, wrap_exceptions: bool = False, **options: Any) -> None:
        super().__init__(uri, counter_collection_name="login_limits", wrap_exceptions=wrap_exceptions, **options)
        self._has_index = False

    def _init_mongo_client(self, uri: str | None, **options: Any) -> Any:  # noqa: ARG002
        return collection(UserDocument).database.client

    @property
    def storage(self) -> Any:
        """Give the client of this process."""
        return self._init_mongo_client(None)

    @property
    def _database(self) -> Any:
        return collection(UserDocument).database

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count one more; StoreUnavailable where MongoDB does not."""
        with deadline():
            if not self._has_index:
                self.counters.create_index("expireAt", expireAfterSeconds=0)
                self._has_index = True
            return super().incr(key, expiry, amount)

    def get(self, key: str) -> int:
        """Give a count; StoreUnavailable where MongoDB does not."""
        with deadline():
            return super().get(key)

    def get_expiry(self, key: str) -> float:
        """Give when a count ends; StoreUnavailable where MongoDB does not."""
        with deadline():
            return super().get_expiry(key)

    def __del__(self) -> None:
        """Close nothing: the connection is not ours."""


def register(app: Flask, blueprint: str, *views: str) -> None:
    """Limit how often the views of a blueprint that take a password answer, by address and by the name."""
    limiter = Limiter(_by_address, storage_uri="gateway://", strategy="fixed-window", key_prefix="login")
    with hooks_of(app, blueprint):
        limiter.init_app(app)
    for name in views:
        view = app.view_functions[f"{blueprint}.{name}"]
        limited: Any = limiter.limit(LOGINS)(limiter.limit(LOGINS, key_func=_by_name)(view))
        app.view_functions[f"{blueprint}.{name}"] = limited
    app.extensions["login_limiter"] = limiter


def _by_address() -> str:
    return f"address {address()}"


def _by_name() -> str:
    """Give a key for whose password it is; hashed, as people type passwords into the wrong field."""
    name = access().name or request.form.get("name", "").strip()
    return "name " + hashlib.sha256(name.encode()).hexdigest()


def seconds_left(app: Flask) -> int:
    """Say when to try again, on the page that answers a request over the limit."""
    limit = app.extensions["login_limiter"].current_limit
    return max(1, int(limit.reset_at - time.time())) if limit else 60
