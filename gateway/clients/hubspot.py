"""HubSpot: contacts found, made and merged, and conversations put on their timelines.

https://developers.hubspot.com/docs/api-reference (dated paths, `/crm/objects/<version>/...`). HubSpot knows no
idempotency keys, and its search lags behind what was written. So whatever is made carries a key of ours in a property
of our own with unique values, by which it is read back, or written again, without the search.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from gateway.clients.asking import Answer, Api, NoAnswer
from gateway.clients.hubspot_answers import id_of, objects, properties
from gateway.clients.hubspot_refusals import refused
from gateway.core.crm import CrmConflict, CrmFailed, CrmGone, Entry, Facts, Known
from gateway.core.times import epoch_ms
from gateway.settings import Settings

BASE_URL = "https://api.hubapi.com"
CONTACT_KEY, ENTRY_KEY, GROUP = "conversation_gateway_id", "conversation_gateway_key", "conversation_gateway"
# What a message is logged as; calls and chats, which HubSpot has no such kind for, become notes.
_CHANNELS = {"sms": "SMS", "whatsapp": "WHATS_APP"}
_READ = ("email", "firstname", "lastname", "phone", "mobilephone")
# How country codes of three digits begin; +1 and +7 have one, all others two.
_OF_THREE_DIGITS = re.compile(r"2[1-689]|3[578]|42|5[09]|6[7-9]|8[035789]|9[679]")
_RECORD = re.compile(r"https://app[a-z0-9-]*\.hubspot\.com/[!-~]+")


class HubSpot:
    """The client of one HubSpot account."""

    name, label = "hubspot", "HubSpot"

    def __init__(self, settings: Settings) -> None:
        crm = settings.crm
        self._api = Api(crm.base_url or BASE_URL, crm.access_token.get_secret_value().strip(), crm.timeout_seconds)
        self._version = crm.version
        self._ready: set[str] = set()
        self._records: str | None = None

    def get(self, contact_id: str) -> Known | None:
        """Read a contact; HubSpot answers with what it was merged into."""
        return self._contact(contact_id, {})

    def find(self, facts: Facts) -> Known | None:
        """Find a person: by our key and by e-mail, which HubSpot reads directly, then by phone, which it searches."""
        self._prepare("contacts", CONTACT_KEY)
        return next((one for one in self._found(facts) if one.id not in facts.apart), None)

    def _found(self, facts: Facts) -> Iterator[Known]:
        names = [(facts.key, CONTACT_KEY), *((email, "email") for email in facts.emails)]
        for value, name in names:
            if found := self._contact(value, {"idProperty": name}):
                yield found
        yield from self._with_phone(facts.phones)

    def create(self, facts: Facts) -> Known:
        """Make a contact, with our key, so that one whose answer was lost is found by it."""
        self._prepare("contacts", CONTACT_KEY)
        wanted = _empty_ones(Known(""), facts) | {CONTACT_KEY: facts.key}
        return self._known(self._done("POST", self._objects("contacts"), send={"properties": wanted}).body)

    def fill(self, known: Known, facts: Facts) -> None:
        """Write name, e-mail and phone where HubSpot has none."""
        if missing := _empty_ones(known, facts):
            self._done("PATCH", self._objects("contacts", known.id), send={"properties": missing})

    def merge(self, contact_id: str, other_id: str) -> Known:
        """Merge two contacts; HubSpot may give what comes of it a new id."""
        wanted = {"primaryObjectId": contact_id, "objectIdToMerge": other_id}
        return self._known(self._done("POST", self._objects("contacts", "merge"), send=wanted).body)

    def log(self, contact_id: str, entry: Entry) -> str:
        """Write an entry by its key, which makes it once however often it is written, then put it on the contact."""
        kind = _kind(entry.communication_type)
        self._prepare(kind, ENTRY_KEY)
        wanted = {"id": entry.key, "idProperty": ENTRY_KEY, "properties": _properties(entry)}
        answer = self._done("POST", self._objects(kind, "batch/upsert"), send={"inputs": [wanted]})
        entry_id = id_of(next(iter(objects(answer.body.get("results"))), {}))
        self._done("PUT", self._objects(kind, f"{entry_id}/associations/default/contacts/{quote(contact_id, safe='')}"))
        return entry_id

    def entry(self, communication_type: str, key: str) -> str:
        """Find an entry by its key; empty where there is none."""
        path = self._objects(_kind(communication_type), quote(key, safe=""))
        try:
            return id_of(self._done("GET", path, query={"idProperty": ENTRY_KEY}).body)
        except CrmGone:
            return ""

    def erase(self, communication_type: str, ids: Sequence[str]) -> None:
        """Archive entries, which is HubSpot's word for deleting."""
        wanted = {"inputs": [{"id": one} for one in ids]}
        self._done("POST", self._objects(_kind(communication_type), "batch/archive"), send=wanted)

    # How it is asked

    def _objects(self, kind: str, rest: str = "") -> str:
        return f"/crm/objects/{self._version}/{kind}" + (f"/{rest}" if rest else "")

    def _done(self, method: str, path: str, **what: Any) -> Answer:
        """Ask, and raise what the status means unless it was done."""
        try:
            answer = self._api.ask(method, path, **what)
        except NoAnswer as error:
            raise CrmFailed(f"HubSpot is not to be had: {error}. It is tried again.", code="unreachable") from None
        if not 200 <= answer.status < 300 or answer.body.get("errors"):
            raise refused(answer)
        return answer

    def _contact(self, name: str, query: Mapping[str, str]) -> Known | None:
        try:
            path = self._objects("contacts", quote(name, safe=""))
            return self._known(self._done("GET", path, query={"properties": ",".join(_READ), **query}).body)
        except CrmGone:
            return None

    def _with_phone(self, phones: Sequence[str]) -> Iterator[Known]:
        """Search by phone. HubSpot compares without the country, so what it finds is looked at again."""
        for phone in phones:
            national = _national(phone)
            named = {"phone": phone, "mobilephone": phone}
            named |= {f"hs_searchable_calculated_{name}": national for name in ("phone_number", "mobile_number")}
            groups = [{"filters": [_equals(*one)]} for one in named.items()]
            wanted = {"filterGroups": groups, "properties": list(_READ), "limit": 20}
            found = objects(self._done("POST", self._objects("contacts", "search"), send=wanted).body.get("results"))
            # The oldest first, so that the same one is found every time.
            for one in sorted(found, key=lambda row: int(id_of(row))):
                if any(_same_phone(phone, properties(one).get(name)) for name in _READ[3:]):
                    yield self._known(one)

    def _known(self, found: Mapping[str, Any]) -> Known:
        has, contact_id = properties(found), id_of(found)
        name = " ".join(filter(None, (has.get("firstname"), has.get("lastname"))))
        phone = has.get("phone") or has.get("mobilephone") or ""
        return Known(contact_id, name, has.get("email") or "", phone, self._url(contact_id, found.get("url")))

    def _url(self, contact_id: str, told: Any) -> str:
        """Give where people look at a contact; HubSpot tells, else it is put together."""
        if isinstance(told, str) and _RECORD.match(told):
            return told
        if self._records is None:
            self._records = self._records_of()
        return self._records and self._records + contact_id

    def _records_of(self) -> str:
        try:
            account = self._done("GET", f"/account-info/{self._version}/details").body
        except CrmFailed:  # A link is worth no error.
            return ""
        host, portal = account.get("uiDomain") or "app.hubspot.com", account.get("portalId")
        found = f"https://{host}/contacts/{portal}/record/0-1/"
        return found if portal and _RECORD.match(found) else ""

    # Our own properties

    def _prepare(self, kind: str, name: str) -> None:
        """See to it that objects of a kind have our property, once in the life of a process."""
        if kind in self._ready:
            return
        path = f"/crm/properties/{self._version}/{kind}"
        try:
            found = self._done("GET", f"{path}/{name}").body
        except CrmGone:
            found = self._make_property(path, name)
        if not found.get("hasUniqueValue"):
            raise CrmFailed(
                f"HubSpot's property {name} of {kind} does not require unique values. Delete it there; the gateway "
                "makes it as it must be.",
                code="property_not_unique", permanent=True, account=True,
            )  # fmt: skip
        self._ready.add(kind)

    def _make_property(self, path: str, name: str) -> Mapping[str, Any]:
        for where, wanted in (
            (f"{path}/groups", {"name": GROUP, "label": "Conversation gateway"}),
            (path, {
                "name": name, "label": "Conversation gateway", "groupName": GROUP, "type": "string",
                "fieldType": "text", "hasUniqueValue": True, "formField": False,
                "description": "Set by the conversation gateway, which knows by it what it made. Leave it as it is.",
            }),
        ):  # fmt: skip
            try:
                self._done("POST", where, send=wanted)
            except CrmConflict:  # Somebody else made it a moment ago.
                continue
        return self._done("GET", f"{path}/{name}").body


def _kind(communication_type: str) -> str:
    return "communications" if communication_type in _CHANNELS else "notes"


def _properties(entry: Entry) -> dict[str, str]:
    moment = {"hs_timestamp": str(epoch_ms(entry.at))}
    channel = _CHANNELS.get(entry.communication_type)
    if channel is None:
        return moment | {"hs_note_body": entry.body}
    logged = {"hs_communication_channel_type": channel, "hs_communication_logged_from": "CRM"}
    return moment | logged | {"hs_communication_body": entry.body}


def _empty_ones(known: Known, facts: Facts) -> dict[str, str]:
    """Give what is known of a person and HubSpot has nothing of."""
    missing: dict[str, str] = {}
    if facts.name and not known.name:
        first, _, last = facts.name.strip().partition(" ")
        missing |= {"firstname": first} | ({"lastname": last.strip()} if last.strip() else {})
    if facts.emails and not known.email:
        missing["email"] = facts.emails[0]
    if facts.phones and not known.phone:
        missing["phone"] = facts.phones[0]
    return missing


def _equals(name: str, value: str) -> dict[str, str]:
    return {"propertyName": name, "operator": "EQ", "value": value}


def _same_phone(phone: str, theirs: Any) -> bool:
    """Tell whether a number somebody typed is this one; without its country it may be."""
    digits = re.sub(r"\D", "", str(theirs or ""))
    if str(theirs or "").strip().startswith("+"):
        return digits == phone.removeprefix("+")
    return digits.lstrip("0") in (_national(phone), phone.removeprefix("+"))


def _national(phone: str) -> str:
    """Give a number without its country, whose code says itself how long it is (ITU-T E.164)."""
    digits = phone.removeprefix("+")
    length = 1 if digits[:1] in ("1", "7") else 3 if _OF_THREE_DIGITS.match(digits) else 2
    return digits[length:]
