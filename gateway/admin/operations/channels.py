"""Our numbers: which there are, what holds for each, and a form to change it."""

from collections.abc import Mapping
from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from gateway.admin import login
from gateway.admin.blueprint import bp
from gateway.admin.login import runtime
from gateway.admin.operations.rooms import operators, show
from gateway.conversation import channels as use
from gateway.conversation.channels import CannotSet, Changes
from gateway.core.messages import VOICE
from gateway.core.times import spoken
from gateway.settings import idle_ms
from gateway.store import channels as stored
from gateway.store.connection import deadline

# The form's fields of a channel's settings: what each is called, and what it is good for.
LABELS = {
    "mode": ("What a call is for", "converse: the responder talks. voicemail: it is recorded. dial: put through."),
    "greeting": ("Greeting", "What callers hear first."),
    "filler": ("Filler", "Said, or as an https address played, while an answer is made."),
    "voicemail_prompt": ("Voicemail prompt", "Said before the tone."),
    "dial_to": ("Put through to", "A number as +15558675310, for the mode dial."),
    "text_back": ("Text back", "What a missed caller is texted."),
    "content_sid": ("Template", "The content template for messages after WhatsApp's 24 hours, HX..."),
    "segments_per_second": ("Segments a second", "The number's pace at Twilio."),
}
MODES = ("converse", "voicemail", "dial")


@bp.get("/operations/channels", endpoint="channels")
@operators
def all_channels() -> str:
    """List our numbers."""
    with deadline():
        rows = [_row(document) for document in stored.listed()]
    return show("channels", rows=rows)


@bp.get("/operations/channels/<path:channel_id>")
@operators
def channel(channel_id: str) -> str:
    """Show one of our numbers, to be changed."""
    return _form(channel_id)


@bp.post("/operations/channels/<path:channel_id>")
@operators
def set_channel(channel_id: str) -> ResponseReturnValue:
    """Change one of our numbers."""
    own = _own(_document(channel_id))
    changes = Changes(
        name=request.form.get("name", ""),
        threshold=request.form.get("threshold", ""),
        responder=request.form.get("responder", ""),
        settings={name: request.form.get(name, "") for name in own},
    )
    try:
        changed = use.configure(runtime(), channel_id, changes, login.name())
    except CannotSet as refusal:
        return _form(channel_id, refusal), 409
    flash("It holds everywhere within five seconds." if changed else "Nothing was changed.")
    return redirect(url_for(".channels"))


def _document(channel_id: str) -> dict[str, Any]:
    with deadline():
        found = next((one for one in stored.listed() if one["id"] == channel_id), None)
    if found is None:
        abort(404, "There is no such channel.")
    return found


def _own(document: Mapping[str, Any]) -> set[str]:
    """Tell which settings are to be the channel's own: those ticked, and those somebody wrote without ticking."""
    kept = document.get("settings") or {}
    shown = {name: str(kept.get(name, _inherited(name) if name == "mode" else "")) for name in LABELS}
    written = {name for name in LABELS if request.form.get(name, "").strip() not in ("", shown[name])}
    return written | {name for name in LABELS if f"own.{name}" in request.form}


def _form(channel_id: str, refusal: CannotSet | None = None) -> str:
    """Show the form as it is stored or, where it was refused, as it was filled in."""
    document = _document(channel_id)
    given: Mapping[str, str] = request.form if refusal else {}
    row, serving = _row(document), runtime()
    kept = document.get("settings") or {}
    fields = [
        {
            "name": name,
            "label": LABELS[name][0],
            "hint": LABELS[name][1],
            "own": f"own.{name}" in given if refusal else name in kept,
            "value": given.get(name, "") if refusal else kept.get(name, ""),
            "inherited": _inherited(name),
        }
        for name in use.fields_of(row["type"])
    ]
    return show(
        "channel",
        row=row,
        fields=fields,
        name=given.get("name", row["name"]),
        threshold=given.get("threshold", "") if refusal else row["own_threshold"],
        responder=given.get("responder", row["own_responder"]),
        responders=sorted(serving.responders),
        usual=serving.settings.reply.responder,
        modes=MODES,
        refusal=refusal,
    )


def _inherited(name: str) -> str:
    settings = runtime().settings
    return str(getattr(settings.voice if hasattr(settings.voice, name) else settings.twilio, name))


def _row(document: Mapping[str, Any]) -> dict[str, Any]:
    """Say what holds on a channel, and whether that is its own or inherited."""
    serving, kind = runtime(), document.get("communication_type") or ""
    usual, own = serving.settings.idle_ms_for(kind), document.get("idle_seconds")
    has_own = "idle_seconds" in document and not document.get("problem")
    mode = (document.get("settings") or {}).get("mode")
    return {
        "id": document["id"],
        "name": document.get("name") or document.get("phone_number") or document["id"],
        "number": document.get("phone_number") or "",
        "type": kind,
        "threshold": _in_words(idle_ms(own) if has_own else usual),
        "has_threshold": has_own,
        "own_threshold": ("never" if own is None else str(own)) if has_own else "",
        "usual_threshold": _in_words(usual),
        "responder": document.get("responder") or serving.settings.reply.responder,
        "own_responder": document.get("responder") or "",
        "mode": (mode or serving.settings.voice.mode) if kind == VOICE else "",
        "has_mode": bool(mode),
        "problem": document.get("problem", ""),
        "at": document.get("last_webhook_at"),
    }


def _in_words(threshold_ms: int | None) -> str:
    if threshold_ms is None:
        return "never"
    return "every message its own session" if threshold_ms == 0 else spoken(threshold_ms)
