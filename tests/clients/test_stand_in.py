"""The stand-in itself, where the gateway's own tests would not notice that it is wrong."""

import os
import subprocess
import sys
import time

import pytest
import requests

from gateway.channels.base import Form
from gateway.channels.signature import Keyring, verify
from tests.stand_ins.twilio import ACCOUNT, TOKEN, TwilioStandIn

MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
LOGIN = (ACCOUNT, TOKEN)


def post(url, **form):
    form = {"To": "+15551230310", "From": "+15557650001", "Body": "Hello"} | form
    return requests.post(url + MESSAGES, data=form, auth=LOGIN, timeout=5)


def test_a_list_is_paged_newest_first(stand_in):
    sids = [post(stand_in.url).json()["sid"] for _ in range(5)]
    page = requests.get(f"{stand_in.url}{MESSAGES}?PageSize=2", auth=LOGIN, timeout=5).json()
    seen = page["messages"]
    while page["next_page_uri"]:
        page = requests.get(stand_in.url + page["next_page_uri"], auth=LOGIN, timeout=5).json()
        seen += page["messages"]
    assert [message["sid"] for message in seen] == sids[::-1]


def test_a_queued_message_passes_no_filter_by_date(stand_in):
    sid = post(stand_in.url).json()["sid"]
    found = requests.get(f"{stand_in.url}{MESSAGES}?DateSent>=2020-01-01", auth=LOGIN, timeout=5).json()
    assert found["messages"] == []
    one = requests.get(f"{stand_in.url}{MESSAGES.removesuffix('.json')}/{sid}.json", auth=LOGIN, timeout=5).json()
    assert (one["status"], one["date_sent"]) == ("queued", None)


def test_nobody_gets_in_without_the_token(stand_in):
    assert requests.get(stand_in.url + MESSAGES, timeout=5).status_code == 401
    assert requests.get(stand_in.url + MESSAGES, auth=(ACCOUNT, "guess"), timeout=5).json()["code"] == 20003


def test_statuses_are_called_back_in_order_and_signed(stand_in):
    with TwilioStandIn() as receiver:
        url = f"{receiver.url}/webhooks/status"
        stand_in.statuses = ["sent", "delivered"]
        sid = post(stand_in.url, StatusCallback=url).json()["sid"]
        until = time.monotonic() + 5
        while len(receiver.requests) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    forms = [{name: values[0] for name, values in request.form.items()} for request in receiver.requests]
    assert [(form["MessageSid"], form["MessageStatus"]) for form in forms] == [(sid, "sent"), (sid, "delivered")]
    signature = receiver.requests[0].signature
    assert verify(Keyring([TOKEN]), urls=[url], form=Form(forms[0]), signature=signature).genuine


@pytest.mark.timeout(180)
def test_it_runs_as_a_process_and_is_told_its_faults():
    with TwilioStandIn() as free:
        port = free.port
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stand_ins.twilio", "--port", str(port)], env=os.environ | {"PYTHONPATH": "."}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                requests.post(f"{url}/_control", json={"faults": [{"status": 500, "accept": True}]}, timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        assert post(url).status_code == 500
        assert post(url).status_code == 201
        told = requests.get(f"{url}/_control", timeout=5).json()
        assert [len(told[name]) for name in ("messages", "requests")] == [2, 2]
    finally:
        process.terminate()
        process.wait(10)
