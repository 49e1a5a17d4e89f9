"""What a key is: the first call of whoever was given one."""

from flask import Response

from gateway.api.auth import key, runtime
from gateway.api.blueprint import bp, tag
from gateway.api.schemas import reply
from gateway.api.schemas.me import Me


@bp.get("/me", tags=tag("Keys", "What the key that asks may see and do."), responses={200: Me})
def get_me() -> Response:
    """Show what the key that asks may see and do."""
    mine = key()
    limit = runtime().settings.api.requests_per_minute
    return reply(
        Me(
            name=mine.name,
            prefix=mine.prefix,
            scopes=sorted(mine.scopes),
            channels=None if mine.access.channels is None else sorted(mine.access.channels),
            expires_at=mine.expires_at,
            requests_per_minute=limit,
        )
    )
