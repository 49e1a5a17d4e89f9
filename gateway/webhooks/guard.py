"""Nothing gets past here unverified: signature, then form, of every webhook. What is refused changes nothing."""

import functools
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from flask import Flask, Request, Response, current_app, request
from itsdangerous import BadSignature

from gateway.channels import signature
from gateway.channels.base import Form, decode
from gateway.conversation.intake import Kept
from gateway.conversation.receive import Outcome
from gateway.conversation.runtime import SIMULATED_AT, Runtime, simulated_times
from gateway.core.errors import Forbidden, Malformed
from gateway.core.times import parse_moment
from gateway.logs import bind_request, log
from gateway.webhooks import noted
from gateway.webhooks.answering import Twiml, runtime, signed_urls
from gateway.webhooks.inspecting import declared_length
from gateway.webhooks.noted import Noted

BODY_LIMIT = 1_000_000
FIELD_LIMIT = 1000
FORM, FORM_IN_PARTS = "application/x-www-form-urlencoded", "multipart/form-data"


def _environ_name(header: str) -> str:
    """Give a header's name in WSGI's environment, which is read in a third of the time of `Request.headers`."""
    return f"HTTP_{header.upper().replace('-', '_')}"


_IDEMPOTENCY_TOKEN = _environ_name("I-Twilio-Idempotency-Token")
_SIGNATURE, _SETTINGS = _environ_name(signature.SIGNATURE_HEADER), _environ_name(signature.SETTINGS_HEADER)


def _gather_keyring(serving: Runtime) -> signature.Keyring:
    """Gather the secrets that webhooks may be signed with."""
    settings = serving.settings
    return signature.Keyring(
        tokens=[token.get_secret_value() for token in settings.twilio_auth_token],
        main_account=settings.twilio_account_sid,
        accounts={
            sid: [token.get_secret_value() for token in tokens] for sid, tokens in settings.twilio.accounts.items()
        },
        shared_keys={name: secret.get_secret_value() for name, secret in settings.twilio.shared_keys.items()},
    )


def twilio_webhook(view: Callable[[Form, datetime], Outcome | Kept | str | None]) -> Callable[[], Response]:
    """Verify a request, read its form, and answer what the view says: TwiML, or 204 where it says nothing."""

    @functools.wraps(view)
    def guarded() -> Response:
        # Each look through Flask's proxies costs as much as a field of the form.
        asked, serving = request._get_current_object(), runtime()  # type: ignore[attr-defined]
        form = _verified_form(asked, serving, _begin(asked))
        answer = view(form, _received_at(asked, serving))
        if answer is None:
            return Response(status=204)
        if isinstance(answer, str):
            return Twiml(answer)
        return _explained(Twiml(answer.twiml), answer, serving)

    return guarded


def _begin(asked: Request) -> Noted:
    started = time.perf_counter()
    # Twilio repeats this token when it retries, but does not sign it: it never decides what is a duplicate.
    token = asked.environ.get(_IDEMPOTENCY_TOKEN, "")[:64]
    request_id = bind_request(asked.environ, **({"idempotency_token": token} if token else {}))
    return noted.begin(Noted(started, request_id, token))


def _verified_form(asked: Request, serving: Runtime, webhook: Noted) -> Form:
    """Read the form and check its signature; nothing of an unsigned request is read at all."""
    given = asked.environ.get(_SIGNATURE, "")
    if not given and not serving.settings.observes_signatures:
        raise Forbidden("no_signature")
    if _media_type(asked) != FORM:
        _refuse_other_than_form(asked, serving, webhook, given)
    body = _body(asked, webhook)
    form = _decoded(body)
    if form is None:
        # Nobody can tell what was signed, so nothing can be forged either: it changes nothing.
        raise Malformed("bad_encoding")
    webhook.form = form
    webhook.verdict = verdict = _verdict(asked, serving, form, given)
    if not verdict.genuine:
        tried = [_redacted(url) for url in verdict.tried]
        if not serving.settings.observes_signatures:
            raise Forbidden(verdict.reason, tried=tried)
        log.warning("signature_observed", reason=verdict.reason, tried=tried)
    return form


def _refuse_other_than_form(asked: Request, serving: Runtime, webhook: Noted, given: str) -> NoReturn:
    """Tell a forged request from one that Twilio signed but the gateway cannot read."""
    if asked.mimetype == FORM_IN_PARTS:
        genuine = _is_genuine(asked, serving, Form(asked.form), given)
    else:
        body = _body(asked, webhook)
        genuine = any(
            _is_genuine(asked, serving, form, given, signed)
            for form, signed in ((_decoded(body) or Form(), None), (Form(), body))
        )
    if not genuine and not serving.settings.observes_signatures:
        raise Forbidden("bad_signature", tried=[_redacted(url) for url in signed_urls(asked, serving)])
    raise Malformed("not_a_form", content_type=asked.mimetype[:80])


def _media_type(asked: Request) -> str:
    """Give the type of the body, without what may stand behind it."""
    return str(asked.environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()


def _body(asked: Request, webhook: Noted) -> bytes:
    """Read the body: where its length is known straight from the server, past what werkzeug wraps around it."""
    length = asked.environ.get("CONTENT_LENGTH", "")
    # Python reads no number of thousands of digits.
    if length.isdecimal() and len(length) < 10 and int(length) <= BODY_LIMIT:
        body = _read(asked, int(length))
    else:
        body = _body_of_unknown_length(asked)
    webhook.body_bytes = len(body)
    return body


def _read(asked: Request, length: int) -> bytes:
    try:
        body: bytes = asked.environ["wsgi.input"].read(length)
    except OSError:
        body = b""
    if len(body) < length:
        # Its sender hung up. What came may be a form as well, but not the one that was signed.
        raise Malformed("cut_short", length=length)
    return body


def _body_of_unknown_length(asked: Request) -> bytes:
    if (declared := declared_length(asked)) > BODY_LIMIT:
        raise Malformed("too_large", length=declared)
    body = asked.stream.read(BODY_LIMIT + 1)
    if len(body) > BODY_LIMIT:
        raise Malformed("too_large", length=len(body))
    return body


def _decoded(body: bytes) -> Form | None:
    """Decode a form strictly; None for what is not UTF-8 (a lenient decoder would store replacement signs)."""
    try:
        return decode(body, max_fields=FIELD_LIMIT)
    except ValueError:
        return None


def _verdict(asked: Request, serving: Runtime, form: Form, given: str, body: bytes | None = None) -> signature.Verdict:
    return signature.verify(
        _keyring(),
        urls=signed_urls(asked, serving),
        form=form,
        signature=given,
        account_sid=form.text("AccountSid"),
        settings_header=asked.environ.get(_SETTINGS, ""),
        body=body,
    )


def _is_genuine(asked: Request, serving: Runtime, form: Form, given: str, body: bytes | None = None) -> bool:
    return _verdict(asked, serving, form, given, body).genuine


def _keyring() -> signature.Keyring:
    """Give the app's keyring, gathered once."""
    return current_app.extensions["keyring"]  # type: ignore[no-any-return]


def _redacted(url: str) -> str:
    """Keep our own signed parameters out of the log."""
    return url.partition("?")[0] + ("?..." if "?" in url else "")


def _received_at(asked: Request, serving: Runtime) -> datetime:
    """Give the moment a message was received: now, or in development the one a simulation asks for."""
    token = asked.args.get(SIMULATED_AT) if asked.query_string else None
    if token is None:
        return serving.clock.now()
    if not serving.settings.is_development:
        raise Forbidden("simulated_time_outside_development")
    try:
        return parse_moment(simulated_times(serving.settings).loads(token))
    except (BadSignature, ValueError, TypeError):
        raise Forbidden("bad_simulated_time") from None


def _explained(response: Response, outcome: Outcome | Kept, serving: Runtime) -> Response:
    """Tell a developer's tools what was decided; Twilio never sees it, since this is development only."""
    if not serving.settings.is_development:
        return response
    told: dict[str, Any] = {"received_at": outcome.received_at.isoformat()}
    if isinstance(outcome, Kept):
        told |= {"message_id": outcome.id, "answer": "spooled"}
    else:
        told |= {
            "message_id": outcome.message_id,
            "session_id": outcome.session_id,
            "duplicate": outcome.duplicate,
            "answer": outcome.answer,
            "decision": dict(outcome.decision),
        }
    response.headers["X-Gateway-Decision"] = json.dumps(told, default=str)
    return response


def register(app: Flask) -> None:
    """Gather what requests are verified with, once."""
    app.extensions["keyring"] = _gather_keyring(app.extensions["gateway"])
