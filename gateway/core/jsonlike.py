"""What programs keep as JSON: whether MongoDB can keep it, and what is kept as they read it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

DEEPEST = 20
_INTEGERS = range(-(2**63), 2**63)


def unstorable(value: Any, depth: int = 0) -> str:
    """Say why a JSON value cannot be kept; empty where it can."""
    if depth > DEEPEST:
        return f"it is nested more than {DEEPEST} deep."
    if isinstance(value, int):
        return "" if value in _INTEGERS else f"{str(value)[:20]}... does not fit into 64 bits. Send it as text."
    if isinstance(value, Mapping):
        wrong = next((name for name in value if not name or name[0] == "$" or "." in name or "\0" in name), None)
        if wrong is not None:
            return f"{wrong[:40]!r} is no name for a value: none may begin with $ or hold a dot or NUL."
        value = list(value.values())
    if isinstance(value, list):
        return next(filter(None, (unstorable(one, depth + 1) for one in value)), "")
    return ""


def plain(value: Any) -> Any:
    """Give stored values as JSON has them: times in RFC 3339, ids and what else it knows not as text."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
