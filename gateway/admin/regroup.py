"""Where sessions begin, changed by hand: split here, merge with the previous session, undo either."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import listed, login
from gateway.admin.blueprint import bp
from gateway.admin.login import access, runtime
from gateway.conversation import regroup
from gateway.conversation.regroup import NotThere
from gateway.conversation.regrouping import CannotRegroup
from gateway.store import regroupings
from gateway.store.connection import deadline
from gateway.store.regroupings import DONE, SPLIT, Regrouping


@dataclass(frozen=True, slots=True)
class Change:
    """A split or merge as a session's page tells it. `other` is the session to look at too, where there is one."""

    id: str
    words: str
    other: str
    other_words: str
    by: str
    ago: str
    at: Any


@bp.post("/sessions/<session_id>/split")
def split_session(session_id: str) -> ResponseReturnValue:
    """Let a new session begin at a message, and go there."""
    message_id = request.form.get("message_id", "")
    done = _tried(lambda **who: regroup.split(runtime(), session_id, message_id, token=_token(), **who))
    return redirect(url_for(".session", session_id=done.earlier if done.is_undone else done.later))


@bp.post("/sessions/<session_id>/merge")
def merge_session(session_id: str) -> ResponseReturnValue:
    """Let a session go on in the one before it, and go there."""
    done = _tried(lambda **who: regroup.merge(runtime(), session_id, token=_token(), **who))
    return redirect(url_for(".session", session_id=done.later if done.is_undone else done.earlier))


@bp.post("/regroupings/<regrouping_id>/undo")
def undo_regrouping(regrouping_id: str) -> ResponseReturnValue:
    """Take a split or merge back, and go to the session that is whole again, or is one of its own."""
    done = _tried(lambda **who: regroup.undo(runtime(), regrouping_id, **who))
    return redirect(url_for(".session", session_id=done.earlier if done.kind == SPLIT else done.later))


def _tried(do: Callable[..., Regrouping]) -> Regrouping:
    try:
        return do(by=login.name(), channels=access().channels)
    except NotThere as refusal:
        abort(404, str(refusal))
    except CannotRegroup as refusal:
        abort(409, f"{refusal} This page is older: load it anew.")


def _token() -> str:
    """Give what tells a form that was sent twice from two forms."""
    given = request.form.get("token", "")
    return given if re.fullmatch(r"[0-9a-f]{32}", given) else ""


@bp.context_processor
def _in_templates() -> dict[str, Callable[..., Any]]:
    return {"regroupings_of": _changes, "regroup_token": lambda: secrets.token_hex(16)}


def _changes(session_id: str) -> list[Change]:
    """Tell what holds of a session's splits and merges, the newest first."""
    with deadline():
        found = regroupings.of_session(session_id, access().channels)
    return [_change(one, session_id) for one in found if one.state == DONE]


def _change(done: Regrouping, session_id: str) -> Change:
    now, other, other_words = runtime().clock.now(), "", ""
    if done.kind != SPLIT:
        words = "The session after this one was merged into it"
    elif session_id == done.later:
        words, other, other_words = "Split off from", done.earlier, "the session before"
    else:
        words, other, other_words = "What followed was split off into", done.later, "a session of its own"
    return Change(done.id, words, other, other_words, done.by, listed.ago(done.at, now), done.at)
