"""The sweep that tells a broker again of what it lost: each row once while a hint lives, and nothing that is held."""

import dataclasses
from datetime import timedelta

import pytest

from gateway.clients.broker import HINT_SECONDS
from gateway.conversation import work
from gateway.store import outbox, outbox_claims
from gateway.store.outbox import Row


@pytest.fixture
def told():
    return []


@pytest.fixture
def serving(app, told):
    return dataclasses.replace(app.extensions["gateway"], notify=lambda row_id, _due: told.append(row_id))


@pytest.fixture
def put(serving):
    def put(row_id, *, after: float = 0) -> None:
        now = serving.clock.now()
        outbox.put(Row(row_id, outbox.SEND, row_id, due=now + timedelta(seconds=after), queued_at=now))

    return put


def test_what_a_broker_may_still_bring_is_left_to_it(serving, put, told, clock):
    put("m1")
    clock.tick(0.999)
    assert work.republish(serving) == 0
    clock.tick(0.001)
    assert work.republish(serving) == 1
    assert told == ["m1"]


def test_what_is_due_longest_comes_first_and_what_is_not_due_not_at_all(serving, put, told, clock):
    put("second", after=1)
    put("first")
    put("tomorrow", after=86400)
    clock.tick(60)
    work.republish(serving)
    assert told == ["first", "second"]


def test_a_row_is_told_of_again_only_when_its_hint_is_dead(serving, put, told, clock):
    put("m1")
    clock.tick(1)
    for _ in range(HINT_SECONDS):
        work.republish(serving)
        clock.tick(1)
    assert told == ["m1"]
    work.republish(serving)
    assert told == ["m1", "m1"]


def test_what_somebody_holds_is_not_told_of_until_the_lease_ends(serving, put, told, clock):
    put("m1")
    assert work.claim(serving, row_id="m1")
    clock.tick(30)
    assert work.republish(serving) == 0
    clock.tick(31)
    assert work.republish(serving) == 1


def test_a_row_that_was_put_off_is_told_of_as_if_it_were_new(serving, put, told, clock):
    put("m1")
    clock.tick(1)
    work.republish(serving)
    row = work.claim(serving)
    outbox_claims.postpone(row, clock.now())
    clock.tick(1)
    work.republish(serving)
    assert told == ["m1", "m1"]


def test_looking_for_what_is_overdue_leaves_the_rest_to_the_broker(serving, put, clock):
    put("m1")
    clock.tick(4.999)
    assert work.claim(serving, overdue=timedelta(seconds=5)) is None
    clock.tick(0.001)
    row = work.claim(serving, overdue=timedelta(seconds=5))
    assert row.due == clock.now() + work.lease(serving)
