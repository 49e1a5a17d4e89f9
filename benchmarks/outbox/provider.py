"""A stand-in for Twilio's REST API that costs next to nothing: it takes messages, names a SID, and remembers.

A process of its own, so that its processor time is not the worker's. It speaks as much HTTP as `requests` does.
"""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

from gateway.store.embedded import die_with_parent, free_port


@dataclass(frozen=True, slots=True)
class Taken:
    """A message as it was taken: when (`time.time`), for whom, and its text."""

    at: float
    to: str
    text: str


class Provider:
    """The stand-in as a process; `latency_ms` is how long it thinks about each message."""

    def __init__(self, latency_ms: float) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "benchmarks.outbox.provider", str(self.port), str(latency_ms)]
        self.process = subprocess.Popen(command, preexec_fn=die_with_parent)
        for _ in range(200):
            try:
                self.count()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("The stand-in for Twilio did not come up.")

    def count(self) -> int:
        """Give how many messages it took."""
        return int(self._ask("/count")["count"])

    def connections(self) -> int:
        """Give how many connections were made to it to send messages."""
        return int(self._ask("/count")["connections"])

    def taken(self) -> list[Taken]:
        """Give all it took, in that order."""
        return [Taken(*one) for one in self._ask("/taken")]

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)


class _Connection(asyncio.Protocol):
    taken: list[tuple[float, str, str]] = []  # noqa: RUF012 - one server a process
    messages: list[dict[str, Any]] = []  # noqa: RUF012
    senders: set[int] = set()  # noqa: RUF012
    latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) >= length:
            self.received = body[length:]
            self.answer(head, body[:length])

    def answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"POST"):
            form = dict(parse_qsl(body.decode()))
            self.taken.append((time.time(), form["To"], form["Body"]))
            self.senders.add(id(self))
            message = {"sid": f"SM{len(self.taken):032x}", "status": "queued", "direction": "outbound-api"}
            message |= {"to": form["To"], "from": form["From"], "body": form["Body"], "num_media": "0"}
            message["date_created"] = format_datetime(datetime.now(UTC))
            self.messages.append(message)
            asyncio.get_running_loop().call_later(self.latency, self.write, 201, message)
        elif head.startswith(b"GET /taken"):
            self.write(200, self.taken)
        elif b"/Messages.json" in head:
            query = dict(parse_qsl(head.decode().split()[1].partition("?")[2]))
            listed = [
                one for one in reversed(self.messages) if (one["to"], one["from"]) == (query["To"], query["From"])
            ]
            self.write(200, {"messages": listed, "next_page_uri": None})
        else:
            self.write(200, {"count": len(self.taken), "connections": len(self.senders)})

    def write(self, status: int, said: Any) -> None:
        body = json.dumps(said).encode()
        self.transport.write(  # type: ignore[attr-defined]
            b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (status, len(body), body)
        )


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    _Connection.latency = float(sys.argv[2]) / 1000
    asyncio.run(_serve(int(sys.argv[1])))
