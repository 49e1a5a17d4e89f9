"""A table of a flow's file: each key is taken once, and every fault names file, place, key and remedy."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gateway.core.flow_parts.definition import TEXT_LIMIT, Wording

NAME = r"[a-z][a-z0-9_]{0,39}"
PHRASE_LIMIT = 80


class Table:
    """One table being read. `faults` is shared by all tables of a file; `place` is empty for the file itself."""

    def __init__(self, file: str, place: str, mapping: Any, faults: list[str]) -> None:
        self.file, self.place, self.faults = file, place, faults
        self._left = dict(mapping) if isinstance(mapping, Mapping) else {}
        self._known: set[str] = set()
        if not isinstance(mapping, Mapping):
            self.fault(f"is {_shown(mapping)}, but has to be a table. Write its keys below a [heading].")

    def fault(self, text: str) -> None:
        """Note what is wrong with this table."""
        self.faults.append(": ".join(filter(None, [self.file, self.place, text])))

    def wrong(self, key: str, value: object, remedy: str) -> None:
        """Note that a key has a value it may not have."""
        self.fault(f'key "{key}" is {_shown(value)}. {remedy}')

    def has(self, key: str) -> bool:
        """Tell whether a key is there; it counts as known."""
        self._known.add(key)
        return key in self._left

    def take(self, key: str) -> Any:
        """Take a value as it is; None where there is none."""
        self._known.add(key)
        return self._left.pop(key, None)

    def text(self, key: str, *, most: int = TEXT_LIMIT, required: bool = False) -> str:
        """Take a text."""
        value = self.take(key)
        if value is None:
            if required:
                self.fault(f'key "{key}" is missing. Add it: {key} = "...".')
            return ""
        if not isinstance(value, str):
            self.wrong(key, value, 'Write a text in quotes: "...".')
            return ""
        if len(value) > most:
            self.wrong(key, value[:30] + "...", f"Shorten it to {most} characters.")
        return value.strip()

    def one_of(self, key: str, allowed: Sequence[str], default: str) -> str:
        """Take one of some words."""
        value = self.take(key)
        if value is None:
            return default
        if value not in allowed:
            self.wrong(key, value, f"Choose one of {', '.join(allowed)}.{near(value, allowed)}")
            return default
        return str(value)

    def number(
        self, key: str, default: float | None = None, *, least: float = -1e12, most: float = 1e12
    ) -> float | None:
        """Take a number."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            self.wrong(
                key, value, f"Write a number from {least:g} to {most:g}." if least > -1e12 else "Write a number."
            )
            return default
        return value

    def whole(self, key: str, default: int, *, least: int, most: int) -> int:
        """Take a whole number."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(key, value, f"Write a whole number from {least} to {most}.")
            return default
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Take true or false."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(key, value, "Write true or false, without quotes.")
            return default
        return value

    def phrases(self, key: str, *, most: int = 50) -> tuple[str, ...]:
        """Take a list of words or short phrases."""
        value = self.take(key)
        if value is None:
            return ()
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(map(_is_phrase, value)):
            self.wrong(key, value, f'Write a list of words of at most {PHRASE_LIMIT} characters: ["one", "another"].')
            return ()
        if len(value) > most:
            self.wrong(key, f"{len(value)} words", f"Keep the {most} that matter.")
        return tuple(value[:most])

    def wording(self, key: str, spoken: str) -> Wording:
        """Take a text and its spoken form, each a key."""
        words = Wording(self.text(key), self.text(spoken))
        if words.spoken and not words.text:
            self.fault(f'key "{spoken}" stands without "{key}". Add {key}: whoever writes is asked as well.')
        return words

    def either(self, key: str) -> Wording:
        """Take a text that is a string, or a table with `text` and `spoken`."""
        value = self.take(key)
        if isinstance(value, Mapping):
            inner = Table(self.file, f'{self.place} key "{key}"', value, self.faults)
            words = inner.wording("text", "spoken")
            inner.finish()
            return words
        if not isinstance(value, str):
            self.wrong(key, value, 'Write a text in quotes, or { text = "...", spoken = "..." }.')
            return Wording()
        return Wording(value.strip())

    def tables(self, key: str, noun: str) -> dict[str, "Table"]:
        """Take tables by name, in the order of the file: [steps.quantity]."""
        value = self.take(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.wrong(key, value, f"Write each {noun} as [{key}.name].")
            return {}
        for name in value:
            if not is_name(name):
                self.fault(
                    f'{noun} "{name}" has no usable name. Use small letters, digits and _, up to 40, a letter first.'
                )
        return {
            name: Table(self.file, f'{noun} "{name}"', one, self.faults) for name, one in value.items() if is_name(name)
        }

    def table(self, key: str) -> "Table":
        """Take a table of this name; an empty one where there is none."""
        value = self.take(key)
        return Table(self.file, f"[{key}]", {} if value is None else value, self.faults)

    def finish(self) -> None:
        """Note every key that nobody knows."""
        for key in self._left:
            mend = near(key, self._known) or f" Remove it. Known are {', '.join(sorted(self._known))}."
            self.fault(f'key "{key}" is not known.{mend}')


def is_name(written: object) -> bool:
    """Tell whether a step, a field or an ending may be called so."""
    return re.fullmatch(NAME, str(written)) is not None


def _is_phrase(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= PHRASE_LIMIT


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}..."


def near(word: object, allowed: Collection[str]) -> str:
    """Suggest the word that was meant; nothing where none is like it."""
    close = difflib.get_close_matches(str(word), allowed, n=1)
    return f" Did you mean {close[0]}?" if close else ""
