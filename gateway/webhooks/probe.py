"""What `gateway doctor` sends through the public address: verified like every webhook, and told what became of it."""

from datetime import datetime

from flask import Blueprint, Response, current_app, request

from gateway.channels import signature
from gateway.channels.base import Form
from gateway.channels.diagnosis import diagnose
from gateway.conversation import probing
from gateway.conversation.probing import Told
from gateway.conversation.verdicts import PROBE
from gateway.core.errors import Forbidden, RequestRejected
from gateway.webhooks import inspecting, noted
from gateway.webhooks.answering import runtime, signed_urls
from gateway.webhooks.guard import twilio_webhook

bp = Blueprint("probe", __name__, url_prefix="/webhooks")


@bp.post("/probe")
def probe() -> Response:
    """Tell whoever has our SECRET_KEY what was seen of their webhook; everybody else gets what a forger gets."""
    refused = _refused()
    serving = runtime()
    nonce = probing.recognise(serving.settings, request.headers.get(probing.HEADER, ""), serving.clock.now())
    if nonce is None:
        raise refused or Forbidden("not_a_probe")
    told = _told(refused)
    # For the inspector, which counts what was refused: this was our own.
    if webhook := noted.current():
        webhook.rejected = PROBE if told.reason else ""
    return Response(probing.answer(serving.settings, nonce, told), content_type="application/octet-stream")


def _refused() -> RequestRejected | None:
    """Verify the request by the same steps as every webhook; gives why it would be refused."""
    try:
        _verify()
    except RequestRejected as error:
        return error
    return None


@twilio_webhook
def _verify(_form: Form, _received_at: datetime) -> None:
    """Do nothing with what is verified."""


def _told(refused: RequestRejected | None) -> Told:
    webhook, given = noted.current(), request.headers.get(signature.SIGNATURE_HEADER, "")
    verdict, form = (webhook.verdict, webhook.form) if webhook else (None, None)
    if refused is None and verdict and verdict.genuine:
        return Told("", verdict.matched, verdict.tried)
    reason = refused.reason if refused else verdict.reason if verdict else ""
    urls = signed_urls(request, runtime())
    told = Told(reason, tried=tuple(urls), signed=bool(given), public_url=runtime().settings.public_url)
    if not given or verdict is None or form is None:
        return told
    found = diagnose(
        current_app.extensions["keyring"],
        inspecting.seen(runtime(), urls),
        form,
        given,
        account_sid=form.text("AccountSid"),
        settings=request.headers.get(signature.SETTINGS_HEADER, ""),
    )
    return Told(reason, "", verdict.tried or told.tried, found.cause, found.url, public_url=told.public_url)
