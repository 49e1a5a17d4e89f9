"""The API's documentation: the OpenAPI 3.1 file, made from the views, and Swagger UI over it."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask_openapi3_swagger
from flask import Blueprint, Flask, Response, abort, current_app, request, send_from_directory
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI

from gateway import __version__
from gateway.api import problems
from gateway.api.auth import scope_of
from gateway.api.describing import Described
from gateway.api.problems import Problem
from gateway.api.schemas import ReadJson
from gateway.routes import Direct

bp = Blueprint("api_docs", __name__, url_prefix="/api")

# Two threads that are asked at once must not both describe, nor see the other's half.
_DESCRIBING = threading.Lock()

_OURS = Path(__file__).parent / "static"
_SWAGGER = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"
_FILES = {
    "docs.js": _OURS,
    "docs.css": _OURS,
    "swagger-ui.css": _SWAGGER / "css",
    "swagger-ui-bundle.js": _SWAGGER / "js",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Documented(Direct, OpenAPI):
    """A Flask app that describes its API; without the extension's own pages, which a strict policy refuses."""

    json_provider_class = ReadJson

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            static_folder=None,
            doc_ui=False,
            info=Info(
                title="Conversation gateway",
                version=__version__,
                description="Sessions, messages and contacts of a Twilio conversation gateway.",
            ),
            security_schemes={"key": {"type": "http", "scheme": "bearer", "bearerFormat": "gw_<prefix>_<secret>"}},
            validation_error_status=422,
            validation_error_model=Problem,
            validation_error_callback=problems.of_validation,
        )

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Take each view as it is: none is asynchronous, and Flask would look into five functions a request."""
        return func


def document(app: Flask) -> dict[str, Any]:
    """Give the OpenAPI file of an app, each operation with the scope it needs."""
    assert isinstance(app, OpenAPI)  # noqa: S101 - `create_app` makes no other
    with _DESCRIBING:
        for part in app.blueprints.values():
            if isinstance(part, Described):
                part.describe(app)
        made = app.api_doc
        for rule in app.url_map.iter_rules():
            described = made["paths"].get(_as_described(rule.rule), {})
            for method in rule.methods or ():
                if operation := described.get(method.lower()):
                    operation["x-scope"] = scope_of(app.view_functions[rule.endpoint], method)
    return made


def _as_described(rule: str) -> str:
    return "/".join("{" + part[1:-1].rpartition(":")[2] + "}" if part[:1] == "<" else part for part in rule.split("/"))


@bp.get("/openapi.json")
def openapi_file() -> Response:
    """Give the OpenAPI file; under a path prefix it says where the API is."""
    made = document(current_app) | ({"servers": [{"url": request.script_root}]} if request.script_root else {})
    return Response(_json(made), content_type="application/json")


@bp.get("/docs")
def docs() -> Response:
    """Show Swagger UI."""
    response = send_from_directory(_OURS, "docs.html")
    response.headers["Content-Security-Policy"] = _POLICY
    return response


@bp.get("/docs/<name>")
def docs_file(name: str) -> Response:
    """Give a file of Swagger UI."""
    if name not in _FILES:
        abort(404)
    response = send_from_directory(_FILES[name], name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def written(app: Flask) -> str:
    """Write an app's OpenAPI file."""
    return _json(document(app))


def _json(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"
