"""What somebody types into a search: the beginning of a number, or words."""

import re

_SEPARATORS = re.compile(r"[\s().\-/\u00a0\u2010-\u2013]+")
_NUMBER = re.compile(r"(\+|00)?(\d{3,15})")
_WORDS = re.compile(r'"([^"]+)"?|([^\s"]+)')


def number_starts(written: str) -> tuple[str, ...]:
    """Give how numbers begin that are written like this, as they are stored; none where it is no number.

    `+1 (555) 867`, `001555867` and `1555867` all begin `+1555867`; short codes have no plus.
    """
    found = _NUMBER.fullmatch(_SEPARATORS.sub("", written.strip().removeprefix("whatsapp:")))
    if not found:
        return ()
    plus, digits = found[1], found[2]
    return (f"+{digits}",) if plus else (f"+{digits}", digits)


def words(written: str) -> tuple[str, ...]:
    """Split what is searched into words, and into phrases where they stand in quotes."""
    return tuple(phrase.strip() or word for phrase, word in _WORDS.findall(written) if phrase.strip() or word)
