"""The worker process: answers, sends and fetches what is in the outbox, closes idle sessions, settles after crashes.

Any number of them may run, on any number of hosts. Each looks for rows that are due, five times a second and whenever
it has done some. With a broker rows are brought by id as soon as they are due, and looking is what finds the rest:

- once a second, rows that have been due for a second go to the broker again (it lost them, or it was not told), so
  that whichever worker has a hand free gets them;
- once a second, rows that have been due for five seconds are simply done: the broker takes ids and brings none;
- without a connection to the broker a worker looks as often as if there were none. Nothing ever waits for a broker.

Each path ends in the same claim, so it does not matter which one is first.
"""

import signal
import threading

from gateway import logs
from gateway.conversation import runtime
from gateway.conversation.presence import EVERY_SECONDS, Presence
from gateway.logs import log
from gateway.settings import Settings
from gateway.store import connection, indexes
from gateway.worker.chores import chores, start
from gateway.worker.desk import Desk


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = stop_on_signals()
    logs.configure(fmt=settings.log.format, redact=settings.log.redact)
    connection.connect(settings)
    connection.begin(indexes.make_first)
    serving = runtime.build(settings)
    working = [start(job, seconds, stop) for seconds, job in chores(serving, stop)]
    log.info("worker_started")
    desk = Desk(serving, stop)
    presence = Presence(serving, "worker", desk.facts)
    working.append(start(presence.beat, EVERY_SECONDS, stop))
    desk.work()
    for thread in working:
        thread.join()
    presence.leave()
    log.info("worker_stopped")


def stop_on_signals() -> threading.Event:
    """Turn SIGTERM and Ctrl-C into an event.

    Waited for by a thread: a handler runs in the midst of whatever the main thread does, which may be `stop.wait`
    with the very lock that `stop.set` needs. Called before any other thread is started: each that is started from
    here on leaves the signals to that one.
    """
    stop, signals = threading.Event(), {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def wait() -> None:
        signal.sigwait(signals)
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop
