"""Group commit: webhooks that arrive together in a process share one find, one insert and one update of MongoDB.

What a message costs is mostly what its operations cost, on both sides of the wire, and most of the time each waits for
the journal. What arrives while a group is on its way is the next one: threads stand in line for it (`core.combining`),
and what the main thread is to serve lies in the sockets until then (`gateway.evented`). So nobody waits for company,
and the busier the process is the more of them share. Measured against one message at a time:
benchmarks/webhooks/README.md.

Nothing is believed that one message alone would not have looked up, and every write is the same and in the same order:
first the messages, whose ids are the claim, then their sessions (rule T2), which wait for both (`store.writing`). What
goes on in an open session comes along, later turns of calls, and what needs a new session and nothing else
(`openings`); of each sender one message. Whatever else there is to do, for a call, a keyword, a duplicate, somebody who
was overtaken, is done by `storing.store`, one by one.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gateway.conversation import filing, guards, openings, optouts, storing
from gateway.conversation.filing import Filed
from gateway.conversation.runtime import Runtime
from gateway.conversation.storing import Arrival, Stored
from gateway.core.errors import StoreRefused, StoreUnavailable
from gateway.core.sessions import Neighbours, SessionView, decide, newest_first
from gateway.logs import log, where
from gateway.store import connection, finding, messages, sessions
from gateway.store.connection import deadline
from gateway.store.writing import together

# How long ago, in thresholds, a session may have begun that a group looks for at first, so that nobody's thousands of
# old ones are read: only silence of a threshold ends one. The second one is for channels where no silence does.
REACH = 12
REACH_WITHOUT_THRESHOLD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Committed:
    """A message that came along; not counted where its session was closed at this very moment."""

    stored: Stored
    counted: bool


# What became of an arrival in its group. Of one that did not come along its sender's sessions may be known, as they
# were when the group began; whatever changed since is a race to `filing`.
_Outcome = _Committed | Neighbours | None


def store(runtime: Runtime, arrival: Arrival) -> Stored | None:
    """Store and count a message, along with what arrives meanwhile where it may; None where it was taken already.

    StoreUnavailable if MongoDB did not confirm in time.
    """
    outcome: _Outcome = None
    if _may(runtime, arrival):
        outcome = runtime.commits.do(arrival, functools.partial(_commit, runtime))
    if isinstance(outcome, _Committed) and outcome.counted:
        return outcome.stored
    return runtime.aside(_store_alone, runtime, arrival, outcome)


def _store_alone(runtime: Runtime, arrival: Arrival, outcome: _Outcome) -> Stored | None:
    with deadline(), together():
        if isinstance(outcome, _Committed):
            return storing.count(runtime, arrival, outcome.stored)
        return storing.store(runtime, arrival, seen=outcome)


def _may(runtime: Runtime, arrival: Arrival) -> bool:
    """Tell whether a message may come along, as far as it can be told without its session."""
    message = arrival.message
    goes_on = arrival.is_later_turn or (
        message.call is None and arrival.policy.threshold_ms != 0 and not guards.asks_for_new_session(runtime, message)
    )
    return goes_on and (arrival.delivery.waiting or arrival.delivery.grouped)


def _commit(runtime: Runtime, arrivals: Sequence[Arrival]) -> Sequence[_Outcome]:
    """Store those of the arrivals that may come along; what is wrong with one of them must not cost the others."""
    try:
        with deadline(), together():
            return _store_together(runtime, arrivals)
    except StoreRefused:
        return [None] * len(arrivals)
    except StoreUnavailable as error:
        # Whoever gathered meanwhile must not wait for it as well.
        connection.breaker.trip(str(error))
        raise
    except Exception as error:
        log.error("group_failed", messages=len(arrivals), error=where(error))
        return [None] * len(arrivals)


def _store_together(runtime: Runtime, arrivals: Sequence[Arrival]) -> Sequence[_Outcome]:
    results: list[_Outcome] = [None] * len(arrivals)
    filed, others = _file(runtime, arrivals)
    filed |= openings.open_all(runtime, others)
    for number in others.keys() - filed.keys():
        results[number] = others[number][1]
    turns = {number: storing.answered(runtime, arrivals[number], one) for number, one in filed.items()}
    new = messages.insert(list(turns.values())) if turns else set()
    stored = {
        number: Stored(filed[number], turn, frozenset(new.intersection(turn.ids)))
        for number, turn in turns.items()
        if turn.message.id in new
    }
    touches = [storing.touch_of(one) for one in stored.values()]
    missed = sessions.touch(touches) if touches else set()
    for number, one in stored.items():
        results[number] = _Committed(one, counted=one.turn.session_id not in missed)
    return results


def _file(
    runtime: Runtime, arrivals: Sequence[Arrival]
) -> tuple[dict[int, Filed], dict[int, tuple[Arrival, Neighbours]]]:
    """Give where those go that go on in an open session or a call, by their positions; of each sender and id the first.

    Then those that do not go on, of senders whose sessions are known, with these.
    """
    # Whoever signs may send one id from two senders: it is the first one's, and what is known of a sender goes by it.
    firsts = {arrival.message.id: arrival for arrival in reversed(arrivals)}
    turns = _turns([arrival for arrival in firsts.values() if arrival.is_later_turn])
    known = _look_up([arrival for arrival in firsts.values() if not arrival.is_later_turn])
    filed: dict[int, Filed] = {}
    others: dict[int, tuple[Arrival, Neighbours]] = {}
    taken = set[str]()
    for number, arrival in enumerate(arrivals):
        if firsts[arrival.message.id] is not arrival or not taken.isdisjoint(arrival.keys):
            continue
        taken.update(arrival.keys)
        neighbours = known.get(arrival.message.id)
        goes_on = _goes_on(runtime, arrival, neighbours) if neighbours else turns.get(arrival.message.id)
        if goes_on:
            filed[number] = goes_on
            taken.update(goes_on.session.keys)
        elif neighbours:
            others[number] = arrival, neighbours
            taken.update(neighbours.before.keys if neighbours.before else ())
    return filed, others


def _turns(arrivals: Sequence[Arrival]) -> Mapping[str, Filed]:
    """File the later turns of calls, by their ids."""
    if not arrivals:
        return {}
    messages = [arrival.message for arrival in arrivals]
    filed = filing.file_turns(messages, [arrival.policy for arrival in arrivals])
    return {message.id: one for message, one in zip(messages, filed, strict=True) if one}


def _look_up(arrivals: Sequence[Arrival]) -> Mapping[str, Neighbours]:
    """Look up the sessions of senders, by the messages' ids; who is left out is to be looked up alone."""
    if not arrivals:
        return {}
    if len(arrivals) == 1:
        (alone,) = arrivals
        return {alone.message.id: finding.find_neighbours(alone.keys, alone.message.received_at)}
    keys = {key for arrival in arrivals for key in arrival.keys}
    since = min(arrival.message.received_at - _reach(arrival) for arrival in arrivals)
    newest = _by_key(finding.find_newest(sorted(keys), since))
    missing, are_all = sorted(keys - newest.keys()), True
    if missing:
        older, are_all = finding.find_newest_ever(missing)
        # An older one may have keys of a newer one.
        newest = _by_key(older) | newest
    known = {}
    for arrival in arrivals:
        message, found = arrival.message, [newest[key] for key in arrival.keys if key in newest]
        if found:
            before = newest_first(found)[0]
            if before.first_message_at <= message.received_at:
                known[message.id] = Neighbours(before)
        elif are_all:
            known[message.id] = Neighbours()
    return known


def _by_key(found: Sequence[SessionView]) -> dict[str, SessionView]:
    """Give the first of these that each key has."""
    return {key: session for session in reversed(found) for key in session.keys}


def _reach(arrival: Arrival) -> timedelta:
    threshold = arrival.policy.threshold_ms
    return REACH_WITHOUT_THRESHOLD if threshold is None else timedelta(milliseconds=threshold) * REACH


def _goes_on(runtime: Runtime, arrival: Arrival, neighbours: Neighbours) -> Filed | None:
    """File a message in its sender's open session; None where there is more to it than that."""
    message, session = arrival.message, neighbours.before
    if (
        session is None
        or neighbours.after
        or not session.is_open
        or not set(arrival.keys).issubset(session.keys)
        or session.opened_by == message.id
        or optouts.read(runtime, message, session.opted_out)
    ):
        return None
    decision = decide(neighbours, message.received_at, arrival.policy)
    return Filed(session, decision.as_stored(), message.received_at) if decision.session_id else None
