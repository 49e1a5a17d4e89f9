"""Logging in and out."""

from flask import redirect, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import login
from gateway.admin.blueprint import bp
from gateway.store import users
from gateway.store.connection import deadline


@bp.get("/login")
def login_form() -> ResponseReturnValue:
    """Ask who it is."""
    if login.current():
        return redirect(login.destination())
    return login.page()


@bp.post("/login")
def log_in() -> ResponseReturnValue:
    """Log somebody in; one answer to whatever is wrong, so that it tells nobody which names exist."""
    name, password = login.credentials()
    with deadline():
        user = users.authenticate(name, password) if password else None
    if user is None:
        return login.refuse(name)
    login.begin(user)
    return redirect(login.destination())


@bp.post("/logout")
@login.needs("viewer")
def logout() -> ResponseReturnValue:
    """Log out."""
    login.end()
    return redirect(url_for(".login_form"))
