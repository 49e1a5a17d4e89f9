"""What the console says when something is wrong: a page in its own layout, and what to do next."""

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from gateway.admin import here, limits
from gateway.core.errors import StoreUnavailable
from gateway.core.times import spoken
from gateway.logs import log

_TITLES = {
    400: "That address is not quite right",
    403: "That is not yours to do",
    404: "Not found",
    405: "This page does not take that",
    409: "That cannot be done now",
    413: "That is too much at once",
    503: "Too much at once",
    502: "Twilio did not give the file",
}
_WORDS = {
    403: "Your role does not include this. Somebody with the role admin can change that.",
    404: "There is no such page here.",
    405: "The page exists, but not for this kind of request.",
    413: "A form of the console never needs that much.",
}


def register(bp: Blueprint) -> None:
    """Answer every error under the console's paths."""
    bp.register_error_handler(StoreUnavailable, _store_unavailable)
    bp.register_error_handler(CSRFError, _not_our_form)
    bp.register_error_handler(RateLimitExceeded, _too_often)
    bp.register_error_handler(HTTPException, _refused)
    bp.register_error_handler(Exception, _failed)


def _page(status: int, title: str, words: str, **headers: str) -> ResponseReturnValue:
    # Of other answers the form may be too much to read, which is why they are given.
    written = request.form.get("text", "") if status == 503 else ""
    known = {"status": status, "title": title, "words": words, "here": here.page(), "written": written}
    page = render_template("error.html", **known)
    return page, status, {name.replace("_", "-"): value for name, value in headers.items()}


def _store_unavailable(error: StoreUnavailable) -> ResponseReturnValue:
    log.error("store_unavailable", message=str(error)[:300], path=request.path)
    words = (
        "MongoDB does not answer, so there is nothing the console can show. What people send meanwhile is kept, "
        "and filed when it is back. The console connects again by itself: reload this page in a moment."
    )
    return _page(503, "The database is away", words, Retry_After="5")


def _not_our_form(_error: CSRFError) -> ResponseReturnValue:
    words = (
        "The form was opened before you logged in or out, or your browser keeps no cookies for this address "
        "(outside development the console needs https). Go back, reload the page, and send it again."
    )
    return _page(400, "This form is too old", words)


def _too_often(_error: RateLimitExceeded) -> ResponseReturnValue:
    seconds = limits.seconds_left(current_app)
    log.warning("login_limited", path=request.path)
    words = f"Too many attempts to log in. Try again in {spoken(seconds * 1000)}."
    return _page(429, "Wait a moment", words, Retry_After=str(seconds))


def _refused(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    said = error.description if error.description != type(error).description else None
    later = (
        {"Retry_After": str(error.retry_after)} if isinstance(error, ServiceUnavailable) and error.retry_after else {}
    )
    return _page(status, _TITLES.get(status, error.name), said or _WORDS.get(status, ""), **later)


def _failed(_error: Exception) -> ResponseReturnValue:
    log.exception("page_failed", path=request.path)
    return _page(500, "Something broke", "That is our fault, and it is in the log.")
