"""STOP, START and HELP, as Twilio knows them."""

import enum

_STOP = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
_START = frozenset({"start", "unstop"})
_HELP = frozenset({"help", "info"})


class Keyword(enum.StrEnum):
    """What the sender asks of the line itself rather than of whoever answers."""

    STOP = "stop"
    START = "start"
    HELP = "help"


_GIVEN = {str(one): one for one in Keyword}


def keyword(content: str, opt_out_type: str = "", *, opted_out: bool = False) -> Keyword | None:
    """Read the keyword of a message: Twilio's own verdict first (`OptOutType`), else a single word.

    "yes" is an everyday answer, so it opts in only somebody who is out.
    """
    if given := _GIVEN.get(opt_out_type.lower()):
        return given
    word = content.strip().strip(".!").lower()
    if word in _STOP:
        return Keyword.STOP
    if word in _START or (word == "yes" and opted_out):
        return Keyword.START
    return Keyword.HELP if word in _HELP else None
