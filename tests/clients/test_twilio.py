"""Sending and looking up, through the real library against a stand-in."""

import base64
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.clients import lookup
from gateway.clients.retrying import retry_after
from gateway.core.codes import CODES
from gateway.core.sending import LookupFailed, NotSent, OutcomeUnknown, Outgoing, Reaction
from tests.clients.conftest import HASTY
from tests.stand_ins.twilio import ACCOUNT, TOKEN, Fault

THEM, US = "+15551230310", "+15557650001"
SUB = "AC" + "b" * 32
HELLO = Outgoing("re:1", THEM, US, "Hello")


def login(request):
    return base64.b64decode(request.authorization.removeprefix("Basic ")).decode()


def ago(**span):
    return datetime.now(UTC) - timedelta(**span)


# ---------------------------------------------------------------- sending


def test_a_message_is_sent_as_it_is_told(stand_in, client):
    message = Outgoing(
        "re:1", THEM, US, "Grüße 👋", media=("https://x.example/1.png", "https://x.example/2.png"),
        status_callback="https://gateway.example.com/webhooks/status",
    )  # fmt: skip
    sent = client().send(message)
    assert (sent.sid, sent.status, sent.later) == (stand_in.messages[0]["sid"], "queued", ())
    [request] = stand_in.requests
    assert request.path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert login(request) == f"{ACCOUNT}:{TOKEN}"
    assert request.form == {
        "To": [THEM],
        "From": [US],
        "Body": ["Grüße 👋"],
        "MediaUrl": ["https://x.example/1.png", "https://x.example/2.png"],
        "StatusCallback": ["https://gateway.example.com/webhooks/status"],
    }


def test_a_template_is_sent_instead_of_the_text(stand_in, client):
    message = Outgoing("re:1", f"whatsapp:{THEM}", f"whatsapp:{US}", "Hello", content_sid="HX1",
                       content_variables={"1": "Zoë"})  # fmt: skip
    client().send(message)
    form = stand_in.requests[0].form
    assert "Body" not in form
    assert form["ContentSid"] == ["HX1"]
    assert json.loads(form["ContentVariables"][0]) == {"1": "Zoë"}


def test_a_messaging_service_is_named_beside_the_number(stand_in, client):
    client(twilio={"messaging_service_sid": "MG1"}).send(HELLO)
    form = stand_in.requests[0].form
    assert (form["MessagingServiceSid"], form["From"]) == (["MG1"], [US])


def test_whatsapp_goes_out_without_the_settings_messaging_service(stand_in, client):
    client(twilio={"messaging_service_sid": "MG1"}).send(Outgoing("re:1", f"whatsapp:{THEM}", f"whatsapp:{US}", "Hi"))
    assert "MessagingServiceSid" not in stand_in.asked("POST")[0].form


def test_the_main_accounts_messaging_service_is_not_used_for_a_subaccount(stand_in, client):
    stand_in.tokens[SUB] = ["sub-token"]
    sender = client(twilio={"messaging_service_sid": "MG1", "accounts": {SUB: ["sub-token"]}})
    sender.send(Outgoing("re:1", THEM, US, "Hello", account_sid=SUB))
    assert "MessagingServiceSid" not in stand_in.requests[0].form


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_refused_with_its_reaction(stand_in, client, code):
    stand_in.faults.append(Fault(status=400, code=int(code)))
    with pytest.raises(NotSent) as caught:
        client().send(HELLO)
    assert (caught.value.code, caught.value.reaction) == (code, CODES[code].reaction)
    assert str(caught.value) == CODES[code].explanation
    assert stand_in.messages == []


def test_an_unknown_code_is_told_in_twilios_words_without_phone_numbers(stand_in, client):
    stand_in.faults.append(Fault(status=400, code=21999, message=f"No route to {THEM} today"))
    with pytest.raises(NotSent) as caught:
        client().send(HELLO)
    assert caught.value.reaction is Reaction.NEVER
    assert "No route to" in str(caught.value)
    assert "5551230310" not in str(caught.value)


@pytest.mark.parametrize("raw", ["", "<html>Too many</html>", "[]"])
def test_a_429_without_a_code_is_tried_again(stand_in, client, raw):
    stand_in.faults.append(Fault(status=429, raw=raw))
    with pytest.raises(NotSent) as caught:
        client().send(HELLO)
    assert (caught.value.code, caught.value.reaction) == ("429", Reaction.RETRY)


@pytest.mark.parametrize(("header", "expected"), [("", None), ("7", 7), ("86400", 3600), ("soon", None)])
def test_retry_after_is_handed_on(stand_in, client, header, expected):
    stand_in.faults.append(Fault(status=429, code=20429, retry_after=header))
    with pytest.raises(NotSent) as caught:
        client().send(HELLO)
    assert caught.value.retry_after == expected


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOON - timedelta(seconds=90), usegmt=True), 0),
        (format_datetime(NOON + timedelta(days=1), usegmt=True), 3600),
        ("Sun, 01 Mar 2026 12:01:30 -0000", None),
        ("0", 0),
        ("9" * 400, 3600),
        ("-5", None),
        ("nan", None),
    ],
)
def test_retry_after_as_a_date_or_as_nonsense(header, expected):
    assert retry_after(header, NOON) == expected


# ---------------------------------------------------------------- doubt and certainty


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503, code=20503),
        Fault(status=500, accept=True),
        Fault(wait=1),
        Fault(wait=1, status=503),
        Fault(reset=True),
        Fault(reset=True, accept=True),
        Fault(raw="<html>OK</html>", accept=True),
        Fault(raw="", accept=True),
        Fault(raw="{}", accept=True),
        Fault(raw="[]", accept=True),
        Fault(raw="null", status=200, accept=True),
    ],
    ids=str,
)
def test_an_outcome_nobody_can_tell(stand_in, client, fault):
    stand_in.faults.append(fault)
    with pytest.raises(OutcomeUnknown):
        client(twilio=HASTY if fault.wait else {}).send(HELLO)
    assert len(stand_in.asked("POST")) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_what_never_connected_was_certainly_not_sent(client, url):
    with pytest.raises(NotSent) as caught:
        client(twilio={"api_base_url": url}).send(HELLO)
    assert (caught.value.code, caught.value.reaction) == ("connection", Reaction.RETRY)


def test_what_cannot_be_written_was_certainly_not_sent(stand_in, client):
    with pytest.raises(NotSent) as caught:
        client().send(Outgoing("re:1", THEM, US, "half a sign: \ud83d"))
    assert caught.value.reaction is Reaction.NEVER
    assert stand_in.requests == []


def test_only_the_settings_say_where_twilio_is(stand_in, client, monkeypatch):
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    assert client().send(HELLO).sid == stand_in.messages[0]["sid"]


def test_threads_do_not_see_each_others_answers(stand_in, client):
    sender = client()
    stand_in.faults += [Fault(wait=0.4), Fault(status=429, code=20429, retry_after="7")]
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(sender.send, HELLO)
        while len(stand_in.faults) == 2:
            time.sleep(0.01)
        with pytest.raises(NotSent) as caught:
            sender.send(HELLO)
    assert caught.value.retry_after == 7
    assert slow.result().sid


def test_a_redirect_is_not_followed(stand_in, client):
    stand_in.faults.append(Fault(status=307, raw="{}"))
    with pytest.raises(NotSent):
        client().send(HELLO)
    assert len(stand_in.requests) == 1


def test_no_log_line_of_the_library_shows_a_number_or_a_text(stand_in, client, caplog):
    caplog.set_level(logging.INFO)
    client().send(HELLO)
    client().find(HELLO, ago(minutes=1))
    assert "5551230310" not in caplog.text
    assert "Hello" not in caplog.text


# ---------------------------------------------------------------- credentials


def test_the_next_token_is_tried_and_remembered(stand_in, client):
    sender = client(twilio_auth_token=["old-token", TOKEN])
    assert sender.send(HELLO).sid
    assert sender.send(HELLO).sid
    assert [login(request).partition(":")[2] for request in stand_in.requests] == ["old-token", TOKEN, TOKEN]


def test_a_remembered_token_that_ends_gives_way_to_the_other(stand_in, client):
    sender = client(twilio_auth_token=[TOKEN, "next-token"])
    sender.send(HELLO)
    stand_in.tokens[ACCOUNT] = ["next-token"]
    assert sender.send(HELLO).sid


def test_no_valid_token_is_certain_and_tried_again_later(stand_in, client):
    with pytest.raises(NotSent) as caught:
        client(twilio_auth_token=["old", "older"]).send(HELLO)
    assert (caught.value.code, caught.value.reaction) == ("20003", Reaction.RETRY)
    assert "TWILIO_AUTH_TOKEN" in str(caught.value)
    assert len(stand_in.requests) == 2


def test_a_subaccount_uses_its_own_token(stand_in, client):
    stand_in.tokens[SUB] = ["sub-token"]
    sender = client(twilio={"accounts": {SUB: ["sub-token"]}})
    sender.send(Outgoing("re:1", THEM, US, "Hello", account_sid=SUB))
    assert login(stand_in.requests[0]) == f"{SUB}:sub-token"
    assert f"/Accounts/{SUB}/" in stand_in.requests[0].path


def test_an_account_without_tokens_of_its_own_is_served_by_the_main_one(stand_in, client):
    client().send(Outgoing("re:1", THEM, US, "Hello", account_sid=SUB))
    assert login(stand_in.requests[0]) == f"{ACCOUNT}:{TOKEN}"


def test_without_a_main_account_the_messages_own_is_used(stand_in, client):
    client(twilio_account_sid="").send(Outgoing("re:1", THEM, US, "Hello", account_sid=ACCOUNT))
    assert login(stand_in.requests[0]) == f"{ACCOUNT}:{TOKEN}"


@pytest.mark.parametrize(
    ("given", "variable"),
    [({"twilio_account_sid": ""}, "TWILIO_ACCOUNT_SID"), ({"twilio_auth_token": []}, "TWILIO_AUTH_TOKEN")],
)
def test_missing_credentials_are_named(stand_in, client, given, variable):
    with pytest.raises(NotSent, match=variable) as caught:
        client(**given).send(HELLO)
    assert caught.value.reaction is Reaction.NEVER
    with pytest.raises(LookupFailed, match=variable):
        client(**given).find(HELLO, ago(minutes=1))
    assert stand_in.requests == []


# ---------------------------------------------------------------- looking up


def accept(stand_in, body="Hello", **changes):
    return stand_in.accept(ACCOUNT, {"To": THEM, "From": US, "Body": body}, **changes)["sid"]


def found(sender, message=HELLO, since=None, until=None):
    return [one.sid for one in sender.find(message, since or ago(minutes=1), until)]


def test_a_message_whose_answer_was_lost_is_found(stand_in, client):
    sender, before = client(), ago(seconds=0)
    stand_in.faults.append(Fault(reset=True, accept=True))
    with pytest.raises(OutcomeUnknown):
        sender.send(HELLO)
    [one] = sender.find(HELLO, before)
    assert (one.sid, one.status, one.body) == (stand_in.messages[0]["sid"], "queued", "Hello")
    assert abs(one.created_at - before) < timedelta(seconds=10)


def test_a_message_that_did_not_arrive_is_not_found(stand_in, client):
    stand_in.faults.append(Fault(status=500))
    with pytest.raises(OutcomeUnknown):
        client().send(HELLO)
    assert found(client()) == []


def test_a_failed_message_is_found_with_its_code(stand_in, client):
    accept(stand_in, status="failed", error_code=30007)
    [one] = client().find(HELLO, ago(minutes=1))
    assert (one.status, one.error_code) == ("failed", "30007")


@pytest.mark.parametrize("direction", ["inbound", "outbound-reply", "outbound-call"])
def test_only_messages_of_the_api_are_found(stand_in, client, direction):
    accept(stand_in, direction=direction)
    assert found(client()) == []


@pytest.mark.parametrize(("body", "is_found"), [("Hello", True), ("  Hello\n", True), ("Hello!", False), ("", False),
                                                ("Sent from your Twilio trial account - Hello", True)])  # fmt: skip
def test_only_the_same_text_is_found(stand_in, client, body, is_found):
    sid = accept(stand_in, body)
    assert found(client()) == ([sid] if is_found else [])


def test_a_service_may_have_replaced_punctuation(stand_in, client):
    message = Outgoing("re:1", THEM, US, "“It’s ready…” — today", service_sid="MG1")
    sid = accept(stand_in, '"It\'s ready..." - today')
    accept(stand_in, '"It\'s ready..." - tomorrow')
    assert found(client(), message) == [sid]
    exact = accept(stand_in, message.text)
    assert found(client(), message) == [exact]


def test_a_service_may_not_have_chosen_the_sender_yet(stand_in, client):
    undecided = accept(stand_in, **{"from": None})
    accept(stand_in, **{"from": "+15550009999"})
    assert found(client(twilio={"messaging_service_sid": "MG1"})) == [undecided]


def test_a_template_is_found_whatever_its_text_became(stand_in, client):
    sid = accept(stand_in, "Your order 12 is ready")
    assert found(client(), Outgoing("re:1", THEM, US, content_sid="HX1")) == [sid]


def test_other_numbers_are_not_found(stand_in, client):
    accept(stand_in, to="+15550009999")
    accept(stand_in, **{"from": "+15550009999"})
    assert found(client()) == []


@pytest.mark.parametrize(("second", "is_found"), [(-10, False), (-3, True), (3, True), (63, True), (70, False)])
def test_only_what_was_created_in_time_is_found(stand_in, client, second, is_found):
    since = ago(minutes=5).replace(microsecond=0)
    sid = accept(stand_in, date_created=format_datetime(since + timedelta(seconds=second)))
    assert found(client(), since=since, until=since + timedelta(minutes=1)) == ([sid] if is_found else [])


def test_moments_in_another_zone_are_the_same_moments(stand_in, client):
    sid = accept(stand_in)
    assert found(client(), since=ago(minutes=1).astimezone(ZoneInfo("America/New_York"))) == [sid]


def test_a_look_up_is_one_bounded_request_without_a_date_filter(stand_in, client):
    for _ in range(3):
        accept(stand_in)
    client().find(HELLO, ago(minutes=1))
    [request] = stand_in.requests
    assert "PageSize=200" in request.path
    assert "DateSent" not in request.path


def test_a_message_beyond_the_bound_is_not_taken_for_absent(stand_in, client, monkeypatch):
    monkeypatch.setattr(lookup, "LOOKUP_SIZE", 3)
    accept(stand_in)
    for _ in range(3):
        accept(stand_in, "something else")
    with pytest.raises(LookupFailed):
        client().find(HELLO, ago(minutes=1))


def test_an_old_conversation_beyond_the_bound_is_no_obstacle(stand_in, client, monkeypatch):
    monkeypatch.setattr(lookup, "LOOKUP_SIZE", 3)
    for _ in range(5):
        accept(stand_in, date_created=format_datetime(ago(days=1)))
    assert found(client()) == []


def test_a_stale_list_shows_the_message_later(stand_in, client):
    stand_in.list_delay = 0.3
    sid = accept(stand_in)
    assert found(client()) == []
    time.sleep(0.35)
    assert found(client()) == [sid]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(on="list", status=500),
        Fault(on="list", status=429, code=20429),
        Fault(on="list", status=404, code=20404),
        Fault(on="list", wait=1),
        Fault(on="list", reset=True),
        Fault(on="list", status=200, raw="<html>"),
        Fault(on="list", status=200, raw="{}"),
        Fault(on="list", status=200, raw='{"messages": [{"sid": "SM1", "direction": "outbound-api"}]}'),
    ],
    ids=str,
)
def test_a_look_up_that_fails_says_so(stand_in, client, fault):
    stand_in.faults.append(fault)
    with pytest.raises(LookupFailed):
        client(twilio=HASTY if fault.wait else {}).find(HELLO, ago(minutes=1))


def test_a_look_up_tries_the_next_token(stand_in, client):
    sid = accept(stand_in)
    assert found(client(twilio_auth_token=["old", TOKEN])) == [sid]


def test_a_look_up_without_a_connection_fails(client):
    with pytest.raises(LookupFailed):
        client(twilio={"api_base_url": "http://127.0.0.1:1"}).find(HELLO, ago(minutes=1))
