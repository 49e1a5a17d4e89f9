"""Settings: every row of the table is read, and anything wrong stops the start with one line."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gateway import settings as settings_module
from gateway.conversation import runtime
from gateway.core.errors import ConfigError
from gateway.settings import Settings, idle_ms, keep_secret, load, require_writable

ROOT = Path(__file__).resolve().parents[1]
PLAIN = {
    "PORT",
    "PUBLIC_URL",
    "MONGODB_URI",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "SECRET_KEY",
    "WEB_CONCURRENCY",
    "TRUSTED_PROXIES",
}
PASSWORD = "hunter2"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Start with an empty environment; set what a test says and load."""
    for name in os.environ:
        if name in PLAIN or name.upper().startswith("GATEWAY_"):
            monkeypatch.delenv(name)

    def given(**variables: str) -> Settings:
        for name, value in ({"GATEWAY_ENV": "test", "GATEWAY_DATA_DIR": str(tmp_path)} | variables).items():
            monkeypatch.setenv(name, value)
        return load()

    return given


def refusal(given: Any, **variables: str) -> str:
    """Give the one line that stops the start."""
    with pytest.raises(ConfigError) as stopped:
        given(**variables)
    line = str(stopped.value)
    assert "\n" not in line
    assert line.endswith(".")
    return line


def plain(value: Any) -> Any:
    """Make secrets and paths comparable."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    return value if isinstance(value, bool | int | float | None) else str(value)


ROWS: list[tuple[str, str, str, Any]] = [
    ("PORT", "9000", "port", 9000),
    ("PUBLIC_URL", "https://x.org/gw", "public_url", "https://x.org/gw"),
    ("MONGODB_URI", "mongodb://h:27017/g", "mongodb_uri", "mongodb://h:27017/g"),
    ("MONGODB_URI", "mongodb+srv://u:p@h/g", "mongodb_uri", "mongodb+srv://u:p@h/g"),
    ("TWILIO_ACCOUNT_SID", "AC" + "a" * 32, "twilio_account_sid", "AC" + "a" * 32),
    ("TWILIO_AUTH_TOKEN", "new, old", "twilio_auth_token", ["new", "old"]),
    ("SECRET_KEY", "s", "secret_key", "s"),
    ("WEB_CONCURRENCY", "4", "web_concurrency", 4),
    (
        "TRUSTED_PROXIES",
        "127.0.0.1,::1, 10.0.0.0/8",
        "trusted_proxies",
        ["127.0.0.1/32", "::1/128", "10.0.0.0/8"],
    ),
    ("TRUSTED_PROXIES", "", "trusted_proxies", []),
    ("GATEWAY_TWILIO__ACCOUNTS", '{"AC1": ["t", "u"]}', "twilio.accounts", {"AC1": ["t", "u"]}),
    (
        "GATEWAY_TWILIO__SHARED_KEYS",
        '{"webhooks_sharedkey_1": "s"}',
        "twilio.shared_keys",
        {"webhooks_sharedkey_1": "s"},
    ),
    ("GATEWAY_DATA_DIR", "/tmp/d", "data_dir", "/tmp/d"),
    ("GATEWAY_SESSIONS__IDLE_SECONDS", "300", "sessions.idle_seconds", 300_000),
    ("GATEWAY_SESSIONS__IDLE_SECONDS", "0.25", "sessions.idle_seconds", 250),
    ("GATEWAY_SESSIONS__IDLE_SECONDS", "0", "sessions.idle_seconds", 0),
    ("GATEWAY_SESSIONS__IDLE_SECONDS", "never", "sessions.idle_seconds", None),
    ("GATEWAY_SESSIONS__IDLE_SECONDS", "null", "sessions.idle_seconds", None),
    (
        "GATEWAY_SESSIONS__IDLE_SECONDS_BY_TYPE",
        '{"voice": 900, "sms": "never", "whatsapp": null}',
        "sessions.idle_seconds_by_type",
        {"voice": 900_000, "sms": None, "whatsapp": None},
    ),
    ("GATEWAY_SESSIONS__SCOPE", "contact", "sessions.scope", "contact"),
    ("GATEWAY_SESSIONS__ANCHOR", "inbound", "sessions.anchor", "inbound"),
    ("GATEWAY_REPLY__RESPONDER", "canned", "reply.responder", "canned"),
    ("GATEWAY_REPLY__DEBOUNCE_SECONDS", "0.5", "reply.debounce_seconds", 0.5),
    ("GATEWAY_REPLY__TIMEZONE", "Europe/Berlin", "reply.timezone", "Europe/Berlin"),
    ("GATEWAY_REPLY__HOURLY_LIMIT", "0", "reply.hourly_limit", 0),
    ("GATEWAY_REPLY__WHATSAPP_OPT_OUT", "false", "reply.whatsapp_opt_out", False),
    ("GATEWAY_SPOOL__DIR", "/tmp/s", "spool.dir", "/tmp/s"),
    ("GATEWAY_BROKER__URL", "redis://:pw@h:6379/0", "broker.url", "redis://:pw@h:6379/0"),
    ("GATEWAY_BROKER__URL", "amqp://h//", "broker.url", "amqp://h//"),
    ("GATEWAY_TWILIO__API_BASE_URL", "http://127.0.0.1:4010", "twilio.api_base_url", "http://127.0.0.1:4010"),
    ("GATEWAY_LLM__BASE_URL", "http://llm", "llm.base_url", "http://llm"),
    ("GATEWAY_LLM__MODEL", "m", "llm.model", "m"),
    ("GATEWAY_LLM__API_KEY", "k", "llm.api_key", "k"),
    ("GATEWAY_LLM__SYSTEM_PROMPT", "Be kind.", "llm.system_prompt", "Be kind."),
    ("GATEWAY_HTTP_BOT__URL", "http://bot", "http_bot.url", "http://bot"),
    ("GATEWAY_HTTP_BOT__SECRET", "s", "http_bot.secret", "s"),
    ("GATEWAY_CRM__PROVIDER", "hubspot", "crm.provider", "hubspot"),
    ("GATEWAY_CRM__ACCESS_TOKEN", "t", "crm.access_token", "t"),
    ("GATEWAY_CRM__BASE_URL", "http://crm", "crm.base_url", "http://crm"),
    ("GATEWAY_TWILIO__SIGNATURES", "observe", "twilio.signatures", "observe"),
    ("GATEWAY_ADMIN__PASSWORD", "p", "admin.password", "p"),
    ("GATEWAY_LOG__FORMAT", "console", "log.format", "console"),
    ("GATEWAY_LOG__REDACT", "false", "log.redact", False),
    ("GATEWAY_VOICE__GREETING", "Hi", "voice.greeting", "Hi"),
    ("GATEWAY_CANNED__DEFAULT", "Soon.", "canned.default", "Soon."),
]


@pytest.mark.parametrize(("name", "value", "where", "expected"), ROWS, ids=[f"{row[0]}={row[1]}" for row in ROWS])
def test_every_setting_of_the_table_is_read(given, name, value, where, expected):
    beside = {"GATEWAY_CRM__ACCESS_TOKEN": "t"} if name == "GATEWAY_CRM__PROVIDER" else {}
    found: Any = given(**beside, **{name: value})
    for part in where.split("."):
        found = getattr(found, part)
    assert plain(found) == expected


DEFAULTS = {
    "port": 8080,
    "public_url": "",
    "web_concurrency": 2,
    "trusted_proxies": [],
    "sessions.idle_seconds": 300_000,
    "sessions.idle_seconds_by_type": {},
    "sessions.scope": "channel",
    "sessions.anchor": "any",
    "reply.debounce_seconds": 2.0,
    "reply.timezone": "UTC",
    "reply.hourly_limit": 60,
    "broker.url": "",
    "twilio.signatures": "enforce",
    "log.format": "json",
    "log.redact": True,
}


@pytest.mark.parametrize(("where", "expected"), DEFAULTS.items(), ids=str)
def test_what_nobody_set_has_its_default(given, where, expected):
    found: Any = given()
    for part in where.split("."):
        found = getattr(found, part)
    assert plain(found) == expected


@pytest.mark.parametrize(
    ("env", "responder", "proxies", "log_format"),
    [("development", "echo", ["127.0.0.1/32", "::1/128"], "console"), ("test", "echo", [], "json")],
)
def test_an_environment_has_defaults_of_its_own(given, env, responder, proxies, log_format):
    found = given(GATEWAY_ENV=env)
    assert (found.env, found.reply.responder, found.log.format) == (env, responder, log_format)
    assert [str(network) for network in found.trusted_proxies] == proxies


def test_production_is_what_is_taken_when_nobody_says(given, monkeypatch):
    given()
    monkeypatch.delenv("GATEWAY_ENV")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "t")
    monkeypatch.setenv("SECRET_KEY", "s")
    found = load()
    assert (found.env, found.reply.responder, found.trusted_proxies) == ("production", "none", [])


def test_the_spool_lies_in_the_data_folder_unless_told(given, tmp_path):
    assert given().spool_dir == tmp_path / "spool"
    assert given(GATEWAY_SPOOL__DIR="/tmp/elsewhere").spool_dir == Path("/tmp/elsewhere")


def test_the_threshold_of_a_type_wins_over_the_default(given):
    found = given(GATEWAY_SESSIONS__IDLE_SECONDS_BY_TYPE='{"voice": 900, "whatsapp": "never"}')
    assert [found.idle_ms_for(kind) for kind in ("sms", "voice", "whatsapp")] == [300_000, 900_000, None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (300, 300_000),
        ("300", 300_000),
        (0.001, 1),
        (0, 0),
        ("0", 0),
        (None, None),
        ("never", None),
        (" NEVER ", None),
        ("null", None),
        (0.0004, 0),
        ("1e3", 1_000_000),
    ],
)
def test_an_idle_threshold_is_read_as_milliseconds(value, expected):
    assert idle_ms(value) == expected


@pytest.mark.parametrize("value", [-1, "-0.001", "nan", "inf", "-inf", "1e999", "", "five", True, False, [], {}])
def test_an_idle_threshold_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="must be"):
        idle_ms(value)


# Wrong values

WRONG = [
    ("PORT", "abc"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PUBLIC_URL", "example.com"),
    ("PUBLIC_URL", "ftp://x"),
    ("PUBLIC_URL", "https://x?y"),
    ("PUBLIC_URL", "https://x#y"),
    ("TWILIO_ACCOUNT_SID", "SM1"),
    ("WEB_CONCURRENCY", "0"),
    ("TRUSTED_PROXIES", "nobody"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("GATEWAY_ENV", "prod"),
    ("GATEWAY_SESSIONS__IDLE_SECONDS", "-1"),
    ("GATEWAY_SESSIONS__IDLE_SECONDS", "five"),
    ("GATEWAY_SESSIONS__IDLE_SECONDS", "nan"),
    ("GATEWAY_SESSIONS__SCOPE", "person"),
    ("GATEWAY_SESSIONS__ANCHOR", "outbound"),
    ("GATEWAY_REPLY__DEBOUNCE_SECONDS", "-1"),
    ("GATEWAY_REPLY__TIMEZONE", "Mars/Olympus"),
    ("GATEWAY_REPLY__TIMEZONE", "../etc/passwd"),
    ("GATEWAY_REPLY__HOURLY_LIMIT", "many"),
    ("GATEWAY_BROKER__URL", "http://h"),
    ("GATEWAY_CRM__PROVIDER", "other"),
    ("GATEWAY_TWILIO__SIGNATURES", "off"),
    ("GATEWAY_LOG__FORMAT", "xml"),
    ("GATEWAY_LOG__REDACT", "perhaps"),
    ("GATEWAY_SESSIONS__IDLE_SECONDS_BY_TYPE", "voice=900"),
    ("GATEWAY_SESSIONS__IDLE_SECONDS_BY_TYPE", "[900]"),
    ("GATEWAY_SESSIONS", "{broken"),
    ("GATEWAY_REPLY", "echo"),
    ("GATEWAY_CANNED__RULES", "broken"),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}={value}" for name, value in WRONG])
def test_a_wrong_value_is_named_with_its_variable_and_a_remedy(given, name, value):
    line = refusal(given, **{name: value})
    assert line.startswith((f"{name} ", f"{name}:", f"{name}_"))
    assert value in line
    assert "docs/settings.md" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_SESSIONS__IDLE_SECONDS_BY_TYPE", '{"voice": -1}'),
        ("GATEWAY_CANNED__RULES", '[{"words": ["a"]}]'),
        ("GATEWAY_CANNED__RULES", '[{"text": "a", "start": "8:00"}]'),
        ("GATEWAY_CANNED__RULES", '[{"text": "a", "unknown": 1}]'),
    ],
)
def test_a_wrong_value_inside_a_variable_names_the_variable(given, name, value):
    assert refusal(given, **{name: value}).startswith(name)


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        (
            "PUBLIC_URL",
            "gateway.example.com",
            "must begin with https:// or http:// and have no ? or #, as https://gateway",
        ),
        ("TWILIO_ACCOUNT_SID", "SM1", "must be an account's SID: AC and 32 digits and letters."),
        ("MONGODB_URI", "localhost/gateway", "must begin with mongodb:// or mongodb+srv://, as mongodb://host/gateway"),
        ("GATEWAY_BROKER__URL", "http://h", "must be written as redis://host:6379/0 or amqp://user:password@host//"),
        ("GATEWAY_TWILIO__SIGNATURES", "off", "must be 'enforce', 'observe' or, in production, 'observe observe'"),
        ("GATEWAY_TWILIO__MESSAGING_SERVICE_SID", "AC1", "must be a Messaging Service's SID: MG and"),
        ("GATEWAY_VOICE__DIAL_TO", "5558675310", "must be a number with its country code, as +15558675310"),
        ("GATEWAY_ALERTS__EMAIL_FROM", "gateway", "must be an e-mail address, as gateway@example.com"),
    ],
)
def test_what_is_wrongly_written_is_told_in_words_how_to_write_it(given, name, value, written):
    line = refusal(given, **{name: value})
    assert f": {written}" in line
    assert "pattern" not in line
    assert "^" not in line


@pytest.mark.parametrize(
    ("name", "value", "beginning"),
    [
        ("GATEWAY_REPLY__HOURS", '{"mo": ["09:00-17:00"]}', " has a wrong key, 'mo': Input should be 'mon'"),
        ("GATEWAY_REPLY__HOURS", '{"mon": ["9-17"]}', " (mon, item 1) = '9-17': must be two times of day such as"),
        ("GATEWAY_SESSIONS__IDLE_SECONDS_BY_TYPE", '{"fax": 3}', " has a wrong key, 'fax': Input should be 'sms'"),
        ("GATEWAY_SESSIONS__IDLE_SECONDS_BY_TYPE", '{"sms": -3}', " (sms) = -3: must be 0 or more seconds"),
        ("GATEWAY_CHAT__ORIGINS", "https://a.example.com,b", " (item 2) = 'b': 'b' is no origin"),
        ("GATEWAY_CANNED__RULES", '[{"text": "a", "unknown": 1}]', " (item 1, unknown) is not a setting"),
        ("GATEWAY_TWILIO__ACCOUNTS", '{"AC1": "t"}', " (AC1) = (hidden): "),
        ("GATEWAY_TWILIO__ACCOUNTS", '{"' + "0123456789abcdef" * 2 + '": "t"}', " (hidden) = (hidden): "),
    ],
)
def test_what_is_wrong_inside_a_variable_is_named_under_the_variable_there_is(given, name, value, beginning):
    assert refusal(given, **{name: value}).startswith(name + beginning)


def test_a_token_where_the_sid_belongs_is_not_shown(given):
    """The two stand beside each other in the Twilio console, and are easily swapped."""
    token = "0123456789abcdef" * 2
    line = refusal(given, TWILIO_ACCOUNT_SID=token)
    assert line.startswith("TWILIO_ACCOUNT_SID = (hidden): ")
    assert token not in line


EMPTY = [
    ("GATEWAY_TWILIO__ACCOUNTS", '{"AC1": [""]}', "AC1 has an empty token"),
    ("GATEWAY_TWILIO__ACCOUNTS", '{"AC1": ["t", " "]}', "AC1 has an empty token"),
    ("GATEWAY_TWILIO__ACCOUNTS", '{"AC1": ["t"], "AC2": []}', "AC2 has no token"),
    ("GATEWAY_TWILIO__SHARED_KEYS", '{"webhooks_sharedkey_a": ""}', "webhooks_sharedkey_a has an empty secret"),
    ("GATEWAY_TWILIO__SHARED_KEYS", '{"webhooks_sharedkey_a": "\\t"}', "webhooks_sharedkey_a has an empty secret"),
]


@pytest.mark.parametrize("env", ["development", "production", "test"])
@pytest.mark.parametrize(("name", "value", "reason"), EMPTY, ids=[f"{row[0]}={row[1]}" for row in EMPTY])
def test_an_empty_secret_that_anybody_could_sign_with_is_refused(given, env, name, value, reason):
    line = refusal(given, **(PRODUCTION | {"GATEWAY_ENV": env, name: value}))
    assert line.startswith(f"{name} = (hidden): {reason}")
    assert "or remove the" in line


def test_an_empty_token_in_a_file_is_refused(given, files):
    (files / "base.toml").write_text('TWILIO_AUTH_TOKEN = ["t", ""]\n')
    assert refusal(given).startswith("TWILIO_AUTH_TOKEN = (hidden): has an empty token")


def test_empty_parts_between_the_commas_of_tokens_are_passed_over(given):
    assert plain(given(TWILIO_AUTH_TOKEN="new,, old,").twilio_auth_token) == ["new", "old"]


HASTY = [
    ("GATEWAY_OUTBOX__LOOKUP_SECONDS", "2", "2.5"),
    ("GATEWAY_OUTBOX__LOOKUP_SECONDS", "29.9", "30"),
    ("GATEWAY_OUTBOX__LEASE_SECONDS", "19.9", "10"),
    ("GATEWAY_OUTBOX__LEASE_SECONDS", "60", "30.1"),
]


@pytest.mark.parametrize(("name", "value", "timeout"), HASTY, ids=[f"{row[0]}={row[1]}" for row in HASTY])
def test_a_time_that_a_request_to_twilio_outlasts_is_refused(given, name, value, timeout):
    others = {"GATEWAY_OUTBOX__LOOKUP_SECONDS": "300", "GATEWAY_OUTBOX__LEASE_SECONDS": "300"}
    line = refusal(given, **(others | {name: value, "GATEWAY_TWILIO__TIMEOUT_SECONDS": timeout}))
    assert f"{name} = {value} " in line
    assert "GATEWAY_TWILIO__TIMEOUT_SECONDS" in line
    assert timeout in line


@pytest.mark.parametrize(("lookup", "lease"), [("10", "20"), ("30", "60")])
def test_times_that_a_request_to_twilio_fits_in_are_accepted(given, lookup, lease):
    times = {"GATEWAY_OUTBOX__LOOKUP_SECONDS": lookup, "GATEWAY_OUTBOX__LEASE_SECONDS": lease}
    assert given(**times, GATEWAY_TWILIO__TIMEOUT_SECONDS="10").outbox.lease_seconds == float(lease)


def test_a_threshold_of_a_type_nobody_knows_is_refused(given):
    assert "voise" in refusal(given, GATEWAY_SESSIONS__IDLE_SECONDS_BY_TYPE='{"voise": 900}').lower()


def test_a_threshold_no_calendar_reaches_is_refused(given):
    assert refusal(given, GATEWAY_SESSIONS__IDLE_SECONDS="1e15").startswith("GATEWAY_SESSIONS__IDLE_SECONDS")


SECRET = [
    ("MONGODB_URI", f"mongo://me:{PASSWORD}@h"),
    ("GATEWAY_TWILIO__ACCOUNTS", f'{{"AC1": "{PASSWORD}"}}'),
    ("GATEWAY_TWILIO__ACCOUNTS", f'{{"AC1": ["{PASSWORD}"'),
    ("GATEWAY_TWILIO__SHARED_KEYS", f'["{PASSWORD}"]'),
    ("GATEWAY_TWILIO__SHARED_KEYS", f'{{"k": ["{PASSWORD}"]}}'),
    ("GATEWAY_LLM", f'{{"api_key": "{PASSWORD}"'),
    ("GATEWAY_HTTP_BOT", f'{{"secret": ["{PASSWORD}"]}}'),
    ("GATEWAY_BROKER__URL", f"http://me:{PASSWORD}@h"),
    ("PUBLIC_URL", f"https://me:{PASSWORD}@h?x"),
    ("GATEWAY_TWILIO__AUTH_TOKEN", PASSWORD),
    ("GATEWAY_SECRETKEY", PASSWORD),
]


@pytest.mark.parametrize(("name", "value"), SECRET, ids=[f"{name}={value}" for name, value in SECRET])
def test_a_secret_is_never_shown(given, name, value):
    line = refusal(given, **{name: value})
    assert line.startswith(name)
    assert PASSWORD not in line


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("GATEWAY_DATADIR", "GATEWAY_DATA_DIR"),
        ("GATEWAY_SESSION__SCOPE", "GATEWAY_SESSIONS"),
        ("GATEWAY_X", ""),
        ("GATEWAY_IDLE", ""),
        ("GATEWAY_SESSIONS__IDLE", ""),
        ("GATEWAY_REPLY__RESPONDER__NAME", ""),
        ("GATEWAY_PORT", "PORT"),
        ("GATEWAY_PUBLIC_URL", "PUBLIC_URL"),
        ("GATEWAY_MONGODB_URI", "MONGODB_URI"),
        ("GATEWAY_SECRET_KEY", "SECRET_KEY"),
        ("GATEWAY_TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN"),
    ],
)
def test_an_unknown_variable_stops_the_start(given, name, near):
    line = refusal(given, **{name: "1"})
    assert line.startswith(f"{name} ")
    assert near in line


def test_an_unknown_responder_stops_the_start(given):
    with pytest.raises(ConfigError, match=r"^GATEWAY_REPLY__RESPONDER = 'nobody': .*echo"):
        runtime.build(given(GATEWAY_REPLY__RESPONDER="nobody"))


@pytest.mark.parametrize("responder", ["none", "echo", "canned", "http_bot", "llm", "flow"])
def test_every_responder_of_the_table_is_accepted(given, responder):
    runtime.build(given(GATEWAY_REPLY__RESPONDER=responder))


# The files


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of configuration of this test's own."""
    monkeypatch.setattr(settings_module, "CONFIG_DIR", tmp_path)
    return tmp_path


def test_defaults_then_base_then_environment_file_then_environment(given, files):
    assert given().port == 8080
    (files / "base.toml").write_text('PORT = 1\n[reply]\nresponder = "echo"\n[sessions]\nidle_seconds = 1\n')
    assert (given().port, given().sessions.idle_seconds) == (1, 1000)
    (files / "test.toml").write_text("PORT = 2\n[sessions]\nidle_seconds = 2\n")
    assert (given().port, given().sessions.idle_seconds, given().reply.responder) == (2, 2000, "echo")
    found = given(PORT="3", GATEWAY_SESSIONS__IDLE_SECONDS="3")
    assert (found.port, found.sessions.idle_seconds, found.reply.responder) == (3, 3000, "echo")


def test_one_variable_of_a_section_leaves_the_rest_of_its_file(given, files):
    (files / "base.toml").write_text('[voice]\ngreeting = "Hi"\nlanguage = "de-DE"\n')
    voice = given(GATEWAY_VOICE__GREETING="Moin").voice
    assert (voice.greeting, voice.language) == ("Moin", "de-DE")


def test_only_the_file_of_this_environment_is_read(given, files):
    (files / "production.toml").write_text("PORT = 2\n")
    assert given().port == 8080


@pytest.mark.parametrize("text", ["port = ", "[sessions\n", 'a = "'])
def test_a_broken_file_is_named(given, files, text):
    (files / "base.toml").write_text(text)
    line = refusal_of_any_end(given)
    assert str(files / "base.toml") in line


@pytest.mark.parametrize(
    ("text", "name"),
    [("[sessions]\nidle = 1\n", "GATEWAY_SESSIONS__IDLE"), ("[extra]\na = 1\n", "GATEWAY_EXTRA")],
)
def test_an_unknown_name_in_a_file_is_named(given, files, text, name):
    (files / "base.toml").write_text(text)
    assert refusal(given).startswith(f"{name} ")


# Production

PRODUCTION = {"GATEWAY_ENV": "production", "TWILIO_AUTH_TOKEN": "t", "SECRET_KEY": "s"}


def test_production_starts_with_token_and_key(given):
    assert given(**PRODUCTION).env == "production"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"TWILIO_AUTH_TOKEN": ""}, "TWILIO_AUTH_TOKEN"),
        ({"TWILIO_AUTH_TOKEN": " , "}, "TWILIO_AUTH_TOKEN"),
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"GATEWAY_TWILIO__SIGNATURES": "observe"}, "GATEWAY_TWILIO__SIGNATURES"),
    ],
)
def test_production_refuses_what_is_dangerous(given, changes, named):
    assert refusal_of_any_end(given, **(PRODUCTION | changes)).startswith(named)


def refusal_of_any_end(given: Any, **variables: str) -> str:
    with pytest.raises(ConfigError) as stopped:
        given(**variables)
    assert "\n" not in str(stopped.value)
    return str(stopped.value)


@pytest.mark.parametrize("twice", ["observe observe", "observe,observe"])
def test_production_observes_when_told_twice(given, twice):
    assert given(**PRODUCTION, GATEWAY_TWILIO__SIGNATURES=twice).observes_signatures


@pytest.mark.parametrize(
    "keys", [{"GATEWAY_TWILIO__ACCOUNTS": '{"AC1": ["t"]}'}, {"GATEWAY_TWILIO__SHARED_KEYS": '{"k": "s"}'}]
)
def test_production_starts_with_other_secrets_than_the_main_token(given, keys):
    given(**(PRODUCTION | {"TWILIO_AUTH_TOKEN": ""} | keys))


def test_production_refuses_a_spool_it_cannot_write(given, tmp_path):
    (tmp_path / "file").write_text("")
    line = refusal(given, **PRODUCTION, GATEWAY_SPOOL__DIR=str(tmp_path / "file" / "spool"))
    assert str(tmp_path / "file" / "spool") in line
    assert "GATEWAY_SPOOL__DIR" in line


def test_a_writable_spool_is_made_and_left_empty(tmp_path):
    require_writable(tmp_path / "a" / "spool")
    assert list((tmp_path / "a" / "spool").iterdir()) == []


# Development


def test_development_makes_secrets_and_keeps_them(given, tmp_path):
    once, again = given(GATEWAY_ENV="development"), given(GATEWAY_ENV="development")
    assert once.twilio_auth_token == again.twilio_auth_token
    assert once.secret_key == again.secret_key
    assert len(once.secret_key.get_secret_value()) >= 32
    assert once.secret_key.get_secret_value() != once.twilio_auth_token[0].get_secret_value()
    for name in ("twilio-auth-token", "secret-key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret-key", "twilio-auth-token"]


def test_development_keeps_secrets_that_were_set(given, tmp_path):
    found = given(GATEWAY_ENV="development", TWILIO_AUTH_TOKEN="t", SECRET_KEY="s")
    assert (plain(found.twilio_auth_token), plain(found.secret_key)) == (["t"], "s")
    assert list(tmp_path.iterdir()) == []


def test_processes_that_start_together_agree_on_one_secret(tmp_path):
    program = "import sys, pathlib, gateway.settings as s; print(s.keep_secret(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", program, str(tmp_path / "secret")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)]
    assert len({process.communicate()[0] for process in started}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_secret_that_cannot_be_kept_names_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="GATEWAY_DATA_DIR"):
        keep_secret(tmp_path / "file" / "secret")


def test_secrets_are_not_in_the_settings_own_words(given):
    variables = {
        "TWILIO_AUTH_TOKEN": PASSWORD,
        "SECRET_KEY": PASSWORD,
        "GATEWAY_ADMIN__PASSWORD": PASSWORD,
        "GATEWAY_LLM__API_KEY": PASSWORD,
        "GATEWAY_HTTP_BOT__SECRET": PASSWORD,
        "GATEWAY_CRM__ACCESS_TOKEN": PASSWORD,
        "GATEWAY_TWILIO__ACCOUNTS": json.dumps({"AC1": [PASSWORD]}),
        "GATEWAY_TWILIO__SHARED_KEYS": json.dumps({"k": PASSWORD}),
    }
    found = given(**variables)
    assert PASSWORD not in repr(found)
    assert PASSWORD not in found.model_dump_json()


MAIL = {
    "GATEWAY_ALERTS__EMAIL_TO": "a@example.com, b@example.com",
    "GATEWAY_ALERTS__EMAIL_FROM": "gateway@example.com",
    "GATEWAY_ALERTS__SMTP_HOST": "smtp.example.com",
}


@pytest.mark.parametrize("left_out", MAIL)
def test_alerts_by_mail_are_set_wholly_or_not_at_all(given, left_out):
    line = refusal(given, **{name: value for name, value in MAIL.items() if name != left_out})
    assert line.startswith(f"{left_out} is not set")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"GATEWAY_ALERTS__SMTP_USER": "u"}, "GATEWAY_ALERTS__EMAIL_TO"),
        (MAIL | {"GATEWAY_ALERTS__SMTP_USER": "u"}, "GATEWAY_ALERTS__SMTP_PASSWORD"),
        (MAIL | {"GATEWAY_ALERTS__SMTP_PASSWORD": PASSWORD}, "GATEWAY_ALERTS__SMTP_USER"),
        ({"GATEWAY_ALERTS__WEBHOOK_SECRET": PASSWORD}, "GATEWAY_ALERTS__WEBHOOK_URL"),
        (
            MAIL
            | {
                "GATEWAY_ALERTS__SMTP_USER": "u",
                "GATEWAY_ALERTS__SMTP_PASSWORD": PASSWORD,
                "GATEWAY_ALERTS__SMTP_TLS": "none",
            },
            "GATEWAY_ALERTS__SMTP_TLS",
        ),
    ],
)
def test_alerts_that_could_not_be_sent_stop_the_start(given, variables, named):
    line = refusal(given, **variables)
    assert line.startswith(named)
    assert PASSWORD not in line


def _variables(model: type[BaseModel], prefix: str = "GATEWAY_") -> Iterator[str]:
    for name, field in model.model_fields.items():
        variable = prefix + name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _variables(field.annotation, variable + "__")
        elif (plain := name.upper()) in PLAIN and prefix == "GATEWAY_":
            yield plain
        else:
            yield variable


def test_every_setting_is_in_the_list_for_people():
    written = (ROOT / "docs/settings.md").read_text()
    rows = [re.findall(r"`([A-Z_]+)`", row.split("|")[1]) for row in written.splitlines() if row.startswith("| `")]
    # A row names a group once: `GATEWAY_LLM__BASE_URL`, `__MODEL`.
    named = {one if one[0] != "_" else row[0].rpartition("__")[0] + one for row in rows for one in row}
    assert set(_variables(Settings)) == named
