"""Databases of other programs: only read, one document after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pymongo
from bson.errors import BSONError
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from gateway.core.errors import GatewayError

_AT_ONCE = 500
# Whoever imports waits at a terminal; nobody else does.
_SERVER_MS, _SOCKET_MS = 10_000, 60_000


class SourceUnavailable(GatewayError):
    """The database that is to be read cannot be; says why, without the password of its address."""


@dataclass(frozen=True, slots=True)
class Source:
    """A collection, about how many documents it has, and how they are read."""

    uri: str
    name: str
    count: int

    def read(self) -> Iterator[tuple[str, dict[str, Any], str, str]]:
        """Give documents in the order of their ids: the place, the document, no problem, and how it is written."""
        try:
            with _client(self.uri) as client:
                for row in client.get_default_database()[self.name].find(batch_size=_AT_ONCE).sort("_id", 1):
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


def _client(uri: str) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(
        uri,
        tz_aware=True,
        uuidRepresentation="standard",
        appname="gateway import",
        readPreference="secondaryPreferred",
        serverSelectionTimeoutMS=_SERVER_MS,
        socketTimeoutMS=_SOCKET_MS,
    )


def _unavailable(uri: str, error: Exception) -> SourceUnavailable:
    return SourceUnavailable(f"{label(uri)} cannot be read: {type(error).__name__}. Nothing was written to it.")


def label(uri: str) -> str:
    """Name a database without its password."""
    hosts, database = _parts(uri)
    return f"mongodb://{','.join(hosts)}/{database}"


def is_same(one: str, other: str) -> bool:
    """Tell whether two URIs name the same database on the same hosts."""
    return _parts(one) == _parts(other)


def _parts(uri: str) -> tuple[list[str], str]:
    rest = uri.partition("://")[2].rpartition("@")[2]
    hosts, _, path = rest.partition("/")
    return sorted(hosts.split(",")), path.partition("?")[0]
