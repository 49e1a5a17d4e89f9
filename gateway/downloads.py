"""Files that somebody sent, given to whoever asks for them: over the console and the API together so many at a time."""

from collections.abc import Callable

from flask import Response

from gateway import files
from gateway.core.fetching import Opened
from gateway.seats import Seats
from gateway.settings import WEB_THREADS

# A download holds a thread for as long as its reader takes, so most of them stay free for webhooks and pages.
MOST = WEB_THREADS // 4
_seats = Seats(MOST, "Too many files are being read at once. Try again in a moment.")


def send(find: Callable[[], Opened | None], missing: Callable[[], Response]) -> Response:
    """Find a file and send it, if not too many are being sent already; calls `missing` where there is none."""

    def made() -> Response:
        found = find()
        return files.response(found) if found else missing()

    return _seats.send(made)
