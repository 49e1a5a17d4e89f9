"""What is said of a setting that is wrong: one line, with the variable, the value and the remedy."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from gateway.core.errors import ConfigError

# What Twilio's tokens look like: one that was put where a SID belongs is a secret there, too.
_TOKEN = re.compile(r"\s*[0-9a-f]{32}\s*")


def _variable(location: tuple[int | str, ...]) -> str:
    names = [str(part) for part in location]
    if names[0].isupper():
        return names[0]
    return "GATEWAY_" + "__".join(name.upper() for name in names)


def broken_file(folder: Path) -> Path:
    """Find the file of this folder that is no TOML."""
    for path in sorted(folder.glob("*.toml")):
        try:
            tomllib.loads(path.read_text())
        except ValueError:
            return path
    return folder


def one_line(error: ValidationError) -> str:
    """Say the first thing that is wrong: variable, value (unless it is a secret), reason, remedy."""
    first = error.errors()[0]
    name = _variable(first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{name} is not a setting of the gateway. Remove it, or see docs/settings.md."
    shown = "(hidden)" if _is_secret(name, first["input"]) else repr(first["input"])
    reason = first["msg"].removeprefix("Value error, ")
    return f"{name} = {shown}: {reason}. Correct it; docs/settings.md lists what is allowed."


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
        near = near or difflib.get_close_matches(top, known, n=1)
        hint = f" Did you mean {near[0]}?" if near and not too_deep else ""
        raise ConfigError(f"{name} is not a setting of the gateway.{hint} See docs/settings.md.")


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
