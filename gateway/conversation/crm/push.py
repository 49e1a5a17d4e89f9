"""What was said, put on a contact's timeline at the CRM: each message once, in entries that are decided beforehand."""

import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.clients.crm import Crm
from gateway.conversation.runtime import Runtime
from gateway.core import crm as shown
from gateway.core.crm import Entry, Line
from gateway.store import crm_entries
from gateway.store.connection import deadline
from gateway.store.crm_entries import Claimed
from gateway.store.groups import Group

_SECONDS = 20
_SENDERS = {"ai": "Bot", "agent": "Agent", "system": "Automatic"}


def push(runtime: Runtime, crm: Crm, group: Group, remote: str, sessions: Sequence[str] | None) -> tuple[int, int]:
    """Tell of some sessions of a person, None for all: what was begun before, then what is new.

    Gives how many entries and messages that were. CrmFailed; CrmGone where the contact is gone.
    """
    entries = messages = 0
    with deadline(_SECONDS):
        begun = crm_entries.pending(group.ids, crm.name)
        theirs = list(crm_entries.sessions_of(group.ids, sessions))
    for entry in begun:
        messages += _tell(runtime, crm, group, remote, entry)
        entries += 1
    for about in theirs:
        while new := _next(runtime, crm, group, about):
            messages += _tell(runtime, crm, group, remote, new)
            entries += 1
    return entries, messages


def _next(runtime: Runtime, crm: Crm, group: Group, about: Mapping[str, Any]) -> Claimed | None:
    """Claim the next entry of a session; None where everything is told."""
    with deadline(_SECONDS):
        while True:
            number = crm_entries.next_number(about["_id"], crm.name)
            rows = crm_entries.untold(about["_id"], crm.name)
            if not rows:
                return None
            ids = [row["_id"] for row in rows[: shown.fitting(_lines(runtime, group, rows))]]
            now = runtime.clock.now()
            if entry := crm_entries.claim(about, number, crm.name, group.id, ids, now):
                crm_entries.mark(entry, crm.name)
                return entry


def _tell(runtime: Runtime, crm: Crm, group: Group, remote: str, entry: Claimed) -> int:
    with deadline(_SECONDS):
        crm_entries.mark(entry, crm.name)
        rows, about = crm_entries.read(entry.messages), crm_entries.session(entry.session_id)
        if about is None or not rows:
            crm_entries.drop(entry)
            return 0
    title = str(about.get("title") or "Conversation") + (f", part {entry.number}" if entry.number > 1 else "")
    public = runtime.settings.public_url.rstrip("/")
    url = f"{public}/admin/sessions/{entry.session_id}" if public else ""
    body = shown.body(title, _lines(runtime, group, rows), url=url)
    remote_id = crm.log(remote, Entry(entry.key, entry.communication_type, rows[-1]["createdAt"], body))
    with deadline(_SECONDS):
        crm_entries.done(entry, remote_id)
    return len(rows)


def _lines(runtime: Runtime, group: Group, rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    zone = zoneinfo.ZoneInfo(runtime.settings.reply.timezone)
    person = str(group.first("name") or "Customer")
    return [Line(row["createdAt"].astimezone(zone), _who(row, person), _text(row)) for row in rows]


def _who(row: Mapping[str, Any], person: str) -> str:
    if row.get("direction") != "outbound":
        return person
    author = (row.get("metadata") or {}).get("author")
    return str(author or _SENDERS.get(str(row.get("sender")), "We"))


def _text(row: Mapping[str, Any]) -> str:
    files = [str(file.get("content_type") or "file") for file in row.get("media") or ()]
    parts = [str(row.get("content") or ""), f"[{', '.join(files)}]" if files else ""]
    return " ".join(filter(None, parts)) or "(no words)"
