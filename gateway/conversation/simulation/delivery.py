"""Delivery statuses as Twilio calls back with them, for a message of ours that is stored or for any SID."""

import re
from dataclasses import dataclass

from gateway.channels.line import status_path
from gateway.conversation import queue
from gateway.conversation.phoning import SimulationFailed, new_sid
from gateway.conversation.simulation.forms import OUR_NUMBER, PERSON, status_form
from gateway.conversation.simulation.line import Line
from gateway.core.replies import answer_id
from gateway.store import asked, outbound
from gateway.store.connection import deadline
from gateway.store.outbound import Outbound
from gateway.store.outbox import Address

_SID = re.compile(r"(SM|MM)[0-9a-zA-Z]{1,64}")
_SOMEBODY = Address(PERSON, OUR_NUMBER)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message whose delivery is reported: its SID, between whom, and our id of it (empty where it is unknown)."""

    sid: str
    address: Address
    message_id: str = ""


def look_up(name: str) -> Delivered:
    """Find a message of ours by its id, Twilio's SID of it, or the id of what it answers. SimulationFailed for none.

    One that Twilio gave no SID yet gets one. A SID that nothing is stored under may be of a message still to come.
    """
    with deadline():
        found = outbound.get(name) or outbound.by_sid(name) or outbound.get(answer_id(name))
        if found:
            return Delivered(found.provider_sid or new_sid("SM"), _address(found), found.id)
    return by_sid(name)


def by_sid(name: str) -> Delivered:
    """Take a SID as it is; SimulationFailed for what is none."""
    if not _SID.fullmatch(name):
        raise SimulationFailed(
            f"There is no message of ours {name}. `gateway sessions show` lists ids; a SID of Twilio's will do too."
        )
    return Delivered(name, _SOMEBODY)


def _address(message: Outbound) -> Address:
    if sent_to := message.facts.get("address"):
        return Address(**sent_to)
    question = asked.get(str(message.facts.get("inReplyTo", "")))
    return queue.address_of(question.metadata) if question else _SOMEBODY


def report(line: Line, message: Delivered, status: str, error_code: str = "") -> None:
    """Call back with one status."""
    path = status_path(message.message_id) if message.message_id else "/webhooks/status"
    to = message.address
    form = status_form(line.configured, message.sid, status, sender=to.sender, to=to.to, error_code=error_code)
    line.post(path, form)


def stored_status(message_id: str) -> str | None:
    """Tell which status is stored of a message of ours; None where there is no such message."""
    with deadline():
        found = outbound.get(message_id)
    return found.status if found else None
