"""Rows of a CSV file: separated by commas, semicolons or tabs, the names of the columns in the first."""

import csv
from collections import deque
from collections.abc import Iterator

from gateway.conversation.sources.records import Record

# A quote that is never closed would take in the rest of the file.
LONGEST = 1 << 20
_SEPARATORS = (",", ";", "\t")

# The limit is the process's, and a message may be longer than the module's own; ours holds for a whole row.
csv.field_size_limit(2 * LONGEST)


class _Unclosed(Exception):
    pass


class _Lines:
    """Lines for a reader, remembered since its last row, so that a row that does not end can be taken back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._back = lines, deque[str]()
        self.since: list[str] = []
        self.number = self._length = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self._length > LONGEST:
            raise _Unclosed
        line = self._back.popleft() if self._back else next(self._lines).replace("\0", "")
        self.since.append(line)
        self._length += len(line)
        return line

    def take(self) -> str:
        """Give the lines of a row that is done with."""
        self.number += len(self.since)
        text = "".join(self.since)
        self.since, self._length = [], 0
        return text

    def give_back(self) -> str:
        """Give the first line of a row that does not end, and let the others be read again."""
        first, *others = self.since
        self._back.extendleft(reversed(others))
        self.since = [first]
        return self.take()


def rows(name: str, lines: Iterator[str]) -> Iterator[Record]:
    """Read rows as records by the names of the columns; what is empty is not there."""
    source = _Lines(lines)
    columns: list[str] = []
    separator = ","
    for header in source:
        if source.since and header.strip():
            separator = max(_SEPARATORS, key=header.count)
            columns = [one.strip() for one in next(csv.reader([header], delimiter=separator))]
        source.take()
        if columns:
            break
    reader = csv.reader(source, delimiter=separator, strict=True)
    while True:
        number = source.number + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except (_Unclosed, csv.Error):
            yield _unclosed(name, source)
            reader = csv.reader(source, delimiter=separator, strict=True)
            continue
        text = source.take()
        if not row or not text.strip():
            continue
        yield _record(f"{name}, line {number}", columns, row, text)


def _unclosed(name: str, source: _Lines) -> Record:
    number = source.number + 1
    text = source.give_back()
    return Record(
        f"{name}, line {number}",
        problem="Its quotes are not closed, or not doubled; in the last line, the file was cut off.",
        text=text,
    )


def _record(place: str, columns: list[str], row: list[str], text: str) -> Record:
    if len(row) != len(columns):
        reason = f"It has {len(row)} fields, and there are {len(columns)} columns."
        return Record(place, problem=reason, text=text)
    return Record(place, {column: value for column, value in zip(columns, row, strict=True) if value != ""}, text=text)
