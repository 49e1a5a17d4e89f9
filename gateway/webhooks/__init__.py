"""What Twilio calls: one blueprint a channel, each verified by the guard before anything else."""

from flask import Flask

from gateway.webhooks import answering, guard, probe, sms, status, voice, whatsapp


def register(app: Flask) -> None:
    """Put all webhooks under /webhooks."""
    for module in (sms, whatsapp, voice, status, probe):
        app.register_blueprint(module.bp)
    guard.register(app)
    answering.register(app)
