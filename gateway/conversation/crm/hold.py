"""When the whole account at the CRM is to wait: too many requests, a token that is not taken, a scope it lacks."""

import hashlib
from datetime import datetime, timedelta

from gateway.conversation.runtime import Runtime
from gateway.core.crm import CrmFailed
from gateway.store import crm_state

# How soon it is looked again where somebody must do something about it first.
PATIENCE = timedelta(minutes=10)


def begin(runtime: Runtime, error: CrmFailed) -> datetime:
    """Let the account wait as an error says, in every process; gives until when."""
    asked = PATIENCE if error.retry_after is None else timedelta(seconds=error.retry_after)
    until = runtime.clock.now() + asked
    crm_state.hold(until, _token(runtime), str(error)[:500])
    runtime.crm_hold.until = max(runtime.crm_hold.until, until)
    return until


def until(runtime: Runtime) -> tuple[datetime, str] | None:
    """Tell until when the account is to wait, and why; None where it need not. With another token it need not."""
    held = crm_state.held(_token(runtime), runtime.clock.now())
    if held:
        runtime.crm_hold.until = held[0]
    return held


def lets_ask(runtime: Runtime) -> bool:
    """Tell whether there is a CRM and, as far as this process knows, it may be asked; costs nothing."""
    return runtime.crm is not None and runtime.crm_hold.until <= runtime.clock.now()


def _token(runtime: Runtime) -> str:
    """Tell tokens apart without keeping any."""
    token = runtime.settings.crm.access_token.get_secret_value().strip()
    return hashlib.sha256(f"crm:{token}".encode()).hexdigest()[:16]
