"""The admin console: what operators see of sessions, messages and decisions."""

from flask import Flask

from gateway.admin import (
    account,
    acting,
    analytics,
    contact_pages,
    contacts,
    export,
    flows,
    inbox,
    limits,
    live,
    login,
    operations,
    people,
    phone,
    regroup,
    thread,
    whatif,
)
from gateway.admin.blueprint import bp
from gateway.store.capped import Capped

# Each adds its pages to the blueprint.
PAGES = (
    account,
    acting,
    analytics,
    contact_pages,
    contacts,
    export,
    flows,
    inbox,
    live,
    operations,
    people,
    phone,
    regroup,
    thread,
    whatif,
)


def register(app: Flask) -> None:
    """Put the console under /admin, and nothing of it (cookies, tokens, headers) on any other path."""
    login.register(app, bp.name)
    app.extensions["tab_counts"] = Capped()
    app.register_blueprint(bp)
    limits.register(app, bp.name, "log_in", "change_password")
