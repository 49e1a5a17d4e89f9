"""What people are called: by the first name that comes with a message, looked for when a session is opened."""

from tests.conftest import Twilio

NUMBER = "+15558675310"


def name(db):
    (only,) = db.contacts.find()
    return only["name"]


def test_a_contact_that_began_without_a_name_takes_the_first_that_comes(quiet_app, live_db):
    twilio = Twilio(quiet_app.test_client())
    twilio.sms(From=NUMBER)
    assert name(live_db) is None
    twilio.whatsapp(From=f"whatsapp:{NUMBER}", ProfileName="Ada")
    assert name(live_db) == "Ada"
    twilio.call(From=NUMBER, CallerName="COUNTESS OF L")
    assert name(live_db) == "Ada"


def test_a_name_within_a_session_is_taken_with_the_next_one(quiet_app, clock, live_db):
    """A text in an open session asks nothing about who its sender is."""
    twilio = Twilio(quiet_app.test_client())
    twilio.whatsapp(From=f"whatsapp:{NUMBER}", ProfileName="")
    twilio.whatsapp(From=f"whatsapp:{NUMBER}", ProfileName="Ada")
    assert name(live_db) is None
    clock.move_to(minutes=10)
    twilio.whatsapp(From=f"whatsapp:{NUMBER}", ProfileName="Ada")
    assert name(live_db) == "Ada"
