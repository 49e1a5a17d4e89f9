"""What holds for every page of operations: who may see it, and the way from one to the next."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import abort, render_template, request

from gateway.admin import login
from gateway.admin.listed import ago

_View = TypeVar("_View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Room:
    """One page of operations, with those that belong to it."""

    name: str
    pages: tuple[str, ...]


ROOMS = (
    Room("Health", ("admin.operations",)),
    Room("Outbox", ("admin.outbox", "admin.act_on_outbox")),
    Room("Webhooks", ("admin.webhooks", "admin.webhook")),
    Room("Events", ("admin.events", "admin.act_on_events")),
    Room("Channels", ("admin.channels", "admin.channel", "admin.set_channel")),
    Room("API keys", ("admin.api_keys", "admin.add_api_key")),
)


def operators(view: _View) -> _View:
    """Let a page be used by admins who see every channel: the outbox and the webhooks are of all of them."""

    @functools.wraps(view)
    def guarded(*args: Any, **more: Any) -> Any:
        if login.access().channels is not None:
            abort(403)
        return view(*args, **more)

    return login.needs("admin")(guarded)  # type: ignore[return-value]


def show(template: str, **values: Any) -> str:
    """Show a page of operations."""
    now = login.runtime().clock.now()
    return render_template(
        f"operations/{template}.html",
        rooms=ROOMS,
        here=request.endpoint,
        now=now,
        since=lambda at: ago(at, now),
        **values,
    )
