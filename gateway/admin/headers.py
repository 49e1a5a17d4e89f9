"""What every response of the console carries, and the addresses of its files."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request, url_for

from gateway.admin import listed

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
        "media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

_FILES = Path(__file__).parent / "static"


def register(bp: Blueprint) -> None:
    """Send the headers with every response under the console's paths."""
    bp.after_request(_protect)
    bp.context_processor(lambda: _IN_TEMPLATES)


def _protect(response: Response) -> Response:
    if not _is_sent_in(response):
        response.headers.update(SECURITY)
        response.headers["Cache-Control"] = _caching(response)
    return response


def _is_sent_in(response: Response) -> bool:
    """Tell a file that somebody sent, which has stricter headers of its own, from a page of ours."""
    return request.endpoint == "admin.media_file" and response.status_code in (200, 206, 304)


def _caching(response: Response) -> str:
    """Let files be kept for as long as their address names their content, and nothing else at all."""
    if request.endpoint != "admin.static" or response.status_code not in (200, 304):
        return "no-store"
    name = (request.view_args or {})["filename"]
    return "public, max-age=31536000, immutable" if request.args.get("v") == _version(name) else "no-cache"


@cache
def _version(name: str) -> str:
    return hashlib.sha256((_FILES / name).read_bytes()).hexdigest()[:12]


def file_url(name: str) -> str:
    """Give the address of a file of ours; another content has another address."""
    return url_for("admin.static", filename=name, v=_version(name))


_IN_TEMPLATES: dict[str, Any] = {"file_url": file_url, "utc": listed.utc, "type_name": listed.type_name}
