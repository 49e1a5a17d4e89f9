"""The REST API and the web chat: what other programs use of sessions, messages and contacts."""

from flask import request

from gateway.api import (
    channels,
    chat,
    chat_auth,
    chat_blueprint,
    chat_pages,
    chat_tokens,
    contacts,
    decisions,
    deeds,
    documentation,
    exports,
    flows,
    imports,
    me,
    messages,
    sending,
    sessions,
    stats,
    webhooks,
    whatif,
)
from gateway.api.blueprint import bp
from gateway.api.documentation import Documented

# Each adds its views to the blueprint.
PARTS = (
    me,
    sessions,
    deeds,
    messages,
    sending,
    flows,
    contacts,
    channels,
    decisions,
    whatif,
    stats,
    exports,
    imports,
    webhooks,
    chat,
    chat_tokens,
)


def register(app: Documented) -> None:
    """Put the API under /api/v1, its documentation at /api/docs and its OpenAPI file at /api/openapi.json."""
    app.register_api(bp)
    app.register_api(chat_blueprint.bp)
    chat_auth.warn(app)
    app.register_blueprint(documentation.bp)
    app.register_blueprint(chat_pages.bp)


def is_ours() -> bool:
    """Tell whether a request is for the API, whose errors are problems and no pages."""
    return request.path.startswith("/api/")
