"""What programs keep as JSON, and whether MongoDB can keep it."""

from collections.abc import Mapping
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
