"""Duplicates of what is here made one: contacts of one person, and sessions that are one conversation.

Everything is done by the use cases a person has for it, so each step can be undone, is written down, and survives a
crash. Nothing is remembered between runs: what was stopped is done anew, and finds done what is.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from gateway.conversation import linking, merging, regroup
from gateway.conversation.merging import CannotMerge, NoContact
from gateway.conversation.regroup import NotThere
from gateway.conversation.regrouping import CannotRegroup
from gateway.conversation.runtime import Runtime
from gateway.core import duplicates as judged
from gateway.core.duplicates import Stretch, in_order
from gateway.logs import log
from gateway.store import duplicates, groups, merges
from gateway.store import linking as noted
from gateway.store.connection import deadline
from gateway.store.groups import Group

# Why contacts were merged, as it is kept with the merge.
CONSOLIDATED = "consolidated"

_SECONDS = 60
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Found:
    """Contacts, or sessions, that are one: `kept` is what the others are merged into."""

    what: str
    kept: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a contact is in a CRM, who is another one there by now: `kept` is that one, synchronised last."""

    provider: str
    contact: str
    remote_id: str
    kept: str


@dataclass
class Report:
    """What came of it, or would. `left` says what could not be done now, with the reason."""

    people: int = 0
    contacts_merged: int = 0
    session_groups: int = 0
    sessions_merged: int = 0
    messages_duplicate: int = 0
    dropped: list[Dropped] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def groups(self) -> int:
        """Give how many groups were consolidated, of people and of sessions."""
        return self.people + self.session_groups


@dataclass(frozen=True)
class _Run:
    runtime: Runtime
    by: str
    is_dry: bool
    tell: Callable[[Found], object]
    report: Report = field(default_factory=Report)


def consolidate(
    runtime: Runtime, by: str, *, is_dry: bool = False, tell: Callable[[Found], object] = lambda _found: None
) -> Report:
    """Make one of what is here twice; gives what came of it. `tell` hears of each group, and `is_dry` only finds it.

    May run while the gateway serves, and again at any time.
    """
    run = _Run(runtime, by, is_dry, tell)
    if not is_dry:
        with deadline(_SECONDS):
            merging.finish_left(runtime)
            regroup.finish_left(runtime)
    for lot in _people(frozenset(runtime.settings.contacts.shared)):
        _one_person(run, lot)
    for sender in duplicates.senders():
        if len(sender) > 1:
            _one_sender(run, sender)
    if not is_dry:
        done = {name: getattr(run.report, name) for name in ("people", "contacts_merged", "sessions_merged")}
        log.info("consolidated", by=by, **done, left=len(run.report.left))
    return run.report


def _people(shared: Collection[str]) -> Iterator[list[str]]:
    """Give the ids of contacts that are one person, put together over whatever they have in common."""
    with deadline(_SECONDS):
        lots: list[Sequence[str]] = [(one, other) for one, other, _ in noted.noted(limit=0)]
    yield from _together([*lots, *duplicates.contacts(shared)])


def _together(lots: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    above: dict[str, str] = {}

    def top(one: str) -> str:
        while (up := above.setdefault(one, one)) != one:
            above[one] = one = above[up]
        return one

    for first, *others in lots:
        for other in others:
            above[top(other)] = top(first)
    members = sorted((top(one), one) for one in list(above))
    for _, rows in groupby(members, key=lambda row: row[0]):
        yield [one for _, one in rows]


def _one_person(run: _Run, ids: Sequence[str]) -> None:
    with deadline(_SECONDS):
        found = {group.id: group for group in map(groups.find, ids) if group and not group.first("to_forget")}
        if not found:
            return
        mine, *others = sorted(found.values(), key=_rank)
        merged, members = list[str](), list(mine.ids)
        for other in others:
            if not merges.were_parted(members, other.ids) and _merged(run, mine, other):
                merged.append(other.id)
                members += other.ids
    if merged:
        run.report.people += 1
        run.report.contacts_merged += len(merged)
        run.tell(Found("people", mine.id, tuple(merged)))


def _rank(group: Group) -> tuple[float, datetime, str]:
    """Let the one whom a CRM was told of last stand for all, so that what it is there stays; else the elder."""
    synced = max((at for _, _, at in _remote(group)), default=_NEVER)
    return (-(synced - _NEVER).total_seconds(), *linking.began(group))


def _remote(group: Group) -> Iterator[tuple[str, str, datetime]]:
    """Give what a person is in each CRM, and since when it was told."""
    known = group.head.get("crm")
    for provider, state in known.items() if isinstance(known, Mapping) else ():
        if isinstance(state, Mapping) and state.get("contact_id"):
            yield provider, str(state["contact_id"]), _moment(state.get("last_sync_at"))


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else _NEVER


def _merged(run: _Run, mine: Group, other: Group) -> bool:
    if not run.is_dry:
        try:
            merging.merge(run.runtime, mine.id, other.id, by=run.by, reason=CONSOLIDATED)
        except (CannotMerge, NoContact) as refusal:
            run.report.left.append(f"Contact {other.id} was not merged into {mine.id}: {refusal}")
            return False
    kept = {provider: remote_id for provider, remote_id, _ in _remote(mine)}
    for provider, remote_id, _ in _remote(other):
        if kept.get(provider, remote_id) != remote_id:
            run.report.dropped.append(Dropped(provider, other.id, remote_id, kept[provider]))
    return True


def _one_sender(run: _Run, sender: Sequence[Stretch]) -> None:
    for cluster in _clusters(run.runtime, sender):
        with deadline(_SECONDS):
            # As they are now, and without those of which it is known why they are sessions of their own.
            ids = [one.id for one in cluster]
            aside = duplicates.explained(ids) | duplicates.taken_out(ids)
            current = [one for one in duplicates.stretches(ids) if one.id not in aside]
        for group in _clusters(run.runtime, current):
            _one_session(run, group)


def _clusters(runtime: Runtime, stretches: Iterable[Stretch]) -> Iterator[list[Stretch]]:
    now = runtime.clock.now()
    on_hook = (one for one in stretches if one.live_until is None or one.live_until < now)
    for _, rows in groupby(sorted(on_hook, key=lambda one: one.place), key=lambda one: one.place):
        mine = list(rows)
        yield from judged.clusters(mine, _threshold(runtime, mine[0]))


def _threshold(runtime: Runtime, one: Stretch) -> int | None:
    channel = runtime.channels.get(one.channel_id)
    if channel is None:
        return runtime.settings.idle_ms_for(one.communication_type)
    return runtime.policy_for(channel).threshold_ms


def _one_session(run: _Run, cluster: Sequence[Stretch]) -> None:
    kept, *others = in_order(cluster)
    with deadline(_SECONDS):
        repeated = duplicates.messages([one.id for one in cluster])
    merged = [one.id for one in others if run.is_dry or _joined(run, one.id, kept.id)]
    if merged:
        run.report.session_groups += 1
        run.report.sessions_merged += len(merged)
        run.report.messages_duplicate += repeated
        run.tell(Found("sessions", kept.id, tuple(merged)))


def _joined(run: _Run, session_id: str, into: str) -> bool:
    try:
        regroup.join(run.runtime, session_id, into, by=run.by)
    except (CannotRegroup, NotThere) as refusal:
        run.report.left.append(f"Session {session_id} was not merged into {into}: {refusal}")
        return False
    return True
