"""One contact synchronised with the CRM: a claimed row of the outbox, and what becomes of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway import metrics
from gateway.clients.crm import Crm
from gateway.conversation.crm import erase, hold, link, push, queue
from gateway.conversation.release import pause
from gateway.conversation.runtime import Runtime
from gateway.core.crm import CrmFailed, CrmGone
from gateway.logs import log
from gateway.store import crm_queue, crm_state, groups, outbox, outbox_claims
from gateway.store.connection import deadline
from gateway.store.crm_queue import Wanted
from gateway.store.groups import Group
from gateway.store.outbox import Row

SYNCED, SKIPPED, RETRIED, HELD, FAILED = "synced", "skipped", "retried", "held", "failed"
NOBODY = "Neither an e-mail nor a phone number of theirs is known, so the CRM could not tell who they are."
_ERROR = ("error", "error_code", "error_at", "retry_at", "failures")
_WITH_SUCCESS = (*_ERROR, "behind", "skipped")


def sync(runtime: Runtime, row: Row) -> None:
    """Tell the CRM of a contact, or put that off."""
    crm = runtime.crm
    if crm is None:
        return
    if row.id.startswith(erase.PREFIX):
        _attempt_to_erase(runtime, crm, row)
        return
    with deadline():
        ready = _ready(runtime, crm, row)
    if ready is None:
        return
    group, wanted = ready
    try:
        entries, messages = _tell(runtime, crm, group, wanted)
    except link.Nobody:
        _skip(runtime, crm, group, row, wanted)
    except CrmFailed as error:
        _failed(runtime, crm, group, row, error)
    else:
        _succeed(runtime, crm, group, row, wanted)
        log.info("crm_synced", crm=crm.name, contact_id=group.id, entries=entries, messages=messages)


def _ready(runtime: Runtime, crm: Crm, row: Row) -> tuple[Group, Wanted] | None:
    """Give who is to be told of, and what; None where it is not their turn, and the row is seen to."""
    now = runtime.clock.now()
    if held := hold.until(runtime):
        outbox_claims.postpone(row, held[0])
        return None
    group, wanted = groups.find(row.about), crm_queue.wanted(row)
    if group is None or group.first("to_forget"):
        outbox_claims.finish(row, outbox.CANCELED, now, error="the contact is gone")
        return None
    if group.id != row.about:
        # They were merged: whoever stands for both is synchronised with what this one was to be told of.
        crm_queue.want(group.id, wanted, due=queue.soonest(runtime, crm, group.head), now=now)
        crm_queue.finish(row, wanted, now, again=now)
        return None
    due = queue.soonest(runtime, crm, group.head)
    if due > runtime.clock.now():
        outbox_claims.postpone(row, due)
        return None
    return group, wanted


def _tell(runtime: Runtime, crm: Crm, group: Group, wanted: Wanted) -> tuple[int, int]:
    whole = wanted.whole or bool(crm_state.of(group.head, crm.name).get("behind"))
    sessions = None if whole else wanted.sessions
    shared = runtime.settings.contacts.shared
    remote = link.linked(crm, group, shared)
    try:
        return push.push(runtime, crm, group, remote, sessions)
    except CrmGone:
        # Somebody deleted the contact there. It is looked for, or made, anew; once, or this would never end.
        link.unlink(crm, group)
        with deadline():
            group = groups.whole(group.id)
        return push.push(runtime, crm, group, link.linked(crm, group, shared), sessions)


def _succeed(runtime: Runtime, crm: Crm, group: Group, row: Row, wanted: Wanted) -> None:
    now = runtime.clock.now()
    with deadline():
        crm_state.note(group.id, crm.name, {"last_sync_at": now}, drop=_WITH_SUCCESS)
        again = now + timedelta(seconds=runtime.settings.crm.min_interval_seconds)
        crm_queue.finish(row, wanted, now, again=again)
    metrics.CRM_SYNCS.labels(SYNCED).inc()


def _skip(runtime: Runtime, crm: Crm, group: Group, row: Row, wanted: Wanted) -> None:
    now = runtime.clock.now()
    with deadline():
        crm_state.note(group.id, crm.name, {"skipped": NOBODY, "behind": True}, drop=_ERROR)
        crm_queue.finish(row, wanted, now, again=now)
    metrics.CRM_SYNCS.labels(SKIPPED).inc()


def _failed(runtime: Runtime, crm: Crm, group: Group, row: Row, error: CrmFailed) -> None:
    now, text = runtime.clock.now(), str(error)
    state: dict[str, Any] = {"error": text[:500], "error_code": error.code, "error_at": now}
    with deadline():
        failures = _failures(group, crm) + 1
        if error.account:
            outcome, due = HELD, hold.begin(runtime, error)
        elif error.permanent:
            outcome, due = FAILED, None
        else:
            outcome, due = RETRIED, now + _longer(pause(failures), error)
        _note_failure(crm, group, state | {"failures": failures}, due)
        if due:
            outbox_claims.postpone(row, due)
        else:
            outbox_claims.finish(row, outbox.FAILED, now, error=f"{error.code}: {text}"[:500])
    _count(crm, group.id, outcome, error)


def _failures(group: Group, crm: Crm) -> int:
    return int(crm_state.of(group.head, crm.name).get("failures") or 0)


def _longer(pause: timedelta, error: CrmFailed) -> timedelta:
    return max(pause, timedelta(seconds=error.retry_after or 0))


def _note_failure(crm: Crm, group: Group, state: Mapping[str, Any], due: datetime | None) -> None:
    """Show an error on the contact, with when it is tried again; what is given up makes it fall behind."""
    more: dict[str, Any] = {"retry_at": due} if due else {"behind": True}
    crm_state.note(group.id, crm.name, {**state, **more}, drop=("skipped",) if due else ("skipped", "retry_at"))


def _count(crm: Crm, contact_id: str, outcome: str, error: CrmFailed) -> None:
    metrics.CRM_SYNCS.labels(outcome).inc()
    log.warning("crm_failed", crm=crm.name, contact_id=contact_id, outcome=outcome, code=error.code, message=str(error))


def _attempt_to_erase(runtime: Runtime, crm: Crm, row: Row) -> None:
    """Delete at the CRM what it was told of somebody who was forgotten."""
    try:
        erase.erase(crm, row)
    except CrmFailed as error:
        now = runtime.clock.now()
        with deadline():
            if error.account:
                outbox_claims.postpone(row, hold.begin(runtime, error))
            elif error.permanent:
                outbox_claims.finish(row, outbox.FAILED, now, error=f"{error.code}: {error}"[:500])
            else:
                outbox_claims.put_off(row, now + _longer(pause(row.tries), error), error=str(error)[:500], response={})
        _count(crm, "", FAILED if error.permanent else RETRIED, error)
    else:
        with deadline():
            outbox_claims.finish(row, outbox.DONE, runtime.clock.now())


def give_up(runtime: Runtime, row: Row, reason: str) -> None:
    """Stop trying what fails in a way nobody foresaw, and say so on the contact."""
    now = runtime.clock.now()
    with deadline():
        outbox_claims.finish(row, outbox.FAILED, now, error=f"our_fault: {reason}")
        if runtime.crm and (group := groups.find(row.about)):
            state = {"error": f"This gateway {reason}; its log says why.", "error_code": "our_fault", "error_at": now}
            _note_failure(runtime.crm, group, state, None)
    metrics.CRM_SYNCS.labels(FAILED).inc()
    log.error("crm_failed", contact_id=row.about, outcome=FAILED, code="our_fault", message=reason)
