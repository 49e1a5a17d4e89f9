"""What is said of a setting that is wrong: one line, with the variable, the value and the remedy."""

import difflib
import json
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from gateway.core.errors import ConfigError

# What Twilio's tokens look like: one that was put where a SID belongs is a secret there, too.
_TOKEN = re.compile(r"\s*[0-9a-f]{32}\s*")

# What pydantic puts after a key where that is wrong, and not what stands behind it.
_KEY = "[key]"

Location = tuple[int | str, ...]


def _variable(location: Location, settings: Mapping[str, FieldInfo]) -> tuple[str, Location]:
    """Give the variable of a place in the settings, and where in its value that place is."""
    top, *rest = location
    if str(top).isupper():
        return str(top), (*rest,)
    field = settings.get(str(top))
    if rest and field and _fields(field.annotation):
        return f"GATEWAY_{top}__{rest[0]}".upper(), (*rest[1:],)
    return f"GATEWAY_{top}".upper(), (*rest,)


def _inside(location: Location) -> str:
    """Say where in a value something is: lists are counted from 1, as people do."""
    parts = [f"item {part + 1}" if isinstance(part, int) else _unless_token(part) for part in location]
    return f" ({', '.join(parts)})" if parts else ""


def _unless_token(text: str) -> str:
    return "hidden" if _TOKEN.fullmatch(text) else text


def broken_file(folder: Path) -> Path:
    """Find the file of this folder that is no TOML."""
    for path in sorted(folder.glob("*.toml")):
        try:
            tomllib.loads(path.read_text())
        except ValueError:
            return path
    return folder


def one_line(error: ValidationError, settings: Mapping[str, FieldInfo]) -> str:
    """Say the first thing that is wrong: variable, value (unless it is a secret), reason, remedy."""
    first = error.errors()[0]
    name, place = _variable(first["loc"], settings)
    if first["type"] == "extra_forbidden":
        return f"{name}{_inside(place)} is not a setting of the gateway. Remove it, or see docs/settings.md."
    shown = "(hidden)" if _is_secret(name, first["input"]) else repr(first["input"])
    reason = first["msg"].removeprefix("Value error, ")
    remedy = "Correct it; docs/settings.md lists what is allowed."
    if place and place[-1] == _KEY:
        return f"{name}{_inside(place[:-2])} has a wrong key, {shown}: {reason}. {remedy}"
    return f"{name}{_inside(place)} = {shown}: {reason}. {remedy}"


def _is_secret(name: str, value: object) -> bool:
    """Tell whether a value must not be shown: a secret by its name or looks, or a URL with a password in it."""
    by_looks = "@" in str(value) or _TOKEN.fullmatch(str(value)) is not None
    return by_looks or any(word in name for word in ("TOKEN", "SECRET", "PASSWORD", "KEY", "ACCOUNTS", "URI"))


def refuse_unknown_variables(environ: Mapping[str, str], settings: Mapping[str, FieldInfo]) -> None:
    """Refuse GATEWAY_ variables that no setting reads, misspelt ones above all; pydantic ignores them."""
    known = {
        f"GATEWAY_{name.upper()}": field.annotation
        for name, field in settings.items()
        if field.validation_alias is None
    }
    elsewhere = [name.upper() for name, field in settings.items() if field.validation_alias]
    for name in environ:
        if not name.startswith("GATEWAY_"):
            continue
        top, *rest = name.split("__")
        too_deep = len(rest) > 1 and not _is_mapping(known.get(top), rest[0])
        if top in known and not too_deep:
            continue
        near = [other for other in elsewhere if other == top.removeprefix("GATEWAY_")]
        near = near or _nearest(top, known)
        hint = f" Did you mean {near[0]}?" if near and not too_deep else ""
        raise ConfigError(f"{name} is not a setting of the gateway.{hint} See docs/settings.md.")


def _nearest(name: str, known: Collection[str]) -> list[str]:
    """Find what somebody may have meant, without the prefix: by that all names are near each other."""
    prefix = "GATEWAY_"
    bare = difflib.get_close_matches(name.removeprefix(prefix), [one.removeprefix(prefix) for one in known], n=1)
    return [prefix + one for one in bare]


def _is_mapping(section: Any, name: str) -> bool:
    field = _fields(section).get(name.lower())
    return field is not None and get_origin(field.annotation) is dict


def _fields(section: Any) -> Mapping[str, FieldInfo]:
    return getattr(section, "model_fields", {})


def bad_json(environ: Mapping[str, str], settings: Mapping[str, FieldInfo]) -> str | None:
    """Find the variable that should hold JSON and does not: a whole section, or a mapping or list in one."""
    for name, value in environ.items():
        top, *rest = name.split("__")
        setting = settings.get(top.removeprefix("GATEWAY_").lower())
        fields = _fields(setting.annotation) if setting and name.startswith("GATEWAY_") else {}
        inner = fields.get(rest[0].lower()) if rest else None
        if not fields or (rest and (inner is None or get_origin(inner.annotation) not in (dict, list))):
            continue
        try:
            json.loads(value)
        except ValueError as error:
            secret = any("SecretStr" in str(field.annotation) for field in fields.values())
            shown = "" if secret or _is_secret(name, value) else f" = {value!r}"
            return f"{name}{shown}: is no valid JSON ({error}). Write it as in docs/settings.md."
    return None
