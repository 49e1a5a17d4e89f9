"""How a person stands with the CRM, in words for console, API and command line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.clients.crm import Crm
from gateway.conversation.crm import hold
from gateway.conversation.runtime import Runtime
from gateway.store import crm_queue, crm_state
from gateway.store.connection import deadline
from gateway.store.outbox import WAITING
from gateway.store.people import Person

NEVER, WAITS, SYNCED, RETRYING, FAILED, SKIPPED = "never", "waiting", "synced", "retrying", "failed", "skipped"
_NOTES = ("merge_error", "note")
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person stands. `reason` is why they were not synchronised last, `next_at` when that is tried next."""

    provider: str
    label: str
    status: str
    contact_id: str | None = None
    url: str | None = None
    last_sync_at: datetime | None = None
    reason: str | None = None
    failed_at: datetime | None = None
    next_at: datetime | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """How the whole account stands: who waits, whose synchronisation failed, and whether everybody is to wait."""

    provider: str
    label: str
    waiting: int
    due: int
    failing: int
    held_until: datetime | None
    held_for: str
    contacts: tuple[tuple[str, str, Standing], ...]


def of(runtime: Runtime, person: Person, *, exactly: bool = False) -> Standing | None:
    """Tell how a person stands; None without a CRM. Only `exactly` it is looked up whether they wait."""
    if runtime.crm is None:
        return None
    row = crm_queue.waits(person.id) if exactly else None
    waits = row.due if row and row.state == WAITING else None
    return _standing(runtime.crm, crm_state.of({"crm": person.crm}, runtime.crm.name), waits)


def _standing(crm: Crm, state: Mapping[str, Any], waits: datetime | None = None) -> Standing:
    error = state.get("error")
    if error:
        status = RETRYING if waits or state.get("retry_at") else FAILED
    elif waits:
        status = WAITS
    else:
        status = SKIPPED if state.get("skipped") else SYNCED if state.get("last_sync_at") else NEVER
    return Standing(
        provider=crm.name,
        label=crm.label,
        status=status,
        contact_id=str(state["contact_id"]) if state.get("contact_id") else None,
        url=_link(state.get("url")),
        last_sync_at=_moment(state.get("last_sync_at")),
        reason=_words(error or state.get("skipped")),
        failed_at=_moment(state.get("error_at")),
        next_at=waits or _moment(state.get("retry_at")),
        notes=tuple(_notes(crm, state)),
    )


def _moment(value: Any) -> datetime | None:
    """Take a moment; contacts that were adopted from elsewhere may have something else there."""
    return value if isinstance(value, datetime) else None


def _link(url: Any) -> str | None:
    """Take a link to the CRM's page; nothing that a browser would run."""
    return url if isinstance(url, str) and url.startswith("https://") else None


def _words(told: Any) -> str | None:
    return str(told) if told else None


def _notes(crm: Crm, state: Mapping[str, Any]) -> Iterator[str]:
    if state.get("merged_into") and not state.get("contact_id"):
        yield (
            f"They were merged into the contact {state['merged_into']} of {crm.label}, which cannot be undone there. "
            "They get a contact of their own when there is something to tell."
        )
    yield from (str(state[name]) for name in _NOTES if state.get(name))


def overview(runtime: Runtime) -> Overview | None:
    """Tell how the account stands, with the newest failures; None without a CRM."""
    crm = runtime.crm
    if crm is None:
        return None
    with deadline():
        waiting, due = crm_queue.depth(runtime.clock.now())
        failing, found = crm_state.with_errors(SHOWN)
        held = hold.until(runtime)
    contacts = [
        (str(one["_id"]), str(one.get("name") or ""), _standing(crm, crm_state.of(one, crm.name))) for one in found
    ]
    until, why = held or (None, "")
    return Overview(crm.name, crm.label, waiting, due, failing, until, why, tuple(contacts))
