"""Imports, rehearsals and comparisons as `gateway import ... --json` prints them for programs."""

from typing import Any

from gateway.conversation.rehearsal import Rehearsal
from gateway.conversation.verifying import Verified
from gateway.core.imported import Tally
from gateway.store.imports import Import


def others(tally: Tally) -> dict[str, tuple[int, int]]:
    """Give what came along with conversations: how many are new, and how many were here."""
    return {
        "channels": (tally.channels_created, tally.channels_existing),
        "contacts": (tally.contacts_created, tally.contacts_existing),
        "files": (tally.files_imported, tally.files_existing),
    }


def of_import(run: Import) -> dict[str, Any]:
    """Give what came of an import, or what it has come to."""
    return {
        "id": run.id,
        "state": run.state,
        "layout": run.layout,
        "file_name": run.file_name,
        "by": run.by,
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at and run.finished_at.isoformat(),
        "bytes": run.size,
        "bytes_read": run.position.offset,
        "rows_read": run.position.rows,
        "people": run.people,
        "rows_per_second": run.rows_per_second,
        "complete": run.is_complete,
        "error": run.error or None,
        "undone_at": run.undone_at and run.undone_at.isoformat(),
        "undone": dict(run.undone) if run.undone_at else None,
        "in_place": dict(run.in_place) or None,
        "consolidated": dict(run.consolidated) or None,
    } | _counted(run.tally)


def of_rehearsal(done: Rehearsal) -> dict[str, Any]:
    """Give what would come of an import."""
    return {
        "dry_run": True,
        "layout": done.layout,
        "file_name": done.name,
        "rows_read": done.rows,
        "people": {"new": done.people_new, "existing": done.people - done.people_new},
        "reasons": dict(done.reasons.most_common()),
        "complete": done.is_complete,
    } | _counted(done.tally)


def of_comparison(done: Verified) -> dict[str, Any]:
    """Give what came of a comparison."""
    return {
        "id": done.run.id,
        "compared_with": ("backup" if done.run.in_place else "source") if done.of_source else "notes",
        "sessions": done.sessions,
        "messages": done.messages,
        "people": done.people,
        "same": done.is_same,
        "extra": done.extra,
        "written_since": done.written_since,
        "counts": dict(done.counts),
        "by_session": dict(done.by_session),
        "differences": [
            {"what": what, "id": about, "session_id": session_id} for what, about, session_id in done.differences
        ],
    }


def _counted(tally: Tally) -> dict[str, Any]:
    return {
        "sessions": {
            "created": tally.sessions_created,
            "existing": tally.sessions_existing,
            "closed": tally.sessions_closed,
        },
        "messages": {"imported": tally.messages_imported, "duplicate": tally.messages_duplicate},
        **{name: {"created": new, "existing": here} for name, (new, here) in others(tally).items()},
        "rejected": tally.rejected,
        "problems": tally.problems,
    }
