"""The layouts of files that can be imported: by name, each with how it is recognised and how its rows are read.

A new layout is a module with the two functions, and a row in the table. Rows come in an order in which a message
never comes before its session, and carry where in the file reading goes on after them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from gateway.conversation.layouts import own
from gateway.core.errors import GatewayError
from gateway.core.imported import Position, Read


class BadFile(GatewayError):
    """A file that cannot be imported at all; says why, and what would do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which conversations are written down. `recognises` is given the beginning of a file.

    `read` is given the file, from wherever it is on, and that position.
    """

    name: str
    recognises: Callable[[bytes], bool]
    read: Callable[[BinaryIO, Position], Iterator[Read]]


LAYOUTS: dict[str, Layout] = {
    "gateway": Layout("gateway", own.recognises, own.read),
}

# So much of a file is looked at to recognise it.
BEGINNING = 65_536


def choose(name: str, beginning: bytes) -> Layout:
    """Give the layout that was named, or is recognised; BadFile where there is none, or the file is of another."""
    known = ", ".join(LAYOUTS)
    if name and name not in LAYOUTS:
        raise BadFile(f"There is no layout {name[:40]!r}. Known: {known}.")
    if not beginning.strip():
        raise BadFile("The file is empty.")
    for layout in LAYOUTS.values():
        if name in ("", layout.name) and layout.recognises(beginning):
            return layout
    what = f"of the layout {name}" if name else f"of a layout that is known here ({known})"
    raise BadFile(f'The file is not {what}. A file of `gateway export` begins with {{"layout":"gateway",...}}.')
