"""What people say of themselves."""

from gateway.conversation.runtime import Runtime


def typed(
    runtime: Runtime,
    contact_id: str,
    *,
    name: str = "",
    email: str = "",
    phone: str = "",
    session_id: str,
    source: str,
) -> None:
    """Keep what a user typed about themselves; as often as you like."""
