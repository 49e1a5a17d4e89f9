"""The responders: each makes a Reply from a Turn. RESPONDERS names ours, entry points add others'."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from gateway.core.errors import ConfigError
from gateway.core.replies import FLOW, NOBODY, Reply, Turn
from gateway.logs import log
from gateway.responders import canned, echo
from gateway.settings import Settings

GROUP = "gateway.responders"


@dataclass(frozen=True, slots=True)
class Responder:
    """Who answers. A quick one needs nothing but the turn and answers within the webhook; others in the worker.

    `history` is how many earlier messages of the session it wants to see.
    """

    respond: Callable[[Turn], Reply]
    quick: bool = False
    history: int = 0


def _silent(_turn: Turn) -> Reply:
    return Reply()


def _http_bot(settings: Settings) -> Callable[[Turn], Reply]:
    from gateway.responders import http_bot

    return http_bot.build(settings)


def _llm(settings: Settings) -> Callable[[Turn], Reply]:
    from gateway.responders import llm

    return llm.build(settings)


def lacking(settings: Settings) -> list[str]:
    """Say what the responders that are chosen lack: a gateway starts without it, and then each answer fails."""
    from gateway.responders import http_bot, llm

    chosen = {settings.reply.responder, settings.flow.otherwise}
    found = {"http_bot": http_bot.lacks(settings), "llm": llm.lacks(settings)}
    return [reason for name, reason in found.items() if reason and name in chosen]


def _when_asked(
    name: str, settings: Settings, make: Callable[[Settings], Callable[[Turn], Reply]]
) -> Callable[[Turn], Reply]:
    """Make a responder that brings an HTTP client along when it is first asked.

    The one that is chosen is made at once: it says what its settings lack.
    """
    if name in (settings.reply.responder, settings.flow.otherwise):
        return make(settings)
    made = cache(lambda: make(settings))
    return lambda turn: made()(turn)


RESPONDERS: dict[str, Callable[[Settings], Responder]] = {
    NOBODY: lambda _settings: Responder(_silent, quick=True),
    "echo": lambda _settings: Responder(echo.respond, quick=True),
    "canned": lambda settings: Responder(canned.build(settings), quick=True),
    "http_bot": lambda settings: Responder(
        _when_asked("http_bot", settings, _http_bot), history=settings.http_bot.history
    ),
    "llm": lambda settings: Responder(_when_asked("llm", settings, _llm), history=settings.llm.history),
    # What no flow answers is put to the responder of `flow.otherwise`, so this one has nothing to say.
    FLOW: lambda _settings: Responder(_silent, quick=True),
}


def build(settings: Settings) -> dict[str, Responder]:
    """Make all responders of these settings; one of somebody else's that breaks stops only itself."""
    ready = {name: make(settings) for name, make in RESPONDERS.items()}
    for found in entry_points(group=GROUP):
        if found.name in ready:
            log.error("responder_shadowed", responder=found.name, message=f"{found.value} may not replace ours.")
        else:
            ready[found.name] = _build_foreign(found, settings)
    _require(settings, ready)
    return ready


def _build_foreign(found: EntryPoint, settings: Settings) -> Responder:
    """Make the responder behind an entry point: a function Settings -> Responder, or -> (Turn -> Reply)."""
    try:
        made = found.load()(settings)
    except Exception as error:
        log.exception("responder_broken", responder=found.name)
        return Responder(_broken(f"{found.name} could not be started: {error}"), quick=True)
    return made if isinstance(made, Responder) else Responder(made, history=20)


def _broken(reason: str) -> Callable[[Turn], Reply]:
    def respond(_turn: Turn) -> Reply:
        raise RuntimeError(reason)

    return respond


def _require(settings: Settings, ready: dict[str, Responder]) -> None:
    """Refuse a responder that is not there, and a flow that would have nobody but flows to fall back on."""
    name, otherwise = settings.reply.responder, settings.flow.otherwise
    if name not in ready:
        raise ConfigError(f"GATEWAY_REPLY__RESPONDER = {name!r}: no such responder. Choose one of {', '.join(ready)}.")
    others = [other for other in ready if other != FLOW]
    if otherwise not in others:
        raise ConfigError(f"GATEWAY_FLOW__OTHERWISE = {otherwise!r}: not possible. Choose one of {', '.join(others)}.")
