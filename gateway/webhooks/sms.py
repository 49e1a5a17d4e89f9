"""Texts to our numbers: SMS, MMS, and whatever else a messaging service passes on (RCS, Messenger)."""

from datetime import datetime

from flask import Blueprint

from gateway.channels import messaging
from gateway.channels.base import Form
from gateway.conversation.receive import Outcome, receive
from gateway.webhooks.guard import runtime, twilio_webhook

bp = Blueprint("sms", __name__, url_prefix="/webhooks")


@bp.post("/sms")
@twilio_webhook
def inbound(form: Form, received_at: datetime) -> Outcome:
    """Answer one text."""
    return receive(runtime(), messaging.parse(form, received_at))
