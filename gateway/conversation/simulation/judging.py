"""Whether what came of a scenario's steps is what its file expects."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.core.explain import explain
from gateway.core.scenarios import Ending, Expected, Step
from gateway.store import counted_sessions
from gateway.store.connection import deadline
from gateway.store.counted_sessions import Counted

SECONDS = 10


@dataclass(frozen=True, slots=True)
class Miss:
    """What was expected and did not come; `what` is the key in the file. What failed altogether expected nothing."""

    what: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, got {self.got}" if self.expected else self.got


@dataclass
class Came:
    """What came of a step: what the gateway told each delivery of it, what was said, and what is stored of it."""

    step: Step
    told: list[dict[str, Any]] = field(default_factory=list)
    answer: str = ""
    status: str | None = None
    texted: str | None = None
    failed: str = ""
    misses: list[Miss] = field(default_factory=list)

    @property
    def decided(self) -> dict[str, Any]:
        """Give what the gateway decided on the one delivery that was not a redelivery; the first where all were."""
        decisions: list[dict[str, Any]] = [told["decision"] for told in self.told if told["decision"]]
        return next((one for one in decisions if not one.get("duplicate")), decisions[0] if decisions else {})

    @property
    def decision(self) -> str:
        """Say the decision in words."""
        return explain(self.decided.get("decision") or {}) if self.decided else ""


def judge(came: Came, labels: dict[str, str]) -> Iterator[Miss]:
    """Compare what came of a step with what its file expects. `labels` learns which session each label is."""
    if came.failed:
        yield Miss("delivery", "", came.failed)
        return
    yield from _decision(came.step.expected, came)
    yield from _session(came.step.expected.session, came, labels)
    yield from _answer(came.step.expected, came)
    yield from _once(came)


def _decision(expected: Expected, came: Came) -> Iterator[Miss]:
    decision = came.decided.get("decision") or {}
    for what, key, wanted in (
        ("decision", "kind", expected.decision),
        ("rule", "rule", expected.rule),
        ("gap", "gap_seconds", expected.gap_seconds),
    ):
        if wanted is not None and decision.get(key) != wanted:
            yield Miss(what, f"{wanted}", came.decision if what == "decision" else f"{decision.get(key)}")
    if expected.duplicate is not None and bool(came.told[-1]["decision"]["duplicate"]) != expected.duplicate:
        yield Miss("duplicate", str(expected.duplicate).lower(), str(not expected.duplicate).lower())


def _session(label: str | None, came: Came, labels: dict[str, str]) -> Iterator[Miss]:
    if label is None:
        return
    session_id = came.decided.get("session_id") or "none"
    known = {other: name for name, other in labels.items()}
    if label not in labels and session_id in known:
        yield Miss("session", f"{label}, a new one", known[session_id])
    elif labels.setdefault(label, session_id) != session_id:
        yield Miss("session", label, known.get(session_id, f"another one ({session_id})"))


def _answer(expected: Expected, came: Came) -> Iterator[Miss]:
    if expected.answer is not None and came.answer != expected.answer:
        yield Miss("answer", _quoted(expected.answer), _quoted(came.answer))
    for words in expected.answer_has:
        if words not in came.answer:
            yield Miss("answer_has", _quoted(words), _quoted(came.answer))
    for what, wanted, got in (("status", expected.status, came.status), ("texted", expected.texted, came.texted)):
        if wanted is not None and wanted != got:
            yield Miss(what, _quoted(wanted), _quoted(got or ""))


def _once(came: Came) -> Iterator[Miss]:
    """Hold every webhook to what is true of all: it is stored once, and told the same each time (I3)."""
    decisions = [told["decision"] for told in came.told if told["decision"] and "duplicate" in told["decision"]]
    fresh = sum(not decision["duplicate"] for decision in decisions)
    if came.step.copies > 1 and fresh > 1:
        yield Miss("copies", "one of them stored", f"{fresh} stored")
    if came.step.copies > 1 and len(said := {told["twiml"] for told in came.told}) > 1:
        yield Miss("copies", "one answer to all of them", f"{len(said)} different answers")


def _quoted(text: str) -> str:
    return f'"{text}"' if text else "nothing"


def judge_ending(ending: Ending, session_ids: list[str], labels: dict[str, str]) -> Iterator[Miss]:
    """Compare what is stored in the end; each session counts what it has, expected or not (I5)."""
    with deadline(SECONDS):
        counted = counted_sessions.sessions(session_ids)
    rows = counted.values()
    totals = {
        "sessions": len(counted),
        "inbound": sum(one.inbound for one in rows),
        "outbound": sum(one.outbound for one in rows),
    }
    for what, got in totals.items():
        wanted = getattr(ending, what)
        if wanted is not None and wanted != got:
            yield Miss(what, str(wanted), str(got))
    for one in rows:
        if one.message_count != one.inbound + one.outbound:
            yield Miss("message_count", f"{one.inbound + one.outbound}, as stored", f"{one.message_count} in {one.id}")
    for label, expected in ending.labelled.items():
        yield from _labelled(label, expected, counted.get(labels.get(label, "")))


def _labelled(label: str, expected: Any, got: Counted | None) -> Iterator[Miss]:
    if got is None:
        yield Miss(f"session.{label}", "one", "none")
        return
    for what, wanted, stored in (
        ("messages", expected.messages, got.inbound + got.outbound),
        ("status", expected.status, got.status),
        ("closed_reason", expected.closed_reason, got.closed_reason),
    ):
        if wanted is not None and wanted != stored:
            yield Miss(f"session.{label}.{what}", str(wanted), str(stored))
