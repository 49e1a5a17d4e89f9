"""Who somebody is whose session is looked at: names, numbers, opt-outs, earlier sessions, and what was done here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.admin import history, listed, wording
from gateway.admin.login import access, runtime
from gateway.conversation.crm import standing
from gateway.conversation.crm.standing import Standing
from gateway.core.messages import CHAT, Channel
from gateway.core.participant import EMAIL, address, site_of
from gateway.store import audit, merges, people
from gateway.store.claims import holders
from gateway.store.people import OptOut, Person

SESSIONS_SHOWN, HISTORY_SHOWN = 10, 50


@dataclass(frozen=True, slots=True)
class Joined:
    """A contact that was merged into the one that is shown: how it was known, who did it and when."""

    id: str
    known: str
    by: str
    at: datetime
    ago: str


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody says of themselves. `other` is the id of who has it already, and `known` how they are known."""

    id: str
    label: str
    value: str
    at: datetime
    ago: str
    other: str
    known: str


_LABELS = {"name": "Says their name is", "email": "Says their e-mail is", "phone": "Says their number is"}


@dataclass(frozen=True, slots=True)
class Way:
    """How somebody is known: a number or an id, and for a website's user which site."""

    words: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """What stands beside a session. Without a `contact_id` nobody is known: the caller withheld who they are."""

    contact_id: str
    name: str
    identities: list[Way]
    emails: tuple[str, ...]
    claims: list[Said]
    opted_out: list[OptOut]
    crm: Standing | None
    other_crms: list[tuple[str, list[tuple[str, str]]]]
    sessions: list[listed.Row]
    joined: list[Joined]
    lines: list[str]
    has_more: bool
    deeds: list[history.Deed]


def of(session: Mapping[str, Any], person: Person | None, ours: Sequence[Channel], now: datetime) -> Panel:
    """Put together what is known beside a session as far as its reader may know it, who sees `ours` of our channels."""
    channels = access().channels
    deeds = history.deeds(audit.of_session(session["id"], limit=HISTORY_SHOWN), now)
    if person is None:
        return Panel("", "", [], (), [], [], None, [], [], [], [], has_more=False, deeds=deeds)
    found = people.sessions_of(person.members, channels, limit=SESSIONS_SHOWN + 1)
    person, crm = people.as_seen(person, channels), standing.of(runtime(), person, exactly=True)
    return Panel(
        contact_id=person.id,
        name=person.name,
        identities=[_way(one) for one in person.identities if not one.startswith(EMAIL)],
        emails=person.emails,
        claims=_claims(person, now),
        opted_out=list(person.opted_out),
        crm=crm,
        other_crms=[
            (name, list(_rows(state)))
            for name, state in person.crm.items()
            if isinstance(state, Mapping) and not (crm and name == crm.provider)
        ],
        sessions=[listed.row(one, now) for one in found[:SESSIONS_SHOWN]],
        joined=_joined(person, now),
        lines=sorted(_lines(ours) - {out.line for out in person.opted_out}),
        has_more=len(found) > SESSIONS_SHOWN,
        deeds=deeds,
    )


def _lines(ours: Sequence[Channel]) -> set[str]:
    """Give the numbers that somebody may say STOP to; a website is none, for nothing is sent from it by itself."""
    return {line.number for line in ours if line.number and line.communication_type != CHAT}


def _claims(person: Person, now: datetime) -> list[Said]:
    """List what a person says of themselves; whose it is already is told to whoever sees every channel."""
    known = (
        {one: people.of(group) for one, group in holders(person.claims).items()} if access().channels is None else {}
    )
    return [
        Said(
            id=one.id,
            label=_LABELS.get(one.field, one.field),
            value=one.value,
            at=one.at,
            ago=listed.ago(one.at, now),
            other=known[one.id].id if one.id in known else "",
            known=_known_as(known[one.id]) if one.id in known else "",
        )
        for one in person.claims
    ]


def _known_as(person: Person) -> str:
    ways = [one for one in (person.name, *person.ways) if one]
    return ", ".join(ways[:2]) or "a contact without a name"


def _joined(person: Person, now: datetime) -> list[Joined]:
    """List what was merged into a person, newest first; for whoever sees every channel."""
    if access().channels is not None or len(person.members) == 1:
        return []
    return [
        Joined(one.absorbed, known, one.by, one.at, listed.ago(one.at, now))
        for one in merges.into(person.members)
        if (known := people.known_as(one.absorbed))
    ]


def _way(identity: str) -> Way:
    """Show an identity: a number or an id as it is, the user of a website by the id they have there."""
    site = site_of(identity)
    return Way(address(identity).label, f"on {site}") if site else Way(identity)


def _rows(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in state.items():
        words = listed.utc(value) if isinstance(value, datetime) else wording.value(value)
        yield name.replace("_", " ").capitalize(), words
