"""What every kind of source gives: records, each with where it is written, or with why it is none."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a table. `place` is where people find it, `text` how it is written, `problem` why it holds nothing."""

    place: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A file or a collection. `read` gives its records from the beginning, any number of times.

    `remarks` says, once it was read to its end, what is odd about it as a whole. `size` is in bytes, or documents.
    """

    name: str
    read: Callable[[], Iterator[Record]]
    remarks: Callable[[], list[str]]
    size: int = 0
