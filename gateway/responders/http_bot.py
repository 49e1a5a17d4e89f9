"""The user's own bot, over HTTP: one signed POST a turn. docs/responders/http_bot.md is its contract."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway.core.errors import ResponderFailed
from gateway.core.messages import Media
from gateway.core.replies import Action, Reply, Said, Turn
from gateway.core.signing import signed_headers
from gateway.logs import log
from gateway.responders.calling import Endpoint, kind_of, parse_object
from gateway.settings import Settings

MOST_MEDIA = 10  # Twilio's limit for one message
_KNOWN = frozenset({"text", "media", "actions", "token_count", "tools_used"})
_REMEDIES = {
    401: "Do both sides have the same GATEWAY_HTTP_BOT__SECRET, and the right time?",
    403: "Do both sides have the same GATEWAY_HTTP_BOT__SECRET, and the right time?",
    404: "Is the path of GATEWAY_HTTP_BOT__URL right?",
    405: "It must take POST at GATEWAY_HTTP_BOT__URL.",
}


def build(settings: Settings) -> Callable[[Turn], Reply]:
    """Make the responder of these settings; without a URL every turn raises an error that says so."""
    bot = settings.http_bot
    if reason := lacks(settings):
        return _incomplete(settings, reason)
    endpoint = Endpoint(
        "http_bot", "Your bot", "GATEWAY_HTTP_BOT__URL", bot.url, bot.timeout_seconds, bot.tries, _REMEDIES
    )
    secret = bot.secret.get_secret_value().encode()

    def respond(turn: Turn) -> Reply:
        body = json.dumps(payload(turn)).encode()
        answer = endpoint.post(body, lambda: _headers(turn.message_id, body, secret))
        return _read(endpoint, answer)

    return respond


def payload(turn: Turn) -> dict[str, Any]:
    """Write a turn as bots read it."""
    return {
        "message_id": turn.message_id,
        "session_id": turn.session_id,
        "channel": {
            "id": turn.channel_id,
            "name": turn.channel_name,
            "type": turn.communication_type,
            "number": turn.line,
        },
        "contact": {"id": turn.contact_id, "name": turn.contact_name, "number": turn.number},
        "content": turn.content,
        "fragments": list(turn.fragments),
        "media": _files(turn.media),
        "received_at": turn.received_at.isoformat(),
        "history": [_said(said) for said in turn.history],
    }


def _said(said: Said) -> dict[str, Any]:
    return {
        "sender": said.sender,
        "content": said.content,
        "at": said.at.isoformat(),
        "media": _files(said.media),
        "session_id": said.session_id,
        "channel": {"id": said.channel_id, "type": said.communication_type},
    }


def _files(media: tuple[Media, ...]) -> list[dict[str, str]]:
    return [{"url": file.url, "content_type": file.content_type} for file in media]


def _headers(message_id: str, body: bytes, secret: bytes) -> dict[str, str]:
    """Sign for the moment of this try: a retry must not look like a replayed request."""
    signed = signed_headers([secret] if secret else [], str(int(time.time())), body)
    return {"X-Gateway-Message-Id": message_id} | signed


def _read(endpoint: Endpoint, body: bytes) -> Reply:
    """Read what the bot said. Keys that are null count as left out."""
    if not body.strip():
        return Reply(responder="http_bot")
    answer = {key: value for key, value in parse_object(endpoint, body).items() if value is not None}
    if answer and not _KNOWN & answer.keys():
        raise endpoint.failed("answered an object with none of the keys text, media and actions. Fix the bot.")
    return Reply(
        text=_require(endpoint, answer, "text", str, ""),
        responder="http_bot",
        media=_media(endpoint, _require(endpoint, answer, "media", list, [])),
        actions=tuple(_action(endpoint, one) for one in _require(endpoint, answer, "actions", list, [])),
        token_count=_require(endpoint, answer, "token_count", int, None),
        tools_used=_strings(endpoint, "tools_used", _require(endpoint, answer, "tools_used", list, [])),
    )


def _require(endpoint: Endpoint, answer: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = answer.get(key, default)
    if value is default or type(value) is kind:
        return value
    wanted = {str: "a string", list: "an array", int: "a whole number"}[kind]
    raise endpoint.failed(f"answered with `{key}` as {kind_of(value)} instead of {wanted}. Fix the bot.")


def _strings(endpoint: Endpoint, key: str, values: list[Any]) -> tuple[str, ...]:
    for value in values:
        if not isinstance(value, str):
            raise endpoint.failed(f"answered with {kind_of(value)} in `{key}`, which holds strings only. Fix the bot.")
    return tuple(values)


def _media(endpoint: Endpoint, values: list[Any]) -> tuple[str, ...]:
    urls = _strings(endpoint, "media", values)
    if len(urls) > MOST_MEDIA:
        raise endpoint.failed(f"answered with {len(urls)} `media`; a message takes {MOST_MEDIA}. Fix the bot.")
    if not all(_is_web_url(url) for url in urls):
        raise endpoint.failed("answered with `media` that are not all absolute http(s) URLs. Fix the bot.")
    return urls


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    # urlsplit drops tabs and newlines without a word, Twilio would not.
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not any(one.isspace() for one in text)


def _action(endpoint: Endpoint, value: Any) -> Action:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not kind:
        raise endpoint.failed("answered with `actions` that are not all objects with a `type`. Fix the bot.")
    return Action(kind, {name: parameter for name, parameter in value.items() if name != "type"})


def lacks(settings: Settings) -> str:
    """Say that the URL is missing, and what to set it to; nothing where it is there."""
    if settings.http_bot.url:
        return ""
    return "GATEWAY_HTTP_BOT__URL is empty. Set it to the URL your bot takes POST requests at, then restart."


def _incomplete(settings: Settings, reason: str) -> Callable[[Turn], Reply]:
    if settings.reply.responder == "http_bot":
        log.error("responder_incomplete", responder="http_bot", message=reason)

    def respond(_turn: Turn) -> Reply:
        raise ResponderFailed(reason)

    return respond
