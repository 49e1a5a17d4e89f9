"""Rows of a stage as rows of an import: in the fields of ours, checked like those of an export."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.channels import CHANNELS
from gateway.core import carried, foreign_lines, imported
from gateway.core.checking import BadRow
from gateway.core.foreign_lines import NOWHERE, Line
from gateway.core.imported import CarriedRow, MessageRow, Position, Read, Rejected, Remark, SessionRow
from gateway.core.messages import SMS, WHATSAPP
from gateway.core.sessions import IDLE, Scope
from gateway.core.times import from_epoch_ms
from gateway.store.staging import Stage, StagedRow

Staged = Mapping[str, Any]


def reads(stage: Stage, after: int, size: int, scope: Scope, ours: str) -> Iterator[Read]:
    """Give the rows behind a number. `size` is how large the source is, `ours` our number where it names none."""
    total = stage.facts()["rows"]
    for row in stage.rows(after):
        position = Position(size * row.number // total, row.number)
        text, place = row.written
        yield Read(_row(row, scope, ours), position, text.encode(errors="replace"), place)


def _row(row: StagedRow, scope: Scope, ours: str) -> SessionRow | MessageRow | CarriedRow | Rejected | Remark:
    try:
        match row.what:
            case "person":
                return carried.document(carried.CONTACT, orjson.loads(row.fields["document"]))
            case "session":
                return imported.session(_session(row.fields, scope, ours))
            case "message":
                return imported.message(_message(row.fields, row.session, ours))
            case "rejected":
                return Rejected(row.fields["reason"])
            case "remark":
                return Remark(row.fields["reason"])
        return Remark(ends=row.what == "end")
    except BadRow as error:
        return Rejected(str(error))


def _line(staged: Staged, ours: str) -> Line:
    named = staged["ours"] or ours or str(staged["channel"]).removeprefix(f"{staged['kind']}:")
    return foreign_lines.line(staged["kind"], named, staged["person"])


def _session(staged: Staged, scope: Scope, ours: str) -> dict[str, Any]:
    line = _line(staged, ours)
    document: dict[str, Any] = orjson.loads(staged["document"])
    began = staged["first"] is not None and from_epoch_ms(staged["first"]).isoformat()
    last = staged["last"] is not None and from_epoch_ms(staged["last"]).isoformat()
    document |= {
        "_id": staged["id"],
        "channel_id": _channel(staged, line),
        "communication_type": line.kind,
        "title": document.get("title") or CHANNELS[line.kind].title(line.person.label or "somebody"),
        "metadata": _numbers(line) | document.get("metadata", {}) | _origin(staged),
        "keys": [line.identity if scope is Scope.CONTACT else line.key] if staged["person"] else [],
        "previous_session_id": staged["previous"] or None,
        "createdAt": document.get("createdAt") or began or None,
        "last_message_at": last or document.get("last_message_at"),
        "status": _status(staged, document),
    }
    if staged["out"] and line.kind in (SMS, WHATSAPP) and line.ours.identity != NOWHERE:
        document["opted_out"] = [line.ours.identity]
    if document["status"] == "closed":
        document["closed_reason"] = document.get("closed_reason") or IDLE
        document["closed_at"] = document.get("closed_at") or document["last_message_at"]
    return document


def _status(staged: Staged, document: Mapping[str, Any]) -> str:
    status = str(document.get("status") or "closed")
    return "closed" if status == "active" and not staged["is_open"] else status


def _channel(staged: Staged, line: Line) -> str:
    return str(staged["channel"] or f"{line.kind}:{line.ours.identity}")


def _numbers(line: Line) -> dict[str, Any]:
    """Give the numbers as a session has them: without the prefix, which stands beside them."""
    found: dict[str, Any] = {"fromNumber": line.person.number}
    if line.ours.identity != NOWHERE:
        found["toNumber"] = line.ours.identity
    return found | ({"prefix": line.person.prefix} if line.person.prefix not in ("", WHATSAPP) else {})


def _origin(staged: Staged) -> dict[str, Any]:
    """Keep the id a session had where it comes from."""
    return {"importedId": staged["ref"]} if staged["text"] and staged["ref"] != staged["id"] else {}


def _message(staged: Staged, session: Staged, ours: str) -> dict[str, Any]:
    line = _line(session, ours)
    document: dict[str, Any] = orjson.loads(staged["document"])
    document |= {
        "_id": staged["id"],
        "session_id": session["id"],
        "channel_id": _channel(session, line),
        "communication_type": staged["kind"] or line.kind,
    }
    return document | ({"decision": orjson.loads(staged["decision"])} if staged["decision"] else {})
