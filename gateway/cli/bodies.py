"""The body of a request as the gate reads it: as it was sent, and no longer than it may be."""

import re
from email.message import Message
from io import BufferedIOBase


class Unusable(Exception):
    """A request that is not passed on, with the status that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def read_body(stream: BufferedIOBase, headers: Message, most: int) -> bytes:
    """Read a body of so many bytes at most; Unusable where it is longer, or its end cannot be told."""
    coding, length = headers.get("Transfer-Encoding", ""), headers.get("Content-Length", "0")
    if coding:
        if coding.strip().lower() != "chunked":
            raise Unusable(501)
        return _chunks(stream, most)
    if not (length.isascii() and length.isdecimal()) or len(length) > 12:
        raise Unusable(400)
    if int(length) > most:
        raise Unusable(413)
    return _exactly(stream, int(length))


def _exactly(stream: BufferedIOBase, length: int) -> bytes:
    body = stream.read(length)
    if len(body) < length:
        raise Unusable(400)
    return body


def _chunks(stream: BufferedIOBase, most: int) -> bytes:
    """Read a body that came in chunks: some tunnels make them of one whose length was told."""
    body = b""
    while True:
        size = stream.readline(100).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
            raise Unusable(400)
        if len(body) + int(size, 16) > most:
            raise Unusable(413)
        if not int(size, 16):
            while stream.readline(10_000).strip():
                pass
            return body
        body += _exactly(stream, int(size, 16))
        if stream.readline(10).strip():
            raise Unusable(400)
