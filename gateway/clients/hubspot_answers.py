"""HubSpot's answers taken apart with care: a proxy's page in their place, or a value of another kind, is no answer.

What is unreadable is asked for again. An id goes into paths and links, so nothing but digits is taken for one.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.core.crm import CrmFailed

_ID = re.compile(r"[0-9]{1,24}")


def id_of(found: Mapping[str, Any]) -> str:
    """Give the id of an object; CrmFailed where there is none that could be."""
    told = found.get("id")
    if isinstance(told, bool) or not isinstance(told, str | int) or not _ID.fullmatch(str(told)):
        raise CrmFailed("HubSpot's answer names no object. It is tried again.", code="unreadable")
    return str(told)


def properties(found: Mapping[str, Any]) -> dict[str, str]:
    """Give an object's properties as far as they say something."""
    return {name: value for name, value in an_object(found.get("properties")).items() if value and type(value) is str}


def objects(told: Any) -> list[Mapping[str, Any]]:
    """Give the objects of a list."""
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def an_object(told: Any) -> Mapping[str, Any]:
    """Give an object, an empty one in place of anything else."""
    return told if isinstance(told, dict) else {}


def words(told: Any) -> str:
    """Give what a list of words, or one word, says."""
    some = told if isinstance(told, list) else [told]
    return " ".join(one for one in some if isinstance(one, str))
