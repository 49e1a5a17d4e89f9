"""Sources as other programs leave them, of any size: written piece by piece, the same for the same seed."""

import csv
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

LINE = "+15017122661"
BEGINS = datetime(2024, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=600)
# So many sessions go on at a time, whose messages lie between one another.
_AT_A_TIME = 1000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How much a source holds."""

    messages: int
    sessions: int
    people: int


def sessions(size: Size, seed: int = 1) -> Iterator[list[tuple[Row, list[Row]]]]:
    """Give sessions with their messages, some at a time."""
    chance = random.Random(seed)
    every, each = SPAN / size.sessions, size.messages / size.sessions
    for first in range(0, size.sessions, _AT_A_TIME):
        numbers = range(first, min(first + _AT_A_TIME, size.sessions))
        yield [
            _session(chance, BEGINS + number * every, size, round(each * (number + 1)) - round(each * number))
            for number in numbers
        ]


def _session(chance: random.Random, at: datetime, size: Size, amount: int) -> tuple[Row, list[Row]]:
    person = f"+1415{chance.randrange(size.people):07}"
    ref, rows = _uuid(chance), []
    moment = at
    for number in range(amount):
        moment += timedelta(milliseconds=chance.randrange(2_000, 90_000))
        words = " ".join(f"word{chance.randrange(30_000)}" for _ in range(8))
        said = {"session_id": ref, "user_id": person, "role": "assistant" if number % 2 else "user"}
        rows.append({"id": _uuid(chance), **said, "content": f"Hello, a question about {words}", "timestamp": moment})
    return {"id": ref, "user_id": person, "is_active": "false", "created_at": at, "ended_at": moment}, rows


def _uuid(chance: random.Random) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _in_turns(pieces: list[tuple[Row, list[Row]]]) -> list[Row]:
    rows = [row for _, said in pieces for row in said]
    rows.sort(key=lambda row: row["timestamp"])
    return [row | {"timestamp": row["timestamp"].isoformat(timespec="milliseconds")} for row in rows]


def flat(folder: Path, size: Size) -> None:
    """Write one document a message, in the order they were said."""
    with (folder / "messages.jsonl").open("w", encoding="utf-8") as file:
        for pieces in sessions(size):
            file.writelines(json.dumps(row) + "\n" for row in _in_turns(pieces))


def relational(folder: Path, size: Size) -> None:
    """Write two tables."""
    with (
        (folder / "conversation_sessions.csv").open("w", encoding="utf-8", newline="") as of_sessions,
        (folder / "conversation_messages.csv").open("w", encoding="utf-8", newline="") as of_messages,
    ):
        conversations = csv.DictWriter(of_sessions, ("id", "user_id", "is_active", "created_at", "ended_at"))
        more = ("tools_used", "processing_time_ms", "token_count", "has_error", "error_message")
        messages = csv.DictWriter(of_messages, ("id", "session_id", "role", "content", *more, "created_at"))
        conversations.writeheader()
        messages.writeheader()
        for pieces in sessions(size):
            conversations.writerows(session for session, _ in pieces)
            messages.writerows(_as_table(row) for row in _in_turns(pieces))


def _as_table(row: Row) -> Row:
    said = {name: row[name] for name in ("id", "session_id", "role", "content")} | {"created_at": row["timestamp"]}
    if row["role"] == "user":
        return said
    return said | {"tools_used": "[]", "processing_time_ms": 812, "token_count": 64, "has_error": "false"}


LAYOUTS: dict[str, Callable[[Path, Size], None]] = {"flat": flat, "relational": relational}
