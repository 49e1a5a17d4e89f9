"""The language model behind an OpenAI-compatible endpoint: what it is asked, and what of its answer is said."""

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from gateway.core.errors import ResponderFailed
from gateway.core.messages import Media
from gateway.core.replies import Reply, Turn
from gateway.logs import log
from gateway.responders.calling import Endpoint, parse_object
from gateway.settings import Settings

Message = dict[str, str]

# What stays of a turn where the system prompt alone fills the budget: the smallest budget, 384 characters.
_LEAST_TOKENS = 100
_LONGEST_NAME = 100
_FIELD = re.compile(r"\{(channel|contact|channel_type|now)\}")
# Models served without a reasoning parser think aloud first. An unclosed thought was cut off by max_tokens.
_THOUGHT = re.compile(r"\A\s*<think>.*?(</think>|\Z)", re.DOTALL)
_REMEDIES = {
    400: "Often: GATEWAY_LLM__PROMPT_TOKENS or __ANSWER_TOKENS is more than GATEWAY_LLM__MODEL takes.",
    401: "Check GATEWAY_LLM__API_KEY.",
    403: "Check GATEWAY_LLM__API_KEY, and that it may use GATEWAY_LLM__MODEL.",
    404: "Check GATEWAY_LLM__MODEL and GATEWAY_LLM__BASE_URL, which usually ends with /v1.",
    413: "Lower GATEWAY_LLM__PROMPT_TOKENS or GATEWAY_LLM__HISTORY.",
    429: "The limit of your account or of the server is reached.",
}


def build(settings: Settings) -> Callable[[Turn], Reply]:
    """Make the responder of these settings; without URL or model every turn raises an error that says so."""
    llm = settings.llm
    if reason := lacks(settings):
        return _incomplete(settings, reason)
    url = llm.base_url.rstrip("/") + "/chat/completions"
    endpoint = Endpoint("llm", "The model", "GATEWAY_LLM__BASE_URL", url, llm.timeout_seconds, remedies=_REMEDIES)
    key = llm.api_key.get_secret_value().strip()
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    def respond(turn: Turn) -> Reply:
        # An empty question is refused by some models and answered with nonsense by the others.
        if not _written(turn.content, turn.media):
            return Reply(responder="llm")
        question = {"model": llm.model, "messages": messages(settings, turn), "max_tokens": llm.answer_tokens}
        return _read(endpoint, endpoint.post(json.dumps(question).encode(), lambda: headers))

    return respond


def messages(settings: Settings, turn: Turn) -> list[Message]:
    """Write system prompt, history and turn within `llm.prompt_tokens`.

    The oldest history goes first. The system prompt is never cut; where it and the turn alone are too long, the
    turn loses its beginning, since the question mostly comes last.
    """
    budget = settings.llm.prompt_tokens
    prompt = _system_prompt(settings, turn)
    if prompt:
        budget -= estimate(prompt)
    asked = _end_of(_written(turn.content, turn.media), max(budget, _LEAST_TOKENS))
    past = _newest(_past(turn), budget - estimate(asked))
    system = [{"role": "system", "content": prompt}] if prompt else []
    return system + _merged([*past, {"role": "user", "content": asked}])


def estimate(text: str) -> int:
    """Estimate the tokens of a message, without any model's own tokenizer: four characters each, and four on top."""
    return math.ceil(len(text) / 4) + 4


def _system_prompt(settings: Settings, turn: Turn) -> str:
    """Fill in the prompt. Not with str.format: prompts hold JSON, and braces of their own."""
    local = turn.received_at.astimezone(ZoneInfo(settings.reply.timezone))
    fields = {
        "channel": turn.channel_name or turn.line,
        "contact": _tame(turn.contact_name) or turn.number or "the customer",
        "channel_type": turn.communication_type,
        "now": f"{local:%A, %Y-%m-%d %H:%M} ({settings.reply.timezone})",
    }
    return _FIELD.sub(lambda found: fields[found[1]], settings.llm.system_prompt.strip())


def _tame(name: str) -> str:
    """Keep a name to one short line: people choose their own, and it lands among our instructions."""
    return " ".join(name.split())[:_LONGEST_NAME]


def _past(turn: Turn) -> list[Message]:
    written = [(said.sender, _written(said.content, said.media)) for said in turn.history]
    return [
        {"role": "user" if sender == "contact" else "assistant", "content": text} for sender, text in written if text
    ]


def _written(content: str, media: tuple[Media, ...]) -> str:
    """Write a message as text: its words, then a word for each file, e.g. `[image]`."""
    files = " ".join(f"[{_kind(file.content_type)}]" for file in media)
    return "\n".join(part for part in (content.strip(), files) if part)


def _kind(content_type: str) -> str:
    major = content_type.partition("/")[0]
    return major if major in {"image", "audio", "video"} else "file"


def _end_of(text: str, tokens: int) -> str:
    if estimate(text) <= tokens:
        return text
    return "…" + text[len(text) - (tokens - 4) * 4 + 1 :]


def _newest(past: Sequence[Message], budget: int) -> list[Message]:
    """Give the newest messages that fit, without holes."""
    kept: list[Message] = []
    for message in reversed(past):
        budget -= estimate(message["content"])
        if budget < 0:
            break
        kept.insert(0, message)
    return kept


def _merged(parts: Sequence[Message]) -> list[Message]:
    """Join what one side said in a row: the templates of some models refuse two messages of one role."""
    merged: list[Message] = []
    for part in parts:
        if merged and merged[-1]["role"] == part["role"]:
            merged[-1]["content"] += "\n" + part["content"]
        else:
            merged.append(dict(part))
    return merged


def _read(endpoint: Endpoint, body: bytes) -> Reply:
    answer = parse_object(endpoint, body)
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        tools = tuple(str(call["function"]["name"]) for call in message.get("tool_calls") or ())
        text = _THOUGHT.sub("", text).strip()
    except (LookupError, TypeError, AttributeError):
        raise endpoint.failed("answered JSON that is no chat completion. Check GATEWAY_LLM__BASE_URL.") from None
    if not text:
        raise endpoint.failed(_why_empty(choice.get("finish_reason"), tools))
    return Reply(text, "llm", token_count=_tokens(answer), tools_used=tools)


def _why_empty(reason: object, tools: tuple[str, ...]) -> str:
    if reason == "length":
        return "gave an empty answer: it used up GATEWAY_LLM__ANSWER_TOKENS before its first word. Raise it."
    if reason == "content_filter":
        return "gave an empty answer: its content filter held it back."
    if tools:
        return "gave an empty answer: it called a tool, and the gateway offers none. Check its configuration."
    return "gave an empty answer. Try another GATEWAY_LLM__MODEL or GATEWAY_LLM__SYSTEM_PROMPT."


def _tokens(answer: dict[str, Any]) -> int | None:
    usage = answer.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if type(total) is int else None


def lacks(settings: Settings) -> str:
    """Say which settings are missing, and what to set them to; nothing where all are there."""
    remedies = {
        "GATEWAY_LLM__BASE_URL": "" if settings.llm.base_url else "the endpoint, e.g. http://127.0.0.1:11434/v1",
        "GATEWAY_LLM__MODEL": "" if settings.llm.model else "a model that the endpoint offers",
    }
    missing = [f"{name} is empty. Set it to {remedy}." for name, remedy in remedies.items() if remedy]
    return " ".join([*missing, "Then restart."]) if missing else ""


def _incomplete(settings: Settings, reason: str) -> Callable[[Turn], Reply]:
    if settings.reply.responder == "llm":
        log.error("responder_incomplete", responder="llm", message=reason)

    def respond(_turn: Turn) -> Reply:
        raise ResponderFailed(reason)

    return respond
