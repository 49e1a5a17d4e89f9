"""What a flow collected, posted to the program its file names: signed, bounded, and tried again under one id.

docs/api/flows.md is its contract.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from gateway.clients import posting
from gateway.clients.posting import Answer, NotAllowed, Unreachable
from gateway.conversation.events.deliver import reach
from gateway.conversation.release import finish, pause, postpone
from gateway.conversation.runtime import Runtime
from gateway.core.signing import signed_headers
from gateway.logs import log
from gateway.store import asked, finding, outbox
from gateway.store.connection import deadline
from gateway.store.flow_runs import Run
from gateway.store.outbox import Row

_LONGEST_WAIT = timedelta(hours=1)
_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


def post(runtime: Runtime, row: Row, run: Run, parameters: Mapping[str, Any]) -> None:
    """Post what was collected; what is refused for good fails at once, all else is tried again."""
    with deadline():
        body = json.dumps(_told(row, run), ensure_ascii=False).encode()
    try:
        answer = posting.post(
            str(parameters["url"]), body, _headers(runtime, row, body),
            seconds=runtime.settings.events.timeout_seconds, reach=reach(runtime), now=runtime.clock.now(),
        )  # fmt: skip
    except NotAllowed as error:
        _fail(runtime, row, f"not_allowed: {error}")
    except Unreachable as error:
        _put_off(runtime, row, f"unreachable: {error}")
    else:
        _judge(runtime, row, answer)


def _told(row: Row, run: Run) -> dict[str, Any]:
    place = run.place
    contact_id, name = asked.person_of(place.contact_id)
    number, line = finding.numbers_of(place.session_id)
    return {
        "id": row.id,
        "flow": run.flow,
        "version": run.version,
        "run": run.id,
        "outcome": run.outcome,
        "session_id": place.session_id,
        "channel": {"id": place.channel_id, "type": place.communication_type, "number": line or None},
        "contact": {"id": contact_id, "name": name, "number": number or None},
        "values": dict(run.values),
        "started_at": _moment(run.started_at),
        "ended_at": _moment(run.ended_at),
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def _headers(runtime: Runtime, row: Row, body: bytes) -> dict[str, str]:
    """Sign for the moment of this try: a retry must not look like a replayed request."""
    secret = runtime.settings.flow.secret.get_secret_value().encode()
    signed = signed_headers([secret] if secret else [], str(int(runtime.clock.now().timestamp())), body)
    return signed | {"User-Agent": "conversation-gateway", "X-Gateway-Flow-Id": row.id}


def _judge(runtime: Runtime, row: Row, answer: Answer) -> None:
    if 200 <= answer.status < 300:
        log.info("flow_posted", row=row.id, session_id=row.session_id, status=answer.status)
        with deadline():
            finish(runtime, row, outbox.DONE)
    elif answer.status >= 500 or answer.status in _AGAIN:
        _put_off(runtime, row, f"{answer.status}: to be tried again", timedelta(seconds=answer.retry_after or 0))
    else:
        _fail(runtime, row, f"{answer.status}: refused for good")


def _put_off(runtime: Runtime, row: Row, problem: str, asked_for: timedelta = timedelta()) -> None:
    log.warning("flow_post_failed", row=row.id, session_id=row.session_id, tries=row.tries, message=problem)
    wait = max(pause(row.tries), min(asked_for, _LONGEST_WAIT))
    postpone(runtime, row, runtime.clock.now() + wait, failed=problem)


def _fail(runtime: Runtime, row: Row, problem: str) -> None:
    log.error("flow_effect_failed", row=row.id, session_id=row.session_id, message=problem)
    with deadline():
        finish(runtime, row, outbox.FAILED, error=problem)
