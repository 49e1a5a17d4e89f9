"""Conversations from a website: what its users say, and which of their sessions it goes into.

A page names the session it goes on with. The finder decides all the same: the name only tells a page that its session
is over, so that it never goes on in another one unawares.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.channels import chat as channel
from gateway.channels.chat import ChatMessage, ChatUser
from gateway.conversation import filing, linking, operators
from gateway.conversation.intake import Kept, take
from gateway.conversation.runtime import Runtime
from gateway.conversation.telling import tell_decision
from gateway.core.errors import GatewayError, StoreUnavailable
from gateway.core.messages import CHAT, Channel
from gateway.core.participant import EMAIL, address
from gateway.core.sessions import Kind, SessionView
from gateway.logs import log, show_number
from gateway.store import audit, channels, chats, editing, groups, people, sessions
from gateway.store.chats import Whose
from gateway.store.connection import deadline
from gateway.store.isolation import Channels

RESTORED, REUSED, EXPIRED, CREATED = "restored", "reused", "expired", "created"


class NotTheirs(GatewayError):
    """A session, or a site, that is not there for whoever asks."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message: where it is, how that session was found, and whether it is answered.

    `answer` is that of `store.answers`; `kept` says that it waits in the spool and nothing else is known yet.
    """

    message_id: str
    session_id: str = ""
    state: str = ""
    answer: str = ""
    kept: bool = False


def site(name: str, allowed: Channels) -> Channel:
    """Give the channel of a site; the default one is made when it is first asked for. NotTheirs where it is none."""
    found = channels.find(CHAT, address(name))
    if found is None and name == channel.DEFAULT_SITE:
        found = Channel(f"{CHAT}:{name}", CHAT, name=name)
    if found is None or (allowed is not None and found.id not in allowed):
        raise NotTheirs(f"There is no chat site {name!r}. `gateway chat add` makes one.")
    return found


def whose(user: ChatUser, allowed: Channels) -> Whose:
    """Tell which sessions are a user's. NotTheirs where their site is none, or not to be seen."""
    line = site(user.site, allowed)
    return chats.whose(user.participant, user.site, line.id, allowed)


def proved(runtime: Runtime, user: ChatUser, allowed: Channels) -> ChatUser:
    """Take the e-mail of a user that a site vouches for as theirs, or only as what they say.

    A site that may see some channels proves nothing of a contact it cannot see: else it would read their history by
    naming their address. What many people write by proves nothing at all.
    """
    if not user.email:
        return user
    if f"{EMAIL}{user.email}" in runtime.settings.contacts.shared:
        return replace(user, email="")
    known = editing.holder("emails", [user.email]) if allowed is not None else None
    if known is None or people.is_seen([str(one) for one in groups.whole(known[0]).ids], allowed):
        return user
    return replace(user, email="", claimed_email=user.email)


def say(
    runtime: Runtime,
    user: ChatUser,
    said: ChatMessage,
    mine: Whose,
    *,
    named: str = "",
    at: datetime | None = None,
) -> Taken:
    """Take what a user wrote, in the session the page names or wherever the finder puts it. Once a message id.

    NotTheirs where the session is somebody else's; SpoolUnavailable where neither MongoDB nor the spool took it.
    """
    before, is_gone = _named(named, mine)
    outcome = take(runtime, channel.parse(user, said, at or runtime.clock.now()))
    if isinstance(outcome, Kept):
        return Taken(outcome.id, kept=True)
    state = EXPIRED if is_gone else _state(runtime, before, outcome.session_id, outcome.decision["kind"])
    _tell(state, outcome.session_id, named, before)
    return Taken(outcome.message_id, outcome.session_id, state, outcome.answer)


def _named(named: str, mine: Whose) -> tuple[SessionView | None, bool]:
    """Look up the session a page names: None where it names none, or one that is there no more.

    Also whether that was the user's own, and was put away, deleted or merged meanwhile.
    """
    try:
        with deadline():
            before = chats.find(named, mine)
            if before is not None or not chats.exists(named):
                return before, False
            if not chats.was_theirs(named, mine):
                raise NotTheirs(f"There is no session {named!r}.")
            return None, True
    except StoreUnavailable:
        return None, False  # the message goes to the spool; the finder needs no name


def _state(runtime: Runtime, before: SessionView | None, session_id: str, kind: str) -> str:
    if before is None:
        return REUSED if kind == Kind.REUSED else CREATED
    if before.id != session_id:
        return EXPIRED
    return RESTORED if before.created_at < runtime.started_at else REUSED


def _tell(state: str, session_id: str, named: str, before: SessionView | None) -> None:
    asked_for = show_number(named[:64])
    log.info("chat_session", session_state=state, session_id=session_id, named=asked_for, known=before is not None)


def begin(runtime: Runtime, user: ChatUser, *, anew: bool, context: Mapping[str, Any]) -> tuple[str, str]:
    """Give a user a session before anything is said: theirs in time, else a new one, or in any case with `anew`.

    Gives its id and how it was found. A new one waits a day for its first message.
    """
    now = runtime.clock.now()
    opening = channel.parse(user, ChatMessage("", client_id=f"open:{secrets.token_hex(8)}"), now)
    with deadline():
        line = runtime.channels.resolve(CHAT, opening.recipient, None)
        filed = filing.find_session(opening, line, runtime.policy_for(line), now, anew=anew)
        if filed is None:
            raise StoreUnavailable("the session was opened by somebody else and is not readable yet")
        if filed.opened:
            sessions.keep_empty(filed.session.id, now, context=channel.storable(context))
    if filed.to_merge:
        linking.link_now(runtime, filed.to_merge)
    tell_decision(runtime, opening, filed, line.id)
    state = CREATED if filed.opened else RESTORED if filed.session.created_at < runtime.started_at else REUSED
    _tell(state, filed.session.id, "", None)
    return filed.session.id, state


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user's session is to be; what is None stays as it is."""

    title: str | None = None
    context: Mapping[str, Any] | None = None
    is_open: bool | None = None


def change(runtime: Runtime, session_id: str, wanted: Wanted, by: str) -> None:
    """Change a session of a user's. CannotDo while another of theirs is open that this one would stand beside."""
    if wanted.title is not None:
        operators.retitle(runtime, session_id, wanted.title, by)
    if wanted.context is not None:
        with deadline():
            sessions.set_context(session_id, channel.storable(wanted.context), runtime.clock.now())
            audit.note(runtime.clock.now(), by, "session_context_set", session_id=session_id)
    if wanted.is_open:
        operators.reopen(runtime, session_id, by)
    elif wanted.is_open is not None:
        operators.close(runtime, session_id, by)
