"""An operator at work: retries what failed, sets a threshold and sees it decide, reads why Twilio was refused."""

import dataclasses
import re

import pytest
from playwright.sync_api import expect

from gateway.channels.signature import sign
from gateway.clients.twilio import Twilio as Client
from gateway.store import api_keys
from tests.admin.conftest import log_in
from tests.conftest import ACCOUNT, TEN, TOKEN, Twilio, fixture
from tests.conversation.worker import Worker
from tests.stand_ins.twilio import Fault, TwilioStandIn

HOST = "http://gateway.example.com"


def test_an_operator_finds_what_is_wrong_and_mends_it(serve, open_page, clock):
    with TwilioStandIn() as provider:
        provider.now = clock.now
        twilio = {"api_base_url": provider.url, "timeout_seconds": 5}
        app, base = serve(public_url=HOST, twilio=twilio, reply={"responder": "none"})
        people, worker = Twilio(app.test_client(), base=HOST), Worker(app, clock)
        worker.app.extensions["gateway"] = _sending(worker.runtime)
        people.sms("Is anybody there?")
        page = open_page()
        log_in(page, base)
        _a_reply_that_twilio_refuses(page, provider, worker)
        _is_retried(page, base, provider, worker)
        _a_threshold_is_set(page, base, people, clock)
        _why_a_webhook_was_refused(page, base, app)
        _a_key_is_shown_once(page, base)
        # The threshold that was refused, which Chromium tells by itself.
        assert [words for words in page.said if "409" not in words] == []
        assert [url for url in page.asked if not url.startswith((base, "data:"))] == []


def _sending(runtime):
    return dataclasses.replace(runtime, sender=Client(runtime.settings))


def _a_reply_that_twilio_refuses(page, provider, worker):
    provider.faults.append(Fault(status=400, code=21408, message="Not to this country."))
    page.locator("#list .row > a").click()
    page.locator("#reply textarea[name=text]").fill("Yes, we are.")
    page.get_by_role("button", name="Send").first.click()
    page.get_by_text("Yes, we are.").first.wait_for()
    worker.run()
    assert provider.messages == []


def _is_retried(page, base, provider, worker):
    page.get_by_role("navigation", name="Console").get_by_role("link", name="Operations").click()
    page.get_by_text("1 row of the outbox failed.").wait_for()
    page.get_by_role("link", name="What failed, and retry").click()
    row = page.locator(".failures li")
    assert "21408: The account may not send to this country" in row.inner_text()
    row.get_by_role("button", name="Retry").click()
    page.get_by_text("It will be tried again now.").wait_for()
    page.get_by_text("Nothing failed").first.wait_for()
    worker.run(after=60)
    assert [message["body"] for message in provider.messages] == ["Yes, we are."]


def _a_threshold_is_set(page, base, people, clock):
    page.get_by_role("link", name="Channels").click()
    page.locator(".numbers .first a").click()
    page.get_by_label("Idle threshold").fill("-3")
    page.get_by_role("button", name="Save").click()
    assert "must be 0 or more seconds" in page.get_by_role("alert").inner_text()
    page.get_by_label("Idle threshold").fill("45")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("It holds everywhere within five seconds.").wait_for()
    assert "45 s own" in page.locator(".numbers").inner_text()
    clock.tick(46)
    people.sms("And now?")
    page.goto(f"{base}/admin/")
    assert page.locator("#list .row").count() == 2
    page.locator("#list .row > a").first.click()
    expect(page.locator("main")).to_contain_text("threshold 45 s")


def _why_a_webhook_was_refused(page, base, app):
    form = fixture("sms/text") | {"AccountSid": ACCOUNT, "Body": "<b>secret</b>"}
    signature = sign(TOKEN, "https://shop.example.com/webhooks/sms", form)
    headers = {"X-Twilio-Signature": signature, "X-Forwarded-Host": "shop.example.com"}
    assert app.test_client().post("/webhooks/sms", data=form, headers=headers).status_code == 403
    app.extensions["inspector"].flush()
    page.goto(f"{base}/admin/operations/webhooks")
    page.get_by_label("Verdict").select_option("bad_signature")
    page.get_by_role("button", name="Show").click()
    page.locator(".inspected .first a").click()
    words = page.locator("main").inner_text()
    assert "Twilio signed another address than the one PUBLIC_URL says" in words
    assert "https://shop.example.com/webhooks/sms" in words
    assert "secret" not in words


def _a_key_is_shown_once(page, base):
    page.get_by_role("link", name="API keys").click()
    page.get_by_label("Name: what it is for").fill("crm")
    page.get_by_role("button", name="Make the key").click()
    key = page.locator(".secret").inner_text()
    assert re.fullmatch(r"gw_[0-9a-f]{8}_[\w-]{43}", key)
    assert api_keys.authenticate(key, TEN).name == "crm"
    page.get_by_role("link", name="I have it").click()
    assert key not in page.content()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke crm").click()
    page.get_by_text("The key crm works no more.").wait_for()
    assert api_keys.authenticate(key, TEN) is None
    for path in ("", "/outbox", "/webhooks", "/channels", "/keys"):
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"{base}/admin/operations{path}")
        width_of = "document.documentElement.{}"
        assert page.evaluate(width_of.format("scrollWidth")) <= page.evaluate(width_of.format("clientWidth")), path


@pytest.mark.parametrize("scripts", [True, False], ids=["asked by the script", "asked without scripts"])
def test_a_key_is_revoked_only_by_whoever_says_yes(serve, open_page, scripts):
    _, base = serve(public_url=HOST)
    api_keys.add("crm", ["read"], TEN, by="admin")
    page, asked = open_page(java_script_enabled=scripts, viewport={"width": 390, "height": 844}), []
    log_in(page, base)
    page.goto(f"{base}/admin/operations/keys")
    for answer in ("No, go back", "Yes"):
        if scripts:
            page.once("dialog", lambda dialog, yes=answer == "Yes": _answer(dialog, asked, yes=yes))
        page.get_by_role("button", name="Revoke crm").click()
        if not scripts:
            asked.append(page.get_by_role("heading", level=1, name="Revoke crm?").inner_text())
            page.get_by_text(answer, exact=True).click()
        expect(page.get_by_text("works no more")).to_have_count(1 if answer == "Yes" else 0)
    assert asked == ["Revoke crm? Whoever uses it is refused from then on. This cannot be undone."] * 2


def _answer(dialog, asked, *, yes):
    asked.append(dialog.message)
    dialog.accept() if yes else dialog.dismiss()
