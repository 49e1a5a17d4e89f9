"""Databases of other programs: only read, one document after the other."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pymongo
from bson.errors import BSONError
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from gateway.core.errors import GatewayError
from gateway.store.clients import DATABASE

_AT_ONCE = 500
# Whoever imports waits at a terminal; nobody else does. The address may say otherwise.
_PATIENCE_MS = {"serverSelectionTimeoutMS": 10_000, "socketTimeoutMS": 60_000}
_ANYBODY = "secondaryPreferred"
_PORT = re.compile(r":\d+$")


class SourceUnavailable(GatewayError):
    """The database that is to be read cannot be; says why, without the password of its address."""


@dataclass(frozen=True, slots=True)
class Source:
    """A collection, about how many documents it has, which of them are meant, and from which member they are read."""

    uri: str
    name: str
    count: int
    wanted: Mapping[str, Any] = field(default_factory=dict)
    member: str = _ANYBODY

    def read(self) -> Iterator[tuple[str, dict[str, Any], str, str]]:
        """Give documents in the order of their ids: the place, the document, no problem, and how it is written."""
        try:
            with _client(self.uri, self.member) as client:
                found = client.get_default_database(DATABASE)[self.name].find(self.wanted, batch_size=_AT_ONCE)
                for row in found.sort("_id", 1):
                    written = orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
                    yield f"{self.name}, _id {row['_id']}", row, "", written
        except (PyMongoError, BSONError) as error:
            raise _unavailable(self.uri, error) from None


def collections(uri: str) -> list[Source]:
    """List the collections of the database that a URI names. SourceUnavailable where it names none."""
    try:
        with _client(uri) as client:
            database = client.get_default_database()
            names = sorted(name for name in database.list_collection_names() if not name.startswith("system."))
            return [Source(uri, name, database[name].estimated_document_count()) for name in names]
    except (InvalidURI, ConfigurationError, ValueError):
        raise SourceUnavailable("The URI is not usable. Write it as mongodb://host:27017/database.") from None
    except PyMongoError as error:
        raise _unavailable(uri, error) from None


def _client(uri: str, member: str = _ANYBODY) -> pymongo.MongoClient[dict[str, Any]]:
    patience: Any = {name: ms for name, ms in _PATIENCE_MS.items() if f"{name}=".lower() not in uri.lower()}
    return pymongo.MongoClient(
        uri, tz_aware=True, uuidRepresentation="standard", appname="gateway import", readPreference=member, **patience
    )


def _unavailable(uri: str, error: Exception) -> SourceUnavailable:
    return SourceUnavailable(f"{label(uri)} cannot be read: {type(error).__name__}.")


def label(uri: str) -> str:
    """Name a database without its password."""
    hosts, database = _parts(uri)
    return f"mongodb://{','.join(hosts)}/{database}"


def is_same(one: str, other: str) -> bool:
    """Tell whether two URIs name the same database on the same hosts."""
    return _where(one) == _where(other)


def _where(uri: str) -> tuple[list[str], str]:
    hosts, database = _parts(uri)
    return [host.lower() if _PORT.search(host) else f"{host.lower()}:27017" for host in hosts], database or DATABASE


def _parts(uri: str) -> tuple[list[str], str]:
    rest = uri.partition("://")[2].rpartition("@")[2]
    hosts, _, path = rest.partition("/")
    return sorted(hosts.split(",")), path.partition("?")[0]
