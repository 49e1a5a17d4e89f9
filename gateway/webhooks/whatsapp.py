"""WhatsApp messages to our senders."""

from datetime import datetime

from flask import Blueprint

from gateway.channels import messaging
from gateway.channels.base import Form
from gateway.conversation.intake import Kept, take
from gateway.conversation.receive import Outcome
from gateway.webhooks import noted
from gateway.webhooks.answering import runtime
from gateway.webhooks.guard import twilio_webhook

bp = Blueprint("whatsapp", __name__, url_prefix="/webhooks")


@bp.post("/whatsapp")
@twilio_webhook
def inbound(form: Form, received_at: datetime) -> Outcome | Kept:
    """Answer one WhatsApp message."""
    return take(runtime(), messaging.parse(form, received_at), noted.token())
