"""Flows for the tests: the shipped ones, and one with every kind of field, branches, a way back and own endings."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

from gateway.core import flows

SHIPPED = Path(__file__).parent.parent.parent / "config" / "flows"
# A Saturday.
AT = datetime(2026, 11, 21, 18, 4, tzinfo=UTC)

RICH = """
title = "A table"
version = 3
tries = 3
timeout_minutes = 60
timezone = "Europe/Berlin"

[triggers]
words = ["book a table"]
intents = ["table"]

[answers]
cancel = ["laat maar"]
yes = ["jawohl"]

[fields.name]
kind = "name"

[fields.phone]
kind = "phone"

[fields.email]
kind = "email"
label = "E-mail"
optional = true

[steps.welcome]
prompt = "Welcome to {title}."

[steps.guests]
kind = "number"
label = "Guests"
also = ["people", "party"]
min = 1
max = 500
prompt = "For how many?"
next = [{ if = "guests >= 100", go = "large" }, { if = "guests > 20", go = "hall" }, { go = "day" }]

[steps.large]
prompt = "We have room for 99 at most."
next = "guests"

[steps.hall]
kind = "yes_no"
label = "The hall"
prompt = "Will you take the hall?"
next = { yes = "day", no = "sorry" }

[steps.day]
kind = "date"
prompt = "For when?"

[steps.table]
kind = "choice"
prompt = "Which table?"
options = [{ value = "Window", words = ["by the window"] }, "Garden", "Quiet corner"]
next = { Window = "contact", Garden = "contact", "Quiet corner" = "wish" }

[steps.wish]
kind = "text"
label = "Wish"
prompt = "What can we do for you?"
max = 200
optional = true

[steps.contact]
collect = ["name", "phone", "email"]
prompt = "Your name, phone number and e-mail?"

[steps.voucher]
kind = "regex"
pattern = '[A-Z]{2}-?[0-9]{4}'
label = "Voucher"
optional = true
prompt = "Do you have a voucher?"
retry = "A voucher looks like AB-1234. Send skip if you have none."

[steps.menu]
kind = "items"
label = "Menu"
options = [
  { value = "menus with fish", words = ["fish"], key = "1" },
  { value = "menus without", words = ["meat"], key = "2" },
]
other = false
optional = true
prompt = "Any menus to prepare?"

[steps.sure]
confirm = true
next = { no = "guests" }

[endings.completed]
text = "See you on {day}[, {name}]."
spoken = "See you {day}."
do = [
  { action = "capture", name = "{name}", email = "{email}", phone = "{phone}" },
  { action = "message", text = "{summary}" },
  { action = "post", url = "https://example.com/tables" },
]

[endings.sorry]
outcome = "canceled"
text = "Then we cannot seat {guests}, sorry."

[endings.given_up]
do = [{ action = "hand_over" }]
"""


def parsed(text: str, name: str = "config/flows/table.toml", **more):
    """Read a flow from its TOML."""
    return flows.read(name, tomllib.loads(text), **more)


def shipped(name: str):
    """Read a flow we ship."""
    return parsed((SHIPPED / f"{name}.toml").read_text(), f"config/flows/{name}.toml")


def rich():
    """Read the flow with everything in it."""
    return parsed(RICH)
