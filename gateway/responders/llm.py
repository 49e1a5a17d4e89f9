"""The language model behind an OpenAI-compatible endpoint."""

from collections.abc import Callable

from gateway.core.replies import Reply, Turn
from gateway.settings import Settings


def build(_settings: Settings) -> Callable[[Turn], Reply]:
    """Make the responder of these settings."""
    return lambda _turn: Reply()
