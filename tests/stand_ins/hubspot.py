"""HubSpot as far as the gateway knows it: unique values are enforced, search lags behind, and everything may fail.

It keeps what it was told in memory. Faults are given one by one in `faults`, or drawn by `fault`: each is a status
(with a Retry-After where it is 429), `lose` (done, and the connection reset), `drop` (not done), or `hang`.
"""

import html
import itertools
import re
import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, jsonify, request

from tests.stand_ins.serving import Served, drop_connection

TOKEN = "pat-test-1"
UNIQUE = {"contacts": ["email", "conversation_gateway_id"], "notes": ["conversation_gateway_key"]}
UNIQUE["communications"] = UNIQUE["notes"]


class Refused(Exception):
    """What is answered instead."""

    def __init__(self, status: int, message: str = "", category: str = "", **more: Any) -> None:
        self.status, self.body = status, {"status": "error", "message": message, "category": category, **more}


class HubSpot(Served):
    """One account. `unseen` is after how many further requests the search knows of something new."""

    def __init__(self, *, unseen: int = 0, fault: Callable[[], Any] = lambda: None) -> None:
        app = Flask(__name__)
        app.add_url_rule("/<path:path>", view_func=self._take, methods=["GET", "POST", "PUT", "PATCH"])
        super().__init__(app)
        self.objects: dict[str, dict[str, dict[str, Any]]] = {"contacts": {}, "notes": {}, "communications": {}}
        self.properties: dict[str, dict[str, Any]] = {name: {} for name in self.objects}
        self.associations: set[tuple[str, str, str]] = set()
        self.merged: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []
        self.agents: list[dict[str, str]] = []
        self.faults: list[Any] = []
        self.refuses: dict[str, Refused] = {}
        self.unseen, self.fault, self.token = unseen, fault, TOKEN
        self.retry_after, self.policy = "7", "TEN_SECONDLY_ROLLING"
        self._ids, self._guard, self._let_go = itertools.count(101), threading.Lock(), threading.Event()

    def __exit__(self, *_: object) -> None:
        self._let_go.set()
        super().__exit__()

    # What a test asks

    def add(self, **properties: str) -> str:
        """Make a contact by hand."""
        with self._guard:
            return str(self._create("contacts", properties)["id"])

    def of(self, contact_id: str) -> list[dict[str, Any]]:
        """Give what is on a contact's timeline."""
        return [
            self.objects[kind][entry] for kind, entry, contact in sorted(self.associations) if contact == contact_id
        ]

    def said(self) -> list[str]:
        """Give every line of every entry that is on somebody's timeline, without its time."""
        lines = []
        for kind, entry, _contact in sorted(self.associations):
            properties = self.objects[kind][entry]["properties"]
            body = properties.get("hs_note_body") or properties.get("hs_communication_body") or ""
            lines += [html.unescape(one) for one in re.findall(r"</strong>: (.*?)</p>", body)]
        return lines

    def asked(self, word: str) -> int:
        return sum(word in f"{method} {path}" for method, path in self.requests)

    # What the gateway asks

    def _take(self, path: str) -> Any:
        with self._guard:
            self.requests.append((request.method, f"/{path}"))
            self.agents.append(dict(request.headers))
            fault = self.faults.pop(0) if self.faults else self.fault()
        if fault == "hang":
            self._let_go.wait(5)
        if fault in ("drop", "hang"):
            drop_connection()
        if isinstance(fault, int):
            limited = {"errorType": "RATE_LIMIT", "policyName": self.policy} if fault == 429 else {}
            return (
                jsonify(limited),
                fault,
                {"Retry-After": self.retry_after} if fault == 429 and self.retry_after else {},
            )
        try:
            with self._guard:
                status, body = self._answer(path)
        except Refused as refused:
            return jsonify(refused.body), refused.status
        if fault == "lose":
            drop_connection()
        return (jsonify(body), status) if body is not None else ("", status)

    def _answer(self, path: str) -> tuple[int, Any]:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refused(401, "Authentication credentials not found.", "INVALID_AUTHENTICATION")
        for word, refusal in self.refuses.items():
            if word in f"{request.method} /{path}":
                raise refusal
        match path.split("/"):
            case ["account-info", "2026-09", "details"]:
                return 200, {"portalId": 4711}
            case ["crm", "properties", "2026-09", kind, *rest]:
                return self._property(kind, rest)
            case ["crm", "objects", "2026-09", kind, *rest]:
                return self._object(kind, rest)
        raise Refused(404, "No such path.")

    def _property(self, kind: str, rest: list[str]) -> tuple[int, Any]:
        known, body = self.properties[kind], request.get_json(silent=True) or {}
        if rest == ["groups"]:
            return 201, body
        if rest:
            if rest[0] not in known:
                raise Refused(404, "Property does not exist.")
            return 200, known[rest[0]]
        if body["name"] in known:
            raise Refused(409, "Property already exists.", "CONFLICT")
        known[body["name"]] = body
        return 201, body

    def _object(self, kind: str, rest: list[str]) -> tuple[int, Any]:
        body = request.get_json(silent=True) or {}
        match [request.method, *rest]:
            case ["POST"]:
                return 201, self._create(kind, body["properties"])
            case ["POST", "search"]:
                return 200, {"results": self._search(kind, body)}
            case ["POST", "merge"]:
                return 200, self._merge(body["primaryObjectId"], body["objectIdToMerge"])
            case ["POST", "batch", "upsert"]:
                return 200, {"results": [self._upsert(kind, one) for one in body["inputs"]]}
            case ["POST", "batch", "archive"]:
                for one in body["inputs"]:
                    self.objects[kind].pop(one["id"], None)
                    self.associations = {has for has in self.associations if has[:2] != (kind, one["id"])}
                return 204, None
            case ["GET", name]:
                return 200, self._get(kind, name, request.args.get("idProperty"))
            case ["PATCH", name]:
                found = self._get(kind, name)
                self._check(kind, body["properties"], found["id"])
                found["properties"] |= body["properties"]
                return 200, found
            case ["PUT", entry, "associations", "default", "contacts", contact]:
                self._get(kind, entry)
                self.associations.add((kind, entry, self._get("contacts", contact)["id"]))
                return 200, {"status": "COMPLETE", "results": []}
        raise Refused(405)

    def _get(self, kind: str, name: str, by: str | None = None) -> dict[str, Any]:
        if by:
            found = [one for one in self.objects[kind].values() if self._has(one, by, name)]
        else:
            found = [one for one in [self.objects[kind].get(self.merged.get(name, name))] if one]
        if not found:
            raise Refused(404, "resource not found", "OBJECT_NOT_FOUND")
        return found[0]

    @staticmethod
    def _has(one: dict[str, Any], by: str, value: str) -> bool:
        return one["properties"].get(by) == value or (by == "email" and value in one["more_emails"])

    def _check(self, kind: str, properties: dict[str, str], own: str = "") -> None:
        for name in properties.keys() & {"conversation_gateway_id", "conversation_gateway_key"}:
            if name not in self.properties[kind]:
                raise Refused(400, f'[{{"error":"PROPERTY_DOESNT_EXIST","name":"{name}"}}]', "VALIDATION_ERROR")
        for name in UNIQUE[kind]:
            for one in self.objects[kind].values():
                if properties.get(name) and one["id"] != own and self._has(one, name, properties[name]):
                    raise Refused(409, f"Contact already exists. Existing ID: {one['id']}", "CONFLICT")

    def _create(self, kind: str, properties: dict[str, str]) -> dict[str, Any]:
        self._check(kind, properties)
        new = {
            "id": str(next(self._ids)),
            "properties": dict(properties),
            "more_emails": [],
            "seen": len(self.requests),
        }
        self.objects[kind][new["id"]] = new
        return new

    def _upsert(self, kind: str, wanted: dict[str, Any]) -> dict[str, Any]:
        by = wanted["idProperty"]
        for one in self.objects[kind].values():
            if one["properties"].get(by) == wanted["id"]:
                one["properties"] |= wanted["properties"]
                return one | {"new": False}
        return self._create(kind, wanted["properties"] | {by: wanted["id"]}) | {"new": True}

    def _search(self, kind: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Search as far as the index has come: what was made a moment ago is not in it."""
        known = [one for one in self.objects[kind].values() if len(self.requests) - one["seen"] >= self.unseen]
        return [
            one
            for one in known
            if any(all(self._matches(one, by) for by in group["filters"]) for group in body["filterGroups"])
        ]

    @staticmethod
    def _matches(one: dict[str, Any], by: dict[str, str]) -> bool:
        name = by["propertyName"]
        if name.startswith("hs_searchable_calculated_"):
            raw = "phone" if name.endswith("phone_number") else "mobilephone"
            digits = re.sub(r"\D", "", one["properties"].get(raw) or "")
            return bool(digits) and digits.endswith(by["value"])
        return bool(one["properties"].get(name) == by["value"])

    def _merge(self, primary: str, other: str) -> dict[str, Any]:
        """Merge as HubSpot does: what comes of it is a new record, and both old ids lead to it."""
        one, two = self._get("contacts", primary), self._get("contacts", other)
        if one["id"] == two["id"]:
            raise Refused(400, "Cannot merge a record with itself.", "VALIDATION_ERROR")
        del self.objects["contacts"][one["id"]], self.objects["contacts"][two["id"]]
        new = one | {"id": str(next(self._ids)), "properties": two["properties"] | one["properties"]}
        new["more_emails"] = [*one["more_emails"], *two["more_emails"], *filter(None, [two["properties"].get("email")])]
        self.objects["contacts"][new["id"]] = new
        for old, into in list(self.merged.items()):
            if into in (one["id"], two["id"]):
                self.merged[old] = new["id"]
        self.merged |= {one["id"]: new["id"], two["id"]: new["id"]}
        both = (one["id"], two["id"])
        self.associations = {(k, e, new["id"] if contact in both else contact) for k, e, contact in self.associations}
        return new
