"""The webhook inspector: what it keeps of a request, why a signature failed, and that nothing can overload it."""

import dataclasses

import bson
import pytest

from gateway.channels.signature import sign
from gateway.conversation import forget as forgetting
from gateway.conversation import inspector as inspecting
from gateway.conversation.inspector import RING
from gateway.store import connection, inspections
from tests.conftest import ACCOUNT, HOST, TOKEN, Twilio, fixture

SMS = "/webhooks/sms"
SECRET_WORDS = "my card is 4111"


@pytest.fixture
def app(make_app):
    return make_app(inspector={"sample_rate": 1})


@pytest.fixture
def inspected(app, db):
    """Store what was seen, and give it, the newest first."""

    def look(of=app):
        of.extensions["inspector"].flush()
        return [inspections.one(row["id"]) for row in inspections.page(limit=100).rows]

    return look


def test_a_taken_request_is_kept_with_what_it_was_answered(inspected, twilio):
    twilio.sms(SECRET_WORDS)
    (seen,) = inspected()
    assert (seen["verdict"], seen["status"], seen["path"]) == ("genuine", 200, SMS)
    assert seen["signature"]["matched"] == HOST + SMS
    assert seen["milliseconds"] > 0
    assert seen["about"] == fixture("sms/text")["SmsSid"][:2] + "1".rjust(32, "0")


def test_nothing_of_what_people_wrote_and_no_secret_is_kept(inspected, twilio):
    signature = sign(TOKEN, HOST + SMS, fixture("sms/text") | {"Body": SECRET_WORDS})
    twilio.post(
        SMS, fixture("sms/text") | {"Body": SECRET_WORDS}, Authorization="Basic c2VjcmV0", Cookie="gateway=abcdef"
    )
    (seen,) = inspected()
    kept = bson.encode({"row": seen}).decode("utf-8", "replace")
    for secret in (SECRET_WORDS, "c2VjcmV0", "abcdef", signature, fixture("sms/text")["From"], TOKEN):
        assert secret not in kept
    assert ["Body", f"({len(SECRET_WORDS)} characters)"] in seen["form"]
    assert ["From", "+1555...5310"] in seen["form"]
    assert "<Message" in seen["response"]


def test_with_redaction_off_the_form_is_kept_as_it_came_but_no_secret(make_app, db, inspected):
    app = make_app(inspector={"sample_rate": 1, "redact": False})
    Twilio(app.test_client()).sms(SECRET_WORDS, From="+15558675310")
    (seen,) = inspected(app)
    assert ["Body", SECRET_WORDS] in seen["form"]
    assert SECRET_WORDS in seen["response"]
    assert sign(TOKEN, HOST + SMS, {}) not in str(seen)
    forgetting.forget(app.extensions["gateway"], "+15558675310", wait=lambda _seconds: None)
    assert inspections.page(limit=5).rows == []


def test_only_a_share_of_what_is_taken_is_kept_and_all_that_is_refused(make_app, inspected):
    app = make_app(inspector={"sample_rate": 0})
    twilio = Twilio(app.test_client())
    twilio.sms()
    app.test_client().post(SMS, data={"Body": "x"})
    app.test_client().post("/webhooks/telegram", data={"Body": "x"})
    app.test_client().get(SMS)
    twilio.post(SMS, {"Body": "nobody sent this"})
    assert {(seen["verdict"], seen["status"]) for seen in inspected(app)} == {
        ("no_signature", 403), ("unknown_path", 404), ("wrong_method", 405), ("missing_parameter", 400)
    }  # fmt: skip


def test_switched_off_it_keeps_nothing(make_app, inspected):
    app = make_app(inspector={"enabled": False})
    app.test_client().post(SMS, data={"Body": "x"})
    assert inspected(app) == []


def cause_of(inspected, app, url, *, token=TOKEN, form=None, signed=None, base="http://10.0.0.7:8080", **headers):
    form = form or fixture("sms/text") | {"AccountSid": ACCOUNT}
    headers["X-Twilio-Signature"] = sign(token, url, form if signed is None else signed)
    path = url.partition("://")[2].partition("/")[2]
    answer = app.test_client().post("/" + headers.pop("at", path), data=form, headers=headers, base_url=base)
    assert answer.status_code == 403
    signature = inspected(app)[0]["signature"]
    return signature["cause"], signature["signed_url"]


@pytest.mark.parametrize("url", ["https://other.example.com/webhooks/sms", "http://gateway.example.com/webhooks/sms"])
def test_a_wrong_public_url_is_found(inspected, app, url):
    found = cause_of(inspected, app, url, base=url.removesuffix(SMS))
    assert found == ("public_url", url)


def test_a_proxy_that_is_not_trusted_is_found(inspected, make_app):
    app = make_app(public_url="")
    url = "https://shop.example.com/webhooks/sms"
    told = {"X-Forwarded-Host": "shop.example.com", "X-Forwarded-Proto": "https"}
    assert cause_of(inspected, app, url, **told) == ("proxy_untrusted", url)


def test_a_proxy_that_does_not_say_what_was_called_is_found(inspected, make_app):
    app = make_app(public_url="")
    url = "https://shop.example.com/webhooks/sms"
    assert cause_of(inspected, app, url, base="http://shop.example.com") == ("proxy_silent", url)


def test_a_path_that_was_rewritten_is_found(inspected, app):
    url = HOST + "/webhooks/sms/"
    assert cause_of(inspected, app, url, at="webhooks/sms") == ("path", url)


def test_a_token_of_another_account_is_found(inspected, make_app):
    app = make_app(twilio={"accounts": {"AC" + "b" * 32: ["their-token"]}, "api_base_url": "http://127.0.0.1:9"})
    assert cause_of(inspected, app, HOST + SMS, token="their-token") == ("account", HOST + SMS)


def test_a_form_that_was_dropped_before_it_was_signed_is_found(inspected, app):
    assert cause_of(inspected, app, HOST + SMS, signed={}) == ("body", HOST + SMS)


def test_a_wrong_token_fits_nothing(inspected, app):
    assert cause_of(inspected, app, HOST + SMS, token="an-old-token") == ("unknown", "")


def test_what_is_signed_in_our_addresses_is_not_kept(inspected, app):
    app.test_client().post("/webhooks/voice/turn?turn=1&state=very-secret-state", headers={"X-Twilio-Signature": "x"},
                           data={"CallSid": "CA1"})  # fmt: skip
    (seen,) = inspected()
    assert "secret-state" not in str(seen)
    assert "turn=1" in seen["url"]


def test_a_full_ring_drops_what_comes_and_counts_it(inspected, app):
    client, seen = app.test_client(), app.extensions["inspector"]
    for _ in range(RING + 5):
        assert client.post(SMS, data={"Body": "x"}).status_code == 403
    assert seen.facts() == {"inspections": {"waiting": RING, "dropped": 5}}
    assert len(inspected()) == RING
    assert seen.facts() == {"inspections": {"waiting": 0, "dropped": 5}}


def test_while_mongodb_is_away_what_waits_stays_and_webhooks_go_on(inspected, app, monkeypatch):
    def away():
        raise connection.StoreUnavailable("away")

    app.test_client().post(SMS, data={"Body": "x"})
    monkeypatch.setattr(connection.breaker, "check", away)
    assert app.extensions["inspector"].flush() == 0
    assert app.test_client().post(SMS, data={"Body": "x"}).status_code == 403
    monkeypatch.undo()
    assert len(inspected()) == 2


def test_a_length_that_mongodb_cannot_hold_is_kept_as_the_largest_it_can(inspected, app):
    app.test_client().get("/webhooks/x", environ_overrides={"CONTENT_LENGTH": "9223372036854775808"})
    (seen,) = inspected()
    assert seen["omitted"]["body_bytes"] == 2**63 - 1


def test_what_mongodb_cannot_hold_costs_none_of_those_it_waits_with(inspected, app):
    inspector = app.extensions["inspector"]
    for _ in range(3):
        app.test_client().post(SMS, data={"Body": "x"})
    key, captured = inspector._ring[1]
    inspector._ring[1] = key, dataclasses.replace(captured, body_bytes=2**64)
    inspector.flush_steadily()
    assert len(inspected()) == 2
    assert inspector.facts() == {"inspections": {"waiting": 0, "dropped": 1}}


def test_an_inspector_that_breaks_fails_no_webhook(app, twilio, monkeypatch):
    monkeypatch.setattr(inspecting.Inspector, "offer", lambda *_: 1 / 0)
    assert twilio.sms().status_code == 200


def test_a_flood_is_bounded_by_verdict(inspected, app, monkeypatch):
    monkeypatch.setattr(inspections, "KEPT", 10)
    monkeypatch.setattr(inspections, "SLACK", 5)
    Twilio(app.test_client()).sms()
    for _ in range(3):
        for _ in range(8):
            app.test_client().post(SMS, data={"Body": "x"})
        inspected()
    counts = inspections.verdicts()
    assert counts["genuine"] == 1
    assert counts["no_signature"] <= 15


def test_the_largest_and_strangest_requests_are_kept_in_a_bounded_size(inspected, app):
    client = app.test_client()
    header = {f"X-Strange-{n}": "\xff<b>" * 2000 for n in range(200)} | {"User-Agent": "<script>" * 5000}
    wide = {f"<i>{n}</i>" * 50: "<img src=x onerror=alert(1)>\x00" * 300 for n in range(900)}
    requests = [
        {"headers": header},
        {"headers": header | {"X-Twilio-Signature": "é" * 9000}, "data": wide},
        {"headers": {"X-Twilio-Signature": "x"}, "data": b"\xff\xfe\x00" * 1000,
         "content_type": "application/x-www-form-urlencoded"},
        {"headers": {"X-Twilio-Signature": "x"}, "data": b"{" * 900_000, "content_type": "application/json"},
        {"headers": {"X-Twilio-Signature": "x"}, "data": "Body=" + "a" * 1_200_000,
         "content_type": "application/x-www-form-urlencoded"},
    ]  # fmt: skip
    for one in requests:
        assert client.post("/webhooks/sms?" + "q=" + "z" * 5000, **one).status_code in (400, 403)
    seen = inspected()
    assert len(seen) == len(requests)
    assert all(len(bson.encode({"row": one})) < 64_000 for one in seen)
    assert sum(len(str(captured)) for captured in app.extensions["inspector"]._ring) == 0


def test_what_waits_in_memory_is_bounded_too(app):
    form = fixture("sms/text") | {"Body": "x" * 900_000, "AccountSid": ACCOUNT}
    Twilio(app.test_client(), token="wrong").post(SMS, form)
    assert app.extensions["inspector"]._ring[0][1].form is None
    assert TOKEN not in str(app.extensions["inspector"]._ring[0][1])


def test_every_list_uses_an_index(inspected, app, db):
    for _ in range(30):
        app.test_client().post(SMS, data={"Body": "x"})
    inspected()
    first = inspections.page(limit=20)
    rest = inspections.page(limit=20, cursor=first.next_cursor)
    assert len({row["id"] for row in first.rows + rest.rows}) == 30
    names = {}
    for wanted in ({}, {"verdict": "no_signature"}, {"path": SMS}):
        hint = next(iter(wanted), "newest")
        plan = db.inspections.find(wanted).sort([("at", -1), ("_id", -1)]).hint(hint).explain()
        names[hint] = plan["executionStats"]["totalDocsExamined"], "SORT" in str(plan["queryPlanner"]["winningPlan"])
    assert names == {"newest": (30, False), "verdict": (30, False), "path": (30, False)}
