"""What is done to the person of a session: e-mails, opt-outs by hand, and being merged with another contact."""

from collections.abc import Callable
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import inbox, login, thread
from gateway.admin.blueprint import bp
from gateway.admin.login import access, runtime
from gateway.conversation import claims, contacts, merging
from gateway.conversation.claims import NoClaim
from gateway.conversation.contacts import Changes, NoLine, Taken, WrongValue
from gateway.conversation.crm import queue
from gateway.conversation.crm.queue import NoCrm
from gateway.conversation.merging import CannotMerge, NoContact, NotForThem
from gateway.store import directory, people
from gateway.store.connection import deadline
from gateway.store.people import Person

FOUND_AT_MOST = 20
_JOINED = "Somebody had one of them already: they are one person from here on. You can undo it beside the session."
_SENTENCES = (CannotMerge, Taken, WrongValue, NoLine, NoCrm)


@bp.post("/sessions/<session_id>/contact/emails")
@login.needs("agent")
def set_emails(session_id: str) -> ResponseReturnValue:
    """Write down the e-mail addresses of the person of a session."""
    person, kept = _person(session_id), "The e-mail addresses are kept."
    wanted = Changes(emails=request.form.get("emails", "").replace(",", " ").split())

    def keep() -> str:
        contacts.change(runtime(), person.id, wanted, **_who())
        is_more = len(_person(session_id).members) > len(person.members)
        return f"{kept} {_JOINED}" if is_more else kept

    return _done(session_id, keep, wrong="emails")


@bp.post("/sessions/<session_id>/contact/<any('opt-out', 'opt-in'):deed>")
@login.needs("agent")
def set_opt_out(session_id: str, deed: str) -> ResponseReturnValue:
    """Record that the person of a session wants nothing from a line of ours, or wants it again."""
    person, line, out = _person(session_id), request.form.get("line", ""), deed == "opt-out"
    said = "Opted out. Nothing is sent to them from there." if out else "Opted in again."
    return _done(session_id, lambda: contacts.set_opt_out(runtime(), person.id, line, out=out, **_who()), said)


@bp.get("/sessions/<session_id>/contact/merge")
@login.needs("agent")
def merge_search(session_id: str) -> str:
    """Find the contact that the person of a session is too."""
    _must_see_all()
    person, words = _person(session_id), request.args.get("who", "").strip()[:200]
    with deadline():
        found = directory.page(None, limit=FOUND_AT_MOST + 1, words=words)[0] if words else []
    others = [one for one in found if one.id != person.id][:FOUND_AT_MOST]
    return render_template("merge_contact.html", session_id=session_id, person=person, words=words, others=others)


@bp.post("/sessions/<session_id>/contact/merge")
@login.needs("agent")
def merge_contact(session_id: str) -> ResponseReturnValue:
    """Let another contact be the person of a session."""
    person, other = _person(session_id), request.form.get("with", "")
    said = "Merged. They are one person from here on; you can undo it beside the session."
    return _done(session_id, lambda: merging.merge(runtime(), person.id, other, **_who()), said)


@bp.post("/sessions/<session_id>/contact/unmerge")
@login.needs("agent")
def unmerge_contact(session_id: str) -> ResponseReturnValue:
    """Let a contact be one of its own again that was merged with the person of a session."""
    _person(session_id)
    other = request.form.get("contact", "")
    return _done(session_id, lambda: merging.unmerge(runtime(), other, **_who()), "They are two contacts again.")


@bp.post("/sessions/<session_id>/contact/claims/<claim_id>/<any('confirm', 'dismiss'):deed>")
@login.needs("agent")
def decide_claim(session_id: str, claim_id: str, deed: str) -> ResponseReturnValue:
    """Let what the person of a session says of themselves be so, or show it no more."""
    person, shown = _person(session_id), request.form.get("with", "")
    if deed == "dismiss":
        return _done(session_id, lambda: claims.dismiss(runtime(), person.id, claim_id, **_who()), "Dismissed.")
    said = "Confirmed. They are one person from here on; you can undo it below." if shown else "Confirmed."
    return _done(session_id, lambda: claims.confirm(runtime(), person.id, claim_id, expected=shown, **_who()), said)


@bp.post("/sessions/<session_id>/contact/crm-sync")
@login.needs("agent")
def sync_with_crm(session_id: str) -> ResponseReturnValue:
    """Have everything that was said with the person of a session taken to the CRM."""
    _must_see_all()
    person = _person(session_id)
    said = "A worker takes what is new to the CRM, within moments or as soon as the settings allow."
    return _done(session_id, lambda: queue.ask(runtime(), person.id, by=login.name()), said)


def _done(session_id: str, do: Callable[[], object], said: str = "", *, wrong: str = "") -> ResponseReturnValue:
    """Do something and say so, in the words given or in its own; `wrong` is the field to look at if it is refused."""
    try:
        done = do()
    except (NoContact, NoClaim) as refusal:
        abort(404, str(refusal))
    except NotForThem as refusal:
        abort(403, str(refusal))
    except _SENTENCES as refusal:
        return thread.page(session_id, refusal=str(refusal), wrong=wrong), 409
    flash(said or str(done))
    return redirect(url_for(".session", session_id=session_id))


def _who() -> dict[str, Any]:
    return {"by": login.name(), "channels": access().channels}


def _must_see_all() -> None:
    try:
        merging.must_see_all(access().channels)
    except NotForThem as refusal:
        abort(403, str(refusal))


def _person(session_id: str) -> Person:
    with deadline():
        person = people.get(str(inbox.seen(session_id).get("contact_id")))
    if person is None:
        abort(404, "Nobody is known here: the caller withheld their number.")
    return person
