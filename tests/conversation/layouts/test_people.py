"""People whom another program keeps in a table of their own: brought in, put together with who is here, taken back."""

import pytest
from bson import ObjectId

from gateway.conversation import importing, origins, rehearsal, undoing, verifying
from gateway.conversation.import_runs import Hands
from gateway.conversation.layouts import BadFile
from gateway.conversation.rehearsal import Told
from gateway.conversation.staging import Options
from gateway.store import rejections

LINE, SESSION = "+14155551234", "66c000000000000000000001"
USERS = """id,Full Name,email,phone,role,hubspot_contact_id
17,Ada Lovelace,ADA@Example.org,(415) 555-2671,admin,901
18,Bob,,+14155552672,user,
19,Nobody,,,user,
20,Eve,bad at,,user,
17,Ada again,,,user,
"""
SAID = """id,session_id,user_id,role,content,timestamp
1,s1,17,user,hi,2025-01-01T10:00:00Z
2,s2,+14155552672,user,ho,2025-01-01T10:01:00Z
"""
SESSIONS = "id,user_id,is_active,created_at\ns1,17,false,2025-01-01T10:00:00Z\ns2,+14155552672,f,2025-01-01T10:01:00Z\n"
ROWS = "id,session_id,role,content,created_at\n1,s1,user,hi,2025-01-01T10:00:00Z\n2,s2,user,ho,2025-01-01T10:01:00Z\n"
LAYOUTS = {
    "flat": {"messages.csv": SAID, "app_users.csv": USERS},
    "relational": {"conversation_sessions.csv": SESSIONS, "conversation_messages.csv": ROWS, "Contacts.csv": USERS},
}


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


def undo(runtime, clock, run):
    undoing.undo(runtime, run.id, "ada", undoing.Hands(lambda seconds: clock.tick(seconds + 0.1)))


def source(runtime, folder, files, **options):
    for name, text in files.items():
        (folder / name).write_text(text)
    return origins.find([str(folder)], "", Options(line=LINE, **options), runtime.settings.mongodb_uri)


def people(db):
    fields = ("name", "phones", "emails", "external_ids")
    return sorted(tuple(one.get(name) or [] for name in fields) for one in db.contacts.find())


ADA = ("Ada Lovelace", ["+14155552671"], ["ada@example.org"], [f"chat:{LINE}:17"])
BOB = ("Bob", ["+14155552672"], [], [])


@pytest.mark.parametrize(("layout", "rethread"), [("flat", False), ("relational", False), ("flat", True)])
def test_people_come_in_with_all_they_are_known_by_and_go_again(runtime, db, clock, tmp_path, layout, rethread):
    origin = source(runtime, tmp_path, LAYOUTS[layout], rethread=rethread)
    assert origin.layout == layout
    foreseen = rehearsal.rehearse(runtime, origin, Told())
    run = importing.run_here(runtime, origin, "gateway import", Hands())
    assert (run.state, run.tally) == ("done", foreseen.tally)
    assert (run.tally.contacts_created, run.tally.rejected) == (2, 1)
    assert [one.reason for one in rejections.of(run.id)] == ["'bad at' is no e-mail address."]
    assert run.tally.problems == [
        "People who came more than once: 1. The first of each counts.",
        "People left out: 1. They have neither a number nor an e-mail address nor a session.",
    ]
    assert people(db) == [ADA, BOB]
    ada = db.contacts.find_one({"name": "Ada Lovelace"})
    assert ada["crm"] == {"hubspot": {"contact_id": "901"}}
    assert db.sessions.find_one({"metadata.fromNumber": "17"})["contact_id"] == ada["_id"]
    verified = verifying.verify(runtime, run.id)
    assert (verified.is_same, verified.people, verified.of_source) == (True, 2, True)
    db.contacts.delete_one({"_id": ada["_id"]})
    assert verifying.verify(runtime, run.id).counts == {"person missing": 1}
    db.contacts.insert_one(ada)

    again = importing.run_here(runtime, origin, "gateway import", Hands())
    assert (again.tally.contacts_created, again.tally.contacts_existing, db.contacts.count_documents({})) == (0, 2, 2)
    undo(runtime, clock, again)
    undo(runtime, clock, run)
    assert [db[name].count_documents({}) for name in ("contacts", "sessions", "messages")] == [0, 0, 0]


def test_whoever_is_here_learns_what_they_are_known_by_elsewhere_until_that_is_undone(runtime, db, clock, tmp_path):
    known = {"_id": ObjectId(), "name": "Ada L.", "phones": ["+14155552671"], "identifiers": ["+14155552671"]}
    db.contacts.insert_one(known)
    run = importing.run_here(runtime, source(runtime, tmp_path, LAYOUTS["flat"]), "gateway import", Hands())
    assert (run.tally.contacts_created, run.tally.contacts_existing) == (1, 1)
    assert people(db) == [("Ada L.", ["+14155552671"], ["ada@example.org"], [f"chat:{LINE}:17"]), BOB]
    assert db.sessions.find_one({"metadata.fromNumber": "17"})["contact_id"] == known["_id"]
    undo(runtime, clock, run)
    assert list(db.contacts.find()) == [known]


def test_a_session_that_names_its_contact_makes_that_persons_number_theirs(runtime, db, tmp_path):
    contact, channel = "65c000000000000000000001", "64c000000000000000000001"
    common = f'"channel_id":"{channel}","communication_type":"sms","createdAt":"2025-01-01T10:00:00Z"'
    session = f'{{"_id":"{SESSION}",{common},"status":"closed","contact_id":"{contact}",'
    files = {
        "sessions.jsonl": session + f'"metadata":{{"fromNumber":"+14155552671","toNumber":"{LINE}"}}}}',
        "messages.jsonl": f'{{"_id":"m1","session_id":"{SESSION}",{common},"role":"user","content":"a"}}',
        "contacts.jsonl": f'{{"_id":{{"$oid":"{contact}"}},"firstName":"Ada","lastName":"Lovelace","phoneNumber":""}}',
        "channels.jsonl": f'{{"_id":"{channel}","phoneNumber":"{LINE}","communication_type":"sms"}}',
    }
    run = importing.run_here(runtime, source(runtime, tmp_path, files), "gateway import", Hands())
    assert (run.layout, run.state, run.tally.contacts_created) == ("node", "done", 1)
    assert people(db) == [("Ada Lovelace", ["+14155552671"], [], [])]
    assert str(db.sessions.find_one()["contact_id"]) == contact == str(db.contacts.find_one()["_id"])


def test_a_table_of_another_shape_is_left_out_in_one_line(runtime, db, tmp_path):
    files = {"messages.csv": SAID, "users.csv": "id,theme\n17,dark\n", "plans.csv": "id,price\n1,9\n"}
    run = importing.run_here(runtime, source(runtime, tmp_path, files), "gateway import", Hands())
    assert run.tally.problems == [
        "plans was left out: it holds nothing of the layout flat.",
        "users was left out: it holds nothing of the layout flat.",
    ]


def test_people_alone_are_no_conversations(runtime, tmp_path):
    with pytest.raises(BadFile, match="of no layout that is known"):
        source(runtime, tmp_path, {"users.csv": USERS})
