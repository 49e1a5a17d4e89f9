"""Which staged message belongs to which session: as their source has it, or as it is decided here."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from gateway.store.staging import Stage

# So many of a kind are named; all are counted.
_NAMED = 20

_NO_SESSION = """
INSERT INTO rejected (place, reason, text) SELECT place, CASE ref WHEN '' THEN 'It names no session.'
  ELSE 'Its session ' || substr(ref, 1, 60) || ' is not in the source.' END, text
FROM messages WHERE ref NOT IN (SELECT ref FROM sessions) ORDER BY n
"""
_NOBODY = """
INSERT INTO rejected (place, reason, text) SELECT place, 'It does not say whom it is with.', text
FROM messages WHERE person = '' ORDER BY n
"""
_SPANS = """
UPDATE sessions SET first = spans.first, last = spans.last, messages = spans.messages FROM
  (SELECT ref, MIN(at) AS first, MAX(at) AS last, COUNT(*) AS messages FROM messages GROUP BY ref) AS spans
WHERE spans.ref = sessions.ref
"""
# Where a session does not say it, its messages do: what was received before what we sent, the oldest first.
_OF_MESSAGES = """
UPDATE sessions SET {0} = COALESCE((SELECT {0} FROM messages m WHERE m.ref = sessions.ref AND {0} <> ''
  ORDER BY outbound, at, n LIMIT 1), '') WHERE {0} = ''
"""
_OF_SESSIONS = """
UPDATE messages SET {0} = COALESCE((SELECT {0} FROM sessions s WHERE s.ref = messages.ref), '') WHERE {0} = ''
"""
_NEWER = "SELECT 1 FROM sessions o WHERE o.line = s.line AND o.is_open AND (o.last, o.n) > (s.last, s.n)"
_OLDER = f"FROM sessions s WHERE s.is_open AND EXISTS ({_NEWER})"
# Only one that began before: so no chain of sessions ends where it began.
_BEFORE = "SELECT p.id FROM sessions p WHERE p.ref = s.previous AND (p.first, p.n) < (s.first, s.n)"

# The row of the greatest moment is the one whose other columns are given: https://www.sqlite.org/lang_select.html
_LAST_SAID = """
CREATE TEMP TABLE said AS SELECT m.ref, m.says, MAX(m.at) FROM messages m JOIN sessions s ON s.ref = m.ref
WHERE m.says <> '' GROUP BY s.line
"""

# What is here already of a session that is made again says which one it is; so do its decisions, and who follows it.
_AS_HERE = (
    "UPDATE sessions SET id = home FROM homes WHERE homes.ref = sessions.ref",
    "UPDATE sessions SET previous = home FROM homes WHERE homes.ref = sessions.previous",
    """UPDATE messages SET decision = json_set(decision, '$.previous_session_id', home) FROM homes
    WHERE homes.ref = json_extract(decision, '$.previous_session_id')""",
)
_WITH_WHOM = ("kind", "ours", "person", "line", "channel")
BEGUN = ("ref", "id", *_WITH_WHOM, "previous", "first", "last", "document", "place", "text")

_BY_SENDER = """
SELECT n, id, at, outbound, line, kind, ours, person, channel FROM messages ORDER BY line, at, outbound, n
"""


def keep(stage: Stage) -> list[str]:
    """Leave every message in the session the source has it in; gives what is odd about those."""
    stage.do("CREATE INDEX messages_of ON messages (ref)")
    stage.do(_NO_SESSION)
    stage.do("DELETE FROM messages WHERE ref NOT IN (SELECT ref FROM sessions)")
    for column in ("person", "ours", "kind"):
        stage.do(_OF_MESSAGES.format(column))
    stage.do(_SPANS)
    stage.do("UPDATE sessions SET id = id_of(ref, person), line = line_of(kind, ours, channel, person)")
    _opt_out(stage)
    return [
        *_close_older(stage),
        *_link(stage),
        *_odd(stage, "FROM sessions s WHERE messages = 0", "sessions have no messages, and come in empty"),
        *_odd(stage, "FROM sessions s WHERE person = ''", "sessions name nobody, and belong to no contact"),
    ]


def _opt_out(stage: Stage) -> None:
    """Mark the session in which a sender said STOP, unless they said START since."""
    stage.do(_LAST_SAID)
    stage.do("UPDATE sessions SET out = 1 WHERE ref IN (SELECT ref FROM said WHERE says = 'stop')")


def _close_older(stage: Stage) -> list[str]:
    """Leave the newest session of each sender open, of several that are."""
    stage.do("CREATE INDEX sessions_on ON sessions (line, is_open)")
    told = _odd(stage, _OLDER, "sessions were open beside a newer one of their sender, and come in closed")
    stage.do(f"UPDATE sessions SET is_open = 0 WHERE n IN (SELECT s.n {_OLDER})")  # noqa: S608 - our own words
    return told


def _link(stage: Stage) -> list[str]:
    """Keep which session came before another, where that one is here and did."""
    wrong = f"FROM sessions s WHERE previous <> '' AND NOT EXISTS ({_BEFORE})"
    told = _odd(stage, wrong, "sessions follow one that is not in the source or began later, and come in without it")
    # All at once, for whom one follows is found by what is changed.
    stage.do(f"CREATE TEMP TABLE links AS SELECT s.n, ({_BEFORE}) AS previous FROM sessions s WHERE previous <> ''")  # noqa: S608
    stage.do("UPDATE sessions SET previous = links.previous FROM links WHERE links.n = sessions.n")
    return told


def _odd(stage: Stage, among: str, what: str) -> list[str]:
    (amount,) = next(iter(stage.each(f"SELECT COUNT(*) {among}")))
    refs = [row["ref"][:60] for row in stage.each(f"SELECT ref {among} ORDER BY s.n LIMIT {_NAMED}")]
    return [f"{amount:,} {what}: {', '.join(refs)}{' ...' if amount > _NAMED else ''}"] if amount else []


def by_sender(stage: Stage) -> Iterator[tuple[str, Iterator[Mapping[str, Any]]]]:
    """Forget the sessions of the source, and give the messages of each sender in the order they were said."""
    for column in ("person", "ours", "kind", "channel"):
        stage.do(_OF_SESSIONS.format(column))
    stage.do(_NOBODY)
    stage.do("DELETE FROM messages WHERE person = ''")
    stage.do("DELETE FROM sessions")
    stage.do("UPDATE messages SET line = line_of(kind, ours, channel, person)")
    stage.do("CREATE TEMP TABLE homes (ref TEXT PRIMARY KEY, home TEXT) WITHOUT ROWID")
    # Sorted as a whole before the first is given, so they may be filed meanwhile.
    rows: Iterator[Any] = stage.each(_BY_SENDER)
    yield from groupby(rows, lambda row: str(row["line"]))


def file(
    stage: Stage,
    begun: Sequence[Sequence[Any]],
    messages: Sequence[tuple[str, str | None, int]],
    homes: Sequence[tuple[str, str]],
) -> None:
    """Put messages into sessions: for each the session, the decision, and its number.

    `begun` are the sessions that begin among them, `homes` the sessions here of which some are, in order.
    """
    stage.add_all("sessions", BEGUN, begun)
    stage.change("UPDATE messages SET ref = ?, decision = ? WHERE n = ?", messages)
    stage.add_all("homes", ("ref", "home"), homes)


def settle(stage: Stage) -> None:
    """Find how long sessions go that were made here, and who said STOP in them."""
    for statement in _AS_HERE:
        stage.do(statement)
    stage.do("CREATE INDEX messages_of ON messages (ref)")
    stage.do(_SPANS)
    _opt_out(stage)
