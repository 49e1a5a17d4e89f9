"""What an operator sets on one of our numbers: its name, threshold, responder, and what its calls are for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.conversation.plans import BY_CHANNEL
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.core.messages import HOSTED, VOICE, WHATSAPP
from gateway.core.participant import Address
from gateway.logs import log
from gateway.settings import idle_ms
from gateway.settings.sections import Twilio, Voice
from gateway.store import audit, channels
from gateway.store.connection import deadline

NAME_LIMIT, TEXT_LIMIT = 80, 1000

# The responder that is tied to a number rather than to the gateway is chosen by name; empty inherits.
INHERIT = ""


class CannotSet(GatewayError):
    """A value a channel cannot have. `name` is the field, the text says what is wrong and what is allowed."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True)
class Changes:
    """What a channel is to be. `threshold` is text as in the settings; empty (and a setting not there) inherits."""

    name: str = ""
    threshold: str = ""
    responder: str = INHERIT
    settings: Mapping[str, str] = field(default_factory=dict)


def fields_of(communication_type: str) -> tuple[str, ...]:
    """Name the settings a channel document of a type may hold."""
    if communication_type == VOICE:
        return BY_CHANNEL
    if communication_type in HOSTED:
        return ()
    return ("content_sid", "segments_per_second") if communication_type == WHATSAPP else ("segments_per_second",)


def amended(before: Mapping[str, Any], given: Mapping[str, Any]) -> Changes:
    """Give what a channel is to be where only some of it is to change; None in `given` is to be inherited.

    CannotSet names a setting that channels of its type do not have.
    """
    own = ("never" if before["idle_seconds"] is None else before["idle_seconds"]) if "idle_seconds" in before else None
    idle = given.get("idle_seconds", own)
    fields = fields_of(before.get("communication_type") or "")
    wanted = given.get("settings") or {}
    for name, value in wanted.items():
        if name not in fields and value is not None:
            raise CannotSet(f"settings.{name}", f"This channel has no {name}. It has {', '.join(fields)}.")
    settings = {**(before.get("settings") or {}), **wanted}
    return Changes(
        name=given.get("name") or "",
        threshold="" if idle is None else str(idle),
        responder=(given["responder"] if "responder" in given else before.get("responder")) or INHERIT,
        settings={name: str(value) for name, value in settings.items() if value is not None},
    )


def configure(runtime: Runtime, channel_id: str, changes: Changes, by: str) -> Collection[str]:
    """Change a channel; gives the names of what changed. CannotSet for a value it cannot have.

    Every process reads channels anew after five seconds at most (`store.channels.CACHE_SECONDS`), this one at once.
    """
    with deadline():
        before = next((row for row in channels.listed() if row["id"] == channel_id), None)
        if before is None:
            raise CannotSet("channel", "There is no such channel any more.")
        wanted = _wanted(runtime, before, changes)
        now_there = {name: _at(before, name) for name in wanted}
        changed = {name: value for name, value in wanted.items() if value != now_there[name]}
        if not changed:
            return ()
        values = {name: value for name, value in changed.items() if value is not _INHERITED}
        if not channels.change(channel_id, values, [name for name in changed if name not in values]):
            raise CannotSet("channel", "There is no such channel any more.")
        audit.note(runtime.clock.now(), by, "channel_changed", channel=channel_id, changes=_told(now_there, changed))
    runtime.channels.forget()
    log.info("channel_changed", channel_id=channel_id, fields=sorted(changed), by=by)
    return sorted(changed)


def add(runtime: Runtime, communication_type: str, line: Address, account_sid: str | None, by: str) -> tuple[str, bool]:
    """Make a channel before its first message; gives its id, and whether it is new."""
    with deadline():
        channel_id, is_new = channels.add(communication_type, line, account_sid)
        if is_new:
            audit.note(runtime.clock.now(), by, "channel_added", channel=channel_id)
    if is_new:
        log.info("channel_added", channel_id=channel_id, by=by)
    return channel_id, is_new


class _Inherited:
    """What a field holds that is not there."""


_INHERITED = _Inherited()


def _at(document: Mapping[str, Any], name: str) -> Any:
    """Give what stands at `settings.mode`, or at a field."""
    group, dot, key = name.rpartition(".")
    place = (document.get(group) or {}) if dot else document
    return place.get(key, _INHERITED)


def _told(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Say what was and what is; texts of a call may be long, so that they are there is enough."""
    return [{"field": name, "from": _short(before[name]), "to": _short(after[name])} for name in sorted(after)]


def _short(value: Any) -> Any:
    if isinstance(value, _Inherited):
        return "(inherited)"
    return f"{value[:57]}..." if isinstance(value, str) and len(value) > 60 else value


def _wanted(runtime: Runtime, before: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    name = " ".join(changes.name.split())[:NAME_LIMIT]
    wanted: dict[str, Any] = {"idle_seconds": _threshold(changes.threshold), "responder": _responder(runtime, changes)}
    if name:
        wanted["name"] = name
    for field_name in fields_of(before.get("communication_type") or ""):
        given = changes.settings.get(field_name)
        value = _INHERITED if given is None else _setting(field_name, given)
        wanted[f"settings.{field_name}"] = value
    _require_target(runtime, wanted)
    return wanted


def _threshold(text: str) -> Any:
    """Read a threshold as settings do; stored in seconds, as it is set."""
    if not text.strip():
        return _INHERITED
    try:
        milliseconds = idle_ms(text.strip())
    except ValueError as error:
        raise CannotSet("threshold", f"The threshold {error}. Leave it empty to inherit.") from None
    if milliseconds is None:
        return "never"
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def _responder(runtime: Runtime, changes: Changes) -> Any:
    if changes.responder == INHERIT:
        return _INHERITED
    if changes.responder not in runtime.responders:
        raise CannotSet(
            "responder", f"There is no responder {changes.responder!r}. Choose one of {', '.join(runtime.responders)}."
        )
    return changes.responder


def _setting(name: str, given: str) -> Any:
    text = given.strip()[:TEXT_LIMIT]
    section = Voice if name in BY_CHANNEL else Twilio
    try:
        return getattr(section.model_validate({name: text}), name)
    except ValueError:
        raise CannotSet(name, f"{text!r:.60} is not possible here. {_ALLOWED[name]}") from None


_ALLOWED = {
    "mode": "Choose converse, voicemail or dial.",
    "dial_to": "Write a number as +15558675310.",
    "segments_per_second": "Write a number above 0.",
    "content_sid": "Write the SID of a content template, HX...",
}


def _require_target(runtime: Runtime, wanted: Mapping[str, Any]) -> None:
    """Refuse a channel that forwards to nobody: its callers would reach a voicemail nobody expects."""
    mode, to = wanted.get("settings.mode"), wanted.get("settings.dial_to")
    if mode == "dial" and not (runtime.settings.voice.dial_to if to is _INHERITED else to):
        raise CannotSet("dial_to", "The mode dial needs a number to put callers through to.")
