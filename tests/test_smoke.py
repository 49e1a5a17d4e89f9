def test_three_texts_make_six_messages_in_one_session(twilio, db):
    for _ in range(3):
        assert b"Hello" in twilio.sms("Hello").data
    assert [s["message_count"] for s in db.sessions.find()] == [6]
