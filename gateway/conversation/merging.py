"""Two contacts that are one person are merged, and parted again: the use cases of console, API and command line.

A merge is a link from one contact to the other, made in one atomic update. What it means for sessions follows in
steps each of which may be done again, by whoever finds them half done: a worker, or the next who wants these contacts.
"""

import contextlib
import secrets
import time
from dataclasses import replace
from datetime import timedelta

from gateway.conversation import optouts
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.core.participant import is_withheld
from gateway.logs import log
from gateway.store import audit, flows, groups, merges, merging, sessions
from gateway.store.connection import deadline
from gateway.store.groups import Group
from gateway.store.isolation import Channels
from gateway.store.merges import CLAIMED, DOING, DONE, UNDOING, UNDONE, UNFINISHED, Merge

# How long a merge may take, and after what time it is somebody else's.
SECONDS = 30
LEASE = timedelta(seconds=40)

# Who comes while somebody else merges the same contacts waits for that, but not for ever.
PATIENCE_SECONDS, LOOK_SECONDS = 3.0, 0.1

# So long it is looked whether a session was opened by somebody who did not see the merge, or its undoing, yet.
WATCH = timedelta(minutes=15)

BUSY = "Somebody is merging one of these contacts right now. Try again in a moment."
ON_A_CALL = "A call is on in the older of their two open sessions. Wait until it is over."


class NoContact(GatewayError):
    """A contact that does not exist, or not for whoever asks."""

    def __init__(self, contact_id: str) -> None:
        super().__init__(f"There is no contact {contact_id[:40]!r}. They may have been forgotten since.")


class CannotMerge(GatewayError):
    """Contacts that cannot be merged, or parted; the text says why, to whoever wanted it."""


class NotForThem(GatewayError):
    """What touches channels that whoever asks may know nothing of."""


def merge(
    runtime: Runtime,
    contact_id: str,
    other_id: str,
    *,
    by: str,
    channels: Channels = None,
    reason: str = "",
    merge_id: str = "",
) -> Merge:
    """Let another contact be this one: the numbers, e-mails, STOPs and sessions of both are one person's from here on.

    What is so already stays so; `reason` is kept with it, and `merge_id` is what it is to be known by. NoContact,
    CannotMerge and NotForThem say why that cannot be.
    """
    must_see_all(channels)
    with deadline(SECONDS):
        mine = _claimed(runtime, contact_id, other_id, by, reason, merge_id)
        if mine.state == DONE:
            return mine
        try:
            now = _plan(runtime, contact_id, other_id, by)
            if (now.survivor, now.absorbed) != (mine.survivor, mine.absorbed):
                raise CannotMerge("One of the contacts was merged meanwhile. Look again.")
        except (CannotMerge, NoContact):
            merges.drop(mine)
            raise
        _end_watches(runtime, mine)
        mine = replace(mine, state=DOING)
        if not merges.begin(mine):
            raise CannotMerge(BUSY)
        return _carry_out(runtime, mine)


def must_see_all(channels: Channels) -> None:
    """Refuse, with NotForThem, whoever is limited to channels: a contact is the same on every one."""
    if channels is not None:
        raise NotForThem("A contact is the same on every channel. This takes somebody who sees all of them.")


def _plan(runtime: Runtime, contact_id: str, other_id: str, by: str) -> Merge:
    one, other = person(contact_id), person(other_id)
    if one.id == other.id:
        raise CannotMerge("These are the same contact already.")
    if any(is_withheld(identity) for identity in (*one.identities, *other.identities)):
        raise CannotMerge("Callers who withhold their number may be anybody, so they are never merged.")
    both = Group((*one.members, *other.members))
    _, on_a_call = merging.too_many_open(both, runtime.clock.now())
    if on_a_call:
        raise CannotMerge(ON_A_CALL)
    return Merge(secrets.token_hex(16), CLAIMED, one.id, other.id, by, runtime.clock.now())


def person(contact_id: str) -> Group:
    """Find the person a contact is; NoContact where there is none, or they are about to be forgotten."""
    found = groups.find(contact_id)
    if found is None or found.first("to_forget"):
        raise NoContact(contact_id)
    return found


def _claimed(runtime: Runtime, contact_id: str, other_id: str, by: str, reason: str, merge_id: str) -> Merge:
    """Hold both contacts, so that nobody else merges either meanwhile; what was done before is given as it is."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        known = merges.of_contact(other_id)
        if known and known.survivor == contact_id and known.state == DONE:
            return known
        if known is None or known.survivor != contact_id or known.state not in UNFINISHED:
            planned = _plan(runtime, contact_id, other_id, by)
            known = replace(planned, id=merge_id or planned.id, reason=reason, owner=secrets.token_hex(8))
            if merges.claim(known, runtime.clock.now() + LEASE):
                return known
        _wait(runtime, (known.survivor, known.absorbed), until)


def _wait(runtime: Runtime, contact_ids: tuple[str, ...], until: float) -> None:
    """Finish what a killed process left of these contacts, or let whoever merges them finish that."""
    if finish_left(runtime, contact_ids):
        return
    if time.monotonic() > until:
        raise CannotMerge(BUSY)
    time.sleep(LOOK_SECONDS)


def _end_watches(runtime: Runtime, mine: Merge) -> None:
    """Let what was in flight at an earlier merge be theirs now: after this one it would be somebody else's."""
    ids = {str(one) for side in (mine.survivor, mine.absorbed) for one in groups.whole(side).ids}
    for other in merges.unsettled(sorted(ids)):
        _look_again(runtime, other)
        merges.settled(other, before=runtime.clock.now())


def unmerge(runtime: Runtime, contact_id: str, *, by: str, channels: Channels = None) -> Merge:
    """Let a contact that was merged be one of its own again; of one that others were merged into, the last of those.

    Each has what was its own, and what was said and opened by its numbers since. What is undone already stays so.
    NoContact, CannotMerge and NotForThem say why that cannot be.
    """
    must_see_all(channels)
    with deadline(SECONDS):
        mine = _held(runtime, contact_id)
        if mine.state == UNDONE:
            return mine
        _end_watches(runtime, mine)
        mine = replace(mine, state=UNDOING, undone_by=by, undone_at=runtime.clock.now())
        if not merges.turn_back(mine):
            raise CannotMerge(BUSY)
        return _carry_out(runtime, mine)


def _held(runtime: Runtime, contact_id: str) -> Merge:
    """Hold the contacts of the merge that is to be undone, unless it is."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        group = person(contact_id)
        found = merges.of_contact(contact_id)
        if found is None or found.state == UNDONE:
            found = next(iter(merges.into(group.ids)), found)
        if found is None:
            raise CannotMerge("Nobody was merged with this contact, so there is nothing to undo.")
        mine = replace(found, owner=secrets.token_hex(8))
        if found.state == UNDONE or merges.claim_again(mine, group.id, runtime.clock.now() + LEASE):
            return mine
        _wait(runtime, (found.survivor, found.absorbed, group.id), until)


def _carry_out(runtime: Runtime, mine: Merge) -> Merge:
    """Do, or go on with, a merge whose contacts are held; CannotMerge where somebody else took it over."""
    _hold(runtime, mine)
    if mine.is_undone:
        groups.unlink(mine.absorbed, mine.survivor)
        _part(runtime, mine)
        for closed in mine.closed:
            merging.restore(closed, runtime.clock.now())
            flows.hand_back(closed.session_id, closed.into, runtime.clock.now())
    else:
        groups.link(mine.absorbed, mine.survivor)
        _join(runtime, mine)
    _tell(mine)
    now = runtime.clock.now()
    merges.let_go(mine, UNDONE if mine.is_undone else DONE, unsettled=now)
    return merges.get(mine.id) or mine


def _join(runtime: Runtime, mine: Merge) -> None:
    """Let a STOP of either hold for both, and one session stay open where a contact has one (rule T10)."""
    group = groups.whole(mine.survivor)
    optouts.spread(runtime, group, list(group.opted_out))
    older, on_a_call = merging.too_many_open(group, runtime.clock.now())
    for closed in [] if on_a_call else older:
        merges.note_closed(mine, closed)
    noted = merges.get(mine.id)
    for closed in noted.closed if noted else ():
        merging.close(closed, runtime.clock.now())
        flows.hand_over(closed.session_id, closed.into, runtime.clock.now())
        sessions.add_keys(closed.into, closed.open_keys)


def _part(runtime: Runtime, mine: Merge) -> None:
    """Give back what was opened since, and let a STOP hold for whose it is."""
    one, other = groups.whole(mine.absorbed), groups.whole(mine.survivor)
    merging.give_back(one, other, mine.at)
    merging.part_keys(one, other)
    lines = sorted({*one.opted_out, *other.opted_out})
    for group in (one, other):
        optouts.spread(runtime, group, lines)


def _hold(runtime: Runtime, mine: Merge) -> None:
    if not merges.renew(mine, runtime.clock.now() + LEASE):
        raise CannotMerge(BUSY)


def _tell(mine: Merge) -> None:
    event, by, at = "contacts_merged", mine.by, mine.at
    if mine.is_undone and mine.undone_at:
        event, by, at = "contacts_unmerged", mine.undone_by, mine.undone_at
    facts = {"merge": mine.id, "contact": mine.survivor, "merged": mine.absorbed}
    facts |= {"reason": mine.reason} if mine.reason and not mine.is_undone else {}
    audit.note_once(f"{event}:{mine.id}", at, by, event, **facts)
    log.info(event, by=by, **facts)


def finish_left(runtime: Runtime, contact_ids: tuple[str, ...] = ()) -> int:
    """Finish the merges, of these contacts or of any, whose process died; gives how many."""
    finished, now = 0, runtime.clock.now()
    while left := merges.take_over(secrets.token_hex(8), now, now + LEASE, contact_ids=contact_ids):
        with contextlib.suppress(CannotMerge):  # taken from us in turn, so it is being finished
            _go_on(runtime, left)
        finished += 1
    return finished


def _go_on(runtime: Runtime, left: Merge) -> None:
    if left.state == CLAIMED:
        merges.drop(left)
    elif left.state in UNFINISHED:
        _carry_out(runtime, left)
        log.warning("merge_finished", message="A process stopped while it merged contacts.", merge=left.id)
    else:
        merges.let_go(left, left.state)


def settle(runtime: Runtime) -> None:
    """Finish what crashes left, and look after what was in flight at a merge."""
    finish_left(runtime)
    for one in merges.unsettled():
        mine, now = replace(one, owner=secrets.token_hex(8)), runtime.clock.now()
        if merges.claim_again(mine, groups.whole(one.survivor).id, now + LEASE):
            _look_again(runtime, mine)
            merges.settled(mine, before=now - WATCH)
            merges.let_go(mine, mine.state)


def _look_again(runtime: Runtime, mine: Merge) -> None:
    """Do again what a session needs that was opened by somebody who had looked before."""
    if mine.is_undone:
        _part(runtime, mine)
    else:
        _join(runtime, mine)
