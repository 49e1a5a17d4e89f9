"""A stand-in for what Twilio keeps of an account: numbers, WhatsApp senders, Messaging Services and alerts.

In a test: `with TwilioAccountStandIn() as twilio: ... twilio.own("+1..."), twilio.faults.append(Fault(...))`. Its
settings: GATEWAY_TWILIO__API_BASE_URL=twilio.url, with ACCOUNT and TOKEN. It also is all of the stand-in for messages.
On its own: `python -m tests.stand_ins.twilio_account --port 4010 +15017122661 whatsapp:+15017122661`.
"""

import argparse
import base64
import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Response, jsonify, request

from tests.stand_ins import twilio as messages
from tests.stand_ins.twilio import ACCOUNT, API, TOKEN, Fault, TwilioStandIn

__all__ = ["ACCOUNT", "TOKEN", "Fault", "TwilioAccountStandIn"]

NOTHING = {
    "sms_url": "", "sms_method": "POST", "sms_fallback_url": "", "sms_fallback_method": "POST",
    "sms_application_sid": "",
    "voice_url": "", "voice_method": "POST", "voice_fallback_url": "", "voice_fallback_method": "POST",
    "voice_application_sid": "",
    "status_callback": "", "status_callback_method": "POST", "trunk_sid": None,
}  # fmt: skip
MOST_A_PAGE = {"IncomingPhoneNumbers": 1000, "other": 100}


class TwilioAccountStandIn(TwilioStandIn):
    """The server and everything it knows; `own`, `sender`, `service` and `alert` put something there.

    A sender that was changed is asked for `slow_senders` times before it is otherwise. Faults are told by `on`:
    numbers, number, update, senders, sender, services, alerts.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.numbers: dict[str, dict[str, Any]] = {}
        self.whatsapp: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.alerts: list[dict[str, Any]] = []
        self.slow_senders = 0
        self.updates: list[tuple[str, dict[str, Any]]] = []

    def own(self, number: str, account: str = ACCOUNT, **fields: Any) -> dict[str, Any]:
        """Give the account a number; `fields` are those of the resource."""
        row = {
            "sid": f"PN{uuid.uuid4().hex}",
            "account_sid": account,
            "phone_number": number,
            "friendly_name": number,
            "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
            "status": "in-use",
            **NOTHING,
            **fields,
        }
        self.numbers[row["sid"]] = row
        return row

    def sender(self, number: str, account: str = ACCOUNT, status: str = "ONLINE", **webhook: Any) -> dict[str, Any]:
        """Give the account a WhatsApp sender, `whatsapp:+1...`."""
        row = {
            "sid": f"XE{uuid.uuid4().hex}",
            "_account": account,
            "sender_id": number,
            "status": status,
            "webhook": {"callback_url": None, "callback_method": "POST"} | webhook,
            "profile": {"name": "Example"},
        }
        self.whatsapp[row["sid"]] = row
        return row

    def service(self, *addresses: str, account: str = ACCOUNT, **fields: Any) -> dict[str, Any]:
        """Give the account a Messaging Service with these addresses in it."""
        row = {
            "sid": f"MG{uuid.uuid4().hex}",
            "account_sid": account,
            "friendly_name": "Reminders",
            "inbound_request_url": None,
            "inbound_method": "POST",
            "fallback_url": None,
            "use_inbound_webhook_on_number": False,
            "_addresses": addresses,
            **fields,
        }
        self.services[row["sid"]] = row
        return row

    def alert(self, url: str, at: datetime, account: str = ACCOUNT, **fields: Any) -> dict[str, Any]:
        """Let something have gone wrong."""
        row = {
            "sid": f"NO{uuid.uuid4().hex}",
            "account_sid": account,
            "error_code": "11200",
            "log_level": "error",
            "request_url": url,
            "request_method": "POST",
            "resource_sid": f"SM{uuid.uuid4().hex}",
            "date_generated": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "date_created": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            **fields,
        }
        self.alerts.append(row)
        return row

    def account_of(self, authorization: str) -> str:
        """Tell who has logged in; empty for nobody. The newer hosts' paths do not name the account."""
        known = {
            base64.b64encode(f"{account}:{token}".encode()).decode(): account
            for account, tokens in self.tokens.items()
            for token in tokens
        }
        return known.get(authorization.removeprefix("Basic "), "")

    def make_app(self) -> Any:
        """Serve the account beside messages."""
        app = super().make_app()
        _serve_numbers(self, app)
        _serve_senders(self, app)
        _serve_services(self, app)
        _serve_alerts(self, app)
        return app


def _refused(twilio: TwilioAccountStandIn, on: str) -> Response | None:
    if not twilio.account_of(request.headers.get("Authorization", "")):
        return messages.refusal(401, 20003, "Authenticate")
    return messages.act_out(twilio.fault(on))


def _me(twilio: TwilioAccountStandIn) -> str:
    return twilio.account_of(request.headers.get("Authorization", ""))


def _not_found() -> Response:
    return messages.refusal(404, 20404, f"The requested resource {request.path} was not found")


def _meta_page(key: str, found: list[dict[str, Any]], most: int = 100) -> Response:
    """Give a page as the newer products do."""
    page, size = request.args.get("Page", 0, int), min(request.args.get("PageSize", 50, int), most)
    following = f"{request.base_url}?PageSize={size}&Page={page + 1}&PageToken=x"
    rows = [messages.public(one) for one in found[page * size : (page + 1) * size]]
    after = following if len(found) > (page + 1) * size else None
    return jsonify({key: rows, "meta": {"key": key, "page": page, "page_size": size, "next_page_url": after}})


def _serve_numbers(twilio: TwilioAccountStandIn, app: Any) -> None:
    @app.get(f"{API}/IncomingPhoneNumbers.json")
    def list_numbers(account: str) -> Any:
        found = [one for one in twilio.numbers.values() if one["account_sid"] == account]
        if "PhoneNumber" in request.args:
            found = [one for one in found if request.args["PhoneNumber"] in one["phone_number"]]
        return messages.act_out(twilio.fault("numbers")) or messages.page("incoming_phone_numbers", found)

    @app.route(f"{API}/IncomingPhoneNumbers/<sid>.json", methods=["GET", "POST"])
    def number(account: str, sid: str) -> Any:
        row = twilio.numbers.get(sid)
        fault = twilio.fault("update" if request.method == "POST" else "number")
        if row is None or row["account_sid"] != account:
            return _not_found()
        fails = fault.status or fault.reset
        if request.method == "POST" and (fault.accept or not fails):
            _change(twilio, row, {_field(name): value for name, value in request.form.items()})
        return messages.act_out(fault) or jsonify(row)


def _field(parameter: str) -> str:
    """Write SmsFallbackUrl as sms_fallback_url."""
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in parameter).lstrip("_")


def _change(twilio: TwilioAccountStandIn, row: dict[str, Any], fields: dict[str, Any]) -> None:
    twilio.updates.append((row["sid"], fields))
    # "Setting a trunk_sid will automatically delete your voice_application_sid and vice versa."
    if fields.get("trunk_sid"):
        row["voice_application_sid"] = ""
    if fields.get("voice_application_sid"):
        row["trunk_sid"] = None
    row.update(fields)


def _serve_senders(twilio: TwilioAccountStandIn, app: Any) -> None:
    @app.get("/v2/Channels/Senders")
    def list_senders() -> Any:
        if request.args.get("Channel") not in ("whatsapp", None):
            return messages.refusal(400, 20001, "Unknown channel")
        found = [_sender_now(one) for one in twilio.whatsapp.values() if one["_account"] == _me(twilio)]
        return _refused(twilio, "senders") or _meta_page("senders", found)

    @app.route("/v2/Channels/Senders/<sid>", methods=["GET", "POST"])
    def sender(sid: str) -> Any:
        row = twilio.whatsapp.get(sid)
        if failed := _refused(twilio, "update" if request.method == "POST" else "sender"):
            return failed
        if row is None or row["_account"] != _me(twilio):
            return _not_found()
        if request.method == "POST":
            given = request.get_json()
            twilio.updates.append((sid, given))
            row |= {"_webhook": given["webhook"], "_slow": twilio.slow_senders}
            return jsonify(_sender_now(row) if not twilio.slow_senders else messages.public(row)), 202
        return jsonify(_sender_now(row))


def _sender_now(row: dict[str, Any]) -> dict[str, Any]:
    """Give a sender as it is: a change is taken at once and made later."""
    if row.get("_slow", 0) > 0:
        row["_slow"] -= 1
        return messages.public(row) | {"status": "ONLINE:UPDATING"}
    # What is not given of a webhook is gone, the worst that may be meant.
    row["webhook"] = row.pop("_webhook", row["webhook"])
    return messages.public(row)


def _serve_services(twilio: TwilioAccountStandIn, app: Any) -> None:
    @app.get("/v1/Services")
    def list_services() -> Any:
        found = [one for one in twilio.services.values() if one["account_sid"] == _me(twilio)]
        return _refused(twilio, "services") or _meta_page("services", found)

    @app.get("/v1/Services/<sid>/PhoneNumbers")
    def within(sid: str) -> Any:
        rows = [{"sid": "PN", "phone_number": one} for one in twilio.services[sid]["_addresses"] if one[0] == "+"]
        return _refused(twilio, "services") or _meta_page("phone_numbers", rows)

    @app.get("/v1/Services/<sid>/ChannelSenders")
    def senders_within(sid: str) -> Any:
        rows = [{"sid": "XE", "sender": one} for one in twilio.services[sid]["_addresses"] if one[0] != "+"]
        return _refused(twilio, "services") or _meta_page("senders", rows)


def _serve_alerts(twilio: TwilioAccountStandIn, app: Any) -> None:
    @app.get("/v1/Alerts")
    def list_alerts() -> Any:
        found = [one for one in twilio.alerts if one["account_sid"] == _me(twilio)]
        for name, before in (("StartDate", False), ("EndDate", True)):
            if name in request.args:
                found = [one for one in found if (one["date_generated"] <= request.args[name]) == before or
                         one["date_generated"] == request.args[name]]  # fmt: skip
        level = request.args.get("LogLevel")
        found = [one for one in found if level in (None, one["log_level"])]
        newest = sorted(found, key=lambda one: one["date_generated"], reverse=True)
        return _refused(twilio, "alerts") or _meta_page("alerts", newest, most=1000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4010)
    parser.add_argument("addresses", nargs="*", help="What the account has: +1... or whatsapp:+1...")
    asked = parser.parse_args()
    stand_in = TwilioAccountStandIn(port=asked.port)
    for each in asked.addresses:
        stand_in.sender(each) if each.startswith("whatsapp:") else stand_in.own(each)
    stand_in.serve()
