"""The admin console: what operators see of sessions, messages and decisions."""

from flask import Flask

from gateway.admin import limits, login, views


def register(app: Flask) -> None:
    """Put the console under /admin, and nothing of it (cookies, tokens, headers) on any other path."""
    login.register(app)
    app.register_blueprint(views.bp)
    limits.register(app, view="admin.log_in")
