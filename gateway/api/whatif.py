"""How the stored history would have been cut into sessions at other thresholds."""

from flask import Response

from gateway.api.auth import access, runtime
from gateway.api.blueprint import bp
from gateway.api.decisions import TAGS
from gateway.api.problems import Refused
from gateway.api.schemas import reply
from gateway.api.schemas.whatif import WhatIf, WhatIfQuery
from gateway.conversation import whatif as use
from gateway.conversation.whatif import Question
from gateway.conversation.whatif_json import as_json
from gateway.core.gaps import BadThreshold, read_threshold
from gateway.core.whatif import USUAL
from gateway.store.connection import deadline

# A whole history is read at once.
READ_SECONDS = 10


@bp.get("/whatif", tags=TAGS, responses={200: WhatIf})
def get_whatif(query: WhatIfQuery) -> Response:
    """Show how the stored history would have been cut at other thresholds; changes nothing."""
    thresholds = _thresholds(query.threshold)
    with deadline(READ_SECONDS):
        history = use.look(runtime(), _question(query))
    return reply(WhatIf.model_validate(as_json(history, thresholds, query.since)))


def _thresholds(written: str | None) -> tuple[float, ...]:
    if not written:
        return USUAL
    try:
        return tuple(sorted({read_threshold(one) for one in written.split(",")}))
    except BadThreshold as error:
        raise Refused(409, "cannot_count", str(error), field="query.threshold") from None


def _question(query: WhatIfQuery) -> Question:
    seen = access().channels
    if query.channel:
        seen = frozenset({query.channel}) if access().sees(query.channel) else frozenset()
    return Question(channels=seen, types=[query.type] if query.type else (), since=query.since, until=query.until)
