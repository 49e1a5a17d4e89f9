"""A replica set of three loses its primary under load; the gateway goes on with the next one and has lost nothing."""

import pytest

from benchmarks.reliability import trial
from benchmarks.reliability.faults import KillPrimary
from benchmarks.reliability.plan import Load

# Members miss a dead primary after a second instead of MongoDB's ten, only to keep this short.
ELECTION_MS = 1000


@pytest.mark.timeout(300)
def test_i4_what_was_acknowledged_survives_the_kill_of_the_primary():
    outcome = trial.run(KillPrimary(election_ms=ELECTION_MS), Load(seconds=5, rate=30, senders=150))
    killed, elected = outcome.scene.marks[0][1], outcome.scene.marks[-1][1]
    acknowledged = [one for one in outcome.deliveries if one.acknowledged]
    assert any(one.sent < killed for one in acknowledged)
    assert any(one.sent > elected for one in acknowledged), "the gateway did not find the new primary"
    verdict = outcome.verdict
    assert (verdict.lost, verdict.twice, verdict.miscounted, verdict.rivals) == ([], [], [], [])
    assert (verdict.misdated, verdict.unanswered, verdict.answered_twice) == ([], [], [])
    assert outcome.rested
