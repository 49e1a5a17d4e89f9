"""A stand-in for Twilio's REST API over real HTTP: it remembers what it took, and fails when told to.

In a test: `with TwilioStandIn() as twilio: ... twilio.url, twilio.faults.append(Fault(...)), twilio.messages`.
On its own: `python -m tests.stand_ins.twilio --port 4010`; then POST /_control with JSON such as
{"faults": [{"status": 500, "accept": true}], "list_delay": 3, "statuses": ["sent", "delivered"]}, and GET /_control.
"""

import argparse
import base64
import contextlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

import requests
from flask import Flask, Response, jsonify, request

from gateway.channels.signature import SIGNATURE_HEADER, sign
from tests.stand_ins.serving import Served, drop_connection

ACCOUNT, TOKEN = "AC" + "a" * 32, "test-token"
API = "/2010-04-01/Accounts/<account>"


@dataclass
class Fault:
    """What goes wrong with one request (`on` create, list, redact or media), before or after it was accepted."""

    status: int = 0
    code: int = 0
    message: str = "The stand-in was told to refuse."
    retry_after: str = ""
    accept: bool = False
    wait: float = 0
    reset: bool = False
    raw: str | None = None
    on: str = "create"


@dataclass
class File:
    """A photograph or a recording. `location` is where a GET redirects to; `chunked` leaves out its length."""

    content: bytes | str = b"\x89PNG"
    content_type: str = "image/png"
    location: str = ""
    disposition: str = ""
    chunked: bool = False
    pause: float = 0


@dataclass
class Request:
    """A request as it arrived."""

    method: str
    path: str
    authorization: str
    signature: str
    form: dict[str, list[str]]


class TwilioStandIn(Served):
    """The server and everything it knows. `tokens` are what each account may log in with.

    `now` tells the time that messages are created at; that of the host where it is not given.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        tokens: dict[str, list[str]] | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        super().__init__(self.make_app(), port)
        self.now = now or _host_time
        self.tokens = tokens or {ACCOUNT: [TOKEN]}
        self.faults: deque[Fault] = deque()
        self.files: dict[str, File] = {}
        self.list_delay = 0.0
        self.statuses: list[str] = []
        self.messages: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.recordings: list[dict[str, Any]] = []
        self.media: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[Request] = []
        self.deleted: list[str] = []

    def make_app(self) -> Flask:
        """Make what is served."""
        return _app(self)

    def asked(self, method: str, part: str = "") -> list[Request]:
        """List the requests that arrived, by method and a part of their path."""
        return [one for one in self.requests if one.method == method and part in one.path]

    def fault(self, on: str) -> Fault:
        """Take the fault that is due for a request; one that does nothing if there is none."""
        for fault in list(self.faults):
            if fault.on == on:
                self.faults.remove(fault)
                return fault
        return Fault()

    def accept(self, account: str, form: Any, **changes: Any) -> dict[str, Any]:
        """Keep a message as if it had been posted; `changes` are fields of the resource."""
        message = {
            "sid": f"SM{uuid.uuid4().hex}",
            "account_sid": account,
            "to": form.get("To"),
            "from": form.get("From"),
            "body": form.get("Body", ""),
            "direction": "outbound-api",
            "status": "queued",
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "date_created": format_datetime(self.now()),
            "date_sent": None,
            "error_code": None,
            "num_media": "0",
        }
        self.messages.append(message | {"_shown_at": time.monotonic() + self.list_delay} | changes)
        if form.get("StatusCallback") and self.statuses:
            threading.Thread(target=self._report, args=(self.messages[-1], form["StatusCallback"])).start()
        return public(self.messages[-1])

    def listed(self, account: str, query: Any) -> list[dict[str, Any]]:
        """List the messages a filter lets through, the newest first; one without DateSent passes no filter by it."""
        found = [one for one in self.messages if one["account_sid"] == account and one["_shown_at"] <= time.monotonic()]
        for name, key in (("To", "to"), ("From", "from")):
            if name in query:
                found = [one for one in found if one[key] == query[name]]
        for name in ("DateSent>", "DateSent<", "DateSent"):
            if name in query:
                found = [one for one in found if one["date_sent"] and _compare(one["date_sent"], name, query[name])]
        return [public(one) for one in reversed(found)]

    def called(self, account: str, **fields: Any) -> dict[str, Any]:
        """Keep a call as if it had come in; `fields` are those of the resource."""
        call = {
            "sid": f"CA{uuid.uuid4().hex}",
            "account_sid": account,
            "parent_call_sid": None,
            "direction": "inbound",
            "status": "completed",
            "start_time": format_datetime(self.now()),
            "end_time": None,
            "duration": None,
            "caller_name": "",
        }
        self.calls.append(call | fields)
        return self.calls[-1]

    def listed_calls(self, account: str, query: Any) -> list[dict[str, Any]]:
        """List the calls a filter lets through, the newest first; of StartTime only the date counts."""
        found = [one for one in self.calls if one["account_sid"] == account]
        found = [
            one for one in found if all(one[name.lower()] == query[name] for name in ("To", "From") if name in query)
        ]
        return _by_date(found, "StartTime", "start_time", query)

    def recorded(self, account: str, call_sid: str, **fields: Any) -> dict[str, Any]:
        """Keep a recording of a call; `fields` are those of the resource."""
        sid = f"RE{uuid.uuid4().hex}"
        recording = {
            "sid": sid,
            "account_sid": account,
            "call_sid": call_sid,
            "status": "completed",
            "date_created": format_datetime(self.now()),
            "duration": "5",
            "uri": f"/2010-04-01/Accounts/{account}/Recordings/{sid}.json",
        }
        self.recordings.append(recording | fields)
        return self.recordings[-1]

    def listed_recordings(self, account: str, query: Any) -> list[dict[str, Any]]:
        """List the recordings a filter lets through, the newest first."""
        found = [one for one in self.recordings if one["account_sid"] == account]
        return _by_date(found, "DateCreated", "date_created", query)

    def _report(self, message: dict[str, Any], url: str) -> None:
        """Post the statuses, signed as Twilio does."""
        for status in self.statuses:
            form = {
                "MessageSid": message["sid"], "SmsSid": message["sid"], "MessageStatus": status, "SmsStatus": status,
                "AccountSid": message["account_sid"], "From": message["from"] or "", "To": message["to"],
                "ApiVersion": "2010-04-01",
            }  # fmt: skip
            message["status"], message["date_sent"] = status, format_datetime(self.now())
            signature = sign(self.tokens[message["account_sid"]][0], url, form)
            with contextlib.suppress(requests.RequestException):
                requests.post(url, data=form, headers={SIGNATURE_HEADER: signature}, timeout=5)


def _host_time() -> datetime:
    return datetime.now(UTC)


def public(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if not name.startswith("_")}


def _compare(sent: str, name: str, wanted: str) -> bool:
    moment = _moment(sent)
    limit = datetime.fromisoformat(wanted)
    limit = limit if limit.tzinfo else limit.replace(tzinfo=UTC)
    if name == "DateSent":
        return limit <= moment < limit + timedelta(days=1)
    return moment >= limit if name == "DateSent>" else moment <= limit


def _by_date(found: list[dict[str, Any]], name: str, field: str, query: Any) -> list[dict[str, Any]]:
    """Filter by dates, in which a time of day is ignored; the newest come first."""
    for key, fits in ((f"{name}>", date.__ge__), (f"{name}<", date.__lt__)):
        if key in query:
            wanted = date.fromisoformat(query[key][:10])
            found = [one for one in found if fits(_moment(one[field]).date(), wanted)]
    return found[::-1]


def _moment(written: str) -> datetime:
    return datetime.strptime(written, "%a, %d %b %Y %H:%M:%S %z")


def refusal(status: int, code: int, message: str, retry_after: str = "") -> Response:
    response = jsonify(code=code, message=message, more_info="https://www.twilio.com/docs/errors", status=status)
    response.status_code = status
    if retry_after:
        response.headers["Retry-After"] = retry_after
    return response


def act_out(fault: Fault) -> Response | None:
    """Do what goes wrong; nothing, if nothing does."""
    time.sleep(fault.wait)
    if fault.reset:
        drop_connection()
    if fault.raw is not None:
        return Response(fault.raw, fault.status or 201, content_type="application/json")
    return refusal(fault.status, fault.code, fault.message, fault.retry_after) if fault.status else None


def page(key: str, found: list[dict[str, Any]]) -> Any:
    """Give the page of a list that the request asks for, with the address of the next one."""
    page, size = request.args.get("Page", 0, int), min(request.args.get("PageSize", 50, int), 1000)
    rest = urlencode(request.args.to_dict() | {"Page": str(page + 1)})
    following = f"{request.path}?{rest}" if len(found) > (page + 1) * size else None
    return jsonify({key: found[page * size : (page + 1) * size], "page": page, "next_page_uri": following})


def _app(twilio: TwilioStandIn) -> Flask:
    app = Flask(__name__)

    @app.before_request
    def remember_and_let_in() -> Response | None:
        if request.path == "/_control":
            return None
        form = {name: request.form.getlist(name) for name in request.form}
        given, signature = (request.headers.get(name, "") for name in ("Authorization", SIGNATURE_HEADER))
        twilio.requests.append(Request(request.method, request.full_path.rstrip("?"), given, signature, form))
        account = (request.view_args or {}).get("account")
        known = [base64.b64encode(f"{account}:{token}".encode()).decode() for token in twilio.tokens.get(account, [])]
        if account and given.removeprefix("Basic ") not in known:
            return refusal(401, 20003, "Authenticate")
        return None

    @app.post(f"{API}/Messages.json")
    def create(account: str) -> Any:
        fault = twilio.fault("create")
        fails = fault.status or fault.reset or fault.raw is not None
        # A slow answer alone is an accepted message; what fails says itself whether it was accepted before.
        message = twilio.accept(account, request.form) if fault.accept or not fails else None
        return act_out(fault) or (jsonify(message), 201)

    @app.get(f"{API}/Messages.json")
    def list_messages(account: str) -> Any:
        return act_out(twilio.fault("list")) or page("messages", twilio.listed(account, request.args))

    @app.get(f"{API}/Calls.json")
    def list_calls(account: str) -> Any:
        return act_out(twilio.fault("list")) or page("calls", twilio.listed_calls(account, request.args))

    @app.get(f"{API}/Recordings.json")
    def list_recordings(account: str) -> Any:
        return act_out(twilio.fault("list")) or page("recordings", twilio.listed_recordings(account, request.args))

    @app.get(f"{API}/Messages/<sid>/Media.json")
    def list_media(account: str, sid: str) -> Any:
        known = sid in twilio.media
        return page("media_list", twilio.media[sid]) if known else refusal(404, 20404, "Not found")

    @app.get(f"{API}/Messages/<sid>.json")
    def fetch_message(account: str, sid: str) -> Any:
        found = [one for one in twilio.messages if one["sid"] == sid and one["account_sid"] == account]
        return jsonify(public(found[0])) if found else refusal(404, 20404, "Not found")

    @app.post(f"{API}/Messages/<sid>.json")
    def redact(account: str, sid: str) -> Any:
        known = [one for one in twilio.messages if one["sid"] == sid and one["account_sid"] == account]
        if failed := act_out(twilio.fault("redact")):
            return failed
        for one in known:
            one["body"] = request.form["Body"]
        return jsonify(public(known[0]) if known else {"sid": sid, "account_sid": account, "body": ""})

    @app.route(f"{API}/<path:rest>", methods=["GET", "DELETE"])
    @app.get("/files/<path:rest>")
    def file(rest: str, account: str = "") -> Any:
        file, failed = twilio.files.get(request.path), act_out(twilio.fault("media"))
        if failed or file is None:
            return failed or refusal(404, 20404, "Not found")
        if request.method == "DELETE":
            twilio.deleted.append(request.path)
            del twilio.files[request.path]
            return "", 204
        if file.location:
            return Response(status=307, headers={"Location": file.location})
        headers = {"Content-Disposition": file.disposition} if file.disposition else {}
        return Response(
            _slowly(file) if file.chunked else file.content, headers=headers, content_type=file.content_type
        )

    @app.route("/_control", methods=["GET", "POST"])
    def control() -> Any:
        told = request.get_json() if request.method == "POST" else {}
        twilio.faults.extend(Fault(**fault) for fault in told.pop("faults", []))
        twilio.files.update({path: File(**file) for path, file in told.pop("files", {}).items()})
        for name, value in told.items():
            setattr(twilio, name, value)
        return jsonify(messages=[public(one) for one in twilio.messages], requests=list(map(asdict, twilio.requests)))

    return app


def _slowly(file: File) -> Any:
    content = file.content.encode() if isinstance(file.content, str) else file.content
    for start in range(0, len(content), 1000):
        time.sleep(file.pause)
        yield content[start : start + 1000]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4010)
    TwilioStandIn(port=parser.parse_args().port).serve()
