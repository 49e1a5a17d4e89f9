"""What a flow says: prompts with their placeholders filled, lists of options, summaries, and what no file words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.flow_parts.answers import shown
from gateway.core.flow_parts.definition import TEXT_LIMIT, Field, Flow, Kind, Option, Step, Wording
from gateway.core.recognise import numbers

SUMMARY, OPTIONS, TITLE = "summary", "options", "title"
PLACEHOLDER = re.compile(r"\{(?P<name>[a-z][a-z0-9_]*)\}")
# "Thank you[, {name}]!": what stands in brackets is left out where its placeholder has nothing.
_IF_KNOWN = re.compile(r"\[(?P<words>[^\[\]]*\{[^\[\]]*)\]")

# What any file may word anew in its [texts].
TEXTS: Mapping[str, Wording] = {
    "change": Wording("What should I change?\n{options}", "What should I change? {options}"),
    "noted": Wording("Noted, {label}: {value}."),
    "restarted": Wording("Sorry, our questions have changed since, so let us begin again."),
    "not_understood": Wording("Sorry, I did not get that."),
    "too_small": Wording("It has to be {least} or more."),
    "too_large": Wording("It can be {most} at most."),
    "too_long": Wording("Sorry, that is too long for me. Please use fewer words."),
    "too_short": Wording("Please say a little more."),
    "bad_email": Wording("That e-mail address does not look right."),
    "not_whole": Wording("It has to be a whole number."),
    "unknown_item": Wording("Sorry, we have no {value}. What there is:", "Sorry, we have no {value}."),
    "confirm": Wording("{summary}\n\nIs that right? (yes or no)", "I have: {summary} Is that right?"),
}

_YES_NO_SPOKEN = "Say yes or press 1, no or press 2."
# What is asked for a field without a prompt of its own, and said again after an answer that is none.
_PROMPTS: Mapping[Kind, Wording] = {
    Kind.NAME: Wording("What is your name?"),
    Kind.PHONE: Wording("What is your phone number?", "What is your phone number? Say it, or key it in."),
    Kind.EMAIL: Wording("What is your e-mail address?"),
    Kind.ITEMS: Wording("What would you like, and how many of each?"),
}
_RETRIES: Mapping[Kind, Wording] = {
    Kind.NAME: Wording("Please tell me your name.", "Please say your name."),
    Kind.PHONE: Wording(
        "Please send the whole phone number, such as +1 555 867 5310.",
        "Please say the whole phone number, or key it in.",
    ),
    Kind.EMAIL: Wording(
        "Please send an e-mail address such as name@example.com.",
        "Please say the e-mail address as: name, at, example, dot, com.",
    ),
    Kind.NUMBER: Wording("Please send a number.", "Please say a number, or key it in."),
    Kind.DATE: Wording(
        "Please send a day, such as tomorrow, next Friday or 24 November.",
        "Please say a day, such as tomorrow or next Friday.",
    ),
    Kind.ITEMS: Wording("Please send how many of what, such as 20 shirts and 5 caps.", "Please say how many of what."),
    Kind.CHOICE: Wording("Please choose one of these."),
    Kind.YES_NO: Wording("Please answer yes or no.", _YES_NO_SPOKEN),
}  # fmt: skip
_OPTIONAL_SPOKEN = "Or press star to skip."


def wording(flow: Flow, name: str) -> Wording:
    """Give a text of [texts], or ours where the file has none."""
    return flow.texts.get(name) or TEXTS[name]


def filled(
    flow: Flow, template: str, values: Mapping[str, Any], *, spoken: bool = False, more: Mapping[str, str] | None = None
) -> str:
    """Put values into the placeholders of a text, and leave [brackets] out whose placeholders have none."""

    def value_of(found: re.Match[str]) -> str:
        name = found["name"]
        if more and name in more:
            return more[name]
        if name == SUMMARY:
            return summary(flow, values, spoken=spoken)
        if name == TITLE:
            return flow.title
        one = flow.fields.get(name)
        return shown(one, values.get(name), spoken=spoken) if one else ""

    def if_known(found: re.Match[str]) -> str:
        known = all(value_of(one) for one in PLACEHOLDER.finditer(found["words"]))
        return found["words"] if known else ""

    return PLACEHOLDER.sub(value_of, _IF_KNOWN.sub(if_known, template))


def said(flow: Flow, words: Wording, values: Mapping[str, Any], more: Mapping[str, str] | None = None) -> Wording:
    """Fill a text and its spoken form."""
    spoken = filled(flow, words.spoken or words.text, values, spoken=True, more=more)
    return Wording(filled(flow, words.text, values, more=more), spoken)


def summary(flow: Flow, values: Mapping[str, Any], *, spoken: bool = False) -> str:
    """List what is known, a line each; aloud a sentence each."""
    known = [(one.label, shown(one, values.get(one.name), spoken=spoken)) for one in listed(flow, values)]
    if spoken:
        return " ".join(f"{label}: {value}." for label, value in known)
    return "\n".join(f"{label}: {value}" for label, value in known)


def listed(flow: Flow, values: Mapping[str, Any]) -> list[Field]:
    """Give the fields that a summary lists: what was collected, without what was skipped and confirmations."""
    confirmations = {step.name for step in flow.steps.values() if step.confirm}
    return [one for one in flow.fields.values()
            if values.get(one.name) not in (None, "") and one.name not in confirmations]  # fmt: skip


def menu(flow: Flow, values: Mapping[str, Any]) -> tuple[Option, ...]:
    """Give what can be changed, to be chosen by number."""
    return tuple(Option(one.label, (one.name.replace("_", " "), *one.also)) for one in listed(flow, values)[:9])


def question(flow: Flow, step: Step, asking: Field, values: Mapping[str, Any], *, partly: bool) -> Wording:
    """Give the question of a step; where it is answered `partly`, the one for the field that is missing."""
    if step.confirm:
        words = step.prompt if step.prompt.text else wording(flow, "confirm")
        own = bool(step.prompt.spoken)
        asked = said(flow, words, values)
        return asked if own else Wording(asked.text, f"{asked.spoken} {_YES_NO_SPOKEN}")
    words = prompt_of(asking) if partly or not step.prompt.text else step.prompt
    return _with_options(flow, asking, words, values)


def again(flow: Flow, asking: Field, step: Step, values: Mapping[str, Any], wrong: str, what: str) -> Wording:
    """Say why an answer was none, and ask again: in the words of the file where it has some."""
    if asking.retry.text:
        return _with_options(flow, asking, asking.retry, values)
    bounds = {"least": numbers.shown(asking.least or 0), "most": numbers.shown(asking.most or 0), "value": what}
    reason = said(flow, wording(flow, wrong or "not_understood"), values, bounds)
    if wrong == "unknown_item":
        options = Wording(*(listing(asking.options, spoken=way) for way in (False, True)))
        return joined([reason, options])
    if wrong and wrong != "bad_email":
        return _with_options(flow, asking, reason, values)
    words = _RETRIES.get(asking.kind) or (
        prompt_of(asking) if asking.prompt.text or not step.prompt.text else step.prompt
    )
    asked = _with_options(flow, asking, words, values)
    return joined([reason, asked], between=" ")


def prompt_of(asking: Field) -> Wording:
    """Give a field's own question, or the usual one of its kind."""
    usual = _PROMPTS.get(asking.kind, Wording(f"{asking.label}?"))
    return asking.prompt if asking.prompt.text else usual


def _with_options(flow: Flow, asking: Field, words: Wording, values: Mapping[str, Any]) -> Wording:
    options = listing(asking.options, spoken=False), listing(asking.options, spoken=True)
    text = filled(flow, words.text, values, more={OPTIONS: options[0]})
    spoken = filled(flow, words.spoken or words.text, values, spoken=True, more={OPTIONS: options[1]})
    if asking.kind is Kind.CHOICE and "{options}" not in words.text:
        text = f"{text}\n{options[0]}"
    if not words.spoken:
        spoken = " ".join(filter(None, [spoken, *_keys(asking, options[1] if "{options}" not in words.text else "")]))
    return Wording(text, spoken)


def _keys(asking: Field, options: str) -> list[str]:
    """Say what may be keyed instead of said."""
    choice = {Kind.CHOICE: options, Kind.YES_NO: _YES_NO_SPOKEN}.get(asking.kind, "")
    return [choice, _OPTIONAL_SPOKEN if asking.optional else ""]


def listing(options: Sequence[Option], *, spoken: bool) -> str:
    """List options with their keys: a line each to read, a clause each to hear."""
    keyed = [(option.key or str(place), option.value) for place, option in enumerate(options, 1)]
    if spoken:
        clauses = ", ".join(f"for {value} press {key}" for key, value in keyed)
        return f"F{clauses[1:]}." if clauses else ""
    return "\n".join(f"{key} {value}" for key, value in keyed)


def noted(flow: Flow, one: Field, values: Mapping[str, Any]) -> Wording:
    """Say that a field has another value now."""
    template = wording(flow, "noted")
    written, aloud = ({"label": one.label, "value": shown(one, values[one.name], spoken=way)} for way in (False, True))
    return Wording(
        filled(flow, template.text, values, more=written),
        filled(flow, template.spoken or template.text, values, spoken=True, more=aloud),
    )


def what_to_change(flow: Flow, values: Mapping[str, Any]) -> Wording:
    """Ask which of the things that were summed up is wrong."""
    template, choices = wording(flow, "change"), menu(flow, values)
    written, aloud = ({OPTIONS: listing(choices, spoken=way)} for way in (False, True))
    return Wording(
        filled(flow, template.text, values, more=written),
        filled(flow, template.spoken or template.text, values, spoken=True, more=aloud),
    )


def joined(parts: Sequence[Wording], *, between: str = "\n") -> Wording:
    """Put several texts into one answer."""
    texts = [part.text.strip() for part in parts if part.text.strip()]
    spoken = [(part.spoken or part.text).strip() for part in parts if (part.spoken or part.text).strip()]
    return Wording(between.join(texts), " ".join(spoken))


def bounded(words: Wording) -> Wording:
    """Cut an answer to what can be sent and kept; the spoken one is empty where it is the written one."""
    text, spoken = _cut(words.text, 4800), _cut(words.spoken, 3200)
    return Wording(text, spoken if spoken != text else "")


def _cut(text: str, most_bytes: int) -> str:
    text = text.strip()[:TEXT_LIMIT]
    return text.encode("utf-8", "ignore")[:most_bytes].decode("utf-8", "ignore")
