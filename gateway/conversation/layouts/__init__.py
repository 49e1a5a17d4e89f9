"""The layouts in which conversations can be imported: by name, each with how it is recognised and read.

`gateway` is our own, and is read as it stands: a message never comes before its session. The others are tables of
other programs; a new one is a module with two functions, and a row here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from gateway.conversation.layouts import embedded, flat, node, own, people, relational, twilio
from gateway.conversation.layouts.reading import Roles, Tables
from gateway.conversation.sources import Table
from gateway.core.errors import GatewayError
from gateway.core.foreign import shape
from gateway.core.imported import Position, Read


class BadFile(GatewayError):
    """A file that cannot be imported at all; says why, and what would do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout whose rows are read as they stand. `recognises` is given the beginning of a file.

    `read` is given the file, from wherever it is on, and that position.
    """

    name: str
    recognises: Callable[[bytes], bool]
    read: Callable[[BinaryIO, Position], Iterator[Read]]


OWN = Layout("gateway", own.recognises, own.read)

# In the order they are tried: what says most of itself comes first.
TABLES: dict[str, Tables] = {
    "twilio": Tables("twilio", twilio.NEEDS, twilio.roles, twilio.read, bare=True),
    "embedded": Tables("embedded", embedded.NEEDS, embedded.roles, embedded.read),
    "node": Tables("node", node.NEEDS, node.roles, node.read),
    "relational": Tables("relational", relational.NEEDS, relational.roles, relational.read),
    "flat": Tables("flat", flat.NEEDS, flat.roles, flat.read),
}
LAYOUTS = (OWN.name, *TABLES)

# So much of a file is looked at to recognise it, and so many rows of a table.
BEGINNING = 1 << 20
_LOOKED_AT = 20


def is_own(name: str, beginning: bytes) -> bool:
    """Tell whether a file is of the layout `gateway`; BadFile where it is named to be, and is not."""
    if name and name not in LAYOUTS:
        raise BadFile(f"There is no layout {name[:40]!r}. Known: {', '.join(LAYOUTS)}.")
    if not beginning.strip():
        raise BadFile("The file is empty.")
    recognised = OWN.recognises(beginning)
    if name == OWN.name and not recognised:
        raise BadFile(
            f'The file is not of the layout {name}. A file of `gateway export` begins with {{"layout":"gateway",...}}.'
        )
    return recognised and name in ("", OWN.name)


def choose(name: str, tables: Sequence[Table]) -> tuple[Tables, Roles]:
    """Give the layout that was named, or is recognised, and which table holds what; BadFile where there is none."""
    looked_at = {
        table.name: [dict(one.fields) for one in islice(table.read(), _LOOKED_AT) if not one.problem]
        for table in tables
    }
    shapes = {table: shape(rows) for table, rows in looked_at.items()}
    known = people.roles(shapes)
    others = {table: shape for table, shape in shapes.items() if table not in known}
    for layout in TABLES.values():
        if name in ("", layout.name) and (roles := layout.roles(others)):
            return layout, {**known, **roles}
    found = "; ".join(f"{table}: {_columns(rows)}" for table, rows in looked_at.items())[:500]
    if name:
        raise BadFile(
            f"This is not of the layout {name}, which needs {TABLES[name].needs}. Found: {found or 'nothing'}."
        )
    raise BadFile(f"This is of no layout that is known here ({', '.join(LAYOUTS)}). Found: {found or 'nothing'}.")


def _columns(rows: Sequence[Mapping[str, Any]]) -> str:
    """Name the first columns of a table, as they are written there."""
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return ", ".join(islice(names, 12)) or "nothing"
