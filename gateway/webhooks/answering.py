"""How webhooks end: TwiML, whatever went wrong, timed, and seen by the inspector.

A webhook never answers with an error page: Twilio texts a text/plain body to the customer. What is refused gets
an empty 403, what is malformed a 400 with an empty `<Response/>`.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Request, Response, current_app, request
from flask.sessions import NullSession, SecureCookieSession, SecureCookieSessionInterface
from werkzeug.exceptions import HTTPException

from gateway import metrics
from gateway.conversation.inspector import Inspector
from gateway.conversation.runtime import Runtime
from gateway.core.errors import RequestRejected, SpoolUnavailable, StoreUnavailable
from gateway.http import own_base_url, public_urls, raw_target
from gateway.logs import log
from gateway.webhooks import inspecting, noted
from gateway.webhooks.noted import Noted

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

EMPTY = "<Response/>"
PREFIX = "/webhooks"

# Nothing can be written to it, so all webhooks may have the same.
_NOBODYS = NullSession()


class PageSessions(SecureCookieSessionInterface):
    """Flask's sessions, for those who have a browser: no cookie of a webhook is ever read, and none is set."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Give the session of a request, none to a webhook."""
        return _NOBODYS if request.path.startswith(PREFIX) else super().open_session(app, request)

    def get_cookie_path(self, app: Flask) -> str:  # noqa: ARG002
        """Keep a login to the path this app is mounted at: what else runs on the host neither sees nor replaces it."""
        return f"{request.script_root}/"


def runtime() -> Runtime:
    """Give the runtime of the app that serves this request."""
    return current_app.extensions["gateway"]  # type: ignore[no-any-return]


class Twiml(Response):
    """TwiML, with the type Twilio reads as such."""

    def __init__(self, document: str, status: int = 200) -> None:
        super().__init__(document, status, content_type="text/xml; charset=utf-8")

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer what was posted with this as it is: Werkzeug looks for headers to correct, of which it has none."""
        if environ["REQUEST_METHOD"] != "POST":
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return self.iter_encoded()


def signed_urls(asked: Request, serving: Runtime) -> tuple[str, ...]:
    """Give the addresses Twilio may have signed a request over."""
    settings, leased = serving.settings, serving.line.public.leased
    base = settings.public_url or own_base_url(asked.environ, settings.trusted_proxies)
    target = raw_target(asked.environ)
    urls = public_urls(base, target)
    # While a tunnel is open, who calls the usual address is served as well.
    return public_urls(leased, target) + urls if leased else urls


def register(app: Flask) -> None:
    """Answer every error under /webhooks in a way Twilio survives, and time every request."""
    serving: Runtime = app.extensions["gateway"]
    app.extensions["inspector"] = Inspector(serving.settings.inspector, app.extensions["keyring"])
    app.register_error_handler(RequestRejected, _rejected)
    app.register_error_handler(StoreUnavailable, _unavailable)
    app.register_error_handler(SpoolUnavailable, _unavailable)
    app.after_request(_timed)


def _rejected(error: RequestRejected) -> Response:
    if webhook := noted.current():
        webhook.rejected = error.reason
    metrics.REJECTED.labels(error.reason).inc()
    log.warning(
        "webhook_rejected",
        reason=error.reason,
        detail=str(error),
        path=request.path,
        status=error.status,
        **error.context,
    )
    return Twiml(EMPTY, 400) if error.status == 400 else Response(status=error.status)


def _unavailable(error: StoreUnavailable | SpoolUnavailable) -> Response:
    event = "spool_unavailable" if isinstance(error, SpoolUnavailable) else "store_unavailable"
    log.error(event, message=str(error)[:300], path=request.path)
    return Twiml(EMPTY, 503)


def is_webhook() -> bool:
    """Tell whether this request is for a webhook."""
    return request.path.startswith(PREFIX)


def failed(error: Exception) -> Response:
    """Answer an error of a webhook that nobody foresaw."""
    if isinstance(error, HTTPException):
        return Response(status=error.code or 500, content_type="text/xml; charset=utf-8")
    log.exception("webhook_failed", path=request.path)
    return Twiml(EMPTY, 500)


def _timed(response: Response) -> Response:
    """Time a webhook, and let the inspector see it: also one that has no route, so that nobody asked for it."""
    webhook, spent = noted.end(), None
    if webhook:
        spent = time.perf_counter() - webhook.started
        metrics.of(metrics.WEBHOOK_SECONDS, request.path, response.status_code).observe(spent)
    elif not is_webhook():
        return response
    _inspect(response, webhook, spent)
    return response


def _inspect(response: Response, webhook: Noted | None, seconds: float | None) -> None:
    try:
        inspector = current_app.extensions["inspector"]
        if inspector.wants(refused=bool(inspecting.reason_for(response, webhook))):
            urls = signed_urls(request, runtime())
            inspector.offer(inspecting.captured(runtime(), urls, response, webhook, seconds))
    except Exception:
        # Whoever only looks on must cost nobody an answer.
        log.exception("inspector_failed")
