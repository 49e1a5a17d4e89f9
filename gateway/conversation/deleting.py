"""Sessions deleted by hand: gone from everywhere at once, given back if wanted, removed for good some days later."""

from gateway.conversation.operators import CannotDo
from gateway.conversation.regroup import NotThere
from gateway.conversation.regrouping import BUSY
from gateway.conversation.runtime import Runtime
from gateway.logs import log
from gateway.store import audit, deletions
from gateway.store.connection import deadline
from gateway.store.isolation import Channels

ON_A_CALL = "A call is on, or the session is being removed. Delete it when the call is over."


def delete(runtime: Runtime, session_id: str, by: str) -> None:
    """Delete a session: closed for good, seen nowhere any more. Whatever its sender says next begins a new one.

    CannotDo while a call is on, or somebody splits or merges it. What waits to be sent still goes out.
    """
    with deadline():
        now = runtime.clock.now()
        if not deletions.hide(session_id, by, now):
            raise CannotDo(ON_A_CALL)
        # Who regroups looks at the session after claiming it, and here the claim is looked for after hiding: whichever
        # comes second sees the other.
        if deletions.is_being_regrouped(session_id):
            deletions.give_back(session_id, now)
            raise CannotDo(BUSY)
        audit.note(now, by, "session_deleted", session_id=session_id)
        log.info("session_deleted", session_id=session_id, by=by)


def restore(runtime: Runtime, session_id: str, by: str, *, channels: Channels = None) -> None:
    """Give a deleted session back, closed; NotThere where there is none on these channels, or it was removed."""
    with deadline():
        now = runtime.clock.now()
        if not deletions.is_deleted(session_id, channels) or not deletions.give_back(session_id, now):
            raise NotThere("There is no deleted session of that id. It may have been removed since.")
        audit.note(now, by, "session_restored", session_id=session_id)
        log.info("session_restored", session_id=session_id, by=by)
