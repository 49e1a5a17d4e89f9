"""Checks of what an import reads: each gives a value as it is stored, or says what is wrong with it."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from gateway.core.times import parse_moment

Document = dict[str, Any]
Check = Callable[[Any], Any]

# BSON nests a hundred deep, and whoever reads it again has other levels around it.
DEEPEST = 50
_BIGGEST = 2**63
_ID = re.compile(r"[0-9a-f]{24}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class BadRow(ValueError):
    """A row that is not taken; the text says why, and quotes no more than the value that is wrong."""


def checked(
    document: Mapping[str, Any],
    checks: Mapping[str, Check],
    *,
    required: tuple[str, ...],
    never_null: frozenset[str] = frozenset(),
) -> Document:
    """Check the fields of a document; those that have no check may be anything. What is never null is left out."""
    if missing := next((name for name in required if document.get(name) is None), ""):
        raise BadRow(f"It has no {missing}.")
    read: Document = {}
    for name, value in document.items():
        check = checks.get(name)
        if check is None and not _is_name(name):
            raise BadRow(f"{name[:40]!r} is no name of a field.")
        if value is None and name in never_null:
            continue
        try:
            read[name] = None if value is None else (check or plain)(value)
        except ValueError as error:
            raise BadRow(f"{name}: {error}") from None
    return read


@lru_cache(maxsize=1024)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def identifier(value: Any) -> str:
    """Check an id, which stays text."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise BadRow(f"{short(value)} is no id of 24 hexadecimal digits.")
    return value


def short(value: Any) -> str:
    """Quote no more of a value than a person needs to find it."""
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}..."


def moment(value: Any) -> datetime:
    """Read a moment."""
    if not isinstance(value, str):
        raise BadRow(f"{short(value)} is no ISO 8601 time such as 2026-03-01T10:00:00Z.")
    try:
        return parse_moment(value)
    except (ValueError, OverflowError):
        raise BadRow(f"{short(value)} is no ISO 8601 time such as 2026-03-01T10:00:00Z.") from None


def text(longest: int) -> Check:
    """Check a text of at most so many characters."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > longest:
            raise BadRow(f"{short(value)} is no text of at most {longest:,} characters.")
        return value

    return check


def name_of(longest: int) -> Check:
    """Check a text that something is found by."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value:
            raise BadRow(f"{short(value)} is no name of 1 to {longest:,} characters.")
        return value

    return check


def one_of(*allowed: str) -> Check:
    """Check a word that is one of these."""

    def check(value: Any) -> str:
        if value not in allowed:
            raise BadRow(f"{short(value)} is none of {', '.join(allowed)}.")
        return str(value)

    return check


def list_of(check: Check, most: int) -> Check:
    """Check each value of a list of at most so many."""

    def check_all(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise BadRow(f"{short(value)} is no list of at most {most:,} values.")
        return [check(one) for one in value]

    return check_all


def number(value: Any) -> Any:
    """Check a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(f"{short(value)} is no number.")
    return plain(value)


def flag(value: Any) -> Any:
    """Check a yes or no."""
    if not isinstance(value, bool):
        raise BadRow(f"{short(value)} is neither true nor false.")
    return value


def fields_of(required: tuple[str, ...] = (), /, **checks: Check) -> Check:
    """Check an object; what is not named in it may be anything that can be stored."""

    def check(value: Any) -> Document:
        if not isinstance(value, dict):
            raise BadRow(f"{short(value)} is no object.")
        if missing := next((name for name in required if value.get(name) is None), ""):
            raise BadRow(f"It has no {missing}.")
        return {
            _field(name): checks[name](one) if name in checks and one is not None else plain(one, 1)
            for name, one in value.items()
        }

    return check


def plain(value: Any, depth: int = 0) -> Any:
    """Check that MongoDB can hold a value, and that it is read again as what it is; `{"$date": ...}` is a moment."""
    if depth > DEEPEST:
        raise BadRow("It is nested too deeply.")
    match value:
        case {"$date": at} if len(value) == 1:
            return moment(at)
        case dict():
            return {_field(name): plain(one, depth + 1) for name, one in value.items()}
        case list():
            return [plain(one, depth + 1) for one in value]
        case int() if not -_BIGGEST <= value < _BIGGEST:
            raise BadRow(f"{short(value)} is too large a number.")
    return value


def _field(name: str) -> str:
    if "\0" in name or name.startswith("$"):
        raise BadRow(f"{name[:40]!r} is no name of a field.")
    return name


def tagged(value: Any) -> Any:
    """Write moments so that `plain` reads them as such again, wherever in a value they are."""
    match value:
        case datetime():
            return {"$date": value}
        case dict():
            return {name: tagged(one) for name, one in value.items()}
        case list():
            return [tagged(one) for one in value]
    return value
