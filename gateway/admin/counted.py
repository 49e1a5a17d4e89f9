"""The numbers that say most of what was counted, for the top of the page, and how times are written."""

from dataclasses import dataclass

from gateway.conversation.counted import Counts, rates
from gateway.core.daily import percentile
from gateway.core.times import spoken


def duration(milliseconds: float | None) -> str:
    """Write a time for people, with no more digits than are known: `0.84 s`, `5 min 2 s`; a dash for none."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1:
        return "under 1 ms"
    if milliseconds < 60_000:
        return f"{float(f'{milliseconds / 1000:.2g}'):g} s"
    return spoken(round(milliseconds / 1000) * 1000)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number for the top of the page."""

    name: str
    value: str
    beside: str = ""


def figures(counts: Counts) -> list[Figure]:
    """Give the numbers that say most."""
    tally = counts.in_all
    share = rates(tally)
    bot, human = (percentile(times, 0.5) for times in (tally.bot_times, tally.human_times))
    return [
        Figure("Received", f"{tally.inbound:,}", "messages"),
        Figure("Sent", f"{tally.outbound:,}", f"{tally.human:,} by people"),
        Figure("New sessions", f"{tally.sessions:,}"),
        Figure("Bot answers", duration(bot), "half within"),
        Figure("People answer", duration(human), "half within"),
        Figure("Delivered", f"{share[0]:.1%}" if share else "–", f"{share[1]:.1%} failed" if share else ""),
    ]
