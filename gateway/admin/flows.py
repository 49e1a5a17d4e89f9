"""Flows begun and canceled by hand, beside a session."""

import re
import secrets
from collections.abc import Callable

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import inbox, login, thread
from gateway.admin.blueprint import bp
from gateway.admin.login import runtime
from gateway.conversation import flow_starts
from gateway.conversation.operators import CannotDo
from gateway.store.connection import deadline


@bp.post("/sessions/<session_id>/flow")
def begin_flow(session_id: str) -> ResponseReturnValue:
    """Begin a flow with the person of a session; what stands in the way is said."""
    _must_see(session_id)
    if thread.outlook_for(session_id).refusal == thread.NOT_YOURS:
        abort(403, thread.NOT_YOURS)
    nonce = request.form.get("nonce", "")
    run = f"console:{nonce if re.fullmatch(r'[0-9a-f]{32}', nonce) else secrets.token_hex(16)}"
    return _do(
        session_id,
        lambda: flow_starts.start(runtime(), session_id, request.form.get("flow", ""), login.name(), run=run),
        "The flow has begun. Its first question is on its way.",
    )


@bp.post("/sessions/<session_id>/flow/cancel")
def cancel_flow(session_id: str) -> ResponseReturnValue:
    """End the flow that is under way, without a word to the person."""
    _must_see(session_id)
    return _do(
        session_id,
        lambda: flow_starts.cancel(runtime(), session_id, login.name()),
        "The flow is canceled. Nobody was told.",
    )


def _must_see(session_id: str) -> None:
    with deadline():
        inbox.seen(session_id)


def _do(session_id: str, do: Callable[[], object], done: str) -> ResponseReturnValue:
    try:
        changed = do()
    except CannotDo as refusal:
        return thread.page(session_id, refusal=str(refusal), stands=refusal.session_id), 409
    flash(done if changed else "No flow is under way here any more.")
    return redirect(url_for(".session", session_id=session_id))
