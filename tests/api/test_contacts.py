"""Contacts over the API: found, read as one history, changed, merged and parted, and forgotten."""

import pytest

from gateway.conversation import forget
from gateway.core.participant import chat_user
from gateway.store import contacts, directory, people
from tests.api.conftest import problem
from tests.conftest import TEN

ADA, BOB = "+15558675310", "+15558675399"
SMS, WHATSAPP = "sms:+15017122661", "whatsapp:+14155238886"
LINE, OTHER_LINE = "+15017122661", "+14155238886"


@pytest.fixture
def say(twilio, clock):
    """Somebody texts (or writes by WhatsApp), a minute after the last who did."""

    def said(number, body="Hi", *, minutes=None, whatsapp=False):
        if minutes is None:
            clock.tick(60)
        else:
            clock.move_to(minutes=minutes)
        if whatsapp:
            return twilio.whatsapp(body, From=f"whatsapp:{number}", WaId=number[1:], ProfileName="")
        return twilio.sms(body, From=number)

    return said


@pytest.fixture
def id_of(db):
    return lambda number: str(db.contacts.find_one({"phones": number})["_id"])


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json["items"]]


# Finding


def test_contacts_are_listed_newest_first_in_pages(reader, say, id_of):
    numbers = [f"+1555867530{n}" for n in range(5)]
    for number in numbers:
        say(number)
    newest_first = [id_of(number) for number in reversed(numbers)]
    assert ids(reader.get("/contacts")) == newest_first
    paged, cursor = [], ""
    while cursor is not None:
        page = reader.get(f"/contacts?limit=2&cursor={cursor}")
        paged, cursor = paged + ids(page), page.json["next_cursor"]
    assert paged == newest_first


def test_contacts_are_found_by_number_name_email_and_other_id(writer, say, id_of):
    say(ADA)
    say(BOB)
    ada = id_of(ADA)
    given = {"name": "Ada Lovelace", "emails": ["ada@example.com"], "external_ids": ["US.42"]}
    assert writer.patch(f"/contacts/{ada}", json=given).status_code == 200
    for words in ("%2B15558675310", "1555867531", "555-867 x", "ada", "lovelace ada", "Ada@EXAMPLE.com", "US.42"):
        expected = [] if words == "555-867 x" else [ada]
        assert ids(writer.get(f"/contacts?q={words}")) == expected, words
    assert ids(writer.get("/contacts?q=%2B1555867")) == [id_of(BOB), ada]
    assert ids(writer.get("/contacts?q=%2B1555867&limit=1")) == [id_of(BOB)]
    assert ids(writer.get(f"/contacts?q=%2B1555867&cursor={id_of(BOB)}")) == [ada]
    for nobody in ("%22", "(", "$", ".", "%7B", "-ada"):
        assert writer.get(f"/contacts?q={nobody}").status_code == 200


def test_a_contact_that_was_merged_is_listed_once_and_found_by_what_it_had(writer, say, id_of):
    say(ADA)
    say(BOB)
    writer.patch(f"/contacts/{id_of(BOB)}", json={"name": "Bob"})
    writer.post(f"/contacts/{id_of(ADA)}/merge", json={"with": id_of(BOB)})
    for query in ("", "?q=bob", "?q=%2B15558675399"):
        assert ids(writer.get(f"/contacts{query}")) == [id_of(ADA)]


# Reading


def test_a_contact_is_shown_with_all_sessions_over_all_channels(reader, say, id_of):
    say(ADA, minutes=0)
    say(ADA, minutes=60, whatsapp=True)
    say(ADA, minutes=120)
    answer = reader.get(f"/contacts/{id_of(ADA)}")
    told = answer.json
    assert (told["phones"], told["name"], told["opted_out"], told["merged"]) == ([ADA], "", [], [])
    assert told["created_at"] == "2026-03-01T10:00:00.000Z"
    assert [one["communication_type"] for one in told["sessions"]["items"]] == ["sms", "whatsapp", "sms"]
    paged, cursor = [], ""
    while cursor is not None:
        page = reader.get(f"/contacts/{id_of(ADA)}?limit=1&cursor={cursor}").json["sessions"]
        paged, cursor = [*paged, *page["items"]], page["next_cursor"]
    assert paged == told["sessions"]["items"]


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_a_contacts_history_is_one_whatever_the_sessions_and_the_moments(reader, say, id_of, db, limit, monkeypatch):
    from gateway.store import histories

    monkeypatch.setattr(histories, "_TOGETHER", 2)
    for minutes in (0, 1, 60, 120, 180):
        say(ADA, f"at {minutes}", minutes=minutes, whatsapp=minutes == 60)
    db.messages.update_many({"content": {"$in": ["at 60", "at 120"]}}, {"$set": {"createdAt": TEN}})
    paged, cursor = [], ""
    while cursor is not None:
        page = reader.get(f"/contacts/{id_of(ADA)}/messages?limit={limit}&cursor={cursor}")
        assert page.status_code == 200, page.text
        assert len(page.json["items"]) <= limit
        paged, cursor = [*paged, *page.json["items"]], page.json["next_cursor"]
    assert len(paged) == len({one["id"] for one in paged}) == 10
    assert [one["created_at"] for one in paged] == sorted((one["created_at"] for one in paged), reverse=True)
    assert [one["content"] for one in paged[:4]] == ["at 180", "at 180", "at 1", "at 1"]
    assert [one["direction"] for one in paged[:2]] == ["outbound", "inbound"]


def test_the_history_of_two_who_were_merged_is_one_and_is_apart_again(writer, say, id_of):
    say(ADA, "from ada")
    say(BOB, "from bob")

    def heard(number):
        items = writer.get(f"/contacts/{id_of(number)}/messages").json["items"]
        return {one["content"] for one in items}

    merged = writer.post(f"/contacts/{id_of(ADA)}/merge", json={"with": id_of(BOB)})
    assert merged.status_code == 200
    assert (merged.json["id"], merged.json["phones"]) == (id_of(ADA), [ADA, BOB])
    assert [one["contact_id"] for one in merged.json["merged"]] == [id_of(BOB)]
    assert heard(ADA) == heard(BOB) == {"from ada", "from bob"}
    assert writer.get(f"/contacts/{id_of(BOB)}").json["id"] == id_of(ADA)
    assert len(ids(writer.get(f"/sessions?contact={id_of(ADA)}"))) == 2
    parted = writer.post(f"/contacts/{id_of(BOB)}/unmerge")
    assert (parted.json["contact"]["phones"], parted.json["unmerged"]["phones"]) == ([ADA], [BOB])
    assert (heard(ADA), heard(BOB)) == ({"from ada"}, {"from bob"})


def test_what_cannot_be_merged_is_told(writer, say, id_of):
    say(ADA)
    ada = id_of(ADA)
    problem(writer.post(f"/contacts/{ada}/merge", json={"with": ada}), 409, "cannot_merge")
    problem(writer.post(f"/contacts/{ada}/merge", json={"with": "f" * 24}), 409, "other_not_found")
    problem(writer.post(f"/contacts/{'f' * 24}/merge", json={"with": ada}), 404, "not_found")
    problem(writer.post(f"/contacts/{ada}/unmerge"), 409, "cannot_merge")


# Writing


def test_a_contact_is_made_and_the_next_message_finds_it(writer, say, db):
    given = {"name": " Ada  Lovelace ", "phones": [ADA], "emails": [" Ada@EXAMPLE.com "]}
    made = writer.post("/contacts", json=given)
    assert made.status_code == 201
    assert made.headers["Location"] == f"/api/v1/contacts/{made.json['id']}"
    assert (made.json["name"], made.json["emails"]) == ("Ada Lovelace", ["ada@example.com"])
    say(ADA)
    assert str(db.sessions.find_one()["contact_id"]) == made.json["id"]
    assert [entry["action"] for entry in db.audit.find()] == ["contact_created"]
    assert "Ada" not in str(list(db.audit.find()))


def test_an_identifier_that_another_has_makes_the_two_one_person_unless_they_were_parted(writer, say, id_of):
    say(ADA)
    say(BOB)
    ada, bob = id_of(ADA), id_of(BOB)
    writer.patch(f"/contacts/{ada}", json={"emails": ["ada@example.com", "a@example.com"]})
    one = writer.patch(f"/contacts/{bob}", json={"emails": ["ada@Example.com"]}).json
    assert (one["id"], one["phones"]) == (ada, [ADA, BOB])
    assert set(one["emails"]) == {"ada@example.com", "a@example.com"}  # hers stay hers
    assert [(merged["contact_id"], merged["reason"]) for merged in one["merged"]] == [(bob, "identifier_added")]
    assert writer.post(f"/contacts/{bob}/unmerge").status_code == 200
    told = problem(writer.patch(f"/contacts/{bob}", json={"emails": ["ada@Example.com"]}), 409, "identifier_taken")
    assert ada in told["detail"]
    assert "merge" in told["detail"]
    assert told["field"] == "body.emails"
    problem(writer.post("/contacts", json={"phones": [ADA]}), 409, "identifier_taken")
    assert writer.post("/contacts", json={"name": "Nobody"}).status_code == 201
    assert writer.post("/contacts", json={"name": "Nobody"}).status_code == 201


def test_lists_are_all_there_is_to_be(writer, db):
    given = {"phones": [ADA, BOB], "emails": ["a@example.com", "b@example.com"], "external_ids": ["US.1"]}
    made = writer.post("/contacts", json=given).json["id"]
    less = {"phones": [BOB], "emails": [], "external_ids": []}
    told = writer.patch(f"/contacts/{made}", json=less).json
    assert {name: told[name] for name in less} == less
    assert writer.post("/contacts", json={"external_ids": [], "phones": [ADA]}).status_code == 201
    assert "external_ids" not in db.contacts.find_one({"phones": BOB})
    assert db.audit.find_one({"action": "contact_changed"})["details"]["fields"] == ["emails", "external_ids", "phones"]


def test_an_e_mail_that_is_written_down_is_found_by_who_chats_and_proves_it(writer, db):
    ada = writer.post("/contacts", json={"emails": ["Ada@Example.com"]}).json["id"]
    chatting = contacts.resolve(chat_user("web", "phone", email="ada@example.com"), TEN)
    assert chatting.id == ada
    assert db.contacts.count_documents({}) == 1
    told = writer.patch(f"/contacts/{ada}", json={"emails": []}).json
    assert (told["emails"], told["external_ids"]) == ([], ["chat:web:phone"])
    assert contacts.resolve(chat_user("web", "tablet", email="ada@example.com"), TEN).id != ada


def test_what_was_merged_gives_its_identifiers_away_too(writer, db):
    one, other = (writer.post("/contacts", json={"emails": [f"{n}@example.com"]}).json["id"] for n in "ab")
    writer.post(f"/contacts/{one}/merge", json={"with": other})
    told = writer.patch(f"/contacts/{one}", json={"emails": ["a@example.com", "c@example.com"]}).json
    assert told["emails"] == ["a@example.com", "c@example.com"]
    assert writer.post("/contacts", json={"emails": ["b@example.com"]}).status_code == 201


def test_i12_a_number_that_wrote_is_not_taken_off_and_none_of_somebody_who_is_out(writer, say, id_of):
    say(ADA, "STOP")
    ada = id_of(ADA)
    assert writer.patch(f"/contacts/{ada}", json={"phones": [ADA, BOB]}).status_code == 200
    problem(writer.patch(f"/contacts/{ada}", json={"phones": [BOB]}), 409, "identifier_in_use")
    problem(writer.patch(f"/contacts/{ada}", json={"phones": [ADA]}), 409, "identifier_in_use")
    say(ADA, "START")
    assert writer.patch(f"/contacts/{ada}", json={"phones": [ADA]}).json["phones"] == [ADA]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phones", "5558675310"),
        ("phones", "+266696687"),
        ("phones", "+1555\x00867530"),
        ("emails", "nobody"),
        ("emails", "a b@example.com"),
        ("emails", f"{'a' * 65}@example.com"),
        ("external_ids", ""),
        ("external_ids", "anonymous"),
        ("external_ids", ADA),
        ("name", "x" * 201),
    ],
)
def test_a_wrong_value_is_named(writer, field, value, db):
    told = problem(writer.post("/contacts", json={field: value if field == "name" else [value]}), 422, "wrong_value")
    assert told["field"].startswith(f"body.{field}")
    assert db.contacts.count_documents({}) == 0


# STOP by hand


def test_i12_an_opt_out_by_hand_is_as_good_as_a_stop(writer, say, id_of, db):
    say(ADA)
    ada = id_of(ADA)
    told = writer.put(f"/contacts/{ada}/opt-outs/{LINE}")
    assert [out["line"] for out in told.json["opted_out"]] == [LINE]
    before = db.messages.count_documents({"direction": "outbound"})
    assert "Message" not in say(ADA).text
    assert db.messages.count_documents({"direction": "outbound"}) == before
    assert db.sessions.find_one()["opted_out"] == [LINE]
    assert writer.delete(f"/contacts/{ada}/opt-outs/{LINE}").json == {"opted_out": []}
    assert "Message" in say(ADA).text
    entries = list(db.audit.find({}, {"_id": 0, "action": 1, "details": 1}))
    assert [entry["action"] for entry in entries] == ["contact_opted_out", "contact_opted_in"]
    assert entries[0]["details"] == {"contact": ada, "lines": [LINE]}


def test_an_opt_out_of_all_lines_is_of_each_and_a_stop_is_taken_back_by_hand(writer, say, id_of):
    say(ADA)
    say(ADA, whatsapp=True)
    ada = id_of(ADA)
    told = writer.put(f"/contacts/{ada}/opt-outs/all")
    assert {out["line"] for out in told.json["opted_out"]} == {LINE, OTHER_LINE}
    assert writer.put(f"/contacts/{ada}/opt-outs/MG{'e' * 32}").status_code == 200
    say(ADA, "START")
    assert {out["line"] for out in writer.get(f"/contacts/{ada}").json["opted_out"]} == {OTHER_LINE, f"MG{'e' * 32}"}
    assert writer.delete(f"/contacts/{ada}/opt-outs/all").json["opted_out"] == []
    problem(writer.put(f"/contacts/{ada}/opt-outs/+15550000000"), 404, "not_found")


def test_i12_an_opt_out_by_hand_of_one_who_was_merged_stays_with_both(writer, say, id_of):
    say(ADA)
    say(BOB)
    writer.post(f"/contacts/{id_of(ADA)}/merge", json={"with": id_of(BOB)})
    writer.put(f"/contacts/{id_of(BOB)}/opt-outs/{LINE}")
    parted = writer.post(f"/contacts/{id_of(ADA)}/unmerge").json
    assert [out["line"] for one in parted.values() for out in one["opted_out"]] == [LINE, LINE]


# Forgetting


def test_forgetting_hides_at_once_and_erases_all_that_were_merged(app, owner, writer, say, id_of, db, clock):
    say(ADA, "STOP")
    say(BOB)
    bob = id_of(BOB)
    owner.post(f"/contacts/{bob}/merge", json={"with": id_of(ADA)})
    problem(writer.delete(f"/contacts/{bob}"), 403, "scope_missing")
    asked = owner.delete(f"/contacts/{bob}")
    assert (asked.status_code, asked.json["status"]) == (202, "forgetting")
    problem(owner.get(f"/contacts/{bob}"), 404, "not_found")
    problem(owner.delete(f"/contacts/{bob}"), 404, "not_found")
    assert ids(owner.get("/contacts")) == ids(owner.get("/contacts?q=%2B1555")) == []
    assert forget.forget_asked(app.extensions["gateway"], clock.tick) == 1
    for name in ("contacts", "sessions", "messages", "merges"):
        assert db[name].count_documents({}) == 0, name
    assert db.audit.find_one({"action": "contact_forgotten"})["details"] == {"contact": bob}
    made = owner.post("/contacts", json={"phones": [BOB]})
    assert [out["line"] for out in made.json["opted_out"]] == [LINE]
    assert forget.forget_asked(app.extensions["gateway"], clock.tick) == 0


# Isolation


@pytest.fixture
def tenant(program):
    return program("admin", channels=[WHATSAPP])


def test_a_limited_key_sees_of_a_contact_what_is_on_its_channels(tenant, writer, say, id_of):
    say(ADA, "STOP")
    say(ADA, "mine", whatsapp=True, minutes=60)
    say(BOB)
    ada = id_of(ADA)
    writer.patch(f"/contacts/{ada}", json={"phones": [ADA, "+15550001111"]})
    told = tenant.get(f"/contacts/{ada}").json
    assert (told["phones"], told["opted_out"]) == ([ADA], [])
    assert [one["channel_id"] for one in told["sessions"]["items"]] == [WHATSAPP]
    messages = tenant.get(f"/contacts/{ada}/messages").json["items"]
    assert {one["channel_id"] for one in messages} == {WHATSAPP}
    assert ids(tenant.get("/contacts")) == ids(tenant.get("/contacts?q=%2B1555867")) == [ada]
    for path in ("", "/messages"):
        problem(tenant.get(f"/contacts/{id_of(BOB)}{path}"), 404, "not_found")


def test_a_limited_key_does_not_find_out_a_number_that_it_is_not_shown(tenant, writer, say, id_of):
    """Else it would guess one digit after the other."""
    say(ADA, whatsapp=True)
    ada = id_of(ADA)
    hidden = {"name": "Ada", "phones": [ADA, "+447700900123"], "external_ids": ["crm-17"], "emails": ["a@example.com"]}
    writer.patch(f"/contacts/{ada}", json=hidden)
    for words in ("%2B447", "447700900123", "crm-17", "A@example.com"):
        assert (ids(writer.get(f"/contacts?q={words}")), ids(tenant.get(f"/contacts?q={words}"))) == ([ada], []), words
    for words in ("%2B1555", "15558675310", "ada"):
        assert ids(tenant.get(f"/contacts?q={words}")) == [ada], words


def test_a_limited_key_that_chats_as_somebody_is_told_no_more_of_them(program, writer, say, id_of):
    """A site proves nothing of a contact it cannot see: an address of theirs is only what its user says."""
    say(ADA)
    writer.patch(f"/contacts/{id_of(ADA)}", json={"emails": ["ada@example.com", "private@example.com"]})
    site = program("write", channels=["chat:web"])
    said = {"user_id": "x1", "email": "ada@example.com", "content": "Hi"}
    assert site.post("/api/chat/message?wait=0", json=said).status_code < 300
    (told,) = site.get("/contacts").json["items"]
    assert (told["id"] != id_of(ADA), told["phones"], told["emails"]) == (True, [], [])
    (claim,) = told["claims"]
    assert (claim["field"], claim["value"], claim["merges_with"]) == ("email", "ada@example.com", None)
    assert ids(site.get("/contacts?q=private@example.com")) == []
    assert ids(site.get("/contacts?q=ada@example.com")) == []
    where = f"/contacts/{told['id']}/claims/{claim['id']}"
    problem(site.post(f"{where}/confirm"), 403, "all_channels_needed")
    # Whoever sees every channel is told beforehand whom they would be merged with.
    (claim,) = writer.get(f"/contacts/{told['id']}").json["claims"]
    assert (claim["merges_with"], claim["source"]) == (id_of(ADA), "chat")
    confirmed = writer.post(f"{where}/confirm").json
    assert (confirmed["id"], confirmed["claims"]) == (id_of(ADA), [])
    problem(writer.post(f"{where}/confirm"), 404, "not_found")
    # From here on they are one, which the site may say too.
    assert site.post("/api/chat/message?wait=0", json=said | {"user_id": "x2"}).status_code < 300
    (told,) = site.get("/contacts").json["items"]
    assert (told["id"], told["phones"], told["emails"]) == (id_of(ADA), [], ["ada@example.com"])


def test_a_claim_is_dismissed_for_good(writer, program, say, id_of):
    say(ADA)
    writer.patch(f"/contacts/{id_of(ADA)}", json={"emails": ["ada@example.com"]})
    site = program("write", channels=["chat:web"])
    said = {"user_id": "x1", "email": "ada@example.com", "content": "Hi"}
    for dismissed in (False, True):
        assert site.post("/api/chat/message?wait=0", json=said).status_code < 300
        (told,) = site.get("/contacts").json["items"]
        assert bool(told["claims"]) is not dismissed
        for claim in told["claims"]:
            assert site.post(f"/contacts/{told['id']}/claims/{claim['id']}/dismiss").json["claims"] == []


def test_a_limited_key_changes_nothing_that_others_see(tenant, say, id_of, db):
    say(ADA, whatsapp=True)
    say(ADA)
    say(BOB, whatsapp=True)
    ada, bob = id_of(ADA), id_of(BOB)
    problem(tenant.post(f"/contacts/{ada}/merge", json={"with": bob}), 403, "all_channels_needed")
    problem(tenant.post(f"/contacts/{ada}/unmerge"), 403, "all_channels_needed")
    problem(tenant.patch(f"/contacts/{ada}", json={"emails": ["a@example.com"]}), 403, "all_channels_needed")
    problem(tenant.post("/contacts", json={"name": "x"}), 403, "all_channels_needed")
    problem(tenant.delete(f"/contacts/{ada}"), 403, "all_channels_needed")
    problem(tenant.put(f"/contacts/{ada}/opt-outs/{LINE}"), 404, "not_found")
    assert tenant.put(f"/contacts/{ada}/opt-outs/all").json["opted_out"][0]["line"] == OTHER_LINE
    assert set(db.contacts.find_one({"phones": ADA})["opted_out"]) == {OTHER_LINE}
    assert tenant.patch(f"/contacts/{ada}", json={"name": "Ada"}).json["name"] == "Ada"


def test_a_limited_key_goes_over_many_contacts_of_others_in_short_pages(tenant, say, id_of, db, monkeypatch):
    monkeypatch.setattr(directory, "_LOOKED_AT", 3)
    say(ADA, whatsapp=True)
    db.contacts.insert_many([{"phones": [f"+1555000{n:04}"]} for n in range(7)])
    paged, cursor, pages = [], "", 0
    while cursor is not None:
        page = tenant.get(f"/contacts?cursor={cursor}")
        paged, cursor, pages = paged + ids(page), page.json["next_cursor"], pages + 1
    assert (paged, pages) == ([id_of(ADA)], 3)


def test_what_is_read_of_contacts_uses_indexes(app, db, say, id_of):
    say(ADA)
    one = db.contacts.find_one()["_id"]
    queries = [
        db.contacts.find({"merged_into": {"$exists": False}, "_id": {"$lt": one}}).sort("_id", -1),
        *(db.contacts.find(way) for words in ("+1555", "ada@example.com", "ada") for way in directory._ways(words)),
        db.contacts.find({"$or": contacts._known_by(chat_user("web", "x", email="ada@example.com"))}),
        db.contacts.find({"emails": {"$in": ["ada@example.com"]}}),
        db.contacts.find({"to_forget": {"$exists": True}}).hint("to_forget"),
        db.sessions.find(people.theirs([str(one)], [SMS])),
        db.messages.find({"session_id": {"$in": [one, one]}}).sort("createdAt", -1).limit(3),
    ]
    for query in queries:
        plan = str(query.explain()["queryPlanner"]["winningPlan"])
        assert "COLLSCAN" not in plan, plan
