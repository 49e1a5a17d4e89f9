"""Contacts listed and searched, the newest first, each once however many were merged into it."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from bson import ObjectId

from gateway.core import identifiers
from gateway.core.emails import normalised
from gateway.core.participant import address
from gateway.core.searching import number_starts
from gateway.store import editing, groups, numbers, people
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument
from gateway.store.groups import Document, Group
from gateway.store.isolation import Channels
from gateway.store.people import Person

# Whoever is looked for by a very common name writes more of it.
MOST_MATCHES = 200
# Somebody limited to a few channels may have to pass over many contacts of others: so many are looked at for a page.
_AT_ONCE, _LOOKED_AT = 200, 4000

_NEWEST_FIRST = [("_id", -1)]


def page(channels: Channels, *, limit: int, after: str = "", words: str = "") -> tuple[list[Person], str | None]:
    """Give contacts that are seen on these channels, and the id to go on after; None where these were the last.

    A page may have fewer than `limit` and still not be the last one.
    """
    contacts, named = _searched(words, after) if words else (_all(after), set[str]())
    found, last, looked_at = list[Person](), None, 0
    while some := list(islice(contacts, limit + 1 if channels is None else _AT_ONCE)):
        people_in = [groups.of(contact) for contact in some]
        seen = people.seen_among([str(one) for group in people_in for one in group.ids], channels)
        for group in people_in:
            if len(found) == limit or looked_at == _LOOKED_AT:
                return found, last
            last, looked_at = group.id, looked_at + 1
            if group.first("to_forget") or not (seen is None or seen & set(group.ids)):
                continue
            person = people.as_seen(people.of(group), channels)
            if not words or seen is None or group.id in named or _shows(person, words):
                found.append(person)
    return found, None


def _shows(person: Person, words: str) -> bool:
    """Tell whether somebody was found by what is shown of them: else a search would tell the numbers that are not."""
    starts = (*number_starts(words), address(words).identity)
    is_known = words.strip() in person.external_ids or normalised(words) in person.emails
    return is_known or any(phone.startswith(starts) for phone in person.phones)


def find(written: str) -> Person | None:
    """Find a person by a contact's id, a number in any spelling, an e-mail address or another id."""
    if person := people.get(written.strip()):
        return person
    known = {"external_ids": [written.strip()], "phones": [address(written).identity]}
    if email := normalised(written):
        known["emails"] = [email]
    elif number := numbers.typed(written, sorted(people.lines_of(None))):
        known["phones"].append(number)
    found = next(filter(None, (editing.holder(field, values) for field, values in known.items())), None)
    return people.get(found[0]) if found else None


def _all(after: str) -> Iterator[Document]:
    wanted: dict[str, Any] = {"merged_into": {"$exists": False}, **_below(after)}
    return collection(ContactDocument).find(wanted, batch_size=_AT_ONCE).sort(_NEWEST_FIRST)


def _below(after: str) -> dict[str, Any]:
    return {"_id": {"$lt": ObjectId(after)}} if after else {}


def _searched(words: str, after: str) -> tuple[Iterator[Document], set[str]]:
    """Find contacts by the beginning of a number, by an e-mail address or another id, or by words of their name.

    Gives also the ids of those whose name it was.
    """
    found, named = dict[ObjectId, Group](), set[str]()
    for wanted in _ways(words):
        for one in collection(ContactDocument).find(wanted).sort(_NEWEST_FIRST).limit(MOST_MATCHES):
            group = groups.of(one)
            found[group.head["_id"]] = group
            named |= {group.id} if "$text" in wanted else set()
    heads = [group.head for _, group in sorted(found.items(), reverse=True)]
    return iter([one for one in heads if not after or one["_id"] < ObjectId(after)]), named


def _ways(words: str) -> Sequence[dict[str, Any]]:
    starts = [{"phones": {"$regex": f"^{re.escape(start)}"}} for start in number_starts(words)]
    known = [{"external_ids": words.strip()}, {"phones": address(words).identity}]
    email = normalised(words)
    if email:
        return [*known, {"emails": email}]
    if number := numbers.typed(words, sorted(people.lines_of(None))):
        known.append({"identifiers": identifiers.number(number)})
    text = " ".join(f'"{word}"' for word in re.findall(r"\w+", words))
    return [*starts, *known, *([{"$text": {"$search": text}}] if text else [])]
