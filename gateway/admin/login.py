"""Who is using the console: logins in a signed cookie, and the check before every page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from flask import Flask, abort, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFProtect

from gateway.admin import here
from gateway.admin.hooks import hooks_of
from gateway.conversation.runtime import Runtime
from gateway.core.access import Access, Role
from gateway.http import client_address
from gateway.logs import log
from gateway.store import users
from gateway.store.connection import deadline

# Longer than any name or password somebody types; more would only keep the hasher busy.
FIELD_LIMIT = 1000

_OPEN = frozenset({"admin.login_form", "admin.log_in", "admin.static"})

_csrf = CSRFProtect()

_View = TypeVar("_View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operator:
    """A user as Flask-Login wants one."""

    user: users.User
    is_authenticated: bool = True
    is_active: bool = True
    is_anonymous: bool = False

    @property
    def name(self) -> str:
        """Give the name to show."""
        return self.user.name

    def get_id(self) -> str:
        """Give what the cookie carries: whose login, and the secret that a new password replaces."""
        return f"{self.user.id}.{self.user.token}"


def register(app: Flask, blueprint: str) -> None:
    """Set up cookies, logins and CSRF tokens, all of which touch no request but the console's."""
    settings = app.extensions["gateway"].settings
    app.config.update(
        SESSION_COOKIE_NAME="gateway",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.public_url.startswith("https") or settings.env == "production",
        # A login ends after its lifetime whatever happens, so no response needs to renew the cookie.
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.admin.session_hours),
        WTF_CSRF_CHECK_DEFAULT=False,
        # A token lives as long as the login: a page that was open over lunch must still work.
        WTF_CSRF_TIME_LIMIT=None,
        # Compares with the Host header, which proxies rewrite; the token and SameSite cookies do the work.
        WTF_CSRF_SSL_STRICT=False,
    )
    manager = LoginManager()
    manager.session_protection = None
    manager.user_loader(_load)
    # Its context processor would ask MongoDB again on the very page that says MongoDB is away.
    with hooks_of(app, blueprint):
        manager.init_app(app, add_context_processor=False)
        _csrf.init_app(app)


def runtime() -> Runtime:
    """Give the runtime of the app that serves this request."""
    return current_app.extensions["gateway"]  # type: ignore[no-any-return]


def address() -> str:
    """Give the address of whoever asks."""
    return client_address(request.environ, runtime().settings.trusted_proxies)


def _load(token: str) -> Operator | None:
    with deadline():
        user = users.find(token)
    return Operator(user) if user else None


def current() -> Operator | None:
    """Give who is logged in."""
    operator = current_user._get_current_object()
    return operator if isinstance(operator, Operator) else None


def name() -> str:
    """Give the name of who is logged in."""
    operator = current()
    return operator.name if operator else ""


def access() -> Access:
    """Give what whoever asks may see and do: nothing before `require` has found out who it is."""
    operator = g.get("operator")
    return operator.user.access if operator else Access("", channels=frozenset())


def needs(role: Role) -> Callable[[_View], _View]:
    """Let a view be used by a role and those above it; without this, viewers may read and agents may write."""

    def mark(view: _View) -> _View:
        view.needs = role  # type: ignore[attr-defined]
        return view

    return mark


def _is_allowed() -> bool:
    view = current_app.view_functions[request.endpoint or ""]
    return access().has(getattr(view, "needs", "viewer" if request.method in ("GET", "HEAD") else "agent"))


def require() -> ResponseReturnValue | None:
    """Send whoever is not logged in to the login page, and refuse what no page of ours posted."""
    if request.endpoint not in _OPEN:
        g.operator = current()
        if g.operator is None:
            return redirect(url_for("admin.login_form", next=_here()))
        if not _is_allowed():
            abort(403)
    _csrf.protect()
    return None


def _here() -> str | None:
    """Give the page to come back to after the login; None for the listing, where it leads anyway."""
    return None if request.endpoint == "admin.sessions" and not request.query_string else here.page()


def destination() -> str:
    """Give where a login leads: the page that was asked for if it is the console's, else the listing."""
    home, wanted = url_for("admin.sessions"), request.args.get("next", "")
    return wanted if wanted.startswith(home) and wanted.isprintable() and "\\" not in wanted else home


def credentials() -> tuple[str, str]:
    """Read what the form says; no password where it is too long to be one."""
    name, password = request.form.get("name", "").strip(), request.form.get("password", "")
    return (name, password) if max(len(name), len(password)) <= FIELD_LIMIT else (name[:FIELD_LIMIT], "")


def begin(user: users.User) -> None:
    """Log a user in, in a session that holds nothing from before."""
    session.clear()
    session.permanent = True
    login_user(Operator(user))
    with deadline():
        users.note_login(user, runtime().clock.now())
    log.info("login", user=user.name, address=address())


def end() -> None:
    """Log out, and forget the rest of the session too."""
    logout_user()
    session.clear()


def page(name: str = "", *, refused: bool = False) -> str:
    """Show the login page; only in development does it help to guess who may log in."""
    hint = runtime().settings.is_development
    return render_template("login.html", name=name, refused=refused, hint=hint)


def refuse(name: str) -> ResponseReturnValue:
    """Refuse a login, and log that without the name: it may be a password in the wrong field."""
    log.warning("login_refused", address=address())
    return page(name, refused=True), 401
