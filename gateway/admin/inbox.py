"""The list of sessions, which is the console's first page."""

from flask import abort, render_template, request

from gateway.admin import listed
from gateway.admin.blueprint import bp
from gateway.admin.login import access, runtime
from gateway.channels import CHANNELS
from gateway.store import listing
from gateway.store.connection import deadline

PAGE_SIZE = 50


@bp.get("/")
def sessions() -> str:
    """List the sessions of all channels or of one, newest first."""
    chosen, cursor = request.args.get("type", ""), request.args.get("cursor", "")
    if chosen and chosen not in CHANNELS:
        abort(404, "There is no channel of that type.")
    channels = access().channels
    with deadline():
        counts = {name: listing.count(name, channels) for name in CHANNELS}
        try:
            page = listing.page(
                [chosen] if chosen else list(CHANNELS), cursor=cursor, limit=PAGE_SIZE, channels=channels
            )
        except ValueError:
            abort(400, "This address names no page of the list. Start again from the newest sessions.")
    now = runtime().clock.now()
    rows = [listed.row(session, now) for session in page.sessions]
    tabs = listed.tabs(counts, chosen)
    return render_template("sessions.html", rows=rows, tabs=tabs, page=page, cursor=cursor, chosen=chosen, now=now)
