"""Contacts put into the outbox to be synchronised: when a session ended, and when somebody wants it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.clients.crm import Crm
from gateway.conversation.merging import person
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.logs import log
from gateway.store import audit, crm_queue, crm_state, groups
from gateway.store.connection import deadline
from gateway.store.crm_queue import Wanted
from gateway.store.groups import Group

_PASS_SECONDS = 60


class NoCrm(GatewayError):
    """There is no CRM to synchronise with."""

    def __init__(self) -> None:
        super().__init__(
            "No CRM is set up. Set GATEWAY_CRM__PROVIDER and GATEWAY_CRM__ACCESS_TOKEN and restart the gateway."
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A synchronisation that was asked for: whose it is, and when it is due."""

    contact_id: str
    due: datetime


def required(runtime: Runtime) -> Crm:
    """Give the CRM; NoCrm where there is none."""
    if runtime.crm is None:
        raise NoCrm
    return runtime.crm


def soonest(runtime: Runtime, crm: Crm, contact: Mapping[str, Any]) -> datetime:
    """Tell when a contact may be synchronised next: not more often than the settings say."""
    now, last = runtime.clock.now(), crm_state.of(contact, crm.name).get("last_sync_at")
    pause = timedelta(seconds=runtime.settings.crm.min_interval_seconds)
    return max(now, last + pause) if isinstance(last, datetime) else now


def ended(runtime: Runtime, sessions: Mapping[str, Sequence[str]], *, later: timedelta = timedelta()) -> int:
    """Have the people of these sessions, given by contact, synchronised; gives how many. `later` is how much later."""
    crm, now = required(runtime), runtime.clock.now()
    if not sessions:
        return 0
    with deadline(_PASS_SECONDS):
        known = groups.heads(list(sessions))
        for contact_id, group in known.items():
            due = max(soonest(runtime, crm, group.head), now + later)
            crm_queue.want(group.id, Wanted(tuple(sessions[contact_id])), due=due, now=now)
    return len(known)


def merged(runtime: Runtime, contact_ids: frozenset[str]) -> None:
    """Have contacts that were merged, or parted, put right at the CRM, if it knows any of them."""
    crm, now = required(runtime), runtime.clock.now()
    if not contact_ids:
        return
    with deadline(_PASS_SECONDS):
        for group in {one.id: one for one in groups.heads(list(contact_ids)).values()}.values():
            if any(crm_state.of(one, crm.name) for one in group.members):
                whole = Wanted(whole=True)
                crm_queue.want(group.id, whole, due=soonest(runtime, crm, group.head), now=now)


def ask(runtime: Runtime, contact_id: str, *, by: str) -> Asked:
    """Have everything of a person synchronised now, or as soon as the settings allow. NoContact, NoCrm."""
    crm = required(runtime)
    with deadline():
        group, now = person(contact_id), runtime.clock.now()
        due = _ask(runtime, crm, group)
        audit.note(now, by, "crm_sync_asked", contact=group.id)
    log.info("crm_sync_asked", contact_id=group.id, by=by)
    return Asked(group.id, due)


def _ask(runtime: Runtime, crm: Crm, group: Group) -> datetime:
    due = soonest(runtime, crm, group.head)
    crm_queue.want(group.id, Wanted(whole=True), due=due, now=runtime.clock.now(), hurry=True)
    return due


def ask_all(runtime: Runtime, *, by: str) -> int:
    """Have everybody synchronised, with all that was ever said; gives how many that are."""
    crm, now, asked = required(runtime), runtime.clock.now(), 0
    for rows in _all():
        with deadline(_PASS_SECONDS):
            for row in rows:
                due = soonest(runtime, crm, row)
                crm_queue.want(str(row["_id"]), Wanted(whole=True), due=due, now=now)
        asked += len(rows)
    with deadline():
        audit.note(now, by, "crm_sync_all_asked", contacts=asked)
    log.info("crm_sync_all_asked", contacts=asked, by=by)
    return asked


def _all() -> Any:
    found = crm_state.contacts()
    while True:
        with deadline(_PASS_SECONDS):
            rows = next(found, None)
        if rows is None:
            return
        yield rows
