"""What Twilio calls: one blueprint a channel, each verified by the guard before anything else."""

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask

from gateway.webhooks import answering, guard, probe, sms, status, voice, whatsapp

if TYPE_CHECKING:
    from gateway.evented import EventedWorker

# What mostly waits for its group only.
_IN_GROUPS = ("/sms", "/whatsapp", "/voice/turn", "/status")


def register(app: Flask) -> None:
    """Put all webhooks under /webhooks."""
    for module in (sms, whatsapp, voice, status, probe):
        app.register_blueprint(module.bp)
    guard.register(app)
    answering.register(app)


def serve_in(worker: "EventedWorker", app: Flask) -> None:
    """Let a worker serve in its main thread what is stored in groups, under the path this app is mounted at or not."""
    serving = app.extensions["gateway"]
    app.extensions["gateway"] = replace(
        serving, commits=worker.gathering(), statuses=worker.gathering(), aside=worker.aside
    )
    mounted = urlsplit(serving.settings.public_url).path.rstrip("/")
    worker.paths = tuple({base + answering.PREFIX + path for base in ("", mounted) for path in _IN_GROUPS})
