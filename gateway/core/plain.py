"""Values of other programs' records: MongoDB's Extended JSON made plain, and texts read as what they stand for."""

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from gateway.core.checking import DEEPEST, BadRow
from gateway.core.moments import Spelling, read_moment

_BIGGEST = 2**63
_YES, _NO = frozenset({"true", "t", "yes", "y", "1"}), frozenset({"false", "f", "no", "n", "0"})
_HALF = re.compile("[\ud800-\udfff]")
_JOINS = re.compile(r"[\s_\-]+")


def plain(value: Any, depth: int = 0) -> Any:
    """Give a value as JSON can hold it and MongoDB store it: `{"$oid": "..."}` is its text, a name has no `$`."""
    if type(value) is str:
        return _storable(value)
    if depth > DEEPEST:
        raise BadRow("It is nested too deeply.")
    match value:
        case dict():
            return _object(value, depth)
        case list() | tuple():
            return [plain(one, depth + 1) for one in value]
        case None | bool():
            return value
        case str():
            return _storable(value)
        case int():
            return value if -_BIGGEST <= value < _BIGGEST else str(value)
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return read_moment(value, Spelling()).isoformat()
        case bytes():
            return base64.b64encode(value).decode()
    return str(value)


def _object(value: Mapping[str, Any], depth: int) -> Any:
    if len(value) == 1:
        ((name, inner),) = value.items()
        match name:
            case "$oid" | "$numberDecimal" | "$uuid" | "$symbol":
                return str(inner)
            case "$date":
                return read_moment(value, Spelling()).isoformat()
            case "$numberInt" | "$numberLong":
                return plain(_whole(inner))
            case "$numberDouble":
                return plain(number(inner))
    return {_name(name): plain(one, depth + 1) for name, one in value.items()}


def _name(name: str) -> str:
    return _storable(str(name)).replace("\0", "").lstrip("$") or "_"


def _storable(written: str) -> str:
    """Join what was cut in two halves of a sign, and replace a half that stands alone: UTF-8 has none."""
    if written.isascii() or not _HALF.search(written):
        return written
    return written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadRow(f"{value!r:.60} is no whole number.") from None


def text(value: Any) -> str:
    """Give a value as text; nothing is empty, and what is no single value is JSON."""
    if value is None:
        return ""
    if isinstance(value, dict | list | bool):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def number(value: Any) -> float | int | None:
    """Read a number; BadRow where it is none, None where it is infinite or none at all."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    try:
        read = float(str(value))
    except ValueError:
        raise BadRow(f"{value!r:.60} is no number.") from None
    if not math.isfinite(read):
        return None
    return int(read) if read.is_integer() and abs(read) < _BIGGEST else read


def flag(value: Any) -> bool:
    """Read yes or no."""
    word = str(value).strip().lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise BadRow(f"{value!r:.60} is neither true nor false.")


def listing(value: Any) -> list[Any]:
    """Read a list, also where a table has it as JSON, as `{a,b}` or with commas."""
    if isinstance(value, list):
        return value
    written = text(value).strip()
    if written.startswith("["):
        try:
            read = json.loads(written)
        except ValueError:
            raise BadRow(f"{written!r:.60} is no list.") from None
        return list(read)
    if written.startswith("{") and written.endswith("}"):
        written = written[1:-1]
    return [one.strip().strip('"') for one in written.split(",") if one.strip()]


@lru_cache(maxsize=4096)
def known_as(name: str) -> str:
    """Give what a name is compared by: `session_id`, `sessionId` and `Session ID` are one."""
    return _JOINS.sub("", name).lower()


@lru_cache(maxsize=4096)
def _all_known_as(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, known_as(name)) for name in names)


class Fields:
    """A record whose values are taken one after the other, each under one of the names it may have."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._left: dict[str, tuple[str, Any]] = {}
        for name, value in record.items():
            if value is not None:
                self._left.setdefault(known_as(str(name)), (str(name), plain(value)))

    def take(self, *names: str) -> Any:
        """Take the value of the first of these names that has one; None where none has."""
        left = self._left
        for _, known in _all_known_as(names):
            if known in left and (value := left.pop(known)[1]) not in (None, ""):
                return value
        return None

    def first(self, *names: str) -> tuple[str, Any]:
        """Look which of these names has a value, and take nothing; empty where none has."""
        left = self._left
        for name, known in _all_known_as(names):
            found = left.get(known)
            if found and found[1] not in (None, ""):
                return name, found[1]
        return "", None

    def put(self, name: str, value: Any) -> None:
        """Put a value back that was taken."""
        self._left.setdefault(known_as(name), (name, value))

    def text(self, *names: str) -> str:
        """Take a text."""
        return text(self.take(*names))

    def rest(self) -> dict[str, Any]:
        """Give what was not taken, under its own names; a name that stands for nothing here is `_`."""
        return {_name(name): value for name, value in self._left.values() if value is not None}
