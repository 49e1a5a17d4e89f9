"""Sessions and messages of other programs, read into the fields of ours.

A record says who spoke in many words (`role: assistant`, `direction: outbound-api`, `message_type: user`), and when in
many spellings. What has no field here is kept in `metadata`, under its own name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.core import crm_ids
from gateway.core.checking import BadRow, Document
from gateway.core.foreign_ids import OBJECT_ID, message_id
from gateway.core.foreign_lines import kind_of
from gateway.core.moments import Spelling, read_moment
from gateway.core.participant import address
from gateway.core.plain import Fields, flag, known_as, listing, number, text

_THEIRS = ("user", "human", "customer", "contact", "client", "visitor", "guest", "person", "inbound", "incoming", "in")
_SPEAKERS = dict.fromkeys((*_THEIRS, "received", "lead"), "contact")
_SPEAKERS |= dict.fromkeys(("assistant", "ai", "bot", "model", "chatbot"), "ai")
_SPEAKERS |= dict.fromkeys(("agent", "operator", "human_agent", "admin", "staff", "support", "employee"), "agent")
_SPEAKERS |= dict.fromkeys(("outbound", "outgoing", "out", "sent"), "agent")
_SPEAKERS |= dict.fromkeys(("outbound-api", "outbound-reply", "outbound-call"), "agent")
_SPEAKERS |= dict.fromkeys(("system", "tool", "function"), "system")

_STATES = {"active": "active", "open": "active", "archived": "archived"}
_STATES |= dict.fromkeys(("closed", "ended", "completed", "complete", "inactive", "resolved", "finished"), "closed")

_PERSON = ("user_id", "customer_id", "contact_phone", "phone_number", "phone")


@dataclass(slots=True)
class Talk:
    """A session of another program. `ref` is its id there; `person` and `ours` are addresses as written there.

    `previous` is the id, there, of the session before it.
    """

    ref: str
    person: str = ""
    ours: str = ""
    kind: str = ""
    channel: str = ""
    previous: str = ""
    document: Document = field(default_factory=dict)


@dataclass(slots=True)
class Utterance:
    """A message of another program; `ref` is its session's id there."""

    id: str
    ref: str
    at: datetime
    inbound: bool
    person: str = ""
    ours: str = ""
    kind: str = ""
    channel: str = ""
    document: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of another program: the id sessions name them by there, theirs here, and their phones as written."""

    ref: str
    id: str
    phones: tuple[str, ...]
    document: Document


def status_of(value: Any) -> str:
    """Read whether a session is open there: `active`, `ended`, true, false; what is not said is closed."""
    if value is None or isinstance(value, bool):
        return "active" if value else "closed"
    return _STATES.get(text(value).strip().lower()) or ("active" if flag(value) else "closed")


def utterance(
    fields: Fields, spelling: Spelling, *, within: Talk | None = None, said_by: tuple[str, ...] = ()
) -> Utterance:
    """Read a message under the names such programs give its parts; BadRow where it lacks one, or one is wrong.

    `within` is the session it is written in, `said_by` are further names of who spoke.
    """
    ref = within.ref if within else fields.text("session_id", "conversation_id", "chat_id", "session", "conversation")
    own, sid = fields.text("_id", "id", "message_id", "uuid"), fields.text("provider_sid", "message_sid", "sid")
    at = fields.take("created_at", "timestamp", "sent_at", "sent_date", "date_sent", "date_created", "date", "time")
    if at is None:
        raise BadRow("It has no time.")
    said_at = read_moment(at, spelling)
    content = fields.text("content", "text", "message", "body")
    theirs, direction = _addresses(fields), fields.text("direction")
    role = fields.text("role", "sender", "sender_type", *said_by)
    speaker = _speaker(role, direction, theirs["person"] or theirs["from"])
    inbound = speaker == "contact"
    document: Document = {
        "direction": "inbound" if inbound else "outbound",
        "sender": speaker,
        "content": content,
        "createdAt": said_at.isoformat(),
        **_particulars(fields),
    }
    document |= {"status": "received"} if inbound and "status" not in document else {}
    document |= {"provider_sid": sid} if sid else {}
    person = within.person if within else theirs["person"] or theirs["from" if inbound else "to"]
    return Utterance(
        id=message_id(sid or own, ref, person, document["direction"], document["createdAt"], content),
        ref=ref,
        at=said_at,
        inbound=inbound,
        person=person,
        ours=theirs["to" if inbound else "from"],
        kind=kind_of(fields.text("communication_type")),
        channel=fields.text("channel_id"),
        document=document | {"metadata": fields.rest()},
    )


def _addresses(fields: Fields) -> dict[str, str]:
    return {
        "person": fields.text(*_PERSON),
        "from": fields.text("from", "from_number"),
        "to": fields.text("to", "to_number"),
    }


def _speaker(role: str, direction: str, person: str) -> str:
    """Tell who spoke; where only a person is named, and no role, it was them."""
    words = [one.strip() for one in (role, direction) if one.strip()]
    if not words and person:
        return "contact"
    if not words:
        raise BadRow("It does not say who spoke: it has neither role nor sender nor direction.")
    if role and person and (role == person or address(role).number):
        return "contact" if role == person else "agent"
    for word in words:
        if found := _SPEAKERS.get(word.lower()):
            return found
    raise BadRow(f"Who spoke is not known: {words[0]!r:.40} is none of user, assistant, agent, system and the like.")


_READ: dict[str, Callable[[Any], Any]] = {
    "tools_used": listing,
    "processing_time_ms": number,
    "token_count": number,
    "has_error": flag,
    "error_message": text,
    "error_code": text,
    "status": lambda value: text(value).lower(),
}


def _particulars(fields: Fields) -> Document:
    """Take what is kept beside the words: each under its own name."""
    found: Document = {}
    for name, read in _READ.items():
        if (value := fields.take(name)) is not None:
            try:
                found[name] = read(value)
            except BadRow as error:
                raise BadRow(f"{name}: {error}") from None
    files = fields.take("media")
    if isinstance(files, list) and all(isinstance(one, dict) for one in files):
        return found | {"media": files}
    return found | ({"files": files} if files else {})


def talk(fields: Fields, spelling: Spelling, *, ref: str = "") -> Talk:
    """Read a session under the names such programs give its parts; BadRow where it lacks one, or one is wrong."""
    ref = ref or fields.text("_id", "id", "session_id", "uuid")
    if not ref:
        raise BadRow("It has no id.")
    held = fields.take("metadata")
    within = Fields(held if isinstance(held, dict) else {})
    document = {name: moment(fields, spelling, *names) for name, names in _WHEN.items()}
    document |= {"title": fields.text("title", "session_name", "name", "subject")}
    document |= {"closed_reason": fields.text("closed_reason")}
    crm = crm_ids.take(within, spelling) | crm_ids.take(fields, spelling)
    context, contact = fields.take("context"), fields.text("contact_id")
    document |= {"contact_id": contact} if OBJECT_ID.fullmatch(contact) else {}
    read = Talk(
        ref=ref,
        person=within.text("fromNumber")
        or fields.text("from_number", "user_id", "customer_id", "phone_number", "phone"),
        ours=within.text("toNumber") or fields.text("to_number"),
        kind=kind_of(fields.text("communication_type", "channel_type")),
        channel=fields.text("channel_id"),
        previous=fields.text("previous_session_id") or within.text("previousSessionId"),
    )
    status = status_of(fields.take("status", "is_active"))
    document["status"] = "closed" if status == "active" and document["closed_at"] else status
    first = moment(within, spelling, "firstMessageAt")
    for name in ("message_count", "__v", "is_active"):
        fields.take(name)
    metadata = ({"firstMessageAt": first} if first else {}) | within.rest() | fields.rest()
    read.document = {name: value for name, value in document.items() if value} | {"metadata": metadata}
    read.document |= {"context": context} if isinstance(context, dict) else {}
    read.document |= {"crm": crm} if crm else {}
    return read


_WHEN = {
    "createdAt": ("created_at", "started_at", "start_time", "timestamp"),
    "updatedAt": ("updated_at",),
    "last_message_at": ("last_message_at", "last_activity_at", "last_activity"),
    "closed_at": ("closed_at", "ended_at", "end_time"),
}


def moment(fields: Fields, spelling: Spelling, *names: str) -> str:
    """Take a moment, as ISO 8601; empty where there is none, BadRow where it is another thing."""
    value = fields.take(*names)
    return "" if value is None else read_moment(value, spelling).isoformat()


def shape(records: list[dict[str, Any]]) -> frozenset[str]:
    """Give the names that some records have, as they are compared."""
    return frozenset(known_as(str(name)) for record in records for name in record)
