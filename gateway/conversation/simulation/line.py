"""A line to a gateway that runs: webhooks signed and posted as Twilio does, and what they were answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.channels import signature
from gateway.channels.chat import ChatUser
from gateway.conversation import chat_tokens
from gateway.conversation.phoning import SimulationFailed
from gateway.conversation.runtime import SIMULATED_AT, simulated_times
from gateway.core.messages import InboundMessage
from gateway.core.participant import address, participant
from gateway.core.sessions import Scope, session_keys
from gateway.core.times import MILLISECOND, floor_ms, parse_moment
from gateway.settings import Settings
from gateway.store import finding, transcripts
from gateway.store.connection import deadline

_PATIENCE_SECONDS = 20
_CHAT_REMEDIES = {
    401: "It takes nobody who is simulated: only a gateway in development does, with the same SECRET_KEY (or folder).",
    404: "There is no such site: `gateway chat add` makes one.",
    503: "Neither its MongoDB nor its spool takes writes; see /readyz.",
}
_REMEDIES = {
    403: "It could not verify the signature: use the same TWILIO_AUTH_TOKEN, SECRET_KEY and PUBLIC_URL "
    "(or the same folder), and another time than now only in development.",
    503: "Neither its MongoDB nor its spool takes writes; see /readyz.",
}


@dataclass
class Line:
    """One person's line to a gateway: signs, posts, and remembers what it was told.

    `url` is where it is reached and `public_url` what Twilio would have signed; `at` is when everything is received,
    None for now. Each of `told` has path, twiml and decision.
    """

    configured: Settings
    url: str
    public_url: str
    at: datetime | None = None
    told: list[dict[str, Any]] = field(default_factory=list)

    def post(self, path: str, form: dict[str, str]) -> str:
        """Post a webhook as Twilio would and give the TwiML; SimulationFailed says what went wrong."""
        if self.at is not None:
            token = simulated_times(self.configured).dumps(self.at.isoformat())
            path += f"{'&' if '?' in path else '?'}{SIMULATED_AT}={token}"
        token = signing_token(self.configured, form.get("AccountSid", ""))
        signed = {signature.SIGNATURE_HEADER: signature.sign(token, self.public_url + path, form)}
        answer = self._request("POST", path, data=form, headers=signed)
        if not answer.ok:
            where = (self.public_url + path).partition("?")[0]
            remedy = _REMEDIES.get(answer.status_code, "Its log says why.")
            raise SimulationFailed(f"{where} answered {answer.status_code}. {remedy}")
        decision = json.loads(answer.headers.get("X-Gateway-Decision", "null"))
        self.told.append({"path": path.partition("?")[0], "twiml": answer.text, "decision": decision})
        return str(answer.text)

    def knock(self) -> None:
        """Make sure that somebody answers there, whatever it is; SimulationFailed where nobody does."""
        self._request("GET", "/healthz")

    def _request(self, method: str, path: str, *, timeout: float = _PATIENCE_SECONDS, **given: Any) -> Any:
        import requests

        from gateway.clients.reaching import certificate_fault

        try:
            return requests.request(method, self.url + path, timeout=timeout, **given)
        except requests.exceptions.SSLError as error:
            raise SimulationFailed(_untrusted(self.url, certificate_fault(error))) from None
        except (requests.exceptions.MissingSchema, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
            raise SimulationFailed(
                f"{self.url} is no address of a gateway. Write it as http://localhost:8080 or https://sms.example.com."
            ) from None
        except requests.RequestException as error:
            raise SimulationFailed(
                f"No gateway answers at {self.url} ({type(error).__name__}). Start one with `make run`."
            ) from None

    def chat(self, user: ChatUser, content: str, *, message_id: str | None = None) -> None:
        """Say something on a website and wait for the answer; SimulationFailed says what went wrong."""
        path = "/api/chat/sessions/simulated/messages"
        token = chat_tokens.simulate(self.configured, user, floor_ms(datetime.now(UTC)), self.at).token
        body = {"content": content} | ({"id": message_id} if message_id else {})
        signed = {"Authorization": f"Bearer {token}"}
        answer = self._request("POST", path, json=body, headers=signed, timeout=2 * _PATIENCE_SECONDS)
        if not answer.ok:
            remedy = _CHAT_REMEDIES.get(answer.status_code, answer.text[:300])
            raise SimulationFailed(f"{self.url}{path} answered {answer.status_code}. {remedy}")
        self.told.append({"path": path} | _chat_told(answer.json()))


def _untrusted(url: str, fault: str) -> str:
    if not fault:
        return f"No TLS is spoken at {url}. Say http:// where it is no https address."
    remedy = "Renew or complete it, or name its authority in REQUESTS_CA_BUNDLE."
    return f"The certificate of {url} is not accepted: {fault}. {remedy}"


def signing_token(configured: Settings, account_sid: str = "") -> str:
    """Give the token that Twilio signs an account's webhooks with; SimulationFailed where there is none."""
    tokens = configured.twilio.accounts.get(account_sid) or configured.twilio_auth_token
    if not tokens:
        raise SimulationFailed("TWILIO_AUTH_TOKEN is not set, so nothing can be signed. Set it.")
    return tokens[0].get_secret_value()


def _chat_told(told: dict[str, Any]) -> dict[str, Any]:
    """Give what a chat's answer says as a webhook's would."""
    asked = told.get("user_message") or {}
    answer = {"pending": "queued", "kept": "spooled"}.get(told.get("reply", ""), told.get("reply", "done"))
    decision = {
        "received_at": asked.get("created_at"),
        "message_id": asked.get("id", ""),
        "session_id": told.get("session_id"),
        "session_state": told.get("session_state"),
        "duplicate": False,
        "answer": answer,
        "decision": asked.get("metadata", {}).get("decision", {}),
    }
    return {"twiml": told.get("content", ""), "decision": decision}


def stored_answer(decision: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what is stored as the answer to a message by what its webhook was told; empty where nothing is."""
    at = parse_moment(decision["received_at"])
    with deadline():
        rows = transcripts.page(decision["session_id"], None, limit=10, since=at, before=at + MILLISECOND).messages
    return next((row.get("answer") or {} for row in rows if row["_id"] == decision["message_id"]), {})


def session_ids(configured: Settings, communication_type: str, sender: str, to: str, *, limit: int) -> list[str]:
    """Give the ids of the newest sessions of somebody who is simulated, the oldest of them first."""
    message = InboundMessage(
        id="",
        communication_type=communication_type,
        sender=participant(sender),
        recipient=address(to),
        content="",
        received_at=datetime.min,
        provider_sid="",
    )
    return finding.newest_ids(session_keys(message, Scope(configured.sessions.scope)), limit=limit)
