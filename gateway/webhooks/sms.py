"""Texts to our numbers: SMS, MMS, and whatever else a messaging service passes on (RCS, Messenger)."""

from datetime import datetime

from flask import Blueprint

from gateway.channels import messaging
from gateway.channels.base import Form
from gateway.conversation.intake import Kept, take
from gateway.conversation.receive import Outcome
from gateway.webhooks import noted
from gateway.webhooks.answering import runtime
from gateway.webhooks.guard import twilio_webhook

bp = Blueprint("sms", __name__, url_prefix="/webhooks")


@bp.post("/sms")
@twilio_webhook
def inbound(form: Form, received_at: datetime) -> Outcome | Kept:
    """Answer one text."""
    return take(runtime(), messaging.parse(form, received_at), noted.token())
