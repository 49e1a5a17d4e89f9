"""People of a staged source, known by all that their sessions, phones and e-mails say they are."""

from collections.abc import Iterator
from datetime import datetime
from sqlite3 import Row
from typing import Any

import orjson

from gateway.core import identifiers
from gateway.core.participant import address
from gateway.store import numbers
from gateway.store.staging import Stage

_AT_ONCE = 1000

# A session names who it is with by their id there, or says which contact that is; what they are found by here is the
# end of its line.
_NAMED = """
CREATE TEMP TABLE named AS SELECT DISTINCT person AS who, line FROM sessions WHERE person <> '' UNION
SELECT json_extract(CAST(document AS TEXT), '$.contact_id'), line FROM sessions WHERE person <> ''
"""
_KNOWN_BY = """
SELECT n, id, phones, document, (SELECT json_group_array(DISTINCT line) FROM named WHERE who IN (ref, id)) AS lines
FROM people WHERE n > ? ORDER BY n LIMIT ?
"""


def settle(stage: Stage, ours: str, now: datetime) -> list[str]:
    """Write down what people are known by; gives what is odd about them. Numbers without a country are of `ours`'.

    Whoever is known by nothing, not even by a session, is left out: nobody could tell them from anybody. Since when
    somebody is known who does not say it is `now`.
    """
    if not next(iter(stage.each("SELECT EXISTS (SELECT 1 FROM people)")))[0]:
        return []
    stage.do(_NAMED)
    stage.do("CREATE INDEX temp.named_who ON named (who)")
    last, missed, unknown = 0, 0, 0
    while some := list(stage.each(_KNOWN_BY, last, _AT_ONCE)):
        people = [(row["n"], *_known(row, address(ours).number, now)) for row in some]
        known = [(orjson.dumps(document), n) for n, document, _ in people if document["identifiers"]]
        stage.change("UPDATE people SET document = ? WHERE n = ?", known)
        stage.change("DELETE FROM people WHERE n = ?", [(n,) for n, one, _ in people if not one["identifiers"]])
        missed += sum(one for *_, one in people)
        unknown += len(people) - len(known)
        last = some[-1]["n"]
    return list(_odd(missed, unknown))


def _odd(missed: int, unknown: int) -> Iterator[str]:
    if missed:
        yield f"Phone numbers of people left out: {missed:,}. They are none, or say no country (see --line)."
    if unknown:
        yield f"People left out: {unknown:,}. They have neither a number nor an e-mail address nor a session."


def _known(row: Row, ours: str | None, now: datetime) -> tuple[dict[str, Any], int]:
    """Give a person as a contact is stored, and how many of their numbers could not be read."""
    phones, missed = list[str](), 0
    for written in orjson.loads(row["phones"]):
        number = address(numbers.form(written, ours)).number or ""
        phones += [number] if number.startswith("+") else []
        missed += not number.startswith("+")
    named = [line.split("|", 2)[2] for line in orjson.loads(row["lines"]) if line]
    document: dict[str, Any] = orjson.loads(row["document"])
    document |= {
        "_id": row["id"],
        "createdAt": document.get("createdAt") or now.isoformat(),
        "phones": list(dict.fromkeys([*phones, *(one for one in named if one.startswith("+"))])),
        "external_ids": [one for one in named if not one.startswith("+")],
    }
    document["identifiers"] = identifiers.of(document["phones"], document["external_ids"], document["emails"])
    return document, missed
