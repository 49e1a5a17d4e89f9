"""What the layouts of other programs have in common: tables told apart by their columns, rows read into sessions.

A layout is a function that tells which of some tables hold what, and one that reads a row of such a table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.core.checking import BadRow
from gateway.core.foreign import Talk, Utterance
from gateway.core.moments import Spelling

# Which table holds what: read in this order.
CHANNELS, SESSIONS, MESSAGES, PEOPLE = "channels", "sessions", "messages", "people"
ORDER = (CHANNELS, SESSIONS, MESSAGES, PEOPLE)

# By name of the table, the names its columns are compared by.
Shapes = Mapping[str, frozenset[str]]
Roles = Mapping[str, str]


@dataclass(slots=True)
class Reading:
    """What rows are read with. `channels` are those of the source by id: their number, and their type."""

    spelling: Spelling
    channels: dict[str, tuple[str, str]] = field(default_factory=dict)


# A row may hold a session and some messages, each of which may be wrong for itself.
Found = Talk | Utterance | BadRow


@dataclass(frozen=True, slots=True)
class Tables:
    """A layout of other programs. `roles` gives None where these tables are of another; `needs` says what it wants.

    What is `bare` has no sessions: they are made by the rules of the gateway.
    """

    name: str
    needs: str
    roles: Callable[[Shapes], Roles | None]
    read: Callable[[str, Mapping[str, Any], Reading], Iterator[Found]]
    bare: bool = False


def having(shapes: Shapes, wanted: Sequence[str], *, without: Sequence[str] = ()) -> list[str]:
    """Name the tables that have all of these columns, and none of those."""
    return [name for name, shape in shapes.items() if shape.issuperset(wanted) and not shape.intersection(without)]
