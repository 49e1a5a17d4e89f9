"""Our own addresses, each with its threshold and responder; read at most every five seconds."""

import time
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from gateway.core.messages import Channel
from gateway.core.participant import Address
from gateway.logs import log, show_number
from gateway.settings import idle_ms
from gateway.store.connection import collection
from gateway.store.documents import ChannelDocument, SessionDocument

CACHE_SECONDS = 5.0


class Channels:
    """The channels this process has seen lately."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[float, Channel]] = {}
        self._by_id: dict[str, tuple[float, Channel]] = {}
        self._heard: dict[str, datetime] = {}

    def resolve(self, communication_type: str, line: Address, account_sid: str | None) -> Channel:
        """Give the channel of one of our addresses; one that is new is created and logged."""
        channel = self.known(communication_type, line)
        if channel is None:
            channel = find(communication_type, line) or _create(communication_type, line, account_sid)
            self._seen[communication_type, line.identity] = (time.monotonic() + CACHE_SECONDS, channel)
        return channel

    def known(self, communication_type: str, line: Address) -> Channel | None:
        """Give a channel that need not be read, None where it must be."""
        until, channel = self._seen.get((communication_type, line.identity), (0.0, None))
        return channel if until >= time.monotonic() else None

    def get(self, channel_id: str) -> Channel | None:
        """Give a channel by its id."""
        until, channel = self._by_id.get(channel_id, (0.0, None))
        if channel is None or until < time.monotonic():
            self._by_id = {known: (time.monotonic() + CACHE_SECONDS, one) for known, one in by_id().items()}
            channel = self._by_id.get(channel_id, (0.0, None))[1]
        return channel

    def find(self, communication_type: str, line: Address) -> Channel | None:
        """Give the channel of one of our addresses, and make none."""
        spelled, now = _spelled(line), time.monotonic()
        known = (
            one
            for until, one in tuple(self._by_id.values())
            if until >= now and one.communication_type == communication_type and one.number in spelled
        )
        return next(known, None) or find(communication_type, line)

    def forget(self) -> None:
        """Read all channels anew: one was changed here."""
        self._seen.clear()
        self._by_id.clear()

    def hear(self, channel_id: str, at: datetime) -> None:
        """Remember that a channel was written to or called; it is stored with the next heartbeat, not now."""
        self._heard[channel_id] = at

    def take_heard(self) -> dict[str, datetime]:
        """Give, once, which channels were heard of since the last time."""
        heard, self._heard = self._heard, {}
        return heard

    def heard_again(self, heard: Mapping[str, datetime]) -> None:
        """Put back what could not be stored."""
        self._heard = {**heard, **self._heard}


def find(communication_type: str, line: Address) -> Channel | None:
    """Look up the channel of one of our addresses, and make none."""
    found = collection(ChannelDocument).find_one(
        {"phone_number": {"$in": _spelled(line)}, "communication_type": communication_type}
    )
    return _channel(found) if found else None


def _spelled(line: Address) -> list[str]:
    # Collections that were adopted may hold the number with its `whatsapp:` prefix.
    return [line.identity, line.raw]


def _channel(document: Mapping[str, Any]) -> Channel:
    threshold_ms, has_threshold = None, "idle_seconds" in document
    if has_threshold:
        try:
            threshold_ms = idle_ms(document["idle_seconds"])
        except ValueError as error:
            has_threshold = False
            log.error(
                "channel_misconfigured",
                channel_id=str(document["_id"]),
                message=f"idle_seconds = {document['idle_seconds']!r}: {error}. The settings' threshold is used.",
            )
    return Channel(
        id=str(document["_id"]),
        communication_type=document["communication_type"],
        name=document.get("name") or document.get("phone_number") or "",
        number=str(document.get("phone_number") or ""),
        account_sid=document.get("account_sid"),
        responder=document.get("responder") or None,
        has_threshold=has_threshold,
        threshold_ms=threshold_ms,
        settings=document.get("settings") or {},
    )


def _create(communication_type: str, line: Address, account_sid: str | None) -> Channel:
    document = _document(communication_type, line, account_sid)
    try:
        collection(ChannelDocument).insert_one(document)
    except DuplicateKeyError:
        return find(communication_type, line) or _channel(document)
    log.info(
        "channel_created",
        message=f"First message to {show_number(line.label)}: created channel {show_number(document['_id'])}",
        channel_id=document["_id"],
        communication_type=communication_type,
    )
    return _channel(document)


def _document(communication_type: str, line: Address, account_sid: str | None) -> dict[str, Any]:
    return {
        "_id": f"{communication_type}:{line.identity}",
        "name": line.label,
        "phone_number": line.identity,
        "communication_type": communication_type,
        "account_sid": account_sid,
        "settings": {},
    }


def add(communication_type: str, line: Address, account_sid: str | None) -> tuple[str, bool]:
    """Make the channel of one of our addresses before anybody writes to it; gives its id, and whether it is new."""
    known = find(communication_type, line)
    if known:
        return known.id, False
    document = _document(communication_type, line, account_sid)
    try:
        collection(ChannelDocument).insert_one(document)
    except DuplicateKeyError:
        return document["_id"], False
    return document["_id"], True


def note_heard(heard: Mapping[str, datetime], now: datetime) -> None:
    """Store when channels were last written to or called; never an earlier moment than is known.

    A simulated message may be received later than `now`, and came all the same.
    """
    if heard:
        collection(ChannelDocument).bulk_write(
            [
                UpdateOne({"_id": {"$in": _keys(one)}}, {"$max": {"last_webhook_at": min(at, now)}})
                for one, at in heard.items()
            ],
            ordered=False,
        )


def spoken_on(channel_ids: Collection[str]) -> set[str]:
    """Tell on which of some channels conversations began."""
    if not channel_ids:
        return set()
    return set(collection(SessionDocument).distinct("channel_id", {"channel_id": {"$in": list(channel_ids)}}))


def _keys(channel_id: str) -> list[Any]:
    """Give what a channel may be stored under: adopted collections may have ObjectIds."""
    return [channel_id, *([ObjectId(channel_id)] if ObjectId.is_valid(channel_id) else [])]


def listed() -> list[dict[str, Any]]:
    """Give all channel documents for reading, by name; `id` is the key as text, `problem` what is wrong with one."""
    rows = []
    for document in collection(ChannelDocument).find():
        row = {name: value for name, value in document.items() if name != "_id"} | {"id": str(document["_id"])}
        try:
            idle_ms(document.get("idle_seconds"))
        except ValueError as error:
            row["problem"] = f"idle_seconds = {document['idle_seconds']!r:.40}: {error}"
        rows.append(row)
    return sorted(rows, key=lambda row: (str(row.get("name") or ""), str(row.get("communication_type")), row["id"]))


def change(channel_id: str, values: Mapping[str, Any], unset: Collection[str]) -> bool:
    """Set and unset fields of a channel document (`settings.mode` is one too); False where there is no such channel.

    One of the two must name something.
    """
    changes = {"$set": dict(values), "$unset": dict.fromkeys(unset, "")}
    wanted = {operator: fields for operator, fields in changes.items() if fields}
    return collection(ChannelDocument).update_one({"_id": {"$in": _keys(channel_id)}}, wanted).matched_count == 1


def set_once(channel_id: str, name: str, value: str) -> bool:
    """Set a field of a channel's settings that is not there yet; False where it is, or there is no such channel."""
    where = f"settings.{name}"
    which = {"_id": {"$in": _keys(channel_id)}, where: {"$exists": False}}
    return collection(ChannelDocument).update_one(which, {"$set": {where: value}}).modified_count == 1


def by_id() -> dict[str, Channel]:
    """Give all channels."""
    return {str(document["_id"]): _channel(document) for document in collection(ChannelDocument).find()}


def numbers() -> dict[str, str]:
    """Give the number of each channel as it is stored, by the channel's id."""
    found = collection(ChannelDocument).find({}, {"phone_number": 1})
    return {str(document["_id"]): str(document.get("phone_number") or "") for document in found}
