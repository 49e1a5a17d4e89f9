"""What a person does about where sessions begin: split one, merge it with the one before, undo either.

The use cases of the console and of `gateway sessions`. Decisions stay as they were made; what a person moved says so.
"""

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.conversation.regrouping import BUSY, LEASE, SECONDS, CannotRegroup, carry_out, collect, go_on
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.logs import log
from gateway.store import moving, regrouped, regroupings, repeated
from gateway.store.connection import deadline
from gateway.store.isolation import Channels
from gateway.store.moving import Spot
from gateway.store.regrouped import Side
from gateway.store.regroupings import CLAIMED, DOING, MERGE, SPLIT, UNDOING, UNDONE, UNFINISHED, Regrouping
from gateway.store.sessions import new_id

# Who comes while somebody else regroups the same sessions waits for that, but not for ever.
PATIENCE_SECONDS, LOOK_SECONDS = 3.0, 0.1

ON_A_CALL = "A call is on. Wait until it is over: a call stays in one session."
CHANGED = "The session changed meanwhile. Look again."


class NotThere(GatewayError):
    """A session, message or regrouping that does not exist for whoever asks."""


@dataclass(frozen=True, slots=True)
class _Plan:
    regrouping: Regrouping
    earlier: Side
    channel_ids: tuple[str, ...]


def split(
    runtime: Runtime, session_id: str, message_id: str, *, by: str, token: str = "", channels: Channels = None
) -> Regrouping:
    """Let a new session begin at an inbound message: that and what follows moves there. Once for a token.

    NotThere or CannotRegroup say why that cannot be.
    """

    def plan(token: str) -> _Plan:
        session, spot = _session(runtime, session_id, channels), moving.spot(message_id, channels)
        if spot is None:
            raise NotThere(f"There is no message {message_id[:80]}. It may have been deleted since.")
        _check_spot(session, spot)
        now = runtime.clock.now()
        wanted = Regrouping(token, SPLIT, CLAIMED, session.id, new_id(), by, now, spot.at, message_id)
        return _Plan(wanted, session, (session.channel_id,))

    return _regroup(runtime, plan, token)


def _check_spot(session: Side, spot: Spot) -> None:
    if spot.session_id != session.id:
        raise CannotRegroup(f"That message is in session {spot.session_id} by now. Look again.")
    if not spot.inbound:
        raise CannotRegroup("A session is split at a message that came in. Choose one of those.")
    if spot.part.head != spot.part.id:
        raise CannotRegroup("A call stays in one session. Split where the call began.")
    if not moving.has_earlier(session.id, spot.part.at):
        raise CannotRegroup("The session begins with that message, so there is nothing to split off.")
    if session.live:
        raise CannotRegroup(ON_A_CALL)


def merge(runtime: Runtime, session_id: str, *, by: str, token: str = "", channels: Channels = None) -> Regrouping:
    """Let a session go on in the one before it, which keeps its id; the merged one's leads there. Once for a token.

    NotThere or CannotRegroup say why that cannot be.
    """

    def plan(token: str) -> _Plan:
        later = _session(runtime, session_id, channels)
        earlier = _previous(runtime, later, channels)
        return _merging(runtime, earlier, later, by, token)

    return _regroup(runtime, plan, token)


def join(runtime: Runtime, session_id: str, into: str, *, by: str, token: str = "") -> Regrouping:
    """Let a session go on in another one of its sender, which may have begun after it; else as `merge`.

    What is open, and what is said of the sender, is as the merged one had it. Once for a token.
    """

    def plan(token: str) -> _Plan:
        return _merging(runtime, _session(runtime, into, None), _session(runtime, session_id, None), by, token)

    return _regroup(runtime, plan, token)


def _merging(runtime: Runtime, earlier: Side, later: Side, by: str, token: str) -> _Plan:
    if later.live or earlier.live:
        raise CannotRegroup(ON_A_CALL)
    wanted = Regrouping(token, MERGE, CLAIMED, earlier.id, later.id, by, runtime.clock.now(), later.first_message_at)
    return _Plan(wanted, earlier, (earlier.channel_id, later.channel_id))


def _session(runtime: Runtime, session_id: str, channels: Channels) -> Side:
    found = regrouped.side(session_id, channels, runtime.clock.now())
    if found is None:
        raise NotThere("There is no session of that id. It may have been deleted since.")
    if found.merged_into:
        raise CannotRegroup(f"Session {session_id} was merged, and is in session {found.merged_into} now.")
    return found


def _previous(runtime: Runtime, later: Side, channels: Channels) -> Side:
    """Find the session before; where that was merged, the one it is in."""
    wanted, seen = later.previous_session_id, {later.id}
    while wanted and wanted not in seen:
        seen.add(wanted)
        found = regrouped.side(wanted, channels, runtime.clock.now())
        if found and found.merged_into is None:
            return found
        wanted = found.merged_into if found else None
    raise CannotRegroup("There is no session before this one.")


def _regroup(runtime: Runtime, plan: Callable[[str], _Plan], token: str) -> Regrouping:
    """Hold both sessions, look again now that nobody else regroups them, and do it."""
    token = token or secrets.token_hex(16)
    with deadline(SECONDS):
        planned = _claimed(runtime, plan, token)
        if isinstance(planned, Regrouping):
            return planned
        mine = planned.regrouping
        try:
            now = plan(token)
            if (now.regrouping.earlier, now.regrouping.boundary) != (mine.earlier, mine.boundary):
                raise CannotRegroup(CHANGED)
        except (CannotRegroup, NotThere):
            regroupings.drop(mine)
            raise
        _end_watches(runtime, mine)
        mine = replace(mine, state=DOING, before=now.earlier.before, order=regroupings.last_order(mine) + 1)
        if not regroupings.begin(mine):
            raise CannotRegroup(BUSY)
        carry_out(runtime, mine)
        return _done(mine)


def _claimed(runtime: Runtime, plan: Callable[[str], _Plan], token: str) -> _Plan | Regrouping:
    """Hold the sessions of a plan; what was asked for before under this token is given as it is."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        known = regroupings.get(token)
        if known and known.state not in UNFINISHED:
            return known
        if known is None:
            planned = plan(token)
            mine = replace(planned.regrouping, owner=secrets.token_hex(8))
            if regroupings.claim(mine, planned.channel_ids, runtime.clock.now() + LEASE):
                return replace(planned, regrouping=mine)
        pair = known or mine
        _wait(runtime, (pair.earlier, pair.later), until)


def _wait(runtime: Runtime, session_ids: tuple[str, ...], until: float) -> None:
    """Finish what a killed process left of these sessions, or let whoever regroups them finish that."""
    if finish_left(runtime, session_ids):
        return
    if time.monotonic() > until:
        raise CannotRegroup(BUSY)
    time.sleep(LOOK_SECONDS)


def finish_left(runtime: Runtime, session_ids: tuple[str, ...] = ()) -> int:
    """Finish the regroupings, of these sessions or of any, whose process died; gives how many."""
    finished, now = 0, runtime.clock.now()
    while left := regroupings.take_over(secrets.token_hex(8), now, now + LEASE, session_ids=session_ids):
        with contextlib.suppress(CannotRegroup):  # taken from us in turn, so it is being finished
            go_on(runtime, left)
        finished += 1
    return finished


def _end_watches(runtime: Runtime, mine: Regrouping) -> None:
    """Let what was in flight at an earlier regrouping arrive now: after this one it would belong elsewhere."""
    for other in regroupings.unsettled((mine.earlier, mine.later)):
        collect(runtime, other)
        regroupings.settled(other, before=runtime.clock.now())


def _done(regrouping: Regrouping) -> Regrouping:
    found = regroupings.get(regrouping.id)
    if found is None:
        raise NotThere("There is no such regrouping any more.")
    return found


def undo(runtime: Runtime, regrouping_id: str, *, by: str, channels: Channels = None) -> Regrouping:
    """Take a split or merge back: every message returns to where it was. What is undone already stays so.

    After a split, all goes back to the first session, what came since included; after a merge, what came since goes
    on in the later session. NotThere or CannotRegroup say why that cannot be.
    """
    with deadline(SECONDS):
        mine = _held(runtime, regrouping_id, channels)
        if mine.state == UNDONE:
            return mine
        try:
            _check_undo(runtime, mine, channels)
        except (CannotRegroup, NotThere):
            regroupings.let_go(mine, mine.state)
            raise
        _end_watches(runtime, mine)
        # What a consolidation took out, since both sessions had it, goes back with the rest.
        repeated.put_back(mine.id, mine.earlier, runtime.clock.now())
        mine = replace(mine, state=UNDOING, undone_by=by, undone_at=runtime.clock.now())
        if not regroupings.turn_back(mine):
            raise CannotRegroup(BUSY)
        carry_out(runtime, mine)
        return _done(mine)


def _held(runtime: Runtime, regrouping_id: str, channels: Channels) -> Regrouping:
    """Hold the sessions of a regrouping that is to be undone, unless it is."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = regroupings.get(regrouping_id, channels)
        if found is None:
            raise NotThere("There is no such split or merge.")
        mine = replace(found, owner=secrets.token_hex(8))
        if found.state == UNDONE or regroupings.claim_again(mine, runtime.clock.now() + LEASE):
            return mine
        _wait(runtime, (found.earlier, found.later), until)


def _check_undo(runtime: Runtime, regrouping: Regrouping, channels: Channels) -> None:
    sides = [regrouped.side(one, channels, runtime.clock.now()) for one in (regrouping.earlier, regrouping.later)]
    if not all(sides):
        raise CannotRegroup("One of the two sessions was deleted, so this cannot be undone any more.")
    if any(one and one.live for one in sides):
        raise CannotRegroup(ON_A_CALL)
    if after := regroupings.since(regrouping):
        done = "split" if after.kind == SPLIT else "merged"
        raise CannotRegroup(
            f"One of the two sessions was {done} after that, by {after.by}. Undo that first: the last comes first."
        )


def settle(runtime: Runtime) -> int:
    """Finish what crashes left, and let what was in flight at a regrouping follow; gives how many counts were wrong."""
    wrong = finish_left(runtime)
    for one in regroupings.unsettled():
        mine = replace(one, owner=secrets.token_hex(8))
        if regroupings.claim_again(mine, runtime.clock.now() + LEASE):
            wrong += collect(runtime, mine)
            regroupings.let_go(mine, mine.state)
    if wrong:
        log.info("regroupings_settled", corrected=wrong)
    return wrong
