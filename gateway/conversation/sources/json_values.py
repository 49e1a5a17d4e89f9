"""Values of a JSON file, one at a time: an array, or one value after the other (JSON lines, mongoexport)."""

import json
import re
from collections.abc import Iterator
from typing import Any

from gateway.conversation.sources.records import Record

# MongoDB's documents have at most 16 MB; longer ones are none of a conversation.
LONGEST = 32 * 1024 * 1024
_KEPT = 10_000
_BETWEEN = re.compile(r"[\s,\[\]]*")
# The longest that a cut literal or number can lie before the end: `-Infinity`, and a long fraction.
_CUT = 32
_CUT_OFF = "The file ends in the middle of it: it was cut off."


class _Broken(Exception):
    """No JSON, however much follows."""


class _Values:
    def __init__(self, name: str, pieces: Iterator[str]) -> None:
        self.name, self._pieces = name, pieces
        self.text, self.at, self.is_over, self.open = "", 0, False, 0
        self._line, self._counted = 1, 0
        self._decode = json.JSONDecoder(parse_constant=lambda _: None).raw_decode

    def more(self) -> bool:
        """Read on, at least as much as there is, so that a long value is not tried too often; False at the end."""
        if self.is_over:
            return False
        self.text, self.at, self._counted = self.text[self.at :], 0, self._count()
        wanted = max(1, len(self.text))
        parts = [self.text]
        while wanted > 0 and (piece := next(self._pieces, None)) is not None:
            parts.append(piece)
            wanted -= len(piece)
        self.is_over = wanted > 0
        self.text = "".join(parts)
        return len(parts) > 1

    def _count(self) -> int:
        """Count the lines up to here; gives where that is once what was read is left behind."""
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return 0

    def skip(self) -> bool:
        """Go to the next value; False where there is none."""
        while True:
            if found := _BETWEEN.match(self.text, self.at):
                self.at = found.end()
                self.open += found[0].count("[") - found[0].count("]")
            if self.at < len(self.text):
                return True
            if not self.more() and self.at >= len(self.text):
                return False

    def value(self) -> tuple[Any, str]:
        """Read the value that is next, and how it is written; _Broken where it is none."""
        while True:
            try:
                value, end = self._decode(self.text, self.at)
                if end < len(self.text) or self.is_over:
                    written, self.at = self.text[self.at : end], end
                    return value, written
            except json.JSONDecodeError as error:
                if self.is_over or not self._may_be_cut(error):
                    raise _Broken(_CUT_OFF if self._is_cut(error) else "It is no JSON.") from None
            except RecursionError:
                raise _Broken("It is nested too deeply.") from None
            except ValueError:
                raise _Broken("It has a number that is too long.") from None
            if len(self.text) - self.at > LONGEST:
                raise _Broken(f"It is longer than {LONGEST:,} characters.")
            self.more()

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        near = error.pos >= len(self.text) - _CUT and not error.msg.startswith("Invalid control")
        return near or error.msg.startswith("Unterminated string")

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        return error.pos >= len(self.text.rstrip()) or error.msg.startswith("Unterminated string")

    def place(self) -> str:
        self._count()
        return f"{self.name}, line {self._line}"

    def rest_of_line(self) -> str:
        """Pass over what is left of this line; gives its beginning."""
        kept = ""
        while True:
            end = self.text.find("\n", self.at)
            stop = len(self.text) if end < 0 else end
            kept += self.text[self.at : stop][: _KEPT - len(kept)]
            self.at = stop
            if end >= 0 or not self.more():
                return kept


def values(name: str, pieces: Iterator[str]) -> Iterator[Record]:
    """Read values as records; what is no object, or no JSON, is one with a problem, and the next line is read."""
    read = _Values(name, pieces)
    while read.skip():
        place = read.place()
        try:
            value, written = read.value()
        except _Broken as error:
            yield Record(place, problem=str(error), text=read.rest_of_line())
            continue
        if isinstance(value, dict):
            yield Record(place, value, text=written)
        else:
            yield Record(place, problem="It is no object.", text=written[:_KEPT])
    if read.open > 0:
        yield Record(read.place(), problem="The list is not closed: the file was cut off.")
