"""One of several answers: by number, key, name or synonym, with a typing error in it; and yes or no in many ways."""

import difflib
import re
from collections.abc import Sequence
from typing import Protocol

from gateway.core.recognise.numbers import SMALL
from gateway.core.recognise.vocabulary import BUT, NO, UNCLEAR, YES
from gateway.core.recognise.words import begins_with_phrase, folded, is_phrase, phrase_in, without_politeness


class Choosable(Protocol):
    """What can be chosen."""

    @property
    def value(self) -> str: ...
    @property
    def words(self) -> tuple[str, ...]: ...
    @property
    def key(self) -> str: ...


_ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"]
_NUMBERED = re.compile(
    rf"(?:(?:the|option|number|no|nr|choice|press|pressed)\s+)*(?P<number>\d{{1,2}}|{'|'.join([*SMALL, *_ORDINALS])})"
    r"(?:st|nd|rd|th)?(?:\s+(?:one|option|please))?",
)
# Below this a word is another word rather than a misspelt one.
_ALIKE = 0.8


def choose(options: Sequence[Choosable], text: str) -> str | None:
    """Read which option is meant; None where it is none or could be two."""
    said = folded(without_politeness(text))
    if not said:
        return None
    for option in options:
        if said in _names(option):
            return option.value
    if numbered := _NUMBERED.fullmatch(said):
        return by_number(options, _number(numbered["number"]))
    return _by_name(options, text, said)


def by_number(options: Sequence[Choosable], number: str) -> str | None:
    """Give the option of this key, or of this place where options have no keys of their own."""
    for option in options:
        if option.key == number:
            return option.value
    place = int(number) if number.isdecimal() and len(number) < 3 else 0
    keyed = any(option.key for option in options)
    return options[place - 1].value if 0 < place <= len(options) and not keyed else None


def _number(said: str) -> str:
    if said in _ORDINALS:
        return str(_ORDINALS.index(said) + 1)
    return said.lstrip("0") or "0" if said.isdecimal() else str(SMALL[said])


def _names(option: Choosable) -> set[str]:
    return {folded(name) for name in (option.value, *option.words)} - {""}


def _by_name(options: Sequence[Choosable], text: str, said: str) -> str | None:
    within = {option.value: phrase_in((option.value, *option.words), text) for option in options}
    within |= {option.value: min(part) for option in options if (part := _telling(options, option) & {*said.split()})
               and not within[option.value]}  # fmt: skip
    named = [value for value, phrase in within.items() if phrase]
    longest = [value for value in named if not any(_is_part(within[value], within[other]) for other in named)]
    if longest:
        return longest[0] if len(longest) == 1 else None
    begun = [option.value for option in options if any(name.startswith(said) for name in _names(option))]
    if len(said) > 2 and len(begun) == 1:
        return begun[0]
    spelt = {name: option.value for option in options for name in _names(option)}
    near = difflib.get_close_matches(said[:60], spelt, n=2, cutoff=_ALIKE)
    values = {spelt[name] for name in near}
    return values.pop() if len(values) == 1 else None


def _is_part(phrase: str, other: str) -> bool:
    return phrase != other and phrase in other


def _telling(options: Sequence[Choosable], option: Choosable) -> set[str]:
    """Give the words that only this option's name has: the north of "North store", not the store."""
    others = {word for other in options if other is not option for name in _names(other) for word in name.split()}
    return {word for name in _names(option) for word in name.split() if len(word) > 3} - others


def yes_or_no(text: str, yes: Sequence[str] = (), no: Sequence[str] = ()) -> str | None:
    """Read yes or no; `yes` and `no` are further words for them. One that only begins so counts as well."""
    stripped = text.strip()
    for answer, words in (("yes", (*YES, *yes)), ("no", (*NO, *no))):
        if is_phrase(words, stripped) or stripped in words:
            return answer
    begun = folded(without_politeness(stripped))
    if len(begun) > 200:
        return None
    words_of_yes = () if phrase_in(BUT, begun) or re.search(r"\d", begun) else _only_clear((*YES, *yes))
    for answer, words in (("no", _only_clear((*NO, *no))), ("yes", words_of_yes)):
        if begins_with_phrase(words, begun):
            return answer
    return {"1": "yes", "2": "no"}.get(begun)


def _only_clear(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in UNCLEAR)
