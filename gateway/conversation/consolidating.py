"""Duplicates of what is here made one: contacts of one person, and sessions that are one conversation.

A run is in the list of imports: it is gone on with where it was stopped, can be verified, and is taken back as a whole.
"""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from gateway.conversation import consolidated, daily, linking, merging, regroup, whatif
from gateway.conversation.consolidation import Dropped, Found, Hands, Report, Stopped, Work
from gateway.conversation.import_runs import LEASE
from gateway.conversation.importing import Busy, give_way_to_undo
from gateway.conversation.runtime import Runtime
from gateway.core import duplicates as judged
from gateway.core.duplicates import Stretch, in_order
from gateway.logs import log
from gateway.store import audit, consolidations, duplicates, groups, import_claims, imports, merges, repeated
from gateway.store import linking as noted
from gateway.store.connection import deadline
from gateway.store.consolidations import DONE, LAYOUT, PEOPLE, PLACE, SESSIONS, Note
from gateway.store.groups import Group
from gateway.store.imports import Import

WHAT = "what is here"

_SECONDS = 60
_NEVER = datetime.min.replace(tzinfo=UTC)


def consolidate(runtime: Runtime, by: str, hands: Hands | None = None, *, is_dry: bool = False) -> Report:
    """Make one of what is here twice; gives what came of it. `is_dry` only finds it. Busy where another process does.

    May run while the gateway serves, and again at any time. Where a process before was stopped, its run goes on.
    """
    work = Work(runtime, by, hands or Hands())
    if is_dry:
        _walk(work)
        return work.report
    work.run = _begin(runtime, by)
    try:
        with deadline(_SECONDS):
            merging.finish_left(runtime)
            regroup.finish_left(runtime)
        _go_on(work)
        _walk(work)
    except Stopped:
        work.report.is_done = False
        with deadline():
            import_claims.release(work.run)
    except BaseException:
        with deadline():
            import_claims.release(work.run)
        raise
    return _end(work, work.run)


def _begin(runtime: Runtime, by: str) -> Import:
    now, owner = runtime.clock.now(), secrets.token_hex(8)
    with deadline():
        give_way_to_undo()
        if imports.unfinished_at(PLACE) is None:
            run_id = imports.add(
                now, state=imports.QUEUED, layout=LAYOUT, file_name=WHAT, size=duplicates.amount(), by=by, place=PLACE
            )
            audit.note(now, by, "consolidation_started", import_id=run_id)
        run = import_claims.claim(owner, now, now + LEASE, place=PLACE)
        if run:
            give_way_to_undo(run)
    if run is None:
        raise Busy("Another process is consolidating. Should that be dead, try again in two minutes.")
    return run


def _end(work: Work, run: Import) -> Report:
    """Say what came of the run, with what was done of it before."""
    report, now = work.report, work.runtime.clock.now()
    with deadline(_SECONDS):
        amounts = consolidations.amounts(run.id)
        report.dropped += [one for page in consolidations.of(run.id, PEOPLE) for note in page for one in _dropped(note)]
    for name, amount in amounts.items():
        setattr(report, name, amount)
    report.run_id = run.id if any(amounts.values()) or not report.is_done else ""
    with deadline(_SECONDS):
        if not report.is_done:
            return report
        import_claims.note_source(run, {"consolidated": amounts, "offset": work.of, "size": work.of}, now + LEASE)
        _count_again(work.runtime, imports.get(run.id) or run)
        import_claims.finish(run, imports.DONE, now, is_complete=True)
        if not report.run_id:
            consolidations.drop_run(run.id)
        facts: dict[str, Any] = {"import_id": run.id, "left": len(report.left), **amounts}
        audit.note(now, work.by, "consolidation_finished", **facts)
    log.info("consolidated", by=work.by, **facts)
    return report


def _count_again(runtime: Runtime, run: Import) -> None:
    """Let the days and pauses be counted again from which something was taken out."""
    daily.count_again(runtime, run.days)
    if run.oldest_stored:
        whatif.count_again_from(run.oldest_stored, run.id)


def _dropped(note: Note) -> list[Dropped]:
    return [Dropped(one["provider"], note.id, one["remote_id"], one["kept"]) for one in note.dropped]


def _go_on(work: Work) -> None:
    """Do to its end what a process before had begun."""
    for kind, step in ((PEOPLE, consolidated.merge_contact), (SESSIONS, consolidated.join_session)):
        pages = consolidations.of(work.run_id, kind)
        while page := _in_time(pages):
            for note in page:
                if note.state != DONE:
                    work.do(step, note)


def _in_time(pages: Iterator[list[Note]]) -> list[Note] | None:
    with deadline(_SECONDS):
        return next(pages, None)


def _walk(work: Work) -> None:
    with deadline(_SECONDS):
        work.of = duplicates.amount()
    for lot in _people(frozenset(work.runtime.settings.contacts.shared)):
        work.look()
        _one_person(work, lot)
    for sender in duplicates.senders():
        work.looked_at += len(sender)
        work.look()
        if len(sender) > 1:
            _one_sender(work, sender)
    work.hands.at(work.of, work.of)


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


def _one_person(work: Work, ids: Sequence[str]) -> None:
    with deadline(_SECONDS):
        found = {group.id: group for group in map(groups.find, ids) if group and not group.first("to_forget")}
        if not found:
            return
        mine, *others = sorted(found.values(), key=_rank)
    merged, members = list[str](), list(mine.ids)
    for other in others:
        with deadline(_SECONDS):
            if merges.were_parted(members, other.ids):
                continue
        note = _contact_note(work.run_id, mine, other)
        if work.run is None:
            work.report.dropped += _dropped(note)
        elif not work.do(consolidated.merge_contact, note)[0]:
            continue
        merged.append(other.id)
        members += other.ids
    if merged:
        work.report.people += 1
        work.report.contacts_merged += len(merged)
        work.hands.tell(Found(PEOPLE, mine.id, tuple(merged)))


def _contact_note(run_id: str, mine: Group, other: Group) -> Note:
    kept = {provider: remote_id for provider, remote_id, _ in _remote(mine)}
    dropped = [
        {"provider": provider, "remote_id": remote_id, "kept": kept[provider]}
        for provider, remote_id, _ in _remote(other)
        if kept.get(provider, remote_id) != remote_id
    ]
    brought = {str(one["import_id"]) for group in (mine, other) for one in group.members if one.get("import_id")}
    return Note(run_id, PEOPLE, other.id, mine.id, imports=tuple(sorted(brought)), dropped=tuple(dropped))


def _rank(group: Group) -> tuple[bool, float, datetime, str]:
    """Let the one whom a CRM was told of last stand for all, so that what it is there stays; else the elder."""
    known = [at for _, _, at in _remote(group)]
    synced = max(known, default=_NEVER)
    return (not known, -(synced - _NEVER).total_seconds(), *linking.began(group))


def _remote(group: Group) -> Iterator[tuple[str, str, datetime]]:
    """Give what a person is in each CRM, and since when it was told."""
    known = group.head.get("crm")
    for provider, state in known.items() if isinstance(known, Mapping) else ():
        if isinstance(state, Mapping) and state.get("contact_id"):
            yield provider, str(state["contact_id"]), _moment(state.get("last_sync_at"))


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else _NEVER


def _one_sender(work: Work, sender: Sequence[Stretch]) -> None:
    for cluster in _clusters(work.runtime, sender):
        with deadline(_SECONDS):
            # As they are now, and without those of which it is known why they are sessions of their own.
            ids = [one.id for one in cluster]
            aside = duplicates.explained(ids) | duplicates.taken_out(ids)
            current = [one for one in duplicates.stretches(ids) if one.id not in aside]
        for group in _clusters(work.runtime, current):
            _one_session(work, group)


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


def _one_session(work: Work, cluster: Sequence[Stretch]) -> None:
    kept, *others = in_order(cluster)
    merged = [one.id for one in others]
    if work.run is None:
        with deadline(_SECONDS):
            removed = repeated.among([one.id for one in cluster])
    else:
        merged, removed = _joined(work, kept.id, merged)
    if merged:
        work.report.session_groups += 1
        work.report.sessions_merged += len(merged)
        work.report.messages_removed += removed
        work.hands.tell(Found(SESSIONS, kept.id, tuple(merged), removed))


def _joined(work: Work, kept: str, others: Sequence[str]) -> tuple[list[str], int]:
    """Merge sessions into one; gives which were, and how many messages were put aside."""
    merged, removed = list[str](), 0
    for session_id in others:
        with deadline(_SECONDS):
            brought = consolidations.brought_by([session_id, kept])
        is_done, more = work.do(
            consolidated.join_session, Note(work.run_id, SESSIONS, session_id, kept, imports=brought)
        )
        merged += [session_id] if is_done else []
        removed += more
    return merged, removed
