"""One contact or session that becomes part of another, in steps each of which may be done again.

Every step is noted before it is made, and is the use case a person has for it: so it is written down, survives a crash,
and can be undone for itself or with all others of its run.
"""

import secrets
from dataclasses import replace

from gateway.conversation import merging, regroup
from gateway.conversation.merging import CannotMerge, NoContact
from gateway.conversation.regroup import NotThere
from gateway.conversation.regrouping import LEASE, WATCH, CannotRegroup, collect
from gateway.conversation.runtime import Runtime
from gateway.core.daily import day_of
from gateway.core.errors import GatewayError
from gateway.store import audit, consolidations, imports, merges, regroupings, repeated, retiming
from gateway.store.connection import deadline
from gateway.store.consolidations import BEGUN, DONE, PLANNED, Note

# Why contacts were merged, as it is kept with the merge.
CONSOLIDATED = "consolidated"

_SECONDS = 60


class Refused(GatewayError):
    """What cannot be made one now; says why."""


def merge_contact(runtime: Runtime, note: Note, by: str) -> None:
    """Let a contact be another one from here on. Refused where that cannot be now."""
    with deadline(_SECONDS):
        consolidations.begin(note)
        try:
            merging.merge(runtime, note.into, note.id, by=by, reason=CONSOLIDATED, merge_id=note.mark)
        except (CannotMerge, NoContact) as refusal:
            # One that is half done is finished by somebody, and must be known to be this run's.
            if merges.get(note.mark) is None:
                consolidations.drop([note])
            raise Refused(f"Contact {note.id} was not merged into {note.into}: {refusal}") from None
        consolidations.advance(note, DONE)


def join_session(runtime: Runtime, note: Note, by: str) -> int:
    """Let a session go on in another one; gives how many messages were there twice, and are put aside.

    Refused where that cannot be now.
    """
    with deadline(_SECONDS):
        consolidations.begin(note)
        try:
            merge = regroup.join(runtime, note.id, note.into, by=by, token=note.mark)
        except (CannotRegroup, NotThere) as refusal:
            if regroupings.get(note.mark) is None:
                consolidations.drop([note])
            raise Refused(f"Session {note.id} was not merged into {note.into}: {refusal}") from None
        if merge.is_undone:
            consolidations.drop([note])
            raise Refused(f"Session {note.id} was not merged into {note.into}: {merge.undone_by} undid it.")
    return _take_out(runtime, note, by)


def _take_out(runtime: Runtime, note: Note, by: str) -> int:
    """Put aside what is there twice now, all of it before the first is taken out: which it is must not change."""
    mark, into = note.mark, note.into
    with deadline(_SECONDS):
        removed = note.removed
        if note.state == BEGUN:
            pages = [repeated.put_aside(note.run_id, mark, ids) for ids in repeated.moved_by(mark, into)]
            moments = [one for page in pages for one in page]
            removed = len(moments)
            if moments:
                days = {day_of(said) for said, _ in moments}
                imports.note_days(note.run_id, days, min(stored for _, stored in moments))
            consolidations.advance(note, PLANNED, removed=removed)
        now = runtime.clock.now()
        if removed:
            repeated.take_out(mark, into, now)
            facts = {"merge": mark, "removed": removed, "consolidation": note.run_id}
            audit.note_once(f"duplicates_removed:{mark}", now, by, "duplicates_removed", session_id=into, **facts)
        consolidations.advance(note, DONE)
    return removed


def settle(runtime: Runtime, merge_id: str) -> None:
    """Let what was in flight at a merge of sessions follow, once nothing can be any more; count them anew.

    Workers would do that for a quarter of an hour, which is long where there are thousands.
    """
    with deadline(_SECONDS):
        merge, now = regroupings.get(merge_id), runtime.clock.now()
        if merge is None:
            return
        mine = replace(merge, owner=secrets.token_hex(8))
        if regroupings.claim_again(mine, now + LEASE):
            collect(runtime, mine)
            # No answer is being thought about where nobody asked anything.
            if retiming.is_quiet((mine.earlier, mine.later), now - WATCH):
                regroupings.settled(mine, before=now)
            regroupings.let_go(mine, mine.state)
