"""Pointing our numbers at this gateway, and putting back what stood there.

What stands there is written down before anything is changed (`store.pointings`), so whatever is killed when, it can be
put back by anybody later. Both verbs may be repeated at any time, and done by several at once.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.conversation.runtime import Clock
from gateway.core.accounts import NotOurs, Number
from gateway.core.errors import GatewayError
from gateway.core.pointing import Layers, PuttingBack, putting_back
from gateway.core.wiring import Difference, Wiring, differences, expected, shown, unreachable
from gateway.logs import log
from gateway.store import audit, pointings
from gateway.store.connection import deadline
from gateway.store.pointings import Pointing

# Each round that somebody else was faster in, they were done with something.
ROUNDS = 20


class CannotPoint(GatewayError):
    """Nothing was changed, since it would do no good; says why and what to do."""


class Account(Protocol):
    """Who is asked what stands at a number, and told what is to stand there: `clients.twilio_account`."""

    def fetch(self, sid: str, account_sid: str) -> Number:
        """Read a number anew; raises NotOurs."""

    def update(self, number: Number, values: Mapping[str, str]) -> Number:
        """Set fields of a number."""


@dataclass(frozen=True, slots=True)
class Pointed:
    """A number as it is now, and what was changed."""

    number: Number
    changed: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back of a number, and what was not, since somebody else had changed it.

    `gone` where the number is not ours any more; `remains` where an earlier pointing can be put back yet.
    """

    address: str
    put_back: Wiring
    left: Wiring
    gone: bool = False
    remains: bool = False


def require_callable(public_url: str) -> None:
    """Raise CannotPoint where Twilio could not call an address."""
    if why := unreachable(public_url):
        raise CannotPoint(
            f"{why}, so Twilio could not call it. Set PUBLIC_URL to this gateway's https address, or open a tunnel "
            "with `gateway listen`."
        )


def wanted(number: Number, public_url: str, channels: Collection[str] = ()) -> dict[str, str]:
    """Give what is to stand at a number; of these channels only, where some are named. Raises CannotPoint."""
    require_callable(public_url)
    taken = number.channels & frozenset(channels or number.channels)
    if not taken:
        takes = ", ".join(sorted(number.channels)) or "nothing that the gateway knows"
        raise CannotPoint(f"{number.address} takes {takes}, so there is nothing to point.")
    return expected(public_url, taken)


def point(
    clock: Clock,
    account: Account,
    number: Number,
    should: Wiring,
    *,
    by: str,
    passing: bool = False,
    seen: Wiring | None = None,
) -> Pointed:
    """Make a number call what it should, after writing down what it calls now.

    `passing` is for an address that is gone soon, and what stands below it is put back first. `seen` is what somebody
    agreed to have changed: CannotPoint where it is otherwise by now. Raises AccountError too.
    """
    for _ in range(ROUNDS):
        with deadline():
            kept = pointings.get(number.sid)
        number = account.fetch(number.sid, number.account_sid)
        found = differences(number.wiring, should)
        if found and seen is not None and any(one.actual != seen.get(one.field) for one in found):
            raise CannotPoint(f"Somebody changed {number.address} meanwhile. Look at it once more.")
        known = kept or Pointing(number.sid, number.account_sid, number.address)
        layers = known.layers.pointed(number.wiring, should, passing=passing)
        if not found and layers == known.layers:
            return Pointed(number, ())
        now = clock.now()
        with deadline():
            written = pointings.write(known, layers, at=now, by=by)
            if written and found:
                _note(clock, by, "number_pointed", number.address, [_told(one) for one in found])
        if written is None:
            continue
        if not found:
            return Pointed(number, ())
        number = account.update(number, {one.field: one.expected for one in found})
        log.info("number_pointed", number_sid=number.sid, fields=[one.field for one in found], by=by)
        _hold(clock, written, by)
        return Pointed(number, tuple(found))
    raise CannotPoint(f"Others are changing {number.address} all the time. Run it again when they are done.")


def _hold(clock: Clock, written: Pointing, by: str) -> None:
    """Write our layers down again, if somebody put them back between our writing and the provider's."""
    for _ in range(ROUNDS):
        with deadline():
            kept = pointings.get(written.sid)
            if kept is None or kept.version == written.version:
                return
            if pointings.write(kept, kept.layers.including(written.layers), at=clock.now(), by=by):
                return


def restore(
    clock: Clock,
    account: Account,
    pointing: Pointing,
    *,
    by: str,
    force: bool = False,
    forget: bool = False,
) -> Restored:
    """Put back what stood at a number before it was pointed last; of what was put back meanwhile nothing more.

    What somebody else changed since is left alone and stays written down; with `force` it is overwritten, with
    `forget` what stood there is written down no more. Raises AccountError.
    """
    for _ in range(ROUNDS):
        with deadline():
            kept = pointings.get(pointing.sid)
        if kept is None or not kept.is_pointed or (pointing.is_passing and not kept.is_passing):
            return Restored(pointing.address, {}, {})
        if kept.is_passing and not pointing.is_passing:
            raise CannotPoint(f"Somebody has pointed {pointing.address} at a tunnel meanwhile. Look at it once more.")
        try:
            number = account.fetch(kept.sid, kept.account_sid)
        except NotOurs:
            return _give_up(clock, kept, by)
        back = putting_back(kept.layers.top, number.wiring)
        values = {**back.values, **(back.changed if force else {})}
        if values:
            _put(clock, account, number, values, by)
        if _settle(clock, kept, back, values, by, forget=forget):
            left = {} if force else back.changed
            remains = kept.is_passing and bool(kept.layers.lasting.before)
            return Restored(kept.address, values, left, remains=remains)
    raise CannotPoint(f"Others are changing {pointing.address} all the time. Run it again when they are done.")


def _put(clock: Clock, account: Account, number: Number, values: Wiring, by: str) -> None:
    changes = [
        {"field": name, "from": shown(number.wiring.get(name, "")), "to": shown(value)}
        for name, value in values.items()
    ]
    with deadline():
        _note(clock, by, "number_restored", number.address, changes)
    account.update(number, values)
    log.info("number_restored", number_sid=number.sid, fields=sorted(values), by=by)


def _settle(clock: Clock, kept: Pointing, back: PuttingBack, values: Wiring, by: str, *, forget: bool) -> bool:
    """Write down that fields are put back; False where somebody else wrote meanwhile."""
    through = {*back.done, *values, *(back.changed if forget else ())}
    with deadline():
        if not pointings.write(kept, kept.layers.lifted(through), at=clock.now(), by=by):
            return False
        if forget and back.changed:
            _note(clock, by, "pointing_forgotten", kept.address, _was(back.changed))
    return True


def _give_up(clock: Clock, kept: Pointing, by: str) -> Restored:
    """Write down no more what stood at a number that is not ours any more."""
    with deadline():
        for layer in (kept.layers.passing, kept.layers.lasting):
            _note(clock, by, "pointing_forgotten", kept.address, _was(layer.before))
        pointings.write(kept, Layers(), at=clock.now(), by=by)
    return Restored(kept.address, {}, {}, gone=True)


def _was(before: Wiring) -> list[dict[str, Any]]:
    return [{"field": name, "was": shown(value)} for name, value in before.items()]


def _told(one: Difference) -> dict[str, Any]:
    return {"field": one.field, "from": shown(one.actual), "to": shown(one.expected)}


def _note(clock: Clock, by: str, action: str, address: str, changes: list[dict[str, Any]]) -> None:
    """Write into the audit before the provider is told, so that there is no change without an entry."""
    audit.note(clock.now(), by, action, number=address, changes=changes)
