"""How a regrouping is carried out: in steps each of which may be done again, by whoever finds it half done.

Parting and joining are each other's mirror: to split and to undo a merge bring the later session forth, to merge and
to undo a split let the earlier one absorb it. In every state in between the sender's newest session can be joined, so
what arrives meanwhile is neither lost nor begins a session of its own; what was on its way to the other session when
its messages were moved follows within seconds (`collect`).
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.conversation.counting import IN_FLIGHT
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.core.regrouping import Part, chosen
from gateway.logs import log
from gateway.store import audit, moving, regrouped, regroupings, retiming
from gateway.store.regroupings import CLAIMED, DONE, SPLIT, UNDONE, UNFINISHED, Regrouping

# How long a regrouping may take, and after what time it is somebody else's. A long conversation that is not done in
# time is gone on with by a worker.
SECONDS = 30
LEASE = timedelta(seconds=40)

# So long stragglers are looked for: an answer that was being thought about is stored where its question was.
WATCH = timedelta(minutes=15)

BUSY = "Somebody is splitting or merging this session right now. Try again in a moment."


class CannotRegroup(GatewayError):
    """Sessions that cannot be split, merged or undone; the text says why, to whoever wanted it."""


def _move_later(runtime: Runtime, regrouping: Regrouping) -> None:
    """Move what belongs to the later session, and what comes while that is done."""
    while ids := _moving(regrouping):
        moving.move(regrouping, ids, runtime.clock.now())


def _moving(regrouping: Regrouping) -> list[str]:
    """Choose what is the later session's: what begins at the boundary, or was its own before, and came since."""
    if not regrouping.parts:
        return moving.all_of(regrouping.later)
    parts, staying = moving.parts(regrouping)
    return chosen(parts, lambda head: _is_later(head, regrouping), staying=staying)


def _is_later(head: Part, regrouping: Regrouping) -> bool:
    if regrouping.kind == SPLIT:
        return head.at >= regrouping.boundary
    return head.is_marked or (head.at >= regrouping.boundary and head.stored_at >= regrouping.at)


def _set_times(_runtime: Runtime, regrouping: Regrouping) -> None:
    floor = {name: regrouping.before[name] for name in regrouped.TIMES if name in regrouping.before}
    is_back = regrouping.is_undone or not regrouping.parts
    retiming.set_times(regrouping.earlier, floor if is_back else {})
    retiming.set_times(regrouping.later, {})


def _at(step: Callable[[Regrouping, datetime], None]) -> Callable[[Runtime, Regrouping], None]:
    return lambda runtime, regrouping: step(regrouping, runtime.clock.now())


def _steps(regrouping: Regrouping) -> list[Callable[[Runtime, Regrouping], None]]:
    first = (
        [regrouped.bring_forth, regrouped.close_off]
        if regrouping.parts
        else [regrouped.make_room, regrouped.absorb]
    )  # fmt: skip
    return [
        *map(_at, first),
        _move_later,
        lambda _runtime, one: regrouped.move_calls(one),
        _at(regrouped.hand_open_keys),
        _set_times,
        lambda _runtime, one: regrouped.relink(one),
        lambda _runtime, one: regrouped.tidy(one),
    ]


def carry_out(runtime: Runtime, regrouping: Regrouping) -> None:
    """Do, or go on with, a regrouping whose sessions are held; CannotRegroup where somebody else took it over."""
    for step in _steps(regrouping):
        hold(runtime, regrouping)
        step(runtime, regrouping)
    _tell(regrouping)
    state = UNDONE if regrouping.is_undone else DONE
    regroupings.let_go(regrouping, state, unsettled=runtime.clock.now())


def hold(runtime: Runtime, regrouping: Regrouping) -> None:
    """Go on being the one that regroups these sessions."""
    if not regroupings.renew(regrouping, runtime.clock.now() + LEASE):
        raise CannotRegroup(BUSY)


def _tell(regrouping: Regrouping) -> None:
    event = (
        "regrouping_undone" if regrouping.is_undone else f"session_{'split' if regrouping.kind == SPLIT else 'merged'}"
    )
    by, at = regrouping.by, regrouping.at
    if regrouping.is_undone and regrouping.undone_at:
        by, at = regrouping.undone_by, regrouping.undone_at
    facts = {
        "regrouping": regrouping.id,
        "kind": regrouping.kind,
        "earlier": regrouping.earlier,
        "later": regrouping.later,
    }
    for session_id in (regrouping.earlier, regrouping.later):
        audit.note_once(f"{event}:{regrouping.id}:{session_id}", at, by, event, session_id=session_id, **facts)
    log.info(event, by=by, session_id=regrouping.earlier, **facts)


def go_on(runtime: Runtime, regrouping: Regrouping) -> None:
    """Finish what a process left that died: nothing was done yet, or it is done to its end."""
    if regrouping.state == CLAIMED:
        regroupings.drop(regrouping)
    elif regrouping.state in UNFINISHED:
        carry_out(runtime, regrouping)
        log.warning(
            "regrouping_finished", message="A process stopped while it split or merged.", regrouping=regrouping.id
        )
    else:
        collect(runtime, regrouping)
        regroupings.let_go(regrouping, regrouping.state)


def collect(runtime: Runtime, regrouping: Regrouping) -> int:
    """Let what was stored meanwhile follow its session; where nothing is on its way any more, count anew.

    Gives how many counts were wrong.
    """
    _move_later(runtime, regrouping)
    regrouped.move_calls(regrouping)
    _set_times(runtime, regrouping)
    pair, now = (regrouping.earlier, regrouping.later), runtime.clock.now()
    if not retiming.is_quiet(pair, now - IN_FLIGHT):
        return 0
    wrong = retiming.recount(pair)
    regroupings.settled(regrouping, before=now - WATCH)
    return wrong
