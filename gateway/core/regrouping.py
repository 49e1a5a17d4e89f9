"""What goes together when a session is parted: an answer with what it answers, a call with its first webhook."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.core.messages import VOICE


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a session. `answers` is what it answers, `call_sid` the call a recording is of.

    `is_marked` says that the regrouping in question moved it.
    """

    id: str
    at: datetime
    stored_at: datetime
    communication_type: str = ""
    answers: str = ""
    call_sid: str = ""
    is_marked: bool = False

    @property
    def head(self) -> str:
        """Give the id of the message this one stays with, which may be itself."""
        asked = self.answers or self.id
        if self.communication_type != VOICE:
            return asked
        sid, _, turn = str(asked).rpartition(":")
        call_sid = self.call_sid or (sid if turn.isdecimal() else "")
        return f"{call_sid}:0" if call_sid else asked


def chosen(parts: Sequence[Part], wanted: Callable[[Part], bool], *, staying: Collection[str]) -> list[str]:
    """Choose which messages move: those whose head does. `staying` are heads that are not among the parts."""
    known = {part.id: part for part in parts}
    return [part.id for part in parts if part.head not in staying and wanted(known.get(part.head, part))]
