"""Threads that come while one is served are served together, by one of them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.core.combining import Combiner


def test_who_comes_alone_is_served_alone():
    combiner = Combiner[int, int]()
    assert combiner.do(1, lambda items: [2 * item for item in items]) == 2
    assert combiner.do(3, lambda items: [2 * item for item in items]) == 6


def test_who_comes_meanwhile_is_served_together_and_each_gets_its_own():
    combiner, groups = Combiner[int, int](), []
    begun, on = threading.Event(), threading.Event()

    def serve(items):
        groups.append(sorted(items))
        begun.set()
        assert on.wait(30)
        return [item + 1000 for item in items]

    with ThreadPoolExecutor(17) as pool:
        first = pool.submit(combiner.do, 0, serve)
        assert begun.wait(30)
        others = [pool.submit(combiner.do, number, serve) for number in range(1, 17)]
        while len(combiner._waiting) < 16:
            pass
        on.set()
        assert first.result() == 1000
        assert [other.result() for other in others] == list(range(1001, 1017))
    assert groups == [[0], list(range(1, 17))]


def test_what_fails_fails_for_each_and_for_nobody_after():
    combiner = Combiner[int, int]()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            combiner.do(1, lambda items: [item // 0 for item in items])
    assert combiner.do(1, list) == 1


def test_thousands_of_items_from_many_threads_are_each_served_once():
    combiner, served = Combiner[int, int](), []

    def serve(items):
        served.extend(items)
        return [-item for item in items]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda one: combiner.do(one, serve), range(5000))) == [-one for one in range(5000)]
    assert sorted(served) == list(range(5000))
