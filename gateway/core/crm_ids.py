"""Whom another program says somebody is at a CRM, and when it was told of last: read from however it spells that."""

import contextlib
import re
from typing import Any

from gateway.core.checking import BadRow, Document
from gateway.core.moments import Spelling, read_moment
from gateway.core.plain import Fields, text

# Where no other is named: the only one the programs that are known wrote to.
HUBSPOT = "hubspot"

_IDS: tuple[str, ...] = ("hubspot_contact_id", "hubspot_id", "hubspot_vid", "crm_contact_id", "crm_id")
_TIMES: tuple[str, ...] = (
    *("hubspot_last_synced_at", "hubspot_last_sync_at", "hubspot_synced_at", "hubspot_last_sync"),
    *("crm_last_synced_at", "crm_last_sync_at", "crm_synced_at", "crm_last_sync", "last_synced_at", "last_sync_at"),
)
_PROVIDERS = ("crm_provider", "crm_type", "crm_name")

# In an object of a CRM shorter names say it; in one of a person the same as beside it.
_Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
_OF_CRM: _Names = (("contact_id", "id", "vid", *_IDS), ("synced_at", "last_sync", *_TIMES), ("provider", *_PROVIDERS))
_OF_PERSON: _Names = (_IDS, _TIMES, _PROVIDERS)
_OBJECTS = {"crm": _OF_CRM, HUBSPOT: _OF_CRM, "user": _OF_PERSON, "contact": _OF_PERSON, "customer": _OF_PERSON}

_ID = re.compile(r"[0-9A-Za-z_\-]{1,100}")
_PROVIDER = re.compile(r"[a-z][a-z0-9_]{0,30}")


def take(fields: Fields, spelling: Spelling) -> Document:
    """Take what a record says of a CRM: by provider, `contact_id` and, if it says so, `last_sync_at`; empty where none.

    It may be in an object of its own: `crm: {hubspot: {...}}`. What is no id, or no time, stays where it was.
    """
    return _read(fields, _OF_PERSON, spelling) if fields.first(*_IDS, *_OBJECTS)[0] else {}


def _read(fields: Fields, names: _Names, spelling: Spelling) -> Document:
    found = _flat(fields, names, spelling)
    for name, within in _OBJECTS.items():
        held = fields.first(name)[1]
        if isinstance(held, dict):
            fields.take(name)
            inner = Fields(held)
            found = _read(inner, within, spelling) | found
            if left := inner.rest():
                fields.put(name, left)
    return found


def _flat(fields: Fields, names: _Names, spelling: Spelling) -> Document:
    ids, times, providers = names
    name, written = fields.first(*ids)
    if not name or not _ID.fullmatch(text(written)):
        return {}
    fields.take(name)
    known: dict[str, Any] = {"contact_id": text(written)}
    when, at = fields.first(*times)
    if when:
        with contextlib.suppress(BadRow):
            known["last_sync_at"] = read_moment(at, spelling).isoformat()
            fields.take(when)
    said = text(fields.take(*providers)).strip().lower()
    return {said if _PROVIDER.fullmatch(said) else HUBSPOT: known}
