"""Whose the sessions of an import are: found, or made, as if the first message of each came in now."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.conversation import optouts
from gateway.conversation.layouts import OWN
from gateway.core.emails import user_email
from gateway.core.participant import Participant, address
from gateway.store import contacts, importing, senders
from gateway.store.contacts import Contact, Sender

if TYPE_CHECKING:
    from gateway.conversation.imported import Batch


def meet(batch: "Batch", documents: Sequence[Mapping[str, Any]]) -> None:
    """Find or make the people of sessions, but for those who are to be looked at one by one."""
    batch.people |= importing.people({document["contact_id"] for document in documents if document.get("contact_id")})
    every, shared = [(one, sender(one)) for one in documents], _shared(batch)
    asked = {whose for one, whose in every if not one.get("contact_id")}
    batch.senders |= senders.known(asked, shared)
    batch.named = with_emails({whose for _, whose in every} - batch.senders.keys(), batch.run.layout)
    new = {batch.named.get(one, one): one for one in asked - batch.senders.keys()}
    made = senders.make(new, batch.now, shared=shared, import_id=batch.run.id)
    batch.senders |= {new[one]: contact for one, contact in made.items()}


def give_contact(batch: "Batch", document: dict[str, Any]) -> None:
    """Let a session belong to whoever is behind it, who is made with the id they had unless they are here."""
    whose, theirs = sender(document), document.get("contact_id")
    same = _same(batch, theirs) if theirs else None
    known = same or (_behind(batch, whose, theirs) if whose.person.identities else None)
    document["contact_id"] = theirs if same else known.id if known else None
    if known is None:
        return
    batch.senders[whose] = known
    out: Collection[str] = known.opted_out
    if document.get("opted_out"):
        out = carry_over(batch, known.id, document)
        if not set(out) <= set(known.opted_out):
            batch.people = {name: one for name, one in batch.people.items() if one.id != known.id}
            batch.senders = {name: one for name, one in batch.senders.items() if one.id != known.id}
    if out:
        document["opted_out"] = list(dict.fromkeys([*(document.get("opted_out") or ()), *out]))


def _same(batch: "Batch", contact_id: str) -> Contact | None:
    """Give the contact of that id, if it is here: whoever it was merged into, and whatever is known of it by now."""
    known = batch.people.get(contact_id) or importing.person(contact_id)
    if known:
        batch.people[contact_id] = known
    return known


def _behind(batch: "Batch", whose: Sender, contact_id: str | None) -> Contact | None:
    """Find whose session it is as if its first message came in now, or make them."""
    return batch.senders.get(whose) or contacts.resolve(
        batch.named.get(whose, whose).person,
        batch.now,
        as_id=contact_id,
        line=whose.line,
        shared=_shared(batch),
        import_id=batch.run.id,
    )


def carry_over(batch: "Batch", contact_id: str | None, document: Mapping[str, Any]) -> tuple[str, ...]:
    if contact_id is None:
        return ()
    said_by = document.get("last_message_at") or document["createdAt"]
    return optouts.carry_over(
        batch.runtime, contact_id, document.get("opted_out") or (), said_by, import_id=batch.run.id
    )


def sender(document: Mapping[str, Any]) -> Sender:
    """Read who a session is with."""
    metadata = document.get("metadata") or {}
    number, ours = metadata.get("fromNumber"), str(metadata.get("toNumber") or "")
    person = Participant(_identities(document), number, str(number or ""))
    return Sender(person, address(ours).number)


def _identities(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Read who a session is with from the keys it is found by: `type|our number|identity`, or the identity alone."""
    kind = f"{document['communication_type']}|"
    keys = [key.split("|", 2)[-1] if key.startswith(kind) else key for key in document.get("keys") or keys_of(document)]
    return tuple(dict.fromkeys(key for key in keys if key and not key.startswith("call:")))


def keys_of(document: Mapping[str, Any]) -> list[str]:
    """Give what a session is found by where it does not say so itself: its sender's number on our line."""
    metadata = document.get("metadata") or {}
    person, ours = str(metadata.get("fromNumber") or ""), str(metadata.get("toNumber") or "")
    if not person or not ours:
        return []
    return [f"{document['communication_type']}|{address(ours).identity}|{address(person).identity}"]


def with_emails(asked: Collection[Sender], layout: str) -> dict[Sender, Sender]:
    """Let users of a site be whoever has the e-mail they are called by: programs named people so. Gives only those.

    Not where they are here already and no import brought them, nor in an export of ours, which says who is who.
    """
    emails = {one: user_email(one.person.identities) for one in asked} if layout != OWN.name else {}
    called = [one for one, email in emails.items() if email]
    here = senders.known_otherwise(called)
    return {
        one: replace(one, person=replace(one.person, identities=(*one.person.identities, emails[one])))
        for one in called
        if one not in here
    }


def _shared(batch: "Batch") -> Collection[str]:
    return batch.runtime.settings.contacts.shared
