"""The chat widget's files, for any website, and in development a page to try it on."""

import hashlib
import re
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, abort, render_template, request

from gateway.api.auth import runtime
from gateway.conversation import chat_sites
from gateway.http import own_base_url

bp = Blueprint("chat_pages", __name__, url_prefix="/chat", template_folder="templates")

# Whose conversations the demo page begins.
SITE = "web"

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
_WIDGET = ("widget.js", "widget.html")
_DEMO = ("demo.js", "demo.css")

# A new version is on every site within five minutes, and asking for one costs no more than a 304.
_CACHING = "public, max-age=300, must-revalidate"
_PART = re.compile(r'("[^"]*"|`[^`]*`)|\s*([-=+?:;,<>{}()|&!*]+)\s*')
_DEMO_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


@bp.get("/<name>")
def file(name: str) -> Response:
    """Give a file of the widget to any site, or one of the demo page's own."""
    if name not in _WIDGET and not (name in _DEMO and runtime().settings.is_development):
        abort(404)
    content = _content(name)
    response = Response(content, content_type=f"{_TYPES[Path(name).suffix]}; charset=utf-8")
    response.headers["Cache-Control"] = _CACHING
    response.headers["X-Content-Type-Options"] = "nosniff"
    if name in _WIDGET:
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.set_etag(hashlib.sha256(content).hexdigest()[:16])
    response.make_conditional(request.environ)
    return response


@cache
def _content(name: str) -> bytes:
    written = (_FOLDER / name).read_text()
    return (squeezed(written) if name == "widget.js" else written).encode()


def squeezed(script: str) -> str:
    """Leave out comments that have a line of their own, and the space that a browser does not need.

    Made for the widget's own script: no regular expressions, no '...', a semicolon after every statement.
    """
    code = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("//"))
    return _PART.sub(lambda part: part[1] or part[2], code).replace(";}", "}").strip()


@bp.get("/demo")
def demo() -> Response:
    """Show the widget on a page that explains it; 404 outside development."""
    serving = runtime()
    if not serving.settings.is_development:
        abort(404)
    key = chat_sites.publish(serving, SITE, "the chat demo")
    own = own_base_url(request.environ, serving.settings.trusted_proxies) + request.script_root
    base = serving.settings.public_url.rstrip("/") or own
    snippet = f'<script src="{base}/chat/widget.js" data-key="{key}" async></script>'
    page = Response(render_template("chat_demo.html", key=key, snippet=snippet))
    page.headers["Content-Security-Policy"] = _DEMO_POLICY
    page.headers["X-Content-Type-Options"] = "nosniff"
    page.headers["Cache-Control"] = "no-store"
    return page
