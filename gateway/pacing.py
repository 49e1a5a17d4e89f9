"""Clients that send too slowly are let go: each holds a thread, or a connection, while its request is received."""

import errno
import socket
import time

# What Twilio and browsers send in a moment. Uploads have as much longer as they are large.
RECEIVE_SECONDS = 20.0
SLOWEST_BYTES_A_SECOND = 1000


class Paced:
    """A connection as far as its next request is read from it; ConnectionResetError where that takes too long."""

    def __init__(self, client: socket.socket) -> None:
        self._client, self._until = client, time.monotonic() + RECEIVE_SECONDS

    def recv(self, size: int) -> bytes:
        """Wait for more of the request; gives at most `size` bytes, none at the end."""
        self._client.settimeout(max(0.001, self._until - time.monotonic()))
        try:
            received = self._client.recv(size)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "The request came too slowly") from None
        finally:
            self._client.settimeout(None)
        self._until += len(received) / SLOWEST_BYTES_A_SECOND
        return received

    def gettimeout(self) -> float | None:
        """Give how long the connection is waited for at a time, as gunicorn asks."""
        return self._client.gettimeout()

    def settimeout(self, seconds: float | None) -> None:
        """Wait no longer than this for what is left of the request; never longer than before."""
        if seconds is not None:
            self._until = min(self._until, time.monotonic() + seconds)
