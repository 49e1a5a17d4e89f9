"""Tables of people beside those of conversations: who somebody is whom sessions only name by an id."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.conversation.layouts.reading import PEOPLE, Reading, Shapes
from gateway.core import crm_ids
from gateway.core.checking import BadRow
from gateway.core.emails import normalised
from gateway.core.foreign import Person, moment
from gateway.core.foreign_ids import person_id
from gateway.core.plain import Fields, listing, text

_NAMED = re.compile(r"(users?|contacts?|customers?|clients?|leads?|people|persons?)$")
_NAMES = ("name", "full_name", "display_name")
_PHONES = ("phone", "phone_number", "mobile", "mobile_number", "whatsapp", "whatsapp_number", "phones", "phone_numbers")
_EMAILS = ("email", "email_address", "mail", "emails", "email_addresses")
_TELLING = frozenset(one.replace("_", "") for one in (*_NAMES, *_PHONES, *_EMAILS, "first_name", "last_name"))
_OF_CONVERSATIONS = frozenset({"sessionid", "messages", "content", "communicationtype"})


def roles(shapes: Shapes) -> dict[str, str]:
    """Tell tables of people by what they are called, and by their columns."""
    return {
        name: PEOPLE
        for name, shape in shapes.items()
        if _NAMED.search(name.lower()) and "id" in shape and shape & _TELLING and not shape & _OF_CONVERSATIONS
    }


def read(record: Mapping[str, Any], reading: Reading) -> Person:
    """Read a person; what is said of them beside how they are known is left where it is."""
    fields = Fields(record)
    crm = crm_ids.take(fields, reading.spelling)
    ref = fields.text("_id", "id", "user_id", "uuid")
    if not ref:
        raise BadRow("It has no id.")
    whole = fields.text(*_NAMES) or " ".join(filter(None, (fields.text("first_name"), fields.text("last_name"))))
    emails = [_email(one) for one in _each(fields, _EMAILS)]
    document: dict[str, Any] = {"name": whole[:1000], "emails": list(dict.fromkeys(emails))}
    document |= {"createdAt": at} if (at := moment(fields, reading.spelling, "created_at")) else {}
    document |= {"crm": {name: _synced(known) for name, known in crm.items()}} if crm else {}
    return Person(ref, person_id(ref), tuple(_each(fields, _PHONES)), document)


def _synced(known: Mapping[str, Any]) -> dict[str, Any]:
    at = known.get("last_sync_at")
    return {**known, "last_sync_at": {"$date": at}} if at else dict(known)


def _each(fields: Fields, names: tuple[str, ...]) -> list[str]:
    """Take what is under some names, of which any may hold several."""
    found: list[str] = []
    for name in names:
        value = fields.take(name)
        values = listing(value) if isinstance(value, list) or text(value).startswith("[") else [value]
        found += [text(one).strip() for one in values if text(one).strip()]
    return list(dict.fromkeys(found))


def _email(written: str) -> str:
    if (email := normalised(written)) is None:
        raise BadRow(f"{written!r:.60} is no e-mail address.")
    return email
