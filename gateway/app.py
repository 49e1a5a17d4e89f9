"""Wiring: puts runtime, webhooks and pages together, and decides nothing."""

import atexit
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, InternalServerError

from gateway import admin, api, jobs, logs, metrics, settings, webhooks
from gateway.api import problems
from gateway.api.documentation import Documented
from gateway.conversation import draining, inspector, migrating, presence, runtime, tunnel
from gateway.conversation.inspector import Inspector
from gateway.conversation.presence import Presence
from gateway.conversation.runtime import Runtime
from gateway.core.errors import SpoolUnavailable, StoreUnavailable
from gateway.core.times import ms_between
from gateway.http import Mounted, path_prefix
from gateway.logs import log
from gateway.routes import Route
from gateway.settings import Settings
from gateway.store import connection, indexes
from gateway.webhooks import answering, guard
from gateway.webhooks.answering import PageSessions

CLOCK_SECONDS = 60
DRAIN_SECONDS = 0.5


def create_app(given: Settings | None = None, *, clock: runtime.Clock | None = None) -> Flask:
    """Make the WSGI app. Connects lazily, so that it may be made before or after a fork."""
    configured = given or settings.load()
    logs.configure(fmt=configured.log.format, redact=configured.log.redact)
    app = Documented(__name__)
    app.url_rule_class = Route
    app.session_interface = PageSessions()
    app.config.update(
        SECRET_KEY=configured.secret_key.get_secret_value(),
        MAX_CONTENT_LENGTH=guard.BODY_LIMIT + 1,
    )
    # A redirect between the signed URL and the route would lose the form and the signature.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    connection.connect(configured)
    connection.begin(indexes.make_first)
    app.extensions["gateway"] = serving = runtime.build(configured, clock=clock)
    if configured.is_development:
        migrating.at_start("the start in development")
    serving.spool.require_writable()
    background = app.extensions["background"] = jobs.Background()
    if clock is None:
        background.repeat(serving.clock.correct, every=CLOCK_SECONDS, name="clock")
        background.repeat(migrating.Watch().look, every=CLOCK_SECONDS, name="migrations")
        background.repeat(tunnel.Watch(serving).look, every=tunnel.LOOK_SECONDS, name="tunnel")
        background.repeat(lambda: draining.drain_if_needed(serving), every=DRAIN_SECONDS, name="drainer")
    app.before_request(_name_request)
    webhooks.register(app)
    app.know_posts_under(answering.PREFIX)
    admin.register(app)
    api.register(app)
    if clock is None:
        _tell_of_itself(app, serving, background)
    _register_probes(app, serving)
    app.register_error_handler(Exception, _failed)
    if prefix := path_prefix(configured.public_url):
        app.wsgi_app = Mounted(app.wsgi_app, prefix)  # type: ignore[method-assign]
    return app


def _tell_of_itself(app: Flask, serving: Runtime, background: jobs.Background) -> None:
    """Store what the inspector saw, and say every some seconds that this process is there."""
    seen: Inspector = app.extensions["inspector"]
    alive = Presence(serving, "web", lambda: presence.spool_facts(serving) | seen.facts())
    background.repeat(seen.flush_steadily, every=inspector.EVERY_SECONDS, name="inspector")
    background.repeat(alive.beat, every=presence.EVERY_SECONDS, name="heartbeat")
    # Called in the opposite order: no beat may follow the goodbye.
    atexit.register(alive.leave)
    atexit.register(background.stop)


def _name_request() -> None:
    # Webhooks name theirs with what Twilio sent along.
    if not answering.is_webhook():
        logs.bind_request(request.environ)


def _failed(error: Exception) -> Response:
    if answering.is_webhook():
        return answering.failed(error)
    if api.is_ours():
        return problems.answer(error)
    if isinstance(error, HTTPException):
        return Response(error.get_body(), error.code, error.get_headers())
    log.exception("request_failed", path=request.path)
    return _failed(InternalServerError())


def _register_probes(app: Flask, serving: Runtime) -> None:
    @app.get("/healthz", doc_ui=False)
    def healthz() -> Response:
        """Say that the process is up."""
        return jsonify(status="ok")

    @app.get("/readyz", doc_ui=False)
    def readyz() -> tuple[Response, int]:
        """Say whether what is sent now would be kept: in MongoDB, or at least in the spool."""
        parts = {"mongodb": _timed(connection.ping), "spool": _timed(serving.spool.prove_room) | _spooled(serving)}
        kept = [part["ok"] for part in parts.values()]
        status = "ok" if all(kept) else "degraded" if any(kept) else "unavailable"
        return jsonify(status=status, **parts, migrations=_migrations()), 200 if any(kept) else 503

    @app.get("/metrics", doc_ui=False)
    def exposition() -> Response:
        """Give Prometheus its metrics."""
        spooled = _spooled(serving)
        if spooled:
            metrics.SPOOL_DEPTH.set(spooled["waiting"])
            metrics.SPOOL_SET_ASIDE.set(spooled["set_aside"])
            metrics.SPOOL_OLDEST.set(spooled["oldest_seconds"])
        return Response(metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", doc_ui=False)
    def root() -> Response:
        """Send people to the admin page."""
        return Response(status=302, headers={"Location": request.script_root + "/admin/"})


def _timed(proof: Callable[[], None]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        proof()
    except (StoreUnavailable, SpoolUnavailable) as error:
        return {"ok": False, "error": str(error)[:200]}
    return {"ok": True, "milliseconds": round((time.perf_counter() - started) * 1000, 1)}


def _migrations() -> dict[str, Any]:
    """Tell whether the documents are those of this version; an older one still takes messages, so nothing fails."""
    try:
        found = migrating.standing()
    except StoreUnavailable as error:
        return {"ok": False, "error": str(error)[:200]}
    if not found.problem:
        return {"ok": True}
    return {"ok": False, "outstanding": [one.number for one in found.outstanding], "error": found.problem}


def _spooled(serving: Runtime) -> dict[str, Any]:
    """Count what waits in the spool; nothing is known where it cannot be read."""
    try:
        depth = serving.spool.depth()
    except SpoolUnavailable:
        return {}
    waited = ms_between(depth.oldest, serving.clock.now()) / 1000 if depth.oldest else 0
    return {"waiting": depth.waiting, "set_aside": depth.set_aside, "oldest_seconds": max(0, waited)}
