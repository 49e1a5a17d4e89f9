"""A program that is told of events: keeps what it was told, and may fail in every way a program does."""

import json
import threading
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request

from gateway.core.signing import sign
from tests.stand_ins.serving import Served, drop_connection


@dataclass(frozen=True)
class Told:
    """One request that arrived, whatever it was answered."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]

    def is_signed_by(self, secret: str) -> bool:
        timestamp = self.headers["X-Gateway-Timestamp"]
        return sign(secret.encode(), timestamp, self.body) in self.headers["X-Gateway-Signature"].split(",")


class Receiver(Served):
    """Takes events at any path. `answers` are used up one by one, then `usual` is the answer.

    An answer is a status, `hang` (until `let_go`), `drop` (taken, and the connection reset) or a Response.
    """

    def __init__(self, usual: Any = 204) -> None:
        app = Flask(__name__)
        app.add_url_rule("/<path:path>", view_func=self._take, methods=["POST", "GET"])
        super().__init__(app)
        self.usual, self.answers, self.told = usual, [], []  # type: ignore[var-annotated]
        self._guard, self._let_go = threading.Lock(), threading.Event()

    def _take(self, path: str) -> Any:
        with self._guard:
            self.told.append(Told(f"/{path}", dict(request.headers), request.get_data()))
            answer = self.answers.pop(0) if self.answers else self.usual
        if answer == "hang":
            self._let_go.wait(30)
            answer = 204
        if answer == "drop":
            drop_connection()
        return answer if isinstance(answer, Response) else ("", answer)

    def let_go(self) -> None:
        """Answer whoever hangs."""
        self._let_go.set()

    def __exit__(self, *_: object) -> None:
        self.let_go()
        super().__exit__()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [told.event for told in self.told]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]
