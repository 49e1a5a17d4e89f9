"""The driver's client, made from MONGODB_URI: its writes wait for the majority and the journal."""

import re
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidName, InvalidURI

from gateway.core.errors import ConfigError
from gateway.settings import WEB_THREADS, Settings

DATABASE = "gateway"

_EXAMPLE = "mongodb://host:27017/gateway"
_READS_ELSEWHERE = re.compile(r"[?&;](readPreference=(?!primary(?:[&;]|$))[^&;]*)", re.IGNORECASE)


def check(settings: Settings) -> None:
    """Refuse a URI that cannot be used, without asking MongoDB or DNS. ConfigError."""
    with make(settings.mongodb_uri, connect=False) as ours:
        database_of(ours)


def database_of(ours: MongoClient[dict[str, Any]]) -> str:
    """Give the database that a URI names."""
    try:
        return ours.get_default_database(DATABASE).name
    except InvalidName as error:
        raise ConfigError(f"MONGODB_URI names a database that cannot be: {error}. Write it as {_EXAMPLE}.") from None


def make(uri: str, *, connect: bool) -> MongoClient[dict[str, Any]]:
    """Make a client, which asks DNS where the URI wants that if it is to `connect`. ConfigError."""
    if not uri:
        raise ConfigError(
            "MONGODB_URI is not set. Set it (mongodb://host/database), or use `make run`, which brings a MongoDB."
        )
    if elsewhere := _READS_ELSEWHERE.search(uri):
        raise ConfigError(
            f"MONGODB_URI reads from other members than the primary ({elsewhere[1]}), which may not have the message "
            "before this one yet. Leave readPreference away."
        )
    try:
        if options := uri.partition("?")[2]:
            pymongo.uri_parser.split_options(options, warn=False)  # of one that there is not the client would only warn
        return MongoClient(
            uri,
            connect=connect,
            tz_aware=True,
            uuidRepresentation="standard",
            appname="gateway",
            w="majority",
            journal=True,
            retryWrites=True,
            retryReads=True,
            serverSelectionTimeoutMS=1500,
            connectTimeoutMS=1000,
            # A process has as many threads again for what webhooks have done aside, and each of those holds one
            # (store/held.py) and takes another beside it.
            maxPoolSize=3 * WEB_THREADS,
        )
    except (InvalidURI, ConfigurationError, ValueError, OSError) as error:
        # What the driver says may quote a part of the password.
        reason = "" if "@" in uri else f": {str(error).rstrip('.')}"
        raise ConfigError(f"MONGODB_URI is not usable{reason}. Write it as {_EXAMPLE}.") from None
