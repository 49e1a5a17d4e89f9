"""What people did about a session, in words: who, what, when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# An action that is not in here is shown by its name.
_WORDS = {
    "message_sent": "replied",
    "note_added": "added a note",
    "bot_taken_over": "took over from the bot",
    "bot_handed_back": "handed back to the bot",
    "session_begun": "began this session",
    "session_closed": "closed it",
    "session_reopened": "reopened it",
    "session_archived": "archived it",
    "session_unarchived": "took it out of the archive",
    "session_context_changed": "changed its context",
    "session_deleted": "deleted it",
    "session_restored": "restored it",
    "session_retitled": "changed the title",
    "session_tagged": "added a tag",
    "session_untagged": "removed a tag",
    "session_assigned": "assigned it",
    "session_marked_unread": "marked it as unread",
    "session_split": "split it",
    "session_merged": "merged it with the one before",
    "regrouping_undone": "undid a split or merge",
    "session_context_set": "described it",
    "flow_begun": "began a flow",
    "flow_canceled": "canceled the flow",
    "export_started": "began an export",
    "export_finished": "exported it",
    "contact_renamed": "renamed the contact",
    "claim_confirmed": "confirmed what they say of themselves",
    "claim_dismissed": "dismissed what they say of themselves",
}


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that somebody did; `message_id` is the message it is about, where it is about one."""

    by: str
    words: str
    at: datetime
    when: str
    message_id: str


def deeds(entries: Sequence[Mapping[str, Any]], now: datetime) -> list[Deed]:
    """Show entries of the audit, in the order given; only another day than today is named."""
    return [
        Deed(
            by=str(entry.get("by") or "somebody"),
            words=_WORDS.get(entry["action"]) or entry["action"].replace("_", " "),
            at=entry["at"],
            when=f"{entry['at']:%H:%M}" if entry["at"].date() == now.date() else f"{entry['at']:%Y-%m-%d %H:%M}",
            message_id=str((entry.get("details") or {}).get("message_id") or ""),
        )
        for entry in entries
    ]
