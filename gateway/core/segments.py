"""How many SMS segments a text takes: what it costs, and how long a number is busy with it.

GSM 03.38 (3GPP TS 23.038, section 6.2.1) for the alphabet, TS 23.040 for the parts of a long message.
"""

from dataclasses import dataclass

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")

# A text that does not fit one message gives up room in each part for the header that joins them.
_ROOM = {"GSM-7": (160, 153), "UCS-2": (70, 67)}


@dataclass(frozen=True, slots=True)
class Segments:
    """The size of a text. `units` are septets of GSM-7, or 16-bit units of UCS-2."""

    encoding: str
    count: int
    units: int


def segments(text: str) -> Segments:
    """Count the segments of a text; one character outside GSM-7 makes all of it UCS-2.

    An empty text has none: Twilio refuses it (21602), and a message of media alone carries no text part.
    """
    encoding = "GSM-7" if _BASIC.union(_EXTENSION).issuperset(text) else "UCS-2"
    sizes = [_septets(sign) if encoding == "GSM-7" else _utf16_units(sign) for sign in text]
    alone, part = _ROOM[encoding]
    units = sum(sizes)
    return Segments(encoding, _parts(sizes, part) if units > alone else min(units, 1), units)


def _septets(sign: str) -> int:
    return 2 if sign in _EXTENSION else 1


def _utf16_units(sign: str) -> int:
    return 2 if ord(sign) > 0xFFFF else 1


def _parts(sizes: list[int], room: int) -> int:
    """Fill parts one after the other; neither an escape sequence nor a surrogate pair is torn apart."""
    count, used = 1, 0
    for size in sizes:
        if used + size > room:
            count, used = count + 1, 0
        used += size
    return count
