"""What operators do about a session: one function a deed, each with its entry in the audit."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from gateway.conversation import actions, outlook, send
from gateway.conversation.runtime import Runtime
from gateway.conversation.send import Draft, Queued
from gateway.conversation.ways import CannotSend
from gateway.core.errors import GatewayError
from gateway.core.messages import WHATSAPP
from gateway.logs import log
from gateway.store import audit, contacts, finding, notes, triage
from gateway.store.connection import deadline

CLOSED_BY = "operator"
TITLE_LENGTH, TAG_LENGTH, NOTE_LENGTH, REPLY_LENGTH = 200, 50, 10_000, 10_000
CONTEXT_BYTES = 16 * 1024
_TEMPLATE = re.compile(r"HX[0-9a-zA-Z]{1,64}")


class CannotDo(GatewayError):
    """What an operator asked for is not possible; says why. `session_id` is what stands in its way."""

    def __init__(self, why: str, session_id: str = "") -> None:
        super().__init__(why)
        self.session_id = session_id


class WithWord(Protocol):
    """A deed that takes a word; CannotDo where that is none."""

    def __call__(self, runtime: Runtime, session_id: str, word: str, by: str, /) -> object:
        """Do it."""


def reply(runtime: Runtime, session_id: str, draft: Draft, *, message_id: str) -> Queued:
    """Write to the person of a session; CannotSend where it would not go out."""
    _check(runtime, session_id, draft)
    queued = send.reply(runtime, session_id, draft, message_id=message_id)
    with deadline():
        _person_came(runtime, session_id, queued)
        if queued.fresh:
            _note(runtime, "message_sent", queued.session_id, draft.author, message_id=message_id)
    return queued


def _check(runtime: Runtime, session_id: str, draft: Draft) -> None:
    """Refuse what would only fail later: a wrong template, free text WhatsApp refuses."""
    check_draft(draft)
    if draft.content_sid:
        return
    now = outlook.outlook(runtime, session_id)
    if now.communication_type == WHATSAPP and now.templates_only and not now.usual_template:
        raise CannotSend(outlook.WINDOW_CLOSED)


def check_draft(draft: Draft) -> None:
    """Refuse what would be hundreds of texts, or is no template; CannotSend says why."""
    if len(draft.text) > REPLY_LENGTH:
        raise CannotSend(f"The message has more than {REPLY_LENGTH:,} characters. Shorten it.")
    if draft.content_sid and not _TEMPLATE.fullmatch(draft.content_sid):
        raise CannotSend("A template's id begins with HX. Copy it from Twilio's Content Template Builder.")


def begin(runtime: Runtime, session_id: str, draft: Draft, *, message_id: str) -> Queued:
    """Begin a new session with the person of this one, with a first message; what they had open is closed."""
    _check(runtime, session_id, draft)
    queued = send.reply(runtime, session_id, draft, message_id=message_id, anew=True)
    with deadline():
        _person_came(runtime, session_id, queued)
        if queued.fresh:
            _note(runtime, "session_begun", queued.session_id, draft.author, message_id=message_id, after=session_id)
    return queued


def _person_came(runtime: Runtime, session_id: str, queued: Queued) -> None:
    """Note that somebody answered: in the session that was looked at, and in the one the message went into."""
    for answered in {session_id, queued.session_id}:
        actions.person_came(runtime, answered)


def add_note(runtime: Runtime, session_id: str, text: str, by: str, *, message_id: str) -> bool:
    """Keep a private note beside a session's messages: never sent, no activity; False where it is there already."""
    if not text.strip():
        raise CannotDo("The note is empty. Write something.")
    with deadline():
        added = notes.add(message_id, session_id, text[:NOTE_LENGTH], by, runtime.clock.now())
        if added:
            _note(runtime, "note_added", session_id, by, message_id=message_id)
    return added


def take_over(runtime: Runtime, session_id: str, by: str) -> bool:
    """Answer the session's person by hand from now on; False where that was so."""
    return _once(runtime, session_id, by, triage.take_over, "bot_taken_over", "taken_over")


def hand_back(runtime: Runtime, session_id: str, by: str) -> bool:
    """Let the session's person be answered automatically again; False where that was so."""
    return _once(runtime, session_id, by, triage.hand_back, "bot_handed_back", "handed_back")


def _once(
    runtime: Runtime, session_id: str, by: str, do: Callable[[str, datetime], bool], action: str, event: str = ""
) -> bool:
    """Do what may be done already, and note what was."""
    with deadline():
        done = do(session_id, runtime.clock.now())
        if done:
            _note(runtime, action, session_id, by)
            log.info(event or action, session_id=session_id)
    return done


def close(runtime: Runtime, session_id: str, by: str) -> bool:
    """Close a session for good: whatever comes next begins a new one. False where it was closed for good."""
    with deadline():
        now = runtime.clock.now()
        done = triage.close(session_id, CLOSED_BY, now)
        if done:
            triage.person_came(session_id, now)
            _note(runtime, "session_closed", session_id, by)
            log.info("session_closed", session_id=session_id, reason=CLOSED_BY)
    return done


def reopen(runtime: Runtime, session_id: str, by: str) -> None:
    """Open a session again; CannotDo while another of its sender is open, and then names that one (rule T10)."""
    with deadline():
        session = finding.get(session_id)
        if session is None:
            raise CannotDo("There is no session of that id.")
        out = contacts.opted_out(session.contact_id) if session.contact_id else session.opted_out
        if not triage.reopen(session_id, out, runtime.clock.now()):
            holder = finding.find_holder(session.keys)
            raise CannotDo("Another session of theirs is open. Close that one first.", holder.id if holder else "")
        if not session.is_open:
            _note(runtime, "session_reopened", session_id, by)
            log.info("session_reopened", session_id=session_id)


def archive(runtime: Runtime, session_id: str, by: str) -> bool:
    """Put a session away, closed for good; False where it was."""
    return _once(runtime, session_id, by, partial(triage.archive, reason=CLOSED_BY), "session_archived")


def unarchive(runtime: Runtime, session_id: str, by: str) -> bool:
    """Take a session out of the archive, closed as it was; False where it was not in there."""
    return _once(runtime, session_id, by, triage.unarchive, "session_unarchived")


def retitle(runtime: Runtime, session_id: str, title: str, by: str) -> None:
    """Give a session a title of at most TITLE_LENGTH characters."""
    title = " ".join(title.split())[:TITLE_LENGTH]
    if not title:
        raise CannotDo("A title needs at least one character.")
    with deadline():
        triage.describe(session_id, runtime.clock.now(), title=title)
        _note(runtime, "session_retitled", session_id, by)


def tag(runtime: Runtime, session_id: str, word: str, by: str) -> None:
    """Give a session a tag of at most TAG_LENGTH characters."""
    word = " ".join(word.split())[:TAG_LENGTH].strip()
    if not word:
        raise CannotDo("A tag needs at least one character.")
    with deadline():
        triage.describe(session_id, runtime.clock.now(), tags=[word])
        _note(runtime, "session_tagged", session_id, by)


def untag(runtime: Runtime, session_id: str, word: str, by: str) -> bool:
    """Take a tag off a session; False where it had none such."""
    with deadline():
        done = triage.untag(session_id, word, runtime.clock.now())
        if done:
            _note(runtime, "session_untagged", session_id, by)
    return done


def set_tags(runtime: Runtime, session_id: str, tags: Sequence[str], by: str) -> None:
    """Give a session these tags and no others; CannotDo for one without a character."""
    words = list(dict.fromkeys(" ".join(word.split())[:TAG_LENGTH].strip() for word in tags))
    if "" in words:
        raise CannotDo("A tag needs at least one character.")
    with deadline():
        triage.set_tags(session_id, words, runtime.clock.now())
        _note(runtime, "session_tagged", session_id, by)


def set_context(runtime: Runtime, session_id: str, context: Mapping[str, Any], by: str) -> None:
    """Give a session another context; what a flow keeps there under `flow` stays. CannotDo over CONTEXT_BYTES (T9)."""
    if "flow" in context:
        raise CannotDo("`flow` in a context is the gateway's own: leave it out, it stays as it is.")
    with deadline():
        if not triage.set_context(session_id, context, runtime.clock.now(), most=CONTEXT_BYTES):
            raise CannotDo(f"A context holds {CONTEXT_BYTES:,} bytes at most, with what a flow keeps in it.")
        _note(runtime, "session_context_changed", session_id, by)


def rename_contact(runtime: Runtime, session_id: str, contact_id: str, name: str, by: str) -> None:
    """Give a person another name, or none, as somebody did who looked at this session."""
    with deadline():
        contacts.rename(contact_id, " ".join(name.split())[:TITLE_LENGTH])
        _note(runtime, "contact_renamed", session_id, by)


def _note(runtime: Runtime, action: str, session_id: str, by: str, **details: str) -> None:
    audit.note(runtime.clock.now(), by, action, session_id=session_id, **details)
