"""What begins a flow (words of a message, the intent a responder saw in it, an event), and the words that end it."""

import re
from collections.abc import Iterable

from gateway.core.flow_parts.definition import Flow
from gateway.core.recognise.vocabulary import CANCEL
from gateway.core.recognise.words import clean, folded, is_phrase, phrase_in

_CLAUSES = re.compile(r"[,.;:!?\n]+")
# "Don't call me back", "I never asked for a callback", "cancel my bulk order".
_DENIED = re.compile(
    r" (?:not|never|without|cancel|stop|no need|(?:do|did|does|wo|ca|need)n'?t)"
    r"(?: (?:a|an|any|the|my|your|this|that|please|i|you|it|to|for|want|wanted|need|like|ask|asked|have|make|place))*$"
)


def starts(flows: Iterable[Flow], text: str) -> Flow | None:
    """Find the flow that a message begins by its words, wherever in it they stand; the longest wins.

    Words that somebody only refuses begin nothing.
    """
    plain = clean(text)
    found = [(phrase_in(flow.words, plain), flow) for flow in flows]
    phrase, flow = max(found, key=lambda one: len(one[0]), default=("", None))
    return flow if phrase and not _is_refused(phrase, plain) else None


def _is_refused(phrase: str, plain: str) -> bool:
    """Tell whether a phrase stands in a text only as what somebody does not want; in English, like all we read."""
    clauses = [f" {folded(clause)} " for clause in _CLAUSES.split(plain)]
    before = [clause.partition(f" {phrase} ")[0] for clause in clauses if f" {phrase} " in clause]
    return bool(before) and all(_DENIED.search(one) for one in before)


def by_intent(flows: Iterable[Flow], intent: str) -> Flow | None:
    """Find the flow that an intent of a responder begins."""
    return next((flow for flow in flows if intent in flow.intents), None)


def by_event(flows: Iterable[Flow], event: str) -> Flow | None:
    """Find the flow that an event (`missed_call`) begins."""
    return next((flow for flow in flows if event in flow.events), None)


def without_trigger(flow: Flow, text: str) -> str:
    """Leave the words out that began the flow: what is left may answer its questions."""
    plain = clean(text)
    for phrase in sorted(flow.words, key=len, reverse=True):
        pattern = r"[\W_]+".join(map(re.escape, folded(phrase).split()))
        plain, count = re.subn(rf"(?<!\w){pattern}(?!\w)", " ", plain, count=1, flags=re.IGNORECASE)
        if count:
            break
    return plain.strip(" ,.:;!-\n")


# What comes before "cancel", and is all there is of a part of "no, sorry, cancel".
_LEADS_UP = re.compile(
    r"^\W*(?:(?:no|nope|sorry|actually|wait|hmm*|just|please|ok|okay|oh|well|you know what|let's|i want to"
    r"|i would like to|i'd like to|i need to|can you|could you)(?:\W+|$))+",
    re.IGNORECASE,
)


def cancels(flow: Flow, text: str) -> bool:
    """Tell whether somebody has enough: each part of what they say is a word for that, however it is led up to."""
    words = (*CANCEL, *flow.answers.get("cancel", ()))
    parts = [part for part in (_LEADS_UP.sub("", part) for part in re.split(r"[,.!;\n]+", text)) if part.strip()]
    return is_phrase(words, text) or bool(parts and all(is_phrase(words, part) for part in parts))
