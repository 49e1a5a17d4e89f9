"""Which session a message goes to, for SMS, WhatsApp and Voice alike, over the real webhooks and a real MongoDB."""

from datetime import timedelta

import mongoengine
import pytest
from structlog.testing import capture_logs

from gateway.conversation import channels, upkeep
from gateway.conversation.channels import Changes
from gateway.conversation.runtime import build
from tests.conftest import TEN, Twilio
from tests.conversation.conftest import Person


def sessions():
    return list(mongoengine.get_db().sessions.find().sort("first_message_at", 1))


def decisions():
    found = mongoengine.get_db().messages.find({"direction": "inbound"}).sort([("createdAt", 1), ("_id", 1)])
    return [message["decision"] for message in found]


def test_messages_within_the_threshold_share_a_session_and_the_log_says_why(people):
    ada = people()
    with capture_logs() as logged:
        ada.say(minutes=0)
        ada.say(minutes=2)
        ada.say(minutes=4, seconds=30)
    assert [s["message_count"] for s in sessions()] == [3]
    assert [d["gap_seconds"] for d in decisions()] == [None, 120, 150]
    reused = [line for line in logged if line["event"] == "session_reused"]
    only = sessions()[0]["_id"]
    assert reused[0]["message"] == f"Reusing existing session {only} (last message 120s ago)"
    assert reused[0]["gap_seconds"] == 120
    assert reused[0]["threshold_seconds"] == 300


def test_a_message_past_the_threshold_rolls_over_to_a_linked_session(people):
    ada = people()
    with capture_logs() as logged:
        ada.say(minutes=0)
        ada.say(minutes=10)
    first, second = sessions()
    assert (first["status"], first["closed_reason"]) == ("closed", "idle")
    assert (second["status"], second["previous_session_id"]) == ("active", first["_id"])
    assert "open_keys" not in first
    rolled = next(line for line in logged if line["event"] == "session_rolled_over")
    created = [line for line in logged if line["event"] == "session_created"]
    assert rolled["message"] == "Time gap of 600s detected. Creating new session."
    assert logged.index(rolled) < logged.index(created[1])
    assert rolled["previous_session_id"] == str(first["_id"])
    assert decisions()[1] | {"rule": ""} == {
        "kind": "rolled_over",
        "rule": "",
        "gap_seconds": 600,
        "threshold_seconds": 300,
        "previous_session_id": first["_id"],
        "scope": "channel",
        "anchor": "any",
    }


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (0.5, "arrived late, sent before this session's last message"),
        (-4, "arrived late, sent 4 min 0 s before this session's first message, threshold 5 min"),
    ],
)
def test_the_log_says_of_a_message_that_joins_a_session_late_that_it_is(people, minutes, words):
    ada = people()
    ada.say(minutes=0)
    ada.say(minutes=1)
    with capture_logs() as logged:
        ada.say(minutes=minutes)
    (reused,) = [line for line in logged if line["event"] == "session_reused"]
    assert reused["message"] == f"Reusing existing session {sessions()[0]['_id']} ({words})"


def rolled_over(logged):
    return [line["message"] for line in logged if line["event"] == "session_rolled_over"]


def test_the_log_speaks_of_no_gap_where_every_message_has_its_own_session(make_app, clock, channel):
    ada = Person(Twilio(make_app(sessions={"idle_seconds": 0}).test_client()), clock, channel)
    with capture_logs() as logged:
        ada.say()
        ada.say(seconds=10)
    assert rolled_over(logged) == ["Creating new session: threshold 0, every message has its own session."]


def test_the_log_speaks_of_no_gap_where_the_sender_asked_for_a_new_session(make_app, clock):
    given = {"new_words": ["new topic"]}
    twilio = Twilio(make_app(sessions=given).test_client())
    with capture_logs() as logged:
        twilio.sms("Hello")
        clock.move_to(seconds=10)
        twilio.sms("New topic")
    assert rolled_over(logged) == ["Creating new session: the sender asked for a new session."]


def test_the_log_names_channel_and_redacted_number_of_a_new_session(people, channel):
    with capture_logs() as logged:
        people().say()
    name = {"sms": "SMS", "whatsapp": "WhatsApp", "voice": "Voice"}[channel]
    created = next(line for line in logged if line["event"] == "session_created")
    assert created["message"] == f"Created new {name} session: {sessions()[0]['_id']} for +1555...5310"


def test_two_senders_in_turns_have_a_session_each(people):
    ada, bob = people(), people(number="+15558675311")
    for minute, person in enumerate([ada, bob, ada, bob]):
        person.say(minutes=minute)
    assert [s["message_count"] for s in sessions()] == [2, 2]


@pytest.mark.parametrize(("seconds", "count"), [(300, 1), (300.001, 2)])
def test_i1_exactly_the_threshold_reuses_one_millisecond_more_does_not(people, seconds, count):
    ada = people()
    ada.say()
    ada.say(seconds=seconds)
    assert len(sessions()) == count


def test_one_number_texting_two_of_ours_has_two_sessions(people):
    people().say()
    people(ours="+15017122662").say(seconds=1)
    assert [s["message_count"] for s in sessions()] == [1, 1]


def test_one_person_by_sms_and_whatsapp_has_two_sessions_with_scope_channel(quiet_app, clock):
    twilio = Twilio(quiet_app.test_client())
    for kind in ("sms", "whatsapp"):
        Person(twilio, clock, kind).say()
    assert len(sessions()) == 2


def test_one_person_on_all_channels_has_one_session_with_scope_contact(make_app, clock):
    twilio = Twilio(make_app(reply={"responder": "none"}, sessions={"scope": "contact"}).test_client())
    for minute, kind in enumerate(("sms", "whatsapp", "voice")):
        Person(twilio, clock, kind, ours=f"+1501712266{minute}").say(minutes=minute)
    (only,) = sessions()
    assert (only["message_count"], only["communication_type"]) == (3, "sms")


def test_each_channel_rolls_over_at_its_own_threshold(quiet_app, clock, channel):
    twilio = Twilio(quiet_app.test_client())
    for number, (name, seconds) in enumerate([("support", 600), ("sales", 3600), ("notifications", 60), ("bot", 900)]):
        ours = f"+1501712266{number}"
        mongoengine.get_db().channels.insert_one(
            {"_id": name, "phone_number": ours, "communication_type": channel, "idle_seconds": seconds}
        )
        ada = Person(twilio, clock, channel, ours=ours)
        ada.say()
        ada.say(seconds=seconds)
        assert mongoengine.get_db().sessions.count_documents({"channel_id": name}) == 1
        ada.say(seconds=2 * seconds + 0.001)
        assert mongoengine.get_db().sessions.count_documents({"channel_id": name}) == 2


def test_the_threshold_of_a_type_wins_over_the_default(make_app, clock, channel):
    given = {"idle_seconds": 300, "idle_seconds_by_type": {channel: 900}}
    ada = Person(Twilio(make_app(sessions=given).test_client()), clock, channel)
    ada.say()
    ada.say(minutes=15)
    assert len(sessions()) == 1


def test_i7_a_text_in_the_tenth_minute_of_a_call_joins_the_calls_session(make_app, clock):
    twilio = Twilio(make_app(reply={"responder": "none"}, sessions={"scope": "contact"}).test_client())
    line = {"CallSid": "CA" + "7" * 32, "From": "+15558675310", "To": "+15017122661"}
    twilio.call(**line)
    Person(twilio, clock, "sms").say(minutes=10)
    clock.move_to(minutes=20)
    ended = {"CallStatus": "completed", "CallDuration": "1200", "SequenceNumber": "0"}
    twilio.post("/webhooks/voice/status", line | ended)
    Person(twilio, clock, "sms").say(minutes=25)
    (only,) = sessions()
    assert (only["message_count"], only["live"]) == (3, [])
    Person(twilio, clock, "sms").say(minutes=31)
    assert len(sessions()) == 2


class TestI6LateArrivals:
    """T4 over the store: counts and times of every session are right afterwards."""

    @pytest.fixture
    def two_sessions(self, people):
        ada = people()
        ada.say(minutes=0)
        ada.say(minutes=1)
        ada.say(minutes=30)
        ada.say(minutes=31)
        return ada

    def spans(self):
        return [
            (
                (s["first_message_at"] - TEN) / timedelta(minutes=1),
                (s["last_message_at"] - TEN) / timedelta(minutes=1),
                s["message_count"],
                s["status"],
            )
            for s in sessions()
        ]

    def test_inside_a_session(self, two_sessions):
        two_sessions.say(minutes=0.5)
        assert self.spans() == [(0, 1, 3, "closed"), (30, 31, 2, "active")]

    def test_before_the_first_session_in_reach(self, two_sessions):
        two_sessions.say(minutes=-4)
        assert self.spans() == [(-4, 1, 3, "closed"), (30, 31, 2, "active")]

    def test_before_the_first_session_out_of_reach(self, two_sessions):
        two_sessions.say(minutes=-6)
        assert self.spans() == [(-6, -6, 1, "closed"), (0, 1, 2, "closed"), (30, 31, 2, "active")]

    def test_between_two_in_reach_of_neither(self, two_sessions):
        two_sessions.say(minutes=15)
        assert self.spans() == [(0, 1, 2, "closed"), (15, 15, 1, "closed"), (30, 31, 2, "active")]
        before, _, after = sessions()
        assert after["previous_session_id"] == before["_id"], "what is stored is not relinked"

    def test_between_two_in_reach_of_the_earlier(self, two_sessions):
        two_sessions.say(minutes=5)
        assert self.spans() == [(0, 5, 3, "closed"), (30, 31, 2, "active")]

    def test_between_two_in_reach_of_the_later(self, two_sessions):
        two_sessions.say(minutes=26)
        assert self.spans() == [(0, 1, 2, "closed"), (26, 31, 3, "active")]

    def test_in_reach_of_both_is_recorded_as_a_bridge(self, people):
        ada = people()
        ada.say(minutes=0)
        ada.say(minutes=6)
        ada.say(minutes=3)
        assert self.spans() == [(0, 3, 2, "closed"), (6, 6, 1, "active")]
        assert decisions()[1]["bridges_session_id"] == sessions()[1]["_id"]

    def test_where_sessions_never_end_two_of_before_are_recorded_as_bridged(self, people, quiet_app):
        ada = people()
        ada.say(seconds=0)
        ada.say(seconds=1000)
        line = str(sessions()[0]["channel_id"])
        channels.configure(quiet_app.extensions["gateway"], line, Changes(threshold="never"), "ada")
        with capture_logs() as logged:
            ada.say(seconds=500)
        late, next_session = decisions()[1], sessions()[1]["_id"]
        assert (late["rule"], late["bridges_session_id"]) == ("no_threshold", next_session)
        (told,) = [line for line in logged if line["event"] == "session_bridged"]
        assert str(next_session) in told["message"]


def test_without_a_threshold_one_message_a_day_stays_one_session(make_app, clock, channel):
    ada = Person(Twilio(make_app(sessions={"idle_seconds": "never"}).test_client()), clock, channel)
    for day in range(65):
        ada.say(minutes=day * 1440)
    assert len(sessions()) == 1


def test_time_going_backwards_reuses_with_gap_zero_and_moves_nothing_back(people):
    ada = people()
    ada.say(seconds=10)
    ada.say(seconds=8)
    (only,) = sessions()
    assert only["last_message_at"] == TEN + timedelta(seconds=10)
    late = next(d for d in decisions() if d["kind"] == "reused")
    assert late["gap_seconds"] == 0


def test_a_process_started_between_two_messages_goes_on_in_the_same_session(make_settings, people, clock):
    people().say()
    clock.move_to(seconds=30)
    from gateway.app import create_app

    restarted = create_app(make_settings(reply={"responder": "none"}), clock=clock)
    with capture_logs() as logged:
        Person(Twilio(restarted.test_client()), clock, people().channel).say(seconds=60, sid="X" * 34)
    (only,) = sessions()
    assert only["message_count"] == 2
    assert next(line for line in logged if line["event"] == "session_reused")["restored"] is True


def test_i3_a_redelivery_past_the_threshold_changes_nothing(people, channel):
    ada = people()
    ada.say()
    sid = ("CA" if channel == "voice" else "SM") + "9" * 32
    first = ada.say(minutes=1, sid=sid)
    before = sessions()
    again = ada.say(minutes=10, sid=sid)
    assert again.data == first.data
    assert sessions() == before


class TestSweep:
    """T7: closing for idleness is for display and changes no decision."""

    @pytest.fixture
    def serving(self, make_settings, people, clock):
        people().say()
        return build(make_settings(), clock=clock)

    def test_closes_a_session_a_minute_after_its_threshold(self, serving, clock):
        clock.move_to(minutes=6)
        assert upkeep.sweep(serving) == 0
        clock.move_to(minutes=6, seconds=0.001)
        assert upkeep.sweep(serving) == 1
        assert (sessions()[0]["status"], sessions()[0]["closed_reason"]) == ("closed", "idle")

    def test_a_rollover_after_it_is_still_linked(self, serving, clock, people):
        clock.move_to(minutes=7)
        upkeep.sweep(serving)
        people().say(minutes=10, sid="Z" * 34)
        first, second = sessions()
        assert second["previous_session_id"] == first["_id"]
        assert decisions()[1]["kind"] == "rolled_over"

    def test_a_late_message_opens_the_newest_session_again(self, serving, clock, people):
        clock.move_to(minutes=7)
        upkeep.sweep(serving)
        people().say(minutes=4, sid="Z" * 34)
        (only,) = sessions()
        assert (only["status"], only["message_count"]) == ("active", 2)
        assert "closed_reason" not in only

    def test_leaves_a_live_call_alone(self, make_settings, quiet_app, clock):
        Twilio(quiet_app.test_client()).call(CallSid="CA" + "8" * 32)
        clock.move_to(minutes=60)
        assert upkeep.sweep(build(make_settings(), clock=clock)) == 0


def test_a_session_an_operator_closed_is_final_for_later_messages(people):
    ada = people()
    ada.say()
    closed = {"status": "closed", "closed_reason": "operator", "closed_at": TEN + timedelta(seconds=30)}
    mongoengine.get_db().sessions.update_one({}, {"$set": closed, "$unset": {"open_keys": ""}})
    ada.say(minutes=1)
    first, second = sessions()
    assert (first["message_count"], second["message_count"]) == (1, 1)
    assert decisions()[1]["rule"] == "closed_for_good"


def test_a_phone_and_a_user_id_seen_together_are_one_sender(quiet_app, clock):
    twilio = Twilio(quiet_app.test_client())
    both = {"From": "whatsapp:+15558675310", "ExternalUserId": "whatsapp:US.13491208655302741918"}
    twilio.whatsapp(**both)
    clock.move_to(minutes=1)
    twilio.whatsapp(From="whatsapp:US.13491208655302741918", ExternalUserId="whatsapp:US.13491208655302741918")
    (only,) = sessions()
    assert only["message_count"] == 2


def test_a_user_id_seen_later_leads_to_the_session_its_phone_has(quiet_app, clock):
    twilio, user = Twilio(quiet_app.test_client()), "whatsapp:US.13491208655302741918"
    twilio.whatsapp(From="whatsapp:+15558675310")
    twilio.whatsapp(From="whatsapp:+15558675310", ExternalUserId=user)
    clock.move_to(minutes=1)
    twilio.whatsapp(From=user, ExternalUserId=user)
    (only,) = sessions()
    assert (only["message_count"], len(only["keys"]), len(only["open_keys"])) == (3, 2, 2)


def test_two_sessions_of_what_proves_to_be_one_person_are_both_closed_by_a_rollover(quiet_app, clock):
    twilio, user = Twilio(quiet_app.test_client()), "whatsapp:US.13491208655302741918"
    twilio.whatsapp(From=user, ExternalUserId=user)
    clock.move_to(minutes=1)
    twilio.whatsapp(From="whatsapp:+15558675310")
    clock.move_to(minutes=2)
    twilio.whatsapp(From="whatsapp:+15558675310", ExternalUserId=user)
    assert [s["message_count"] for s in sessions()] == [1, 2]
    clock.move_to(minutes=20)
    twilio.whatsapp(From="whatsapp:+15558675310", ExternalUserId=user)
    assert [(s["status"], s["message_count"]) for s in sessions()] == [("closed", 1), ("closed", 2), ("active", 1)]


def test_i12_who_said_stop_by_phone_is_out_by_user_id_too_once_both_were_seen_together(make_app, clock):
    twilio, user = Twilio(make_app().test_client()), "whatsapp:US.13491208655302741918"
    twilio.whatsapp(From="whatsapp:+15558675310")
    twilio.whatsapp("STOP", From="whatsapp:+15558675310", ExternalUserId=user)
    clock.move_to(minutes=30)
    assert b"<Message" not in twilio.whatsapp(From=user, ExternalUserId=user).data
    assert mongoengine.get_db().contacts.count_documents({}) == 1


def test_a_session_archived_without_a_time_is_final(people):
    ada = people()
    ada.say()
    mongoengine.get_db().sessions.update_one({}, {"$set": {"status": "archived"}, "$unset": {"open_keys": ""}})
    assert ada.say(minutes=1).status_code == 200
    assert [s["message_count"] for s in sessions()] == [1, 1]


# What somebody changes in the database by hand


@pytest.mark.parametrize(
    "closed",
    [{"status": "closed"}, {"status": "closed", "closed_reason": "operator", "closed_at": TEN}, {"status": "archived"}],
    ids=["closed", "by an operator", "archived"],
)
def test_a_session_closed_in_the_database_keeps_nobody_out(people, closed):
    ada = people()
    ada.say(minutes=0)
    mongoengine.get_db().sessions.update_one({}, {"$set": closed})
    ada.say(minutes=1)
    first, second = sessions()
    assert "open_keys" not in first
    assert (second["status"], second["previous_session_id"]) == ("active", first["_id"])


@pytest.mark.parametrize("anchor", ["any", "inbound"])
def test_times_that_were_set_back_in_the_database_are_believed(make_app, clock, anchor):
    twilio = Twilio(make_app(sessions={"anchor": anchor}).test_client())
    twilio.sms()
    earlier = TEN - timedelta(minutes=9)
    mongoengine.get_db().sessions.update_one({}, {"$set": {"last_message_at": earlier, "last_inbound_at": earlier}})
    clock.move_to(minutes=1)
    twilio.sms()
    assert (decisions()[1]["kind"], decisions()[1]["gap_seconds"]) == ("rolled_over", 600)
