"""A message being read: what it answers so far, and what is left of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.core.flow_parts.answers import Answer, Heard
from gateway.core.flow_parts.definition import Field, Flow, Kind

# What has a form of its own, wherever it stands.
STRONG = (Kind.EMAIL, Kind.PHONE, Kind.DATE)
# Where one answer ends and the next begins.
PIECES = re.compile(
    r"[\n;|]|,(?!\d)|(?<=[.!?])(?<![ .][a-z]\.)(?<!\b[dms]r\.)(?<!\bm[rs]s\.)(?<!\bprof\.)\s|\s+-\s+|\s&\s|\band\b",
    re.IGNORECASE,
)
# Words by which people take back what they said.
MARKED = re.compile(
    r"^\W*(?:(?:yes|yeah|yep|ok|okay|well|so|and)\b[\s,.!:;-]*)*"
    r"(?:(?:but|no|nope|sorry|actually|wait|oops|correction|i meant?|not|instead|hold on|i(?:'ve)? changed my mind"
    r"|change|update|correct|edit|fix"
    r"|make|replace|set|wrong|please|add|also|remove|drop|scrap|ditch|without|delete)\b[\s,.!:;-]*)+",
    re.IGNORECASE,
)
_MARKED_AFTER = re.compile(r"[\s,](?:actually|instead|rather|i mean|i meant)\W*$", re.IGNORECASE)
DENIED = re.compile(r"(?:^|[\s,])(?:and\s+|but\s+)?not\s+", re.IGNORECASE)


@dataclass(slots=True)
class Reading:
    """A message being read: what was found so far, and what is left of it.

    `wanted` are the fields that are asked for, the first of them above all. While `free`, unmarked answers may change
    what is known. `again` is a field somebody wants to change without saying to what.
    """

    flow: Flow
    wanted: Sequence[Field]
    known: Mapping[str, Any]
    heard: Heard
    free: bool = False
    rest: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, Answer] = field(default_factory=dict)
    again: str = ""

    @property
    def first(self) -> Field | None:
        """Give the field that is asked for above all."""
        return self.wanted[0] if self.wanted else None

    @property
    def corrects(self) -> bool:
        """Tell whether the message says that something was wrong."""
        return any(form.search(self.heard.text) for form in (MARKED, DENIED, _MARKED_AFTER))

    def take(self, one: Field, found: Answer | None, offset: int = 0, cut: bool = True) -> bool:
        """Keep an answer, and leave it out of the rest; one that does not fit is only remembered."""
        if found is None:
            return False
        if found.wrong:
            self.refused[one.name] = found
            return False
        if self.known.get(one.name) != found.value:
            self.values[one.name] = found.value
        if cut:
            self.rest = f"{self.rest[: offset + found.start]}\n{self.rest[offset + found.end :]}"
        return True

    def lacks(self, one: Field) -> bool:
        """Tell whether a field may still be filled from this message."""
        return one.name not in self.values and (one.name not in self.known or self.free)


def pieces(text: str, *, whole: bool = False) -> list[tuple[str, int]]:
    """Cut a text where one answer ends and the next begins; with `whole` all of it comes first."""
    pieces, start = [(text, 0)] if whole else [], 0
    for cut in [*PIECES.finditer(text), None]:
        end = cut.start() if cut else len(text)
        if text[start:end].strip():
            pieces.append((text[start:end], start))
        start = cut.end() if cut else end
    return pieces
