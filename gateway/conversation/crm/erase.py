"""Forgetting somebody at the CRM too: what was put on their timeline is deleted there.

The contact there stays. It may have been there before us, and more may hang on it than we know of.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from gateway.clients.crm import Crm
from gateway.conversation.runtime import Runtime
from gateway.store import crm_entries, crm_queue
from gateway.store.outbox import Row

PREFIX = "crm-erase:"
_AT_ONCE = 100


def begin(runtime: Runtime, session_ids: Sequence[Any]) -> int:
    """Queue the deletion of all that the CRM was told of sessions; gives how many entries. May be repeated."""
    if runtime.crm is None:
        return 0
    entries, now = crm_entries.of_sessions(session_ids, runtime.crm.name), runtime.clock.now()
    for start in range(0, len(entries), _AT_ONCE):
        some = [list(one) for one in entries[start : start + _AT_ONCE]]
        name = hashlib.sha256(repr(some).encode()).hexdigest()[:32]
        crm_queue.put_erasure(PREFIX + name, some, now)
    return len(entries)


def erase(crm: Crm, row: Row) -> None:
    """Delete what a row names. CrmFailed."""
    by_type: dict[str, list[str]] = {}
    for communication_type, remote_id, key in row.event.get("entries") or ():
        # Nobody knows whether the CRM has one that was begun only.
        if entry_id := remote_id or crm.entry(communication_type, key):
            by_type.setdefault(communication_type, []).append(entry_id)
    for communication_type, ids in by_type.items():
        crm.erase(communication_type, ids)
