"""Everything that arrives, as one kind of record: written down while MongoDB is away, and read back as it was."""

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.core.messages import UNNUMBERED, Attachment, CallEvent, DialOutcome, InboundMessage, StatusUpdate
from gateway.core.times import epoch_ms

Event = InboundMessage | StatusUpdate | CallEvent | DialOutcome | Attachment
Callback = StatusUpdate | CallEvent | DialOutcome | Attachment

KINDS: dict[str, type[Event]] = {
    "message": InboundMessage,
    "message_status": StatusUpdate,
    "call_status": CallEvent,
    "dial": DialOutcome,
    "recording": Attachment,
}


def kind_of(event: Event) -> str:
    """Name the kind of an event."""
    return next(name for name, known in KINDS.items() if type(event) is known)


def key_of(event: Event) -> str:
    """Give what is the same for every delivery of an event, and for nothing else."""
    match event:
        case InboundMessage():
            nameless = event.call is not None and event.call.number == UNNUMBERED
            return f"{event.id}:{epoch_ms(event.received_at)}" if nameless else event.id
        case StatusUpdate():
            return f"{event.sid}:{event.status}"
        case CallEvent():
            return f"{event.sid}:{event.status}:{event.sequence}"
        case DialOutcome():
            return f"{event.sid}:{event.parameters.get('DialCallSid', '')}"
        case Attachment():
            # A recording, its status and its text are told apart by what they say.
            said = (event.parameters.get(name, "") for name in ("RecordingStatus", "TranscriptionSid"))
            return ":".join([event.id, *map(str, said)])


def subjects_of(event: Event) -> tuple[str, ...]:
    """Give whom or what an event is about: events that share one must be applied in their order."""
    match event:
        case InboundMessage():
            return (event.id, *event.sender.identities, *([event.call.sid] if event.call else []))
        case StatusUpdate():
            # The status of an answer names what it answers: `re:SM...`, or `outage:SM...` for a notice.
            return (event.sid, *filter(None, [event.message_id.partition(":")[2]]))
        case Attachment():
            return (event.call_sid,)
        case _:
            return (event.sid,)


def chains(events: Sequence[Event]) -> list[list[int]]:
    """Part events into chains that have nothing to do with one another; gives their positions, in order."""
    leader: dict[str, str] = {}

    def find(subject: str) -> str:
        while leader.setdefault(subject, subject) != subject:
            leader[subject] = subject = leader[leader[subject]]
        return subject

    for event in events:
        first, *others = (find(subject) for subject in subjects_of(event))
        for other in others:
            leader[other] = first
    parted: dict[str, list[int]] = {}
    for position, event in enumerate(events):
        parted.setdefault(find(subjects_of(event)[0]), []).append(position)
    return list(parted.values())


def to_plain(value: Any) -> Any:
    """Write an event (or a part of one) with nothing but JSON's types."""
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): to_plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    return value


def from_plain(kind: str, plain: Mapping[str, Any]) -> Event:
    """Read an event back. ValueError, KeyError or TypeError where it is none."""
    event: Event = _read(KINDS[kind], plain)
    return event


def _read(wanted: Any, plain: Any) -> Any:
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        return None if plain is None else _read(inner[0], plain)
    if wanted is datetime:
        return datetime.fromisoformat(plain).astimezone(UTC)
    if origin is tuple:
        return tuple(_read(inner[0], one) for one in plain)
    if is_dataclass(wanted):
        known = typing.get_type_hints(wanted)
        return typing.cast(Any, wanted)(**{name: _read(known[name], value) for name, value in plain.items()})
    return plain
