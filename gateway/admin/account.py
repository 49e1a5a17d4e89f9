"""Logging in and out, and one's own password."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import login
from gateway.admin.blueprint import bp
from gateway.admin.login import runtime
from gateway.conversation import people
from gateway.conversation.people import CannotChange
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


@bp.get("/account")
def account() -> str:
    """Show who one is here, and let one change the password."""
    return render_template("account.html")


@bp.post("/account/password")
@login.needs("viewer")
def change_password() -> ResponseReturnValue:
    """Change one's own password: every login of one's own ends, and this one begins anew."""
    current, wanted, again = (request.form.get(name, "") for name in ("current", "wanted", "again"))
    try:
        if wanted != again:
            raise CannotChange("The new password and its repetition differ. Write both again.")
        user = people.change_password(runtime(), login.name(), current, wanted)
    except CannotChange as refusal:
        return render_template("account.html", refusal=str(refusal)), 409
    login.begin(user)
    return render_template("account.html", done="Your password is changed, and every other login of yours has ended.")


@bp.post("/account/logins")
@login.needs("viewer")
def end_logins() -> ResponseReturnValue:
    """Log out everywhere, here too."""
    with deadline():
        people.end_logins(runtime(), login.name(), login.name())
    login.end()
    return redirect(url_for(".login_form"))
