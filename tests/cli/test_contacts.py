"""`gateway contacts`: found, merged and parted from the command line."""

import json

import pytest

from tests.cli.test_commands import run

ADA, BOB, LINE = "+15558675310", "+15558675399", "+15017122661"


@pytest.fixture
def gateway(make_settings, db, twilio, tmp_path):
    twilio.sms(From=ADA)
    twilio.sms(From=BOB)
    environ = {"MONGODB_URI": make_settings().mongodb_uri, "GATEWAY_DATA_DIR": str(tmp_path)}
    return lambda *arguments: run("contacts", *arguments, **environ)


def test_contacts_are_found_merged_opted_out_and_parted(gateway, db):
    ids = {number: str(db.contacts.find_one({"phones": number})["_id"]) for number in (ADA, BOB)}
    assert [one["id"] for one in json.loads(gateway("list", "--json").stdout)] == [ids[BOB], ids[ADA]]
    assert BOB in gateway("list", "+1 555 867 5399").stdout
    merged = gateway("merge", ADA, BOB)
    assert merged.returncode == 0, merged.stderr
    assert f"gateway contacts unmerge {ids[BOB]}" in merged.stdout
    told = json.loads(gateway("opt-out", BOB, LINE, "--json").stdout)
    assert (told["id"], told["phones"], told["opted_out"]) == (ids[ADA], [ADA, BOB], [LINE])
    shown = gateway("show", BOB).stdout
    assert all(words in shown for words in (ids[ADA], f"Opted out of: {LINE}", f"Merged: {ids[BOB]} by"))
    assert shown.count("SMS from") == 2
    assert "one of its own again" in gateway("unmerge", ids[BOB]).stdout
    assert json.loads(gateway("opt-in", ADA, "all", "--json").stdout)["opted_out"] == []
    assert set(db.contacts.find_one({"phones": BOB})["opted_out"]) == {LINE}
    assert db.audit.distinct("by")[0].endswith("(command line)")


def test_an_id_is_never_broken(gateway, db):
    db.contacts.update_one({"phones": ADA}, {"$set": {"name": "A" * 90, "emails": ["ada@" + "example." * 12 + "com"]}})
    ids = {str(one["_id"]) for one in db.contacts.find()}
    assert all(one in gateway("list").stdout for one in ids)


def test_an_address_proved_in_a_chat_is_named_once(gateway, db):
    chat = {"external_ids": ["chat:web:alice", "email:ada@example.com"], "emails": ["ada@example.com"]}
    db.contacts.update_one({"phones": ADA}, {"$set": chat})
    assert f"Known by: {ADA}, chat:web:alice, ada@example.com\n" in gateway("show", ADA).stdout


def test_a_name_is_shown_as_they_wrote_it(gateway, db):
    """WhatsApp people choose their own: `[/red]` would end the command with an error, `[red]` be left out."""
    db.contacts.update_one({"phones": ADA}, {"$set": {"name": "[/red] [red]"}})
    listed = gateway("list")
    assert (listed.returncode, "[/red] [red]" in listed.stdout) == (0, True), listed.stderr


def test_nobody_is_said_in_words(gateway, db):
    assert gateway("list", "zzz").stdout == "Nobody is known so.\n"
    db.contacts.delete_many({})
    assert gateway("list").stdout.startswith("There is nobody yet")


def test_what_cannot_be_done_is_said_in_a_line(gateway):
    for arguments, why in [
        (("merge", ADA, ADA), "same contact"),
        (("merge", ADA, "+15550000000"), "Nobody is known as +15550000000"),
        (("unmerge", ADA), "nothing to undo"),
        (
            ("opt-out", ADA, "+15550000000"),
            "none of our numbers or messaging services. The console's Operations page lists them",
        ),
    ]:
        done = gateway(*arguments)
        assert done.returncode == 1
        assert why in done.stderr
        assert "Traceback" not in done.stderr
