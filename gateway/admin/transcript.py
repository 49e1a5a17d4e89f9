"""How a session's messages are shown: bubbles by day, with the decision and what else is known of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from gateway.admin import attached, timeline, wording
from gateway.admin.attached import Attached
from gateway.admin.listed import utc
from gateway.admin.timeline import Failure, Timeline
from gateway.channels import CHANNELS
from gateway.core.explain import explain, unanswered
from gateway.core.messages import VOICE
from gateway.core.times import spoken

# An answer that took less is not worth a word.
NOTABLE_MS = 100


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
    channel: str
    private: bool
    transcription: bool
    delivery: Timeline | None
    failure: Failure | None
    error: str
    traces: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Day:
    """The messages of one day."""

    date: str
    words: str
    bubbles: list[Bubble]


def days(messages: Sequence[Mapping[str, Any]], *, name: str = "", at_provider: bool = False) -> list[Day]:
    """Show messages, oldest first, by day; `name` is whose they are, `at_provider` says where their files are kept."""
    named = name or next(filter(None, (_name(message.get("metadata") or {}) for message in messages)), "Contact")
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
        facts=[*_facts(metadata), *_own_facts(message)],
        kind=str(decision.get("kind", "")),
        decision=explain(decision) if decision else "",
        inputs=[(name, wording.value(value)) for name, value in decision.items()],
        channel=_channel(message.get("communication_type")),
        private=bool(metadata.get("private")),
        transcription=str(message["_id"]).startswith("RE") and bool(message.get("media")),
        delivery=timeline.of(message, call=call),
        failure=timeline.failure(message),
        error=_error(message),
        traces=list(_traces(message)),
    )


def _channel(kind: str | None) -> str:
    return CHANNELS[kind].name if kind in CHANNELS else kind or ""


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
        case "agent" if metadata.get("private"):
            return f"Note · {metadata.get('author') or 'agent'}"
        case "ai":
            responder = metadata.get("responder")
            return f"AI · {responder}" if responder else "AI"
        case "agent":
            return f"Agent · {metadata['author']}" if metadata.get("author") else "Agent"
        case "system":
            return "Gateway"
    return _name(metadata) or named


def _tags(message: Mapping[str, Any], metadata: Mapping[str, Any], call: bool) -> Iterator[Tag]:
    if call and (lasted := wording.seconds(metadata.get("CallDuration"))):
        yield Tag(f"lasted {lasted}")
    if how := metadata.get("input"):
        yield Tag("keyed in" if how == "dtmf" else wording.heard(metadata.get("Confidence")))
    if (moved := message.get("moved")) and message.get("direction") == "inbound":
        yield Tag(f"moved here by {moved[-1].get('by')}")
    if waited := metadata.get("spooledSeconds"):
        yield Tag(f"filed {spoken(round(waited) * 1000)} later")
    if words := unanswered(message.get("answer") or {}):
        yield Tag(words, "warn")
    if keyword := metadata.get("keyword"):
        yield Tag(wording.KEYWORDS.get(keyword, wording.value(keyword)), "warn")


def _facts(metadata: Mapping[str, Any]) -> Iterator[Facts]:
    for title, wanted in wording.FACTS.items():
        rows = [(wording.label(name), wording.value(metadata[name])) for name in wanted if metadata.get(name)]
        if rows:
            # A place without a name is its coordinates, of which one alone says nothing.
            summary = rows[0][1] if rows[0][0] != "Latitude" else ", ".join(words for _, words in rows)
            yield Facts(title, summary, rows)
    if sent := metadata.get("client"):
        rows = [(str(name), wording.value(given)) for name, given in sent.items()]
        yield Facts("Sent along", ", ".join(f"{name} {words}" for name, words in rows)[:80], rows)


def _own_facts(message: Mapping[str, Any]) -> Iterator[Facts]:
    """Show the template a message of ours was sent as, and what its answer took."""
    if template := message.get("template"):
        given = [(f"{{{{{name}}}}}", wording.value(words)) for name, words in (template.get("variables") or {}).items()]
        yield Facts("Template", str(template.get("content_sid")), [("Id", str(template.get("content_sid"))), *given])
    took = message.get("processing_time_ms") or 0
    cost = [("Took", spoken(round(took)))] if took >= NOTABLE_MS else []
    cost += [("Tokens", f"{message['token_count']:,}")] if message.get("token_count") else []
    cost += [("Tools", ", ".join(map(str, message["tools_used"])))] if message.get("tools_used") else []
    if cost:
        yield Facts("Answer", ", ".join(f"{name.lower()} {words}" for name, words in cost), cost)


def _traces(message: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what finds a message elsewhere: in the API, in Twilio's console, in a log."""
    yield "Message", str(message["_id"])
    if message.get("provider_sid") not in (None, message["_id"]):
        yield "At Twilio", str(message["provider_sid"])
    if message.get("channel_id"):
        yield "Channel", str(message["channel_id"])
    if message.get("storedAt"):
        yield "Stored", utc(message["storedAt"])


def _error(message: Mapping[str, Any]) -> str:
    if not message.get("has_error"):
        return ""
    return str(message.get("error_message") or "The responder gave no usable answer.")
