"""What has to be done to a database that was brought back from a backup, before a gateway runs on it."""

from dataclasses import dataclass

from gateway.conversation import actions, flow_upkeep, upkeep
from gateway.conversation.runtime import Runtime
from gateway.logs import log
from gateway.store import restored
from gateway.store.connection import deadline

# Everything that waits for an answer is looked for once, without an index for calls.
SEARCH_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Doubted:
    """What may have happened after the backup: messages to be looked up, sessions left to a person."""

    sends: int
    sessions: tuple[str, ...]


def make_safe(runtime: Runtime) -> Doubted:
    """Let nothing go out twice that was sent, or answered, after the backup was made. May be repeated.

    What waits to be sent is looked up at Twilio first. What waits for an answer cannot be looked up, for nobody knows
    in which words it was given: a person is asked to look. What flows still had to do is listed as failed.
    """
    upkeep.settle(runtime)
    while flow_upkeep.look(runtime) == flow_upkeep.BATCH:
        pass
    now = runtime.clock.now()
    with deadline(SEARCH_SECONDS):
        sends, sessions = restored.doubt_sends(now), restored.drop_answers(now)
        flows = restored.leave_flows(now)
        for session_id in sessions:
            actions.ask_for_person(runtime, session_id, restored.REASON)
    log.info("restored_backup_made_safe", sends=sends, sessions=len(sessions), flows=flows)
    return Doubted(sends, tuple(sessions))
