"""How a flow ends: the four endings every flow has, worded by us where the file does not, and those of its own."""

from typing import Any

from gateway.core.flow_parts.definition import Completion, Ending, Outcome, Wording
from gateway.core.flow_parts.table import Table

_ALWAYS = {
    Outcome.COMPLETED: Wording("Thank you, that is all."),
    Outcome.CANCELED: Wording("All right, I have stopped that."),
    Outcome.GIVEN_UP: Wording("Sorry, I did not understand that, so let us leave it there."),
    Outcome.EXPIRED: Wording(),
}
_OWN_OUTCOMES = (Outcome.COMPLETED, Outcome.CANCELED, Outcome.GIVEN_UP)
# The parameters of each action: all of them texts with placeholders, except the URL; * marks what is required.
ACTIONS: dict[str, tuple[str, ...]] = {
    "message": ("text*",),
    "capture": ("name", "email", "phone"),
    "post": ("url*",),
    "tag": ("tag*",),
    "hand_over": ("reason",),
}
ACTIONS_LIMIT = 10


def read_endings(file: Table) -> dict[str, Ending]:
    """Read [endings.name]; completed, canceled, given_up and expired are always there."""
    endings = {outcome.value: Ending(outcome.value, outcome, words) for outcome, words in _ALWAYS.items()}
    for name, table in file.tables("endings", "ending").items():
        endings[name] = _ending(table, name)
    return endings


def _ending(table: Table, name: str) -> Ending:
    if name in set(_ALWAYS):
        outcome = Outcome(name)
        if table.has("outcome"):
            table.take("outcome")
            table.fault(f'key "outcome" is given by the name "{name}". Remove it.')
    else:
        outcome = Outcome(table.one_of("outcome", _OWN_OUTCOMES, Outcome.COMPLETED))
    usual = _ALWAYS[outcome] if name in set(_ALWAYS) and not table.has("text") else Wording()
    words = table.wording("text", "spoken")
    ending = Ending(name, outcome, words if words.text else usual, _completions(table))
    table.finish()
    return ending


def _completions(table: Table) -> tuple[Completion, ...]:
    if not table.has("do"):
        return ()
    value = table.take("do")
    if not isinstance(value, list) or len(value) > ACTIONS_LIMIT:
        table.wrong(
            "do", value, f'Write a list of up to {ACTIONS_LIMIT} actions: [{{ action = "tag", tag = "order" }}].'
        )
        return ()
    return tuple(done for place, one in enumerate(value, 1) if (done := _completion(table, place, one)))


def _completion(table: Table, place: int, written: Any) -> Completion | None:
    inner = Table(table.file, f'{table.place}: key "do", {place}', written, table.faults)
    kind = inner.one_of("action", tuple(ACTIONS), "")
    if not kind:
        if isinstance(written, dict) and "action" not in written:
            inner.fault(f'key "action" is missing. Choose one of {", ".join(ACTIONS)}.')
        return None
    parameters = {key.rstrip("*"): inner.text(key.rstrip("*"), required=key.endswith("*")) for key in ACTIONS[kind]}
    given = {key: value for key, value in parameters.items() if value}
    if kind == "capture" and not given:
        inner.fault('says nothing to capture. Add name = "{name}", email = "{email}" or phone = "{phone}".')
    if "url" in given and not given["url"].startswith(("https://", "http://")):
        inner.wrong("url", given["url"], "Write an address that begins with https://.")
    if "{" in given.get("url", ""):
        inner.fault('key "url" has a placeholder. Where it goes is not for people to say; the answers go along anyway.')
    inner.finish()
    return Completion(kind, given)
