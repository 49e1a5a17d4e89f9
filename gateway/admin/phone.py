"""A handset for development: text and call the gateway, move the clock, and see what it made of it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeSerializer

from gateway.admin import login
from gateway.admin.blueprint import bp
from gateway.admin.login import access, runtime
from gateway.channels import CHANNELS
from gateway.conversation.phoning import Phone, SimulationFailed
from gateway.conversation.simulation import forms
from gateway.conversation.simulation.forms import OUR_NUMBER, OUR_WHATSAPP, PERSON, Said
from gateway.conversation.simulation.line import Line, session_ids
from gateway.core.explain import explain
from gateway.core.messages import SMS, VOICE, WHATSAPP
from gateway.core.times import spoken
from gateway.store import listing, messages
from gateway.store.connection import deadline

SESSIONS, MESSAGES = 3, 60

# What the clock can be moved on by; the default threshold lies between the second and the third.
JUMPS = {60: "1 min", 240: "4 min", 360: "6 min", 3600: "1 h", 86_400: "1 day"}
FURTHEST = timedelta(days=366)

_LINES = {SMS: OUR_NUMBER, WHATSAPP: OUR_WHATSAPP, VOICE: OUR_NUMBER}


@dataclass(frozen=True, slots=True)
class Handset:
    """What the form says: which channel, who to whom, and how many seconds its clock is ahead."""

    type: str
    sender: str
    line: str
    ahead: int

    @property
    def at(self) -> datetime:
        """Give the time on the handset's clock."""
        return runtime().clock.now() + timedelta(seconds=self.ahead)

    @property
    def jumped(self) -> str:
        """Say how far it is ahead."""
        return spoken(self.ahead * 1000)

    @property
    def address(self) -> str:
        """Give where this handset is shown."""
        return url_for(".phone", type=self.type, sender=self.sender, line=self.line, ahead=self.ahead or None)


@bp.get("/phone")
@login.needs("agent")
def phone() -> str:
    """Show the handset, and what the gateway made of what came from it."""
    return _page(_handset())


@bp.post("/phone/clock")
def phone_clock() -> ResponseReturnValue:
    """Move the handset's clock on, or back to the present."""
    at = _handset()
    by = request.form.get("by", "")
    ahead = at.ahead + int(by) if by in map(str, JUMPS) else 0
    return redirect(Handset(at.type, at.sender, at.line, ahead).address)


@bp.post("/phone/text")
def phone_text() -> ResponseReturnValue:
    """Send a text or a WhatsApp message from the handset."""
    handset, configured = _handset(), runtime().settings
    body = request.form.get("body", "")
    if handset.type == WHATSAPP:
        form = forms.whatsapp_form(configured, handset.sender, handset.line, Said(body), name="Handset")
    else:
        form = forms.text_form(configured, handset.sender, handset.line, Said(body))
    try:
        _line(handset).post(f"/webhooks/{handset.type}", form)
    except SimulationFailed as failure:
        return _page(handset, refusal=str(failure), body=body), 502
    return redirect(f"{handset.address}#{form['MessageSid']}")


@bp.post("/phone/call")
def phone_call() -> ResponseReturnValue:
    """Ring, say, key in, leave a message or hang up; the call goes on in what the page sends back."""
    handset, line = _handset(), _line(_handset())
    call = _call(handset, line)
    words = request.form.get("words", "").strip()
    try:
        match request.form.get("do"):
            case "ring":
                call.ring()
            case "say" if words:
                call.answer({"SpeechResult": words, "Confidence": "0.92"})
            case "key" if words:
                call.answer({"Digits": words})
            case "leave" if words:
                call.leave(words)
            case "hang_up":
                call.hang_up(30)
                return redirect(handset.address)
    except SimulationFailed as failure:
        return _page(handset, call=call, refusal=str(failure), body=words), 502
    return _page(handset, call=call)


def _handset() -> Handset:
    """Read the handset from the address or the form; 404 outside development."""
    if not runtime().settings.is_development:
        abort(404)
    given = request.values
    kind = given.get("type", SMS)
    if kind not in _LINES:
        abort(404, "There is no handset for a channel of that type.")
    ahead = given.get("ahead", 0, type=int)
    return Handset(
        kind,
        given.get("sender", "").strip()[:64] or PERSON,
        given.get("line", "").strip()[:64] or _LINES[kind],
        max(0, min(ahead, int(FURTHEST.total_seconds()))),
    )


def _line(handset: Handset) -> Line:
    """Reach the gateway the way Twilio would: over HTTP, at the very port that serves this page."""
    configured = runtime().settings
    local = f"http://127.0.0.1:{request.environ['SERVER_PORT']}"
    public = configured.public_url.rstrip("/") or local
    return Line(configured, local, public, handset.at if handset.ahead else None)


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(runtime().settings.secret_key.get_secret_value(), salt="handset")


def _call(handset: Handset, line: Line) -> Phone:
    """Go on with the call of the form, or begin one."""
    try:
        known = _signer().loads(request.form.get("call", ""))
    except BadSignature:
        known = {"form": forms.call_form(runtime().settings, handset.sender, handset.line), "twiml": ""}
    return Phone(line.post, line.public_url, known["form"], known["twiml"])


def _page(handset: Handset, *, call: Phone | None = None, refusal: str = "", body: str = "") -> str:
    ids = session_ids(runtime().settings, handset.type, handset.sender, handset.line, limit=SESSIONS)
    channels = access().channels
    with deadline():
        threads = [
            (found, list(_steps(messages.transcript(session_id, channels, limit=MESSAGES))))
            for session_id in ids
            if (found := listing.one(session_id, channels))
        ]
    return render_template(
        "phone.html",
        handset=handset,
        kinds={kind: CHANNELS[kind].name for kind in _LINES},
        jumps=JUMPS,
        threads=threads,
        call=call,
        call_token=_signer().dumps({"form": call.form, "twiml": call.twiml}) if call else "",
        call_twiml=_pretty(call.twiml) if call else "",
        refusal=refusal,
        body=body,
    )


def _steps(said: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Show each message with why it is there, and what Twilio was told."""
    for message in said:
        decision, answer = message.get("decision") or {}, message.get("answer") or {}
        yield {
            "id": message["_id"],
            "ours": message["direction"] == "outbound",
            "text": message.get("content") or "",
            "at": message["createdAt"],
            "status": message.get("status") or "",
            "kind": str(decision.get("kind", "")),
            "decision": explain(decision) if decision else "",
            "twiml": _pretty(answer.get("twiml") or ""),
        }


def _pretty(twiml: str) -> str:
    return re.sub(r"><(?!/)", ">\n<", twiml.partition("?>")[2] or twiml)
