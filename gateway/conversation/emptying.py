"""What deleting old conversations and forgetting a person share: one process at a time, and how sessions are emptied.

`gateway.store.retention` says in which steps, and why nothing that arrives meanwhile gets lost.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.conversation.counting import IN_FLIGHT
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError, StoreUnavailable
from gateway.store import crm_entries, flow_runs, import_changes, removal, retention, turns
from gateway.store.archive import Archive
from gateway.store.connection import deadline
from gateway.store.retention import Amount

JOB = "retention"
LEASE = timedelta(minutes=5)
EVERY = timedelta(hours=1)

# How long a webhook that saw a session may still write into it, and a second for clocks.
GRACE = IN_FLIGHT + timedelta(seconds=1)

STEP_SECONDS = 60

Session = dict[str, Any]


class Busy(GatewayError):
    """Another process is deleting old conversations or forgetting somebody."""


@contextlib.contextmanager
def held(runtime: Runtime, *, if_due: bool = False) -> Iterator[Callable[[], None]]:
    """Be the one that deletes; gives what to call now and then to go on being it. Raises Busy."""
    owner, clock = secrets.token_hex(8), runtime.clock
    with deadline():
        if not turns.take(JOB, owner, clock.now(), lease=clock.now() + LEASE, due_only=if_due):
            raise Busy(
                "Another process deletes old conversations or forgets somebody, or died in doing so within the last "
                f"{LEASE // timedelta(minutes=1)} minutes. Try again later."
            )

    def hold() -> None:
        with deadline():
            if not turns.renew(JOB, owner, clock.now() + LEASE):
                raise Busy("Another process took over, because this one stood still for minutes.")

    try:
        yield hold
    finally:
        with contextlib.suppress(StoreUnavailable), deadline():
            turns.give_back(JOB, owner, due=clock.now() + EVERY if if_due else None)


def empty(batch: Sequence[Session], now: datetime, archive: Archive | None = None) -> Amount:
    """Delete what sessions hold, once it is in the archive, and link later ones around them; gives how much it was."""
    if not batch:
        return Amount()
    ids = [session["_id"] for session in batch]
    with deadline(STEP_SECONDS):
        amount = removal.measure(ids)
    with deadline(STEP_SECONDS):
        followed = retention.followers(batch)
    if archive:
        _archived(batch, followed, archive)
    else:
        _forgotten(batch, followed)
    with deadline(STEP_SECONDS):
        flow_runs.forget(ids)
        crm_entries.forget(ids)
        # What a consolidation took out of them is what people wrote, too.
        import_changes.forget(ids)
        retention.emptied(ids, now)
    return amount


def _linked(session: Session, followed: Mapping[Any, list[Any]]) -> dict[str, Any]:
    with deadline(STEP_SECONDS):
        return {"followed_by": followed.get(session["_id"], []), "linked_to": retention.before(session)}


def _link_around(session: Session, links: Mapping[str, Any]) -> None:
    if links["followed_by"]:
        with deadline(STEP_SECONDS):
            retention.link_around(session, links["followed_by"], links["linked_to"])


def _forgotten(batch: Sequence[Session], followed: Mapping[Any, list[Any]]) -> None:
    """Delete what sessions hold, a few hundred messages at a time."""
    for session in batch:
        if session["_id"] in followed:
            _link_around(session, _linked(session, followed))
    for messages in removal.ids_of([session["_id"] for session in batch]):
        with deadline(STEP_SECONDS):
            removal.delete_files(one["_id"] for one in messages if one.get("media"))
            removal.delete_messages([one["_id"] for one in messages])


def _archived(batch: Sequence[Session], followed: Mapping[Any, list[Any]], archive: Archive) -> None:
    """Delete what sessions hold once all of it is in the archive."""
    linked = [_linked(session, followed) for session in batch]
    contents = [_written(session, links, archive) for session, links in zip(batch, linked, strict=True)]
    archive.commit()
    for session, links, (messages, with_files) in zip(batch, linked, contents, strict=True):
        _link_around(session, links)
        with deadline(STEP_SECONDS):
            removal.delete_files(with_files)
            removal.delete_messages(messages)


def _written(session: Session, links: Mapping[str, Any], archive: Archive) -> tuple[list[str], list[str]]:
    """Write a session into the archive; gives its messages' ids, and which of them have files."""
    if not archive.has(session["_id"]):
        archive.add("session", retention.as_it_was(session), **links)
    ids, with_files = [], []
    for message in removal.messages_of(session["_id"]):
        ids.append(message["_id"])
        if message.get("media"):
            with_files.append(message["_id"])
        if not archive.has(message["_id"]):
            archive.add("message", message)
            for file in removal.files_of(message):
                for chunk in removal.chunks_of(file):
                    archive.add("chunk", chunk)
                archive.add("file", file)
    return ids, with_files
