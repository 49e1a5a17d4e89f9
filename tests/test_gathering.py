"""Requests of one thread that want the same stand still together, and no group is larger than it may be."""

from greenlet import greenlet
from gunicorn.workers.gthread import ThreadWorker

from gateway.evented import EventedWorker
from gateway.gathering import MOST, Gathering


class Request(greenlet):
    """A request that is stored in a group, and ends with what came of that."""

    conn = None

    def __init__(self, gathering, item, serve):
        super().__init__(self.ask)
        self.gathering, self.item, self.serve, self.result = gathering, item, serve, None

    def ask(self):
        self.result = self.gathering.do(self.item, self.serve)


def test_a_group_has_as_many_as_it_may_and_the_next_one_has_the_rest():
    gathering, groups = Gathering[int, int](), []

    def serve(items):
        groups.append(len(items))
        return [-item for item in items]

    requests = [Request(gathering, number, serve) for number in range(2 * MOST + 3)]
    for request in requests:
        request.switch()
    while len(gathering):
        for here, result in gathering.serve():
            here.switch(result)
    assert groups == [MOST, MOST, 3]
    assert [request.result for request in requests] == [-number for number in range(2 * MOST + 3)]


def test_who_is_here_does_not_wait_until_nobody_comes_any_more(monkeypatch):
    """A hundred come whenever the worker looks, for ten times."""
    come, stored_after = [], []

    def look(worker, timeout):
        for number in range(100 if len(come) < 1000 else 0):
            come.append(Request(worker.gatherings[0], number, serve))
            come[-1].switch()

    def serve(items):
        stored_after.append(len(come))
        return items

    class Worker(EventedWorker):
        def __init__(self):
            self._gatherings = self.gatherings = [Gathering()]

        def _finish(self, conn, kept):
            pass

    monkeypatch.setattr(ThreadWorker, "wait_for_and_dispatch_events", look)
    Worker().wait_for_and_dispatch_events(1)
    assert stored_after[0] < MOST + 200
    assert len(come) == 1000
    assert all(request.dead for request in come)
