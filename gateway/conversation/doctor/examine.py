"""All checks at once, each as soon as what it needs is known, and none waited for longer than a person waits."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from gateway.conversation.doctor.findings import Check, Finding, Patient, State, not_checked, said, wrong
from gateway.core.errors import GatewayError

# What is not found out by then is said to be so: whoever runs this waits, and may have little time.
SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Examined:
    """A check and what it found."""

    check: Check
    findings: tuple[Finding, ...]


def examine(patient: Patient, checks: Sequence[Check], *, seconds: float = SECONDS) -> Iterator[list[Examined]]:
    """Run checks; gives them in their order, a group at a time, as soon as all of the group are done."""
    until = time.monotonic() + seconds
    running = {check.name: _Running(check) for check in checks}
    for one in running.values():
        threading.Thread(target=one.run, args=(patient, running), name=one.check.name, daemon=True).start()
    for _, group in groupby(checks, lambda check: check.group):
        yield [running[check.name].result(until, seconds) for check in group]


def unread(problem: str, checks: Sequence[Check]) -> Iterator[list[Examined]]:
    """Say that settings cannot be read, so that nothing else can be looked at."""
    for number, (_, group) in enumerate(groupby(checks, lambda check: check.group)):
        skipped = [Examined(check, (not_checked("the settings cannot be read"),)) for check in group]
        yield skipped if number else [Examined(skipped[0].check, (said(problem),))]


class _Running:
    """A check on a thread of its own, which nobody waits for at the end."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self._done = threading.Event()
        self._findings: tuple[Finding, ...] = ()
        self._waits_for = ""

    def run(self, patient: Patient, others: "dict[str, _Running]") -> None:
        for name in (*self.check.needs, *self.check.after):
            self._waits_for = name
            others[name]._done.wait()
        self._waits_for = ""
        self._findings = self._found(patient, others)
        self._done.set()

    def _found(self, patient: Patient, others: "dict[str, _Running]") -> tuple[Finding, ...]:
        blocked = next((why for need in self.check.needs for why in others[need]._blocks()), "")
        if blocked:
            return (not_checked(blocked, blocks=blocked),)
        found = self._look(patient)
        unsound = any(one.state is State.WRONG for name in self.check.after for one in others[name]._findings)
        return tuple(replace(one, mend=None) for one in found) if unsound else found

    def _look(self, patient: Patient) -> tuple[Finding, ...]:
        try:
            return tuple(self.check.run(patient))
        except GatewayError as error:
            return (said(str(error), blocks=f"{self.check.name} could not be looked at"),)
        except Exception as error:  # One check that breaks must not hide what the others find.
            what = f"This check broke ({type(error).__name__}: {error})"[:300]
            return (wrong(what, "Tell the gateway's developers.", blocks=f"the check of {self.check.name} broke"),)

    def _blocks(self) -> Iterator[str]:
        return (one.blocks for one in self._findings if one.blocks)

    def result(self, until: float, seconds: float) -> Examined:
        if self._done.wait(max(0, until - time.monotonic())):
            return Examined(self.check, self._findings)
        if self._waits_for:
            return Examined(self.check, (not_checked(f"{self._waits_for} gave no answer in time"),))
        return Examined(self.check, (wrong(f"{self.check.name}: no answer within {seconds:.0f} s."),))
