"""Sessions to take along: one or a filtered list as a file, and one on paper."""

from collections.abc import Iterator
from itertools import islice

from flask import Response, abort, stream_template

from gateway.admin import filters, inbox, listed, login, transcript
from gateway.admin.blueprint import bp
from gateway.admin.login import access, runtime
from gateway.admin.transcript import Day
from gateway.conversation import export
from gateway.conversation.export import Order
from gateway.core.errors import StoreUnavailable
from gateway.store import exporting, people
from gateway.store.connection import deadline
from gateway.store.exporting import Selected

# So many messages of a printed page are read at a time.
PRINTED_AT_ONCE = 200


@bp.get("/export.<file_format>")
def export_sessions(file_format: str) -> Response:
    """Give the sessions of the list, with the filters of its address, as a file."""
    return _file(_filtered(), file_format, "sessions")


def _filtered() -> Selected:
    with deadline():
        wanted = filters.wanted(filters.read(), access().channels).wanted
    if wanted is None:
        abort(400, "Nearly every message holds these words. Add another one.")
    return Selected(access().channels, wanted)


@bp.get("/sessions/<session_id>/export.<file_format>")
def export_session(session_id: str, file_format: str) -> Response:
    """Give one session as a file."""
    with deadline():
        inbox.seen(session_id)
    return _file(_one(session_id), file_format, f"session-{session_id}")


def _one(session_id: str) -> Selected:
    return Selected(access().channels, session_id=session_id)


def _file(selected: Selected, file_format: str, name: str) -> Response:
    if file_format not in export.FORMATS:
        abort(404, f"Sessions are exported as {' or '.join(export.FORMATS)}.")
    order = Order(selected, file_format, login.name())
    filename = f"{name}-{runtime().clock.now():%Y%m%d-%H%M%S}.{file_format}"
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    content_type = f"{export.TYPES[file_format]}; charset=utf-8"
    return export.SEATS.send(
        lambda: Response(export.export(runtime(), order), content_type=content_type, headers=headers)
    )


@bp.get("/sessions/<session_id>/print")
def print_session(session_id: str) -> Response:
    """Show one session as it goes on paper: all of it, and nothing else."""
    with deadline():
        found = inbox.seen(session_id)
        person = people.get(str(found.get("contact_id")))
    now = runtime().clock.now()
    order = Order(_one(session_id), "print", login.name())

    def printed() -> Response:
        export.started(runtime(), order)
        page = _Printed(order, person.name if person else "", runtime().settings.media.keep == "twilio")
        row = listed.row(found, now)
        return Response(stream_template("print.html", row=row, session=found, now=now, page=page, by=order.by))

    return export.SEATS.send(printed)


class _Printed:
    """A session's messages as they are read while the page is sent; `is_complete` once all of them are on it."""

    def __init__(self, order: Order, name: str, at_provider: bool) -> None:
        self._order, self._runtime = order, runtime()
        self.name, self._at_provider = name, at_provider

    @property
    def is_complete(self) -> bool:
        return self._order.written.complete

    def days(self) -> Iterator[Day]:
        """Give the messages, some at a time, by day; a long day comes in several pieces."""
        selected, written = self._order.selected, self._order.written
        written.sessions = 1
        messages = exporting.messages(selected.session_id, selected.channels)
        try:
            while some := list(islice(messages, PRINTED_AT_ONCE)):
                yield from transcript.days(some, name=self.name, at_provider=self._at_provider)
                written.messages += len(some)
            written.complete = True
        except StoreUnavailable:
            return  # The page says that it is not complete.
        finally:
            export.finished(self._runtime, self._order)
