"""Twilio's side: an open loop over keep-alive connections, in a process of its own, that never waits for an answer.

It imports only the standard library, so that it is up at once and takes little of the processors it shares.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import Sequence
from typing import NamedTuple

# Twilio's: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
TIMEOUT_SECONDS = 15

REFUSED, BROKEN, TIMED_OUT = "connection refused", "connection broken", "timed out"


class Delivery(NamedTuple):
    """What became of one webhook, times in seconds since the epoch. `outcome` is a status code or what went wrong.

    `late` is how long after its time it went out, which says whether the generator kept up.
    """

    sid: str
    sender: str
    sent: float
    answered: float
    outcome: str
    said: bool
    late: float

    @property
    def acknowledged(self) -> bool:
        """Tell whether Twilio would hold it for taken."""
        return self.outcome.startswith("2")


class _Client:
    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, request: bytes) -> tuple[str, bytes]:
        """Send one request; gives the outcome and the body."""
        writer = None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                reader, writer = await self._connection()
                writer.write(request)
                status, body = await _answer(reader)
            self.idle.append((reader, writer))
            return status, body
        except TimeoutError:
            outcome = TIMED_OUT
        except ConnectionRefusedError:
            outcome = REFUSED
        except (OSError, asyncio.IncompleteReadError):
            outcome = BROKEN
        if writer is not None:
            writer.close()
        return outcome, b""

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Take an idle connection that is still up, else open one."""
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof() and reader.exception() is None:
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)


async def _answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    lengths = [line.partition(b":")[2] for line in head if line.lower().startswith(b"content-length:")]
    body = await reader.readexactly(int(lengths[0])) if lengths else b""
    return head[0].split()[1].decode(), body


async def _send_all(sendings: Sequence[tuple[float, str, str, bytes]], port: int, start: float) -> list[Delivery]:
    client, deliveries, tasks = _Client(port), [], set()

    async def send(due: float, sid: str, sender: str, request: bytes) -> None:
        sent = time.time()
        outcome, body = await client.post(request)
        deliveries.append(Delivery(sid, sender, sent, time.time(), outcome, b"<Message" in body, sent - due))

    for at, sid, sender, request in sendings:
        if (wait := start + at - time.time()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(send(start + at, sid, sender, request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    with contextlib.suppress(ValueError):  # asyncio.wait wants at least one
        await asyncio.wait(tasks)
    return deliveries


def run(sendings: Sequence[tuple[float, str, str, bytes]], port: int, start: float) -> list[Delivery]:
    """Send everything, from the moment `start` on; gives what became of each, as they ended."""
    # A pause of the collector would look like one of the gateway.
    gc.freeze()
    return asyncio.run(_send_all(sendings, port, start))
