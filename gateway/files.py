"""A file that somebody sent, as a response: what a browser may show of it, and what it may only save."""

import mimetypes
import re
from urllib.parse import quote

from flask import Response, request
from werkzeug.wsgi import FileWrapper

from gateway.core.fetching import Opened
from gateway.core.files import kind

# Whatever a file holds, opened by itself it is in no origin of ours and loads nothing. A browser scales a large
# photograph down by a style of its own, which this would forbid.
POLICY = "sandbox; default-src 'none'"
IMAGE_POLICY = f"{POLICY}; style-src 'unsafe-inline'"
KEPT_FOR = 3600
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
_PIECE = 65_536


def response(file: Opened) -> Response:
    """Give a file, or the range of it that is asked for. It is closed with the response."""
    content_type = file.content_type if _TYPE.fullmatch(file.content_type) else "application/octet-stream"
    is_image = kind(content_type) == "image"
    answer = Response(FileWrapper(file.stream, _PIECE), direct_passthrough=True)
    answer.headers["Content-Type"] = f"{content_type}; charset=utf-8" if content_type == "text/plain" else content_type
    answer.headers["Content-Disposition"] = _disposition(content_type, file.filename)
    answer.headers["Content-Length"] = str(file.size)
    answer.headers["Content-Security-Policy"] = IMAGE_POLICY if is_image else POLICY
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Cache-Control"] = f"private, max-age={KEPT_FOR}"
    answer.set_etag(file.tag)
    answer.call_on_close(file.stream.close)
    answer.make_conditional(request.environ, accept_ranges=True, complete_length=file.size)
    return answer


def _disposition(content_type: str, filename: str) -> str:
    shown = kind(content_type)
    name = filename or f"{shown}{mimetypes.guess_extension(content_type) or ''}"
    return f"{'attachment' if shown == 'file' else 'inline'}; filename*=UTF-8''{quote(name, safe='')}"
