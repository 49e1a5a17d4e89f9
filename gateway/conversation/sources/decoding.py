"""Bytes of a file as text: UTF-8 or UTF-16, and what is neither is read as Windows-1252, and counted."""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

PIECE = 1 << 16

_ODD = re.compile("[\udc80-\udcff]")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class Decoded:
    """The text of a stream, piece by piece. `odd` counts the bytes that were no UTF-8, so far."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._first = stream.read(PIECE)
        self.encoding, mark = _encoding(self._first)
        self._first = self._first[mark:]
        self.odd = 0

    def pieces(self) -> Iterator[str]:
        """Give the text once, from the beginning; how it is cut says nothing."""
        errors = "surrogateescape" if self.encoding == "utf-8" else "replace"
        decoder = codecs.getincrementaldecoder(self.encoding)(errors)
        piece = self._first
        while piece:
            yield self._mended(decoder.decode(piece))
            piece = self._stream.read(PIECE)
        yield self._mended(decoder.decode(b"", True))

    def _mended(self, text: str) -> str:
        if text.isascii():
            return text
        mended, amount = _ODD.subn(_as_windows, text)
        self.odd += amount
        return mended


def _encoding(beginning: bytes) -> tuple[str, int]:
    """Tell the encoding by its mark, or by the zeros that UTF-16 has in Latin text; gives the length of the mark."""
    for mark, name in _BOMS:
        if beginning.startswith(mark):
            return name, len(mark)
    pairs = max(1, len(beginning) // 2)
    if beginning[1::2].count(0) > pairs * 0.4:
        return "utf-16-le", 0
    if beginning[0::2].count(0) > pairs * 0.4:
        return "utf-16-be", 0
    return "utf-8", 0


def _as_windows(odd: re.Match[str]) -> str:
    byte = bytes([ord(odd[0]) - 0xDC00])
    try:
        return byte.decode("cp1252")
    except UnicodeDecodeError:
        return byte.decode("latin-1")


def lines(pieces: Iterable[str]) -> Iterator[str]:
    r"""Give text line by line, each with its end: `\n` or `\r\n`."""
    rest: list[str] = []
    for piece in pieces:
        first, *others = piece.split("\n")
        rest.append(first)
        for line in others:
            yield "".join(rest) + "\n"
            rest = [line]
    if last := "".join(rest):
        yield last
