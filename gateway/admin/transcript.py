"""How a session's messages are shown: bubbles by day, with the decision and what else is known of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from gateway.admin import attached, wording
from gateway.admin.attached import Attached
from gateway.core.explain import explain
from gateway.core.messages import VOICE
from gateway.core.times import spoken


@dataclass(frozen=True, slots=True)
class Tag:
    """A word beside a message; `tone` chooses its colour."""

    words: str
    tone: str = "quiet"


@dataclass(frozen=True, slots=True)
class Facts:
    """Something that came with a message beside its text, in one line and in full."""

    title: str
    summary: str
    rows: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Bubble:
    """One message; `side` is theirs, ours or notice, `decision` the reason why it is in this session."""

    id: str
    side: str
    who: str
    at: datetime
    text: str
    call: bool
    tags: list[Tag]
    media: list[Attached]
    facts: list[Facts]
    kind: str
    decision: str
    inputs: list[tuple[str, str]]
    error: str


@dataclass(frozen=True, slots=True)
class Day:
    """The messages of one day."""

    date: str
    words: str
    bubbles: list[Bubble]


def days(messages: Sequence[Mapping[str, Any]], *, at_provider: bool = False) -> list[Day]:
    """Show messages, oldest first, by day; `at_provider` says where their files are kept."""
    named = next(filter(None, (_name(message.get("metadata") or {}) for message in messages)), "Contact")
    bubbles = [_bubble(message, named, at_provider) for message in messages]
    return [
        Day(f"{day}", f"{day:%A}, {day.day} {day:%B %Y}", list(those))
        for day, those in groupby(bubbles, key=lambda bubble: bubble.at.date())
    ]


def _bubble(message: Mapping[str, Any], named: str, at_provider: bool) -> Bubble:
    metadata = message.get("metadata") or {}
    decision = message.get("decision") or {}
    call = message.get("communication_type") == VOICE and str(message["_id"]).endswith(":0")
    return Bubble(
        id=str(message["_id"]),
        side=_side(message),
        who=_who(message, metadata, named),
        at=message["createdAt"],
        text=message.get("content") or "",
        call=call,
        tags=list(_tags(message, metadata, call)),
        media=list(attached.of(message, at_provider=at_provider)),
        facts=list(_facts(metadata)),
        kind=str(decision.get("kind", "")),
        decision=explain(decision) if decision else "",
        inputs=[(name, wording.value(value)) for name, value in decision.items()],
        error=_error(message),
    )


def _side(message: Mapping[str, Any]) -> str:
    sender = message.get("sender")
    if sender == "system":
        return "notice"
    return "theirs" if sender == "contact" or message.get("direction") == "inbound" else "ours"


def _name(metadata: Mapping[str, Any]) -> str:
    """Give the name Twilio knows of the sender: the WhatsApp profile's, or the caller id's."""
    return wording.value(metadata.get("ProfileName") or metadata.get("CallerName") or "")


def _who(message: Mapping[str, Any], metadata: Mapping[str, Any], named: str) -> str:
    match message.get("sender"):
        case "ai":
            responder = metadata.get("responder")
            return f"AI · {responder}" if responder else "AI"
        case "agent":
            return f"Agent · {metadata['author']}" if metadata.get("author") else "Agent"
        case "system":
            return "Gateway"
    return _name(metadata) or named


def _tags(message: Mapping[str, Any], metadata: Mapping[str, Any], call: bool) -> Iterator[Tag]:
    status = message.get("status")
    if status and (call or message.get("direction") == "outbound"):
        yield Tag(status.replace("-", " "), wording.status_tone(status))
    if call and (lasted := wording.seconds(metadata.get("CallDuration"))):
        yield Tag(f"lasted {lasted}")
    if how := metadata.get("input"):
        yield Tag("keyed in" if how == "dtmf" else "spoken")
    if waited := metadata.get("spooledSeconds"):
        yield Tag(f"filed {spoken(round(waited) * 1000)} later")
    if unanswered := wording.UNANSWERED.get((message.get("answer") or {}).get("reason", "")):
        yield Tag(unanswered, "warn")
    if keyword := metadata.get("keyword"):
        yield Tag(wording.KEYWORDS.get(keyword, wording.value(keyword)), "warn")


def _facts(metadata: Mapping[str, Any]) -> Iterator[Facts]:
    for title, wanted in wording.FACTS.items():
        rows = [(wording.label(name), wording.value(metadata[name])) for name in wanted if metadata.get(name)]
        if rows:
            # A place without a name is its coordinates, of which one alone says nothing.
            summary = rows[0][1] if rows[0][0] != "Latitude" else ", ".join(words for _, words in rows)
            yield Facts(title, summary, rows)


def _error(message: Mapping[str, Any]) -> str:
    code = message.get("error_code")
    said = [f"Twilio error {code}"] if code else []
    if message.get("has_error") or message.get("error_message"):
        said.append(message.get("error_message") or "Answering failed")
    return " · ".join(said)
