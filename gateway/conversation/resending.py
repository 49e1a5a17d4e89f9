"""A stored webhook replayed: rebuilt from its message, marked, and never answered a second time unless asked for.

To the gateway that has it, it is a redelivery: nothing is stored and nobody is told anything. Another gateway stores
it, with GatewayResentAt in its metadata, and answers only where GatewayResentToBeAnswered is there too.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.conversation import answer, guards, respond, send
from gateway.conversation.guards import RESENT_AT, RESENT_TO_BE_ANSWERED
from gateway.conversation.runtime import Runtime
from gateway.conversation.send import Draft
from gateway.core.errors import GatewayError
from gateway.core.messages import CHAT, SMS, VOICE, WHATSAPP, CallTurn
from gateway.core.participant import address
from gateway.core.reach import PublicAddress
from gateway.core.replies import FLOW
from gateway.store import asked, audit, finding, messages, resent
from gateway.store.asked import Asked
from gateway.store.connection import deadline

# A responder may think for as long, and MongoDB is waited for in between.
SECONDS = 10
_ENDS = ("From", "To")


class CannotResend(GatewayError):
    """A message that has no webhook to replay, or nobody to answer; says why."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """What Twilio posted, as far as it is stored: where to, below the gateway's address, and the form."""

    message_id: str
    session_id: str
    path: str
    form: Mapping[str, str]
    at: datetime


def rebuild(runtime: Runtime, message_id: str) -> Webhook:
    """Rebuild the webhook that a message came with; CannotResend where there was none.

    A parameter that Twilio repeated is there once; what has no field of the message is as it came.
    """
    with deadline(SECONDS):
        stored = messages.one(message_id, None)
    if stored is None:
        raise CannotResend(f"There is no message {message_id}, or it was deleted. `gateway sessions show` lists ids.")
    told = stored.get("metadata") or {}
    if stored.get("direction") != "inbound":
        who = "an operator wrote it" if stored.get("sender") == "agent" else "it is an answer of ours"
        raise CannotResend(f"{message_id} came with no webhook: {who}. Resend the message of the person.")
    if stored.get("communication_type") == CHAT:
        raise CannotResend(f"{message_id} came with no webhook: it was said on a website.")
    if any(name not in told for name in _ENDS):
        raise CannotResend(f"{message_id} has no From and To: it was imported, and no webhook of it is stored.")
    path, form = _call(runtime, stored) if stored["communication_type"] == VOICE else _text(stored)
    return Webhook(str(stored["_id"]), stored["session_id"], path, _parameters(told) | form, stored["createdAt"])


def _parameters(told: Mapping[str, Any]) -> dict[str, str]:
    """Give the parameters among what is kept of a message: Twilio writes them with a capital letter, we do not."""
    named = {name.replace("\uff0e", ".").replace("\uff04", "$"): value for name, value in told.items()}
    kept = {name: value[0] if isinstance(value, list) and value else value for name, value in named.items()}
    ours = (RESENT_AT, RESENT_TO_BE_ANSWERED)
    return {name: str(value) for name, value in kept.items() if name[:1].isupper() and name not in ours}


def _text(stored: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    sid, media = str(stored["_id"]), stored.get("media") or []
    form = {"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "NumMedia": str(len(media))}
    form["Body"] = stored.get("content") or ""
    for number, file in enumerate(media):
        form[f"MediaUrl{number}"] = str(file.get("url") or "")
        form[f"MediaContentType{number}"] = str(file.get("content_type") or "")
    return f"/webhooks/{WHATSAPP if stored['communication_type'] == WHATSAPP else SMS}", form


def _call(runtime: Runtime, stored: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Give where a turn of a call came to, its session signed by us as then, and what was said."""
    sid, _, turn = str(stored["_id"]).partition(":")
    if not turn.isdecimal():
        raise CannotResend(f"{stored['_id']} is a recording, which no single webhook tells of. Resend its call.")
    if turn == "0":
        return "/webhooks/voice", {"CallSid": sid}
    said = "Digits" if (stored.get("metadata") or {}).get("input") == "dtmf" else "SpeechResult"
    line = replace(runtime.line, public=PublicAddress())
    path = line.turn_url(CallTurn(sid, int(turn), stored["session_id"]))
    return path, {"CallSid": sid, said: stored.get("content") or ""}


def mark(runtime: Runtime, webhook: Webhook, *, by: str, to: str, answer: bool) -> dict[str, str]:
    """Note that a webhook is replayed, before it is; gives the form that says so too."""
    now = runtime.clock.now()
    with deadline(SECONDS):
        audit.note(
            now, by, "webhook_resent", session_id=webhook.session_id, message=webhook.message_id, to=to, answer=answer
        )
        resent.note(webhook.message_id, now, by, to, answer=answer)
    wanted = {RESENT_TO_BE_ANSWERED: "true"} if answer else {}
    return {**webhook.form, RESENT_AT: now.isoformat()} | wanted


def answer_again(runtime: Runtime, webhook: Webhook, *, by: str) -> str:
    """Ask the responder once more, send what it says, and give that; empty where it says nothing.

    CannotResend and CannotSend say why nobody can be answered, or may be.
    """
    with deadline(SECONDS):
        message = asked.get(webhook.message_id)
        if message is None:
            raise CannotResend(f"{webhook.message_id} was deleted meanwhile.")
        _check(runtime, message)
        name, turn = answer.turn_of(runtime, [message])
    reply, _ = respond.ask(runtime, name, turn)
    if reply.error:
        raise CannotResend(f"The responder {name} failed, so nothing was sent: {reply.error}")
    if not reply.says_something:
        return ""
    draft = Draft(reply.text, reply.sender, media=reply.media,
                  facts={"responder": name, "inReplyTo": message.id, "resentBy": by})  # fmt: skip
    send.reply(runtime, webhook.session_id, draft, message_id=f"again:{message.id}:{secrets.token_hex(4)}")
    return reply.text


def _check(runtime: Runtime, message: Asked) -> None:
    """Refuse what no responder can answer any more, or must not."""
    if message.place.communication_type == VOICE:
        raise CannotResend(f"{message.id} was said on a call that is over: nobody hears another answer.")
    if message.responder == FLOW:
        raise CannotResend(f"{message.id} was answered by a flow, which has gone on since. Write to them by hand.")
    if address(str(message.metadata["From"])).identity in runtime.blocked:
        raise CannotResend(f"{message.id} is of somebody in reply.blocklist, who is never answered automatically.")
    session = finding.get(message.place.session_id)
    match guards.rule_again(runtime, session, runtime.clock.now()):
        case guards.HANDED_OVER:
            raise CannotResend(f"A person answers this conversation. Hand it back first, or write in {message.id}'s.")
        case guards.HOURLY_LIMIT:
            raise CannotResend("They had reply.hourly_limit automatic answers within the hour. Wait, or write by hand.")
