"""What operators do about a session: what it changes, what it must not change, and what the audit tells of it."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from gateway.conversation import actions, operators, send, upkeep
from gateway.conversation import outlook as outlooks
from gateway.conversation.operators import CannotDo
from gateway.conversation.outlook import outlook
from gateway.conversation.send import Draft
from gateway.conversation.ways import CannotSend
from gateway.store import asked, audit, backfilling, contacts, finding, groups, listing, people, retention
from tests.conftest import TEN, Twilio
from tests.conversation.conftest import Person
from tests.conversation.worker import Worker


@pytest.fixture
def scene(make_app, clock, live_db):
    """A gateway that answers nothing, somebody who texts, and a way to look at what is stored."""

    def make(channel="sms", **given):
        app = make_app(**({"reply": {"responder": "none"}} | given))
        twilio = Twilio(app.test_client())
        return SimpleNamespace(
            app=app, db=live_db, clock=clock, twilio=twilio, runtime=app.extensions["gateway"],
            person=Person(twilio, clock, channel), newest=lambda: _newest(live_db), worker=Worker(app, clock),
        )  # fmt: skip

    return make


def _newest(db):
    return str(db.sessions.find_one({}, sort=[("_id", -1)])["_id"])


def session(scene, session_id=None):
    return next(one for one in scene.db.sessions.find() if session_id in (None, str(one["_id"])))


def deeds(session_id):
    return [entry["action"] for entry in audit.of_session(session_id)]


# ---------------------------------------------------------------- private notes


@pytest.fixture
def noted(scene):
    """A session with a note written ten minutes after its only message."""
    scene = scene()
    scene.person.say(body="Hi")
    scene.clock.move_to(minutes=10)
    scene.id = scene.newest()
    assert operators.add_note(scene.runtime, scene.id, "Careful: <b>angry</b>", "ada", message_id="note:1")
    return scene


def test_a_note_is_counted_and_is_no_activity(noted):
    stored = session(noted)
    assert (stored["message_count"], stored["last_message_at"]) == (2, TEN)
    note = noted.db.messages.find_one({"_id": "note:1"})
    assert (note["sender"], note["direction"]) == ("agent", "outbound")
    assert note["metadata"] == {"private": True, "author": "ada"}
    assert "status" not in note
    assert note["channel_id"] == stored["channel_id"]


def test_a_note_is_stored_once_however_often_its_form_is_sent(noted):
    assert not operators.add_note(noted.runtime, noted.id, "Careful", "ada", message_id="note:1")
    assert session(noted)["message_count"] == 2
    assert deeds(noted.id) == ["note_added"]


def test_a_note_keeps_no_session_alive(noted):
    noted.person.say(minutes=11, body="after the gap")
    assert noted.db.sessions.count_documents({}) == 2


def test_a_note_is_never_sent(noted):
    assert noted.db.outbox.count_documents({}) == 0
    noted.clock.tick(3600)
    upkeep.settle(noted.runtime)
    assert noted.worker.run() == 0
    with pytest.raises(CannotSend):
        send.reply(noted.runtime, noted.id, Draft(""), message_id="note:2")


def test_settling_after_a_crash_counts_a_note_and_leaves_the_times(noted):
    noted.db.sessions.update_one({}, {"$set": {"message_count": 1}})
    noted.clock.tick(60)
    upkeep.settle(noted.runtime)
    stored = session(noted)
    assert (stored["message_count"], stored["last_message_at"], stored["first_message_at"]) == (2, TEN, TEN)


def test_responders_never_get_a_note(noted):
    history = asked.history(noted.id, noted.clock.now(), limit=20, without=[])
    assert [said.content for said in history] == ["Hi"]


def test_a_note_is_no_entry_of_twilios_log(noted):
    stored = session(noted)
    found = backfilling.candidates(
        stored["keys"], communication_type="sms", channel_id=stored["channel_id"], inbound=False, sid="SM1",
        since=TEN, until=TEN + timedelta(hours=1),
    )  # fmt: skip
    assert found == []


def test_a_note_keeps_nothing_from_being_deleted_in_time(noted):
    ids = [session(noted)["_id"]]
    noted.clock.move_to(minutes=20)
    assert retention.may_go(ids, TEN + timedelta(minutes=5), noted.clock.now()) == ids


def test_an_empty_note_is_refused(noted):
    with pytest.raises(CannotDo, match="empty"):
        operators.add_note(noted.runtime, noted.id, " \n", "ada", message_id="note:2")


# ---------------------------------------------------------------- the bot


def test_whoever_takes_over_keeps_the_bot_silent_until_they_hand_back(scene):
    scene = scene(reply={"responder": "echo"})
    scene.person.say(body="one")
    taken = scene.newest()
    assert operators.take_over(scene.runtime, taken, "ada")
    assert not operators.take_over(scene.runtime, taken, "ada")
    scene.person.say(minutes=1, body="two")
    scene.person.say(minutes=30, body="three")
    assert scene.db.messages.count_documents({"sender": "ai"}) == 1
    assert scene.newest() != taken
    assert operators.hand_back(scene.runtime, taken, "ada")
    scene.person.say(minutes=31, body="four")
    assert scene.db.messages.count_documents({"sender": "ai"}) == 2
    assert deeds(taken) == ["bot_handed_back", "bot_taken_over"]


# ---------------------------------------------------------------- close, reopen, archive


def test_what_comes_after_closing_begins_a_new_session(scene):
    scene = scene()
    scene.person.say()
    closed = scene.newest()
    scene.db.sessions.update_one({}, {"$set": {"needs_person": {"reason": "angry"}}})
    assert operators.close(scene.runtime, closed, "ada")
    assert not operators.close(scene.runtime, closed, "ada")
    stored = session(scene)
    assert (stored["status"], stored["closed_reason"]) == ("closed", "operator")
    assert "needs_person" not in stored
    scene.person.say(seconds=30)
    assert scene.newest() != closed
    assert deeds(closed) == ["session_closed"]


def test_t10_reopening_is_refused_while_another_is_open_and_names_it(scene):
    scene = scene()
    scene.person.say()
    old = scene.newest()
    operators.close(scene.runtime, old, "ada")
    scene.person.say(minutes=1)
    with pytest.raises(CannotDo) as refused:
        operators.reopen(scene.runtime, old, "ada")
    assert refused.value.session_id == scene.newest()
    operators.close(scene.runtime, scene.newest(), "ada")
    operators.reopen(scene.runtime, old, "ada")
    assert session(scene, old)["status"] == "active"
    assert scene.db.sessions.count_documents({"open_keys": {"$exists": True}}) == 1
    assert deeds(old) == ["session_reopened", "session_closed"]


def test_a_reopened_session_takes_replies_and_what_follows_them(scene):
    scene = scene()
    scene.person.say()
    old = scene.newest()
    operators.close(scene.runtime, old, "ada")
    scene.clock.move_to(minutes=20)
    operators.reopen(scene.runtime, old, "ada")
    assert send.reply(scene.runtime, old, Draft("Back again"), message_id="ag:1").session_id == old
    scene.person.say(minutes=21)
    assert scene.db.sessions.count_documents({}) == 1


def test_a_reply_goes_into_an_older_session_that_was_reopened(scene):
    scene = scene()
    scene.person.say()
    old = scene.newest()
    operators.close(scene.runtime, old, "ada")
    scene.person.say(minutes=1)
    operators.close(scene.runtime, scene.newest(), "ada")
    operators.reopen(scene.runtime, old, "ada")
    assert send.reply(scene.runtime, old, Draft("Still here"), message_id="ag:1").session_id == old


def test_a_reopened_session_stays_open_for_an_hour(scene):
    scene = scene()
    scene.person.say()
    operators.close(scene.runtime, scene.newest(), "ada")
    scene.clock.move_to(minutes=30)
    operators.reopen(scene.runtime, scene.newest(), "ada")
    assert upkeep.sweep(scene.runtime) == 0
    scene.clock.move_to(minutes=91)
    assert upkeep.sweep(scene.runtime) == 1


def test_a_reopened_session_knows_of_a_stop_and_of_who_took_over_since(scene):
    scene = scene()
    scene.person.say()
    old = scene.newest()
    operators.close(scene.runtime, old, "ada")
    scene.person.say(minutes=1, body="STOP")
    operators.take_over(scene.runtime, scene.newest(), "ada")
    operators.close(scene.runtime, scene.newest(), "ada")
    operators.reopen(scene.runtime, old, "ada")
    stored = session(scene, old)
    assert stored["opted_out"] == ["+15017122661"]
    assert stored["bot_off"] is True


def test_nothing_arrives_in_an_archived_session(scene):
    scene = scene()
    scene.person.say()
    old = scene.newest()
    assert operators.archive(scene.runtime, old, "ada")
    assert not operators.archive(scene.runtime, old, "ada")
    scene.person.say(seconds=10)
    assert scene.newest() != old
    stored = session(scene, old)
    assert (stored["status"], stored["message_count"]) == ("archived", 1)
    assert operators.unarchive(scene.runtime, old, "ada")
    assert session(scene, old)["status"] == "closed"
    assert deeds(old) == ["session_unarchived", "session_archived"]


def test_an_idle_session_that_is_archived_is_closed_for_good(scene):
    scene = scene()
    scene.person.say()
    scene.clock.move_to(minutes=10)
    upkeep.sweep(scene.runtime)
    operators.archive(scene.runtime, scene.newest(), "ada")
    assert session(scene)["closed_reason"] == "operator"


# ---------------------------------------------------------------- title, tags, names


def test_a_title_and_tags_are_tidied_and_their_words_stay_out_of_the_audit(scene):
    scene = scene()
    scene.person.say()
    which = scene.newest()
    operators.retitle(scene.runtime, which, "  A \n leak  " + "x" * 300, "ada")
    for word in (" urgent ", "urgent", "y" * 80):
        operators.tag(scene.runtime, which, word, "ada")
    stored = session(scene)
    assert stored["title"].startswith("A leak xxx") and len(stored["title"]) == 200
    assert stored["tags"] == ["urgent", "y" * 50]
    assert operators.untag(scene.runtime, which, "urgent", "ada")
    assert not operators.untag(scene.runtime, which, "urgent", "ada")
    assert session(scene)["tags"] == ["y" * 50]
    assert all(entry["details"] == {} for entry in audit.of_session(which))
    for refused in (operators.retitle, operators.tag):
        with pytest.raises(CannotDo):
            refused(scene.runtime, which, "  ", "ada")


def test_a_contact_gets_another_name_and_may_have_none(scene):
    scene = scene()
    scene.person.say()
    contact_id = str(session(scene)["contact_id"])
    operators.rename_contact(scene.runtime, scene.newest(), contact_id, " Ada  Lovelace ", "ada")
    assert asked.person_of(contact_id) == (contact_id, "Ada Lovelace")
    operators.rename_contact(scene.runtime, scene.newest(), contact_id, "", "ada")
    assert asked.person_of(contact_id) == (contact_id, "")
    assert deeds(scene.newest()) == ["contact_renamed"] * 2


# ---------------------------------------------------------------- writing


def test_a_new_session_begins_with_a_message_of_ours(scene):
    scene = scene()
    scene.person.say()
    old = scene.newest()
    queued = operators.begin(scene.runtime, old, Draft("Hello again", author="ada"), message_id="ag:1")
    again = operators.begin(scene.runtime, old, Draft("Hello again", author="ada"), message_id="ag:1")
    assert queued.session_id == again.session_id != old
    before, new = session(scene, old), session(scene, queued.session_id)
    assert (before["status"], before["closed_reason"]) == ("closed", "requested")
    assert (new["status"], new["message_count"], new["previous_session_id"]) == ("active", 1, before["_id"])
    scene.person.say(seconds=20)
    assert session(scene, queued.session_id)["message_count"] == 2
    assert deeds(queued.session_id) == ["session_begun"]


def test_a_reply_is_in_the_audit_without_its_words(scene):
    scene = scene()
    scene.person.say()
    operators.reply(scene.runtime, scene.newest(), Draft("secret", author="ada"), message_id="ag:1")
    (entry,) = audit.of_session(scene.newest())
    assert (entry["by"], entry["action"], entry["details"]) == ("ada", "message_sent", {"message_id": "ag:1"})


def test_what_would_become_of_a_text_is_told_beforehand(scene):
    scene = scene()
    scene.person.say()
    now = outlook(scene.runtime, scene.newest())
    assert (now.refusal, now.communication_type, now.to, now.line) == ("", "sms", "+15558675310", "+15017122661")
    scene.person.say(minutes=1, body="STOP")
    assert outlook(scene.runtime, scene.newest()).refusal == send.OPTED_OUT


@pytest.mark.parametrize("out", [False, True])
@pytest.mark.parametrize("kind", ["sms", "whatsapp", "voice"])
def test_of_a_session_and_a_person_that_were_read_the_same_is_told(scene, kind, out):
    scene = scene(kind)
    scene.person.say()
    session_id = scene.newest()
    Person(scene.twilio, scene.clock, "sms", "+15550001111").say(minutes=1)  # the line takes texts
    read = listing.one(session_id, None)
    if out:
        other = str(scene.db.contacts.insert_one({"name": "The same"}).inserted_id)
        groups.link(other, read["contact_id"])
        contacts.record_opt_out([other], ["+15017122661"], out=True, message_id=None, at=TEN)
    told = outlooks.of(scene.runtime, finding.numbered(read), people.get(read["contact_id"]))
    assert told == outlook(scene.runtime, session_id)
    assert told.refusal == (send.OPTED_OUT if out else "")


def test_whatsapps_window_is_told_and_then_only_templates_go(scene):
    scene = scene("whatsapp")
    scene.person.say()
    assert outlook(scene.runtime, scene.newest()).free_until == TEN + timedelta(hours=24)
    scene.clock.move_to(minutes=24 * 60 + 1)
    now = outlook(scene.runtime, scene.newest())
    assert (now.templates_only, now.usual_template, now.free_until) == (True, "", None)
    with pytest.raises(CannotSend, match="template"):
        operators.reply(scene.runtime, scene.newest(), Draft("Hello"), message_id="ag:1")
    with pytest.raises(CannotSend, match="HX"):
        operators.reply(scene.runtime, scene.newest(), Draft("", content_sid="nonsense"), message_id="ag:1")
    draft = Draft("", content_sid="HX" + "1" * 32, content_variables={"1": "Ada"})
    assert operators.reply(scene.runtime, scene.newest(), draft, message_id="ag:1").fresh


def test_with_a_template_set_up_a_text_may_be_written_at_any_time(scene):
    scene = scene("whatsapp", twilio={"content_sid": "HX1", "api_base_url": "http://127.0.0.1:9"})
    scene.person.say()
    scene.clock.move_to(minutes=24 * 60 + 1)
    now = outlook(scene.runtime, scene.newest())
    assert (now.templates_only, now.usual_template) == (True, "HX1")
    assert operators.reply(scene.runtime, scene.newest(), Draft("Hello"), message_id="ag:1").fresh


def test_a_caller_is_texted_where_the_number_they_called_takes_texts(scene):
    scene = scene("voice")
    scene.person.say()
    call = scene.newest()
    assert "may not take texts" in outlook(scene.runtime, call).refusal
    Person(scene.twilio, scene.clock, "sms", "+15550001111").say(minutes=1)
    assert outlook(scene.runtime, call).communication_type == "sms"
    queued = operators.reply(scene.runtime, call, Draft("You called?"), message_id="ag:1")
    assert session(scene, queued.session_id)["communication_type"] == "sms"
    assert session(scene, queued.session_id)["metadata"]["fromNumber"] == "+15558675310"


def test_whoever_begins_a_session_or_writes_from_an_older_one_has_come(scene):
    scene = scene()
    scene.person.say()
    old = scene.newest()
    scene.clock.tick(5)
    actions.ask_for_person(scene.runtime, old, "too_late")
    new = operators.begin(scene.runtime, old, Draft("Hello again", author="ada"), message_id="ag:1").session_id
    assert "needs_person" not in session(scene, old)
    actions.ask_for_person(scene.runtime, new, "too_late")
    assert operators.reply(scene.runtime, old, Draft("Yes?", author="ada"), message_id="ag:2").session_id == new
    assert "needs_person" not in session(scene, new)
