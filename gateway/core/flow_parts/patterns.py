"""Regular expressions of a file: refused where a short answer could keep a process busy for seconds."""

import re
from typing import Any

from gateway.core.flow_parts.answers import REGEX_INPUT

# About as many steps as take a tenth of a second.
_MOST_WAYS = 10_000_000
# Alternatives that are repeated are really gone through, all of them, and again for each word of a message.
_MOST_REPEATED = 100_000


def fault_of(pattern: str) -> str:
    """Say what is wrong with a pattern and what to do; nothing where it can be used."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"It is no regular expression ({error}). Correct it."
    if not pattern or re.fullmatch(pattern, "") is not None:
        return "It fits an empty answer. Let it need at least one character."
    try:
        ways = _ways(re._parser.parse(pattern))  # type: ignore[attr-defined]
    except RecursionError:
        ways = _MOST_WAYS + 1
    if ways > _MOST_WAYS:
        return (
            "It could take seconds on some answers: a repetition within a repetition, or too many of them. "
            "Use limits such as {1,20} in place of + and *, and no (...+)+."
        )
    return ""


def _ways(parsed: Any) -> int:
    """Estimate how many ways there are to try a pattern on the longest answer."""
    ways = 1
    for operator, argument in parsed:
        ways = min(ways * _ways_of(str(operator), argument), _MOST_WAYS + 1)
    return ways


def _ways_of(operator: str, argument: Any) -> int:
    if operator in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, repeated = argument
        most = min(int(most), REGEX_INPUT)
        inner = _ways(repeated)
        if inner**most > _MOST_REPEATED:
            return _MOST_WAYS + 1
        return int(min((most - min(int(least), most) + 1) * inner ** max(most, 1), _MOST_WAYS + 1))
    if operator == "SUBPATTERN":
        return _ways(argument[-1])
    if operator == "BRANCH":
        return sum(map(_ways, argument[1]))
    if operator in ("ASSERT", "ASSERT_NOT"):
        return _ways(argument[1])
    if operator == "ATOMIC_GROUP":
        return _ways(argument)
    if operator == "GROUPREF_EXISTS":
        return sum(_ways(part) for part in argument[1:] if part is not None)
    return 1
