"""Who may use the console: adding, limiting and removing its users, each with an entry in the audit.

What gives somebody a password has deadlines of its own, as `store.users` says; the rest keeps its caller's.
"""

from collections.abc import Collection
from typing import Any, get_args

from gateway.conversation.runtime import Runtime
from gateway.core.access import Role
from gateway.core.errors import GatewayError
from gateway.logs import log
from gateway.store import audit, triage, users
from gateway.store.connection import deadline
from gateway.store.users import UserExists

NAME_LIMIT = 80
PASSWORD_AT_LEAST, PASSWORD_AT_MOST = 8, 1000


class CannotChange(GatewayError):
    """A user that cannot be added or changed so; the text says why, to whoever asked."""


def add(
    runtime: Runtime, by: str, name: str, password: str, role: Role = "admin", channels: Collection[str] | None = None
) -> None:
    """Add a user; CannotChange if the name is taken, or anything is not as it must be."""
    name = name.strip()
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise CannotChange(f"A name has 1 to {NAME_LIMIT} signs that can be printed. Choose another name.")
    _check(role, channels)
    check_password(password)
    try:
        users.add(name, password, runtime.clock.now(), role=role, channels=channels)
    except UserExists as error:
        raise CannotChange(str(error)) from None
    with deadline():
        _note(runtime, by, "user_added", name, role, channels)


def change(runtime: Runtime, by: str, name: str, role: Role, channels: Collection[str] | None) -> None:
    """Give a user another role and other channels; CannotChange if nobody would be left who may do this."""
    _check(role, channels)
    before = users.get(name)
    if before is None or not users.change(name, role, channels):
        raise _nobody(name)
    if not users.has_admin():
        users.change(name, before.access.role, before.access.channels)
        raise CannotChange(f"{name} is the only admin. Give somebody else the role admin first.")
    triage.unassign(name, runtime.clock.now(), but_on=channels)
    _note(runtime, by, "user_changed", name, role, channels)


def remove(runtime: Runtime, by: str, name: str) -> None:
    """Take a user away and end their logins; CannotChange for oneself, and for the only admin."""
    if name == by:
        raise CannotChange("Nobody removes themselves. Ask another admin.")
    before = users.get(name)
    if before is None:
        raise _nobody(name)
    # Nobody may be left without an admin, so the role goes first: that is where it is refused.
    if before.access.role == "admin":
        change(runtime, by, name, "viewer", None)
    # Their sessions, and those that follow, would be neither anybody's nor among the unassigned.
    triage.unassign(name, runtime.clock.now())
    if users.remove(name):
        _note(runtime, by, "user_removed", name)


def reset_password(runtime: Runtime, by: str, name: str, password: str) -> None:
    """Give a user a new password, which ends all their logins."""
    check_password(password)
    if not users.set_password(name, password):
        raise _nobody(name)
    with deadline():
        _note(runtime, by, "password_reset", name)


def change_password(runtime: Runtime, name: str, current: str, password: str) -> users.User:
    """Change one's own password, which ends all one's logins; gives the user for a new one."""
    if users.authenticate(name, current) is None:
        raise CannotChange("The current password is not right. Check it and try again.")
    check_password(password)
    users.set_password(name, password)
    with deadline():
        _note(runtime, name, "password_changed", name)
    user = users.authenticate(name, password)
    if user is None:
        raise _nobody(name)
    return user


def end_logins(runtime: Runtime, by: str, name: str) -> None:
    """End all logins of a user, wherever they are."""
    users.end_logins(name)
    _note(runtime, by, "logins_ended", name)


def check_password(password: str) -> None:
    """Refuse a password that is too short, or too long to be one."""
    if len(password) < PASSWORD_AT_LEAST:
        raise CannotChange(f"The password has fewer than {PASSWORD_AT_LEAST} characters. Choose a longer one.")
    if len(password) > PASSWORD_AT_MOST:
        raise CannotChange(f"The password has more than {PASSWORD_AT_MOST} characters. Choose a shorter one.")


def _check(role: Role, channels: Collection[str] | None) -> None:
    if role not in get_args(Role):
        raise CannotChange(f"{role!r} is no role. Choose one of {', '.join(get_args(Role))}.")
    if role == "admin" and channels is not None:
        raise CannotChange("An admin sees every channel. Choose the role agent or viewer, or no channels.")
    if channels is not None and not channels:
        raise CannotChange("Whoever is limited to channels needs one at least. Choose channels, or all.")


def _nobody(name: str) -> CannotChange:
    return CannotChange(f"There is no user {name!r}. They may have been removed since.")


def _note(
    runtime: Runtime, by: str, action: str, name: str, role: str = "", channels: Collection[str] | None = None
) -> None:
    details: dict[str, Any] = (
        {"user": name} | ({"role": role} if role else {}) | ({"channels": sorted(channels)} if channels else {})
    )
    audit.note(runtime.clock.now(), by, action, **details)
    log.info(action, by=by, **details)
