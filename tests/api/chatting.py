"""Somebody on a website, in a browser or through the site's server."""

from dataclasses import dataclass, field
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse


@dataclass
class Visitor:
    """Calls /api/chat with a credential, and with what every call names (`user_id`, for an API key)."""

    client: FlaskClient
    credential: str = ""
    named: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, **given: Any) -> TestResponse:
        headers = dict(self.headers)
        if self.credential:
            headers["Authorization"] = f"Bearer {self.credential}"
        return self.client.open(f"/api/chat{path}", method=method, headers=headers, **given)

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.ask("GET", path, query_string=self.named | query)

    def post(self, path: str, **body: Any) -> TestResponse:
        query = {"wait": body.pop("wait")} if "wait" in body else {}
        return self.ask("POST", path, json=self.named | body, query_string=query)

    def put(self, path: str, **body: Any) -> TestResponse:
        return self.ask("PUT", path, json=self.named | body)

    def delete(self, path: str) -> TestResponse:
        return self.ask("DELETE", path, query_string=self.named)

    def say(self, content: str = "Hello", session: str = "new", **body: Any) -> dict[str, Any]:
        """Say something; gives the answer."""
        told = self.post(f"/sessions/{session}/messages", content=content, **body)
        assert told.status_code in (200, 202), told.text
        return told.json | {"http": told.status_code}  # type: ignore[no-any-return]

    def history(self, **query: Any) -> list[str]:
        """Give what was said, oldest first."""
        return [message["content"] for message in self.get("/history", **query).json["items"]]
