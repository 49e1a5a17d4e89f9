"""Fixed texts from the settings, by a word in the message or the time of day."""

import re
from collections.abc import Callable
from datetime import datetime, time
from zoneinfo import ZoneInfo

from gateway.core.replies import Reply, Turn
from gateway.settings import CannedRule, Settings

_WORDS = re.compile(r"\w+")


def build(settings: Settings) -> Callable[[Turn], Reply]:
    """Make the responder of these settings; times of day are those of `reply.timezone`."""
    zone, texts = ZoneInfo(settings.reply.timezone), settings.canned

    def respond(turn: Turn) -> Reply:
        words = set(_WORDS.findall(turn.content.casefold()))
        local = turn.received_at.astimezone(zone)
        fitting = (rule.text for rule in texts.rules if _fits(rule, words, local))
        return Reply(next(fitting, texts.default), "canned")

    return respond


def _fits(rule: CannedRule, words: set[str], local: datetime) -> bool:
    if rule.words and not words & {word.casefold() for word in rule.words}:
        return False
    start, end = _clock(rule.start, time.min), _clock(rule.end, time.max)
    now = local.time()
    # From 18:00 to 08:00 goes over midnight.
    return start <= now < end if start <= end else now >= start or now < end


def _clock(text: str | None, default: time) -> time:
    return time.fromisoformat(text) if text else default
