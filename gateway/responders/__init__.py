"""The responders: each makes a Reply from a Turn. RESPONDERS names them."""

from collections.abc import Callable

from gateway.core.messages import Reply, Turn
from gateway.responders import canned, echo
from gateway.settings import Settings

Responder = Callable[[Turn], Reply]


def _silent(_turn: Turn) -> Reply:
    return Reply()


RESPONDERS: dict[str, Callable[[Settings], Responder]] = {
    "none": lambda _settings: _silent,
    "echo": lambda _settings: echo.respond,
    "canned": canned.build,
}
