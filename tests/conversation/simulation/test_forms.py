"""What is simulated says what Twilio's own webhooks say: parameter for parameter as captured."""

import pytest

from gateway import settings
from gateway.conversation.simulation.forms import Place, Said, status_form, text_form, whatsapp_form
from gateway.core.messages import Media
from tests.conftest import ACCOUNT, TOKEN, fixture

ADA, SID = "+15558675310", "SM" + "1" * 32
# Where a number is registered is nothing that a made-up one has.
GEOGRAPHY = tuple(f"{end}{part}" for end in ("From", "To") for part in ("City", "State", "Zip", "Country"))
WRITTEN = {
    "text": Said("Hola, ¿tienen mesa para dos? 🙂"),
    "button": Said(button=("Confirm", "confirm_appt_42"), answers="MM" + "1f" * 16),
    "list": Said(choice=("Haircut", "svc_haircut"), answers="MM" + "1f" * 16),
    "location": Said(place=Place("34.746481", "-92.289595", "1 Example Plaza, Little Rock, AR", "Example Plaza")),
    "reply": Said("Nice, that works", answers="SM" + "22" * 16),
    "media": Said(media=[Media("", "audio/ogg")]),
    "contact": Said(media=[Media("", "text/vcard")]),
    "bsuid": Said("Hi, no phone number shared"),
}


@pytest.fixture
def configured():
    return settings.load(env="test", twilio_account_sid=ACCOUNT, twilio_auth_token=[TOKEN])


@pytest.mark.parametrize("condition", WRITTEN)
def test_a_whatsapp_message_is_as_captured(configured, condition):
    captured = fixture(f"whatsapp/{condition}")
    said, sid, to = WRITTEN[condition], captured["MessageSid"], captured["To"]
    said = Said(said.body, [Media(captured.get("MediaUrl0", ""), one.content_type) for one in said.media],
                said.button, said.choice, said.place, said.answers)  # fmt: skip
    form = whatsapp_form(configured, captured["From"], to, said, name="Ada Example", sid=sid)
    assert form == captured


def test_a_text_with_files_is_as_captured(configured):
    captured = fixture("sms/mms_2media")
    media = [Media(captured[f"MediaUrl{number}"], captured[f"MediaContentType{number}"]) for number in (0, 1)]
    form = text_form(configured, ADA, captured["To"], Said("Here are the photos", media), sid=captured["MessageSid"])
    left_out = {*GEOGRAPHY, "MessagingServiceSid"}
    assert form == {name: value for name, value in captured.items() if name not in left_out}


@pytest.mark.parametrize("status", ["queued", "sent", "delivered", "undelivered", "failed", "read"])
def test_a_status_is_as_captured(configured, status):
    captured = fixture(f"status/{status}")
    code = captured.get("ErrorCode", "30003")
    ends = {"sender": captured["From"], "to": captured["To"]}
    form = status_form(configured, captured["MessageSid"], status, error_code=code, **ends)
    changing = {"RawDlrDoneDate", "ChannelInstallSid"}
    assert form.keys() == captured.keys()
    assert {name: form[name] for name in form.keys() - changing} == {
        name: captured[name] for name in captured.keys() - changing
    }
