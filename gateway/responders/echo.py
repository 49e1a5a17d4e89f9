"""Says what was said: the first sign of life of a number."""

from gateway.core.replies import Reply, Turn


def respond(turn: Turn) -> Reply:
    """Repeat the message; what has no words gets no answer."""
    return Reply(turn.content, "echo")
