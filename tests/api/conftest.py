"""Programs that use the API, each with a key."""

import json
from collections.abc import Collection
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.store import api_keys
from tests.conftest import TEN


class Program:
    """A program with a key; paths are those behind /api/v1."""

    def __init__(self, client: FlaskClient, key: str | None) -> None:
        self.client, self.key = client, key

    def ask(self, method: str, path: str, **given: Any) -> TestResponse:
        headers = dict(given.pop("headers", {}))
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        where = path if path.startswith("/api/") else f"/api/v1{path}"
        return self.client.open(where, method=method, headers=headers, **given)

    def get(self, path: str, **given: Any) -> TestResponse:
        return self.ask("GET", path, **given)

    def post(self, path: str, **given: Any) -> TestResponse:
        return self.ask("POST", path, **given)

    def put(self, path: str, **given: Any) -> TestResponse:
        return self.ask("PUT", path, **given)

    def patch(self, path: str, **given: Any) -> TestResponse:
        return self.ask("PATCH", path, **given)

    def delete(self, path: str, **given: Any) -> TestResponse:
        return self.ask("DELETE", path, **given)


@pytest.fixture
def program(app: Any) -> Any:
    """Give a program a key of some scopes, and of some channels only."""

    def make(*scopes: str, channels: Collection[str] | None = None) -> Program:
        _, secret = api_keys.add("test", scopes or ("read",), TEN, by="a test", channels=channels)
        return Program(app.test_client(), secret)

    return make


@pytest.fixture
def reader(program: Any) -> Program:
    """A program that may read everything."""
    return program("read")


@pytest.fixture
def writer(program: Any) -> Program:
    """A program that may read and write everything."""
    return program("write")


@pytest.fixture
def owner(program: Any) -> Program:
    """A program that may do everything."""
    return program("admin")


def problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Give the problem a response tells, after a look at its form."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    told = json.loads(response.text)
    assert (told["status"], told["code"], told["type"]) == (status, code, "about:blank")
    assert told["title"]
    assert told["detail"]
    return told  # type: ignore[no-any-return]
