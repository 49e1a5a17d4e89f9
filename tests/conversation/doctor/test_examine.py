"""How checks are run: what depends on what, what breaks, and that nobody is waited for too long."""

import threading

import pytest

from gateway.conversation.doctor.examine import examine, unread
from gateway.conversation.doctor.findings import Check, Mend, State, not_checked, ok, warning, wrong
from gateway.conversation.doctor.table import CHECKS
from gateway.core.errors import ConfigError


def check(name, *found, group="One", needs=(), after=(), run=None):
    return Check(name, group, run or (lambda _patient: found), needs, after)


def outcome(*checks, seconds=10):
    """Give what each check found, by its name, in the order it is shown."""
    groups = examine(None, checks, seconds=seconds)
    return {one.check.name: one.findings for group in groups for one in group}


def test_what_depends_on_something_broken_says_so_and_is_not_begun():
    never = check("indexes", run=lambda _: pytest.fail("it was begun"), needs=("database",))
    further = check("pages", run=lambda _: pytest.fail("it was begun"), needs=("indexes",))
    found = outcome(check("database", wrong("Away.", blocks="it is away")), never, further, check("other", ok("Fine.")))
    assert found["indexes"] == found["pages"] == (not_checked("it is away", blocks="it is away"),)
    assert found["other"] == (ok("Fine."),)


def test_what_is_wrong_and_blocks_nothing_lets_others_be_checked():
    found = outcome(check("a", wrong("Slow.")), check("b", ok("Fine."), needs=("a",)))
    assert found["b"] == (ok("Fine."),)


def test_what_comes_after_another_sees_what_that_did_and_is_not_blocked_by_it():
    done = []

    def first(_patient):
        done.append("first")
        yield wrong("Away.", blocks="it is away")

    found = outcome(check("b", run=lambda _: [ok(",".join(done))], after=("a",)), check("a", run=first))
    assert found["b"] == (ok("first"),)


def test_nothing_is_mended_that_builds_on_something_wrong():
    mend = Mend("Point it", (), lambda: "Done.")
    for address, offered in ((ok("Fine."), mend), (warning("Plain http."), mend), (wrong("Nobody there."), None)):
        found = outcome(check("url", address), check("numbers", wrong("Elsewhere.", mend=mend), after=("url",)))
        assert found["numbers"] == (wrong("Elsewhere.", mend=offered),)


def test_independent_checks_run_at_once():
    both = threading.Barrier(2, timeout=10)
    found = outcome(*(check(name, run=lambda _: (both.wait(), [ok("Met.")])[1]) for name in "ab"))
    assert found == {"a": (ok("Met."),), "b": (ok("Met."),)}


def test_a_check_that_breaks_hides_nothing_of_the_others():
    def refuse(_patient):
        raise ConfigError("It is not set. Set it.")

    found = outcome(check("a", run=lambda _: 1 / 0), check("b", run=refuse), check("c", ok("Fine.")))
    assert "ZeroDivisionError" in found["a"][0].what
    assert (found["b"][0].what, found["b"][0].remedies) == ("It is not set.", ("Set it.",))
    assert [one[0].state for one in found.values()] == [State.WRONG, State.WRONG, State.OK]


def test_a_check_that_hangs_is_waited_for_no_longer_than_all_of_them_may_take():
    release = threading.Event()
    hanging = check("a", run=lambda _: (release.wait(30), [ok("Late.")])[1])
    found = outcome(hanging, check("b", ok("Fine."), group="Two"), check("c", needs=("a",), group="Two"), seconds=0.05)
    release.set()
    assert found["a"] == (wrong("a: no answer within 0 s."),)
    assert found["b"] == (ok("Fine."),)
    assert found["c"] == (not_checked("a gave no answer in time"),)


def test_groups_come_in_order_each_as_soon_as_it_is_known():
    release = threading.Event()
    slow = check("slow", group="Two", run=lambda _: (release.wait(10), [warning("Late.")])[1])
    groups = examine(None, [check("quick", ok("Fine.")), slow])
    assert [one.check.name for one in next(groups)] == ["quick"]
    release.set()
    assert [one.check.name for one in next(groups)] == ["slow"]


def test_settings_that_cannot_be_read_are_one_fault_and_the_rest_is_not_looked_at():
    groups = list(unread("PORT = 'x': no number. Correct it.", CHECKS))
    (first, *others) = [one for group in groups for one in group]
    assert (first.findings[0].state, first.findings[0].remedies) == (State.WRONG, ("Correct it.",))
    assert {one.check.name for one in others} == {one.name for one in CHECKS} - {"settings"}
    assert {one.findings[0].state for one in others} == {State.NOT_CHECKED}


def test_checks_need_and_follow_only_what_there_is():
    names = {one.name for one in CHECKS}
    assert {name for one in CHECKS for name in (*one.needs, *one.after)} <= names
    assert len(names) == len(CHECKS)
