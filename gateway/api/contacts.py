"""Contacts: found, read with everything that was said with them, changed, merged and forgotten."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Response, request

from gateway.api import problems
from gateway.api.auth import access, needs, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.problems import Refused
from gateway.api.schemas import contacts as shapes
from gateway.api.schemas import reply
from gateway.conversation import claims, contacts, forget, merging
from gateway.conversation.claims import NoClaim
from gateway.conversation.contacts import Changes, InUse, NoLine, Taken, WrongValue
from gateway.conversation.crm import queue, standing
from gateway.conversation.crm.queue import NoCrm
from gateway.conversation.merging import CannotMerge, NoContact, NotForThem
from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.store import directory, histories, merges, people
from gateway.store.claims import holders
from gateway.store.connection import deadline
from gateway.store.people import Person

_TAG = tag("Contacts", "The people behind the sessions: one each, over all channels.")


@bp.get("/contacts", tags=_TAG, responses={200: shapes.ContactPage})
def list_contacts(query: shapes.ContactsQuery) -> Response:
    """List contacts, or search them."""
    with deadline():
        found, more = directory.page(access().channels, limit=query.limit, after=query.cursor, words=query.q)
        items = [_contact(person) for person in found]
    return reply(shapes.ContactPage(items=items, next_cursor=more))


@bp.post("/contacts", tags=_TAG, responses={201: shapes.Contact})
def create_contact(body: shapes.NewContactBody) -> Response:
    """Make a contact."""
    with _refusals():
        made = contacts.create(runtime(), Changes(**body.model_dump()), **_who())
    return reply(_now(made), 201, {"Location": f"{request.script_root}/api/v1/contacts/{made}"})


@bp.get("/contacts/<contact_id>", tags=_TAG, responses={200: shapes.ContactWithSessions})
def get_contact(path: shapes.ContactPath, query: shapes.ContactQuery) -> Response:
    """Show a contact with their sessions over all channels."""
    at, _, session_id = query.cursor.partition(".")
    after = (from_epoch_ms(int(at)), session_id) if session_id else None
    with deadline():
        person = _seen(path.contact_id)
        found = people.sessions_of(person.members, access().channels, limit=query.limit + 1, after=after)
        shown = _contact(people.as_seen(person, access().channels))
    rows = found[: query.limit]
    last = rows[-1].get("last_message_at") if len(found) > len(rows) else None
    more = f"{epoch_ms(last)}.{rows[-1]['id']}" if last else None
    sessions = shapes.ContactSessionPage(items=[_session(row) for row in rows], next_cursor=more)
    return reply(shapes.ContactWithSessions(**dict(shown), sessions=sessions))


@bp.get("/contacts/<contact_id>/messages", tags=_TAG, responses={200: shapes.ContactMessagePage})
def list_contact_messages(path: shapes.ContactPath, query: shapes.ContactMessagesQuery) -> Response:
    """List what was said with a contact, over all their sessions and channels."""
    with deadline():
        person = _seen(path.contact_id)
        found = histories.page(
            person.members, access().channels, limit=query.limit + 1, after=histories.read_cursor(query.cursor)
        )
    rows = found[: query.limit]
    more = histories.cursor(rows[-1]) if len(found) > len(rows) else None
    return reply(shapes.ContactMessagePage(items=[_message(row) for row in rows], next_cursor=more))


@bp.patch("/contacts/<contact_id>", tags=_TAG, responses={200: shapes.Contact})
def update_contact(path: shapes.ContactPath, body: shapes.ContactBody) -> Response:
    """Change a contact's name, e-mails, numbers or other ids."""
    with _refusals():
        _see(path.contact_id)
        contacts.change(runtime(), path.contact_id, Changes(**body.model_dump()), **_who())
    return reply(_now(path.contact_id))


@bp.post("/contacts/<contact_id>/merge", tags=_TAG, responses={200: shapes.Contact})
def merge_contact(path: shapes.ContactPath, body: shapes.MergeBody) -> Response:
    """Let another contact be this one, since they are one person; it can be undone."""
    with _refusals():
        _see(path.contact_id)
        try:
            merging.merge(runtime(), path.contact_id, body.other, **_who())
        except NoContact as refusal:
            raise Refused(409, "other_not_found", str(refusal), field="body.with") from None
    return reply(_now(path.contact_id))


@bp.post("/contacts/<contact_id>/unmerge", tags=_TAG, responses={200: shapes.Unmerged})
def unmerge_contact(path: shapes.ContactPath) -> Response:
    """Let a contact that was merged be one of its own again, or the last that was merged into this one."""
    with _refusals():
        _see(path.contact_id)
        done = merging.unmerge(runtime(), path.contact_id, **_who())
    return reply(shapes.Unmerged(contact=_now(done.survivor), unmerged=_now(done.absorbed)))


@bp.post("/contacts/<contact_id>/claims/<claim_id>/confirm", tags=_TAG, responses={200: shapes.Contact})
def confirm_claim(path: shapes.ClaimPath) -> Response:
    """Let what a contact says of themselves be so; whoever has it already is merged with them."""
    with _refusals():
        _see(path.contact_id)
        claims.confirm(runtime(), path.contact_id, path.claim_id, **_who())
    return reply(_now(path.contact_id))


@bp.post("/contacts/<contact_id>/claims/<claim_id>/dismiss", tags=_TAG, responses={200: shapes.Contact})
def dismiss_claim(path: shapes.ClaimPath) -> Response:
    """Show what a contact says of themselves no more, however often they say it."""
    with _refusals():
        _see(path.contact_id)
        claims.dismiss(runtime(), path.contact_id, path.claim_id, **_who())
    return reply(_now(path.contact_id))


@bp.post("/contacts/<contact_id>/crm-sync", tags=_TAG, responses={202: shapes.CrmSync})
def sync_contact_with_crm(path: shapes.ContactPath) -> Response:
    """Have everything that was said with a contact taken to the CRM, as far as it does not have it."""
    with _refusals():
        _see(path.contact_id)
        merging.must_see_all(access().channels)
        asked = queue.ask(runtime(), path.contact_id, by=access().name)
    return reply(shapes.CrmSync(contact_id=asked.contact_id, due=asked.due), 202)


@bp.put("/contacts/<contact_id>/opt-outs/<line>", tags=_TAG, responses={200: shapes.OptOuts})
def opt_out(path: shapes.OptOutPath) -> Response:
    """Record that a contact wants nothing from a line of ours any more, as if they had said STOP."""
    return _opted(path, out=True)


@bp.delete("/contacts/<contact_id>/opt-outs/<line>", tags=_TAG, responses={200: shapes.OptOuts})
def opt_in(path: shapes.OptOutPath) -> Response:
    """Record that a contact wants to hear from a line of ours again, as if they had said START."""
    return _opted(path, out=False)


def _opted(path: shapes.OptOutPath, *, out: bool) -> Response:
    with _refusals():
        contacts.set_opt_out(runtime(), path.contact_id, path.line, out=out, **_who())
    return reply(shapes.OptOuts(opted_out=_now(path.contact_id).opted_out))


@bp.delete("/contacts/<contact_id>", tags=_TAG, responses={202: shapes.Forgetting})
@needs("admin")
def forget_contact(path: shapes.ContactPath) -> Response:
    """Erase everything about a person, but for the fact that they said STOP. It cannot be undone."""
    with _refusals():
        _see(path.contact_id)
        forget.ask(runtime(), path.contact_id, **_who())
    return reply(shapes.Forgetting(id=path.contact_id, status="forgetting"), 202)


def _who() -> dict[str, Any]:
    return {"by": access().name, "channels": access().channels}


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Say what a use case says that refuses."""
    try:
        yield
    except (NoContact, NoLine, NoClaim) as refusal:
        raise Refused(404, "not_found", str(refusal)) from None
    except NotForThem as refusal:
        raise Refused(403, "all_channels_needed", str(refusal)) from None
    except WrongValue as refusal:
        raise Refused(422, "wrong_value", str(refusal), field=f"body.{refusal.field}") from None
    except Taken as refusal:
        raise Refused(409, "identifier_taken", str(refusal), field=f"body.{refusal.field}") from None
    except InUse as refusal:
        raise problems.conflict(refusal, "identifier_in_use") from None
    except CannotMerge as refusal:
        raise problems.conflict(refusal, "cannot_merge") from None
    except NoCrm as refusal:
        raise problems.conflict(refusal, "no_crm") from None


def _seen(contact_id: str) -> Person:
    """Find a contact that the key may see; 404 for any other."""
    person = people.get(contact_id)
    if person is None or not people.is_seen(person.members, access().channels):
        raise problems.not_found("contact", contact_id)
    return person


def _see(contact_id: str) -> None:
    with deadline():
        _seen(contact_id)


def _now(contact_id: str) -> shapes.Contact:
    with deadline():
        return _contact(people.as_seen(_seen(contact_id), access().channels))


def _contact(person: Person) -> shapes.Contact:
    into = merges.into(person.members) if len(person.members) > 1 and access().channels is None else ()
    return shapes.Contact(
        id=person.id,
        name=person.name,
        phones=list(person.phones),
        emails=list(person.emails),
        external_ids=list(person.external_ids),
        opted_out=[shapes.OptOut(line=out.line, at=out.at) for out in person.opted_out],
        merged=[shapes.Merged(contact_id=one.absorbed, by=one.by, at=one.at, reason=one.reason) for one in into],
        claims=_claims(person),
        crm=_crm(person),
        created_at=person.created_at,
    )


def _claims(person: Person) -> list[shapes.Claim]:
    """Give what somebody says of themselves, and for whoever sees every channel whose that is already."""
    known = holders(person.claims) if access().channels is None else {}
    return [
        shapes.Claim(
            id=one.id,
            field=one.field,
            value=one.value,
            at=one.at,
            source=one.source,
            session_id=one.session_id or None,
            merges_with=known[one.id].id if one.id in known else None,
        )
        for one in person.claims
    ]


def _crm(person: Person) -> shapes.ContactCrm | None:
    found = standing.of(runtime(), person)
    return (
        shapes.ContactCrm(**{name: getattr(found, name) for name in shapes.ContactCrm.model_fields}) if found else None
    )


def _session(row: Mapping[str, Any]) -> shapes.ContactSession:
    names = shapes.ContactSession.model_fields.keys() - {"message_count"}
    facts = {name: row.get(name) for name in names}
    return shapes.ContactSession(message_count=row.get("message_count") or 0, **facts)


def _message(row: Mapping[str, Any]) -> shapes.ContactMessage:
    names = ("channel_id", "communication_type", "direction", "sender", "content", "status")
    return shapes.ContactMessage(
        id=row["id"],
        session_id=str(row["session_id"]),
        media=[shapes.ContactMedia(content_type=file.get("content_type")) for file in row.get("media") or ()],
        private=bool((row.get("metadata") or {}).get("private")),
        created_at=row["createdAt"],
        **{name: row.get(name) for name in names},
    )
