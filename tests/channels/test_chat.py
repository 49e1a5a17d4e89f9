"""What a website sends, read into a message."""

from gateway.channels.chat import ChatMessage, ChatUser, message_id, parse, split
from tests.conftest import TEN

ALICE = ChatUser("web", "alice")


def test_the_same_id_of_the_same_user_is_the_same_message():
    assert message_id(ALICE, "1") == message_id(ChatUser("web", "alice", name="Alice"), "1")


def test_nobody_can_take_the_id_of_another_users_message():
    others = [ChatUser("web", "bob"), ChatUser("shop", "alice"), ChatUser("web", "alice\0" + "1")]
    assert message_id(ALICE, "1") not in {message_id(other, "1") for other in others}
    assert message_id(ALICE, "SM1").startswith("CH")


def test_without_an_id_every_message_is_one_of_its_own():
    assert parse(ALICE, ChatMessage("yes"), TEN).id != parse(ALICE, ChatMessage("yes"), TEN).id


def test_what_mongodb_cannot_hold_as_a_name_is_written_otherwise():
    said = ChatMessage("Hi\x00", metadata={"$where": {"a.b": ["\x00"]}})
    read = parse(ALICE, said, TEN)
    assert read.content == "Hi"
    assert read.metadata["client"] == {"\uff04where": {"a\uff0eb": [""]}}


def test_an_answer_is_one_message_however_long():
    assert split("word " * 2000) == [("word " * 2000).strip()]
    assert split(" \x00 ") == []
