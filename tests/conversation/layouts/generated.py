"""Ten thousand messages of a layout, always the same, as the program that has them would write them."""

import csv
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
WORDS = ("hello", "Grüße", "🙂", 'a "quote"', "two\nlines", "semi;colon", "1,5", "مرحبا", "")

# (session, who, moment, inbound, text, number) of every message, in the order they were said.
Said = tuple[int, str, datetime, bool, str, int]


def said(amount: int, per_session: int = 5) -> Iterator[Said]:
    """Give conversations of some messages a minute apart, each an hour after the last one; people come back."""
    chance = random.Random(8)
    for number in range(amount):
        session, nth = divmod(number, per_session)
        at = BEGAN + timedelta(hours=session, minutes=nth)
        person = f"+1555{session % (amount // per_session // 3 + 1):07d}"
        yield session, person, at, nth % 2 == 0, chance.choice(WORDS), number


def node(folder: Path, amount: int) -> None:
    """Write mongoexport's files; the messages come in no order."""
    rows = list(said(amount))
    (folder / "channels.json").write_text(json.dumps({"_id": {"$oid": f"{9:024x}"}, "phone_number": "+15017122661"}))
    with (folder / "sessions.json").open("w") as file:
        for session in sorted({row[0] for row in rows}):
            _, person, at, *_ = rows[session * 5]
            moment = {"$date": at.isoformat()}
            numbers = {"fromNumber": person, "toNumber": "+15017122661"}
            head = {"_id": {"$oid": f"{session + 1:024x}"}, "channel_id": f"{9:024x}", "communication_type": "sms"}
            rest = {"status": "closed", "metadata": numbers, "createdAt": moment, "__v": 0}
            file.write(json.dumps(head | rest) + "\n")
    random.Random(1).shuffle(rows)
    with (folder / "messages.json").open("w") as file:
        for session, _, at, inbound, text, number in rows:
            ids = {"_id": {"$oid": f"{number + 100_000:024x}"}, "session_id": {"$oid": f"{session + 1:024x}"}}
            what = {"direction": "inbound" if inbound else "outbound", "sender": "contact" if inbound else "ai"}
            file.write(json.dumps(ids | what | {"content": text, "createdAt": {"$date": at.isoformat()}}) + "\n")


def flat(folder: Path, amount: int) -> None:
    """Write one array, in no order."""
    rows = [
        {"session_id": f"s{session}", "user_id": person, "role": "user" if inbound else "assistant"}
        | {"content": text, "timestamp": int(at.timestamp() * 1000)}
        for session, person, at, inbound, text, _ in said(amount)
    ]
    random.Random(2).shuffle(rows)
    (folder / "messages.json").write_text(json.dumps(rows))


def embedded(folder: Path, amount: int) -> None:
    """Write one array of sessions."""
    sessions: dict[int, dict[str, Any]] = {}
    for session, person, at, inbound, text, number in said(amount):
        held = sessions.setdefault(session, {"id": session, "user_id": person, "is_active": False, "messages": []})
        kind = "user" if inbound else "bot"
        message = {"id": number, "content": text, "message_type": kind, "created_at": at.isoformat()}
        held["messages"].append(message)
    (folder / "chats.json").write_text(json.dumps(list(sessions.values()), ensure_ascii=False))


def relational(folder: Path, amount: int) -> None:
    """Write two tables, one with semicolons."""
    rows = list(said(amount))
    with (folder / "conversation_sessions.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(("id", "user_id", "status"))
        table.writerows(sorted({(session, person, "ended") for session, person, *_ in rows}))
    with (folder / "conversation_messages.csv").open("w", encoding="utf-16", newline="") as file:
        table = csv.writer(file)
        table.writerow(("id", "session_id", "role", "content", "created_at"))
        for session, _, at, inbound, text, number in reversed(rows):
            table.writerow((number, session, "user" if inbound else "assistant", text, at.isoformat()))


def twilio(folder: Path, amount: int) -> None:
    """Write the Console's log, the newest first."""
    with (folder / "sms-log.csv").open("w", newline="") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL)
        table.writerow(("From", "To", "Body", "Status", "SentDate", "Sid", "Direction"))
        for _, person, at, inbound, text, number in reversed(list(said(amount))):
            ends = (person, "+15017122661") if inbound else ("+15017122661", person)
            what = ("received", "inbound") if inbound else ("delivered", "outbound-api")
            table.writerow((*ends, text, what[0], at.isoformat(), f"SM{number:032x}", what[1]))


WRITE = {"node": node, "flat": flat, "embedded": embedded, "relational": relational, "twilio": twilio}
