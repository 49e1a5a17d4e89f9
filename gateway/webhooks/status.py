"""What became of the messages we sent."""

from datetime import datetime

from flask import Blueprint, request

from gateway.channels import messaging
from gateway.channels.base import Form
from gateway.conversation.intake import take
from gateway.webhooks.answering import runtime
from gateway.webhooks.guard import twilio_webhook

bp = Blueprint("status", __name__, url_prefix="/webhooks")


@bp.post("/status")
@twilio_webhook
def delivery_status(form: Form, received_at: datetime) -> None:
    """Take one delivery status."""
    take(runtime(), messaging.parse_status(form, received_at, request.args.get("m", "")))
