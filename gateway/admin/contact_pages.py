"""All there was with one person: their sessions, and what was said in them as one history."""

from flask import abort, render_template, request

from gateway.admin import cursors, listed, login, transcript
from gateway.admin.blueprint import bp
from gateway.admin.login import access, runtime
from gateway.store import histories, people
from gateway.store.connection import deadline
from gateway.store.people import Person

PAGE_SIZE, MESSAGES = 50, 100


@bp.get("/contacts/<contact_id>/sessions")
@login.needs("viewer")
def contact_sessions(contact_id: str) -> str:
    """List all sessions of a person that the reader may see, newest first."""
    before = cursors.read(request.args.get("before"))
    now = runtime().clock.now()
    with deadline():
        person = _seen(contact_id)
        found = people.sessions_of(person.members, access().channels, limit=PAGE_SIZE + 1, before=before)
    rows = [listed.row(one, now) for one in found[:PAGE_SIZE]]
    older = cursors.write(rows[-1].at) if len(found) > PAGE_SIZE else None
    return render_template("contact_sessions.html", person=person, rows=rows, older=older, before=before)


@bp.get("/contacts/<contact_id>/history")
@login.needs("viewer")
def contact_history(contact_id: str) -> str:
    """Show what was said with a person over all sessions and channels that the reader may see, by date."""
    before = histories.read_cursor(request.args.get("before", ""))
    with deadline():
        person = _seen(contact_id)
        found = histories.page(person.members, access().channels, limit=MESSAGES + 1, after=before)
    rows = found[:MESSAGES]
    older = histories.cursor(rows[-1]) if len(found) > MESSAGES else None
    said = sorted(rows, key=histories.position)
    return render_template(
        "contact_history.html",
        person=person,
        days=transcript.days(said, name=person.name, at_provider=runtime().settings.media.keep == "twilio"),
        sessions={row["id"]: str(row["session_id"]) for row in said},
        older=older,
        before=before,
    )


def _seen(contact_id: str) -> Person:
    person = people.get(contact_id)
    if person is None or not people.is_seen(person.members, access().channels):
        abort(404, "There is no such contact. They may have been forgotten since.")
    return people.as_seen(person, access().channels)
