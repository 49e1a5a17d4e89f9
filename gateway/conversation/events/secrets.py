"""The secrets that events are signed with: made from SECRET_KEY when they are needed, and stored nowhere.

Who steals the database can sign nothing. Who changes SECRET_KEY changes every secret; the fingerprint beside each
subscription tells, and then nothing is sent until somebody takes note of a new one.
"""

from datetime import datetime, timedelta

from gateway.conversation.runtime import Runtime
from gateway.core.signing import derived_secret, fingerprint
from gateway.store.subscriptions import Subscription

# So long after a new secret was made events are signed with the old one too.
OVERLAP = timedelta(hours=24)


def secret_of(runtime: Runtime, subscription_id: str, generation: int) -> str:
    """Give the secret of a subscription, as its owner was shown it."""
    master = runtime.settings.secret_key.get_secret_value().encode()
    return derived_secret(master, f"{subscription_id}|{generation}")


def is_known(runtime: Runtime, subscription: Subscription) -> bool:
    """Tell whether the owner knows the secret that would be used: not if SECRET_KEY was changed since."""
    return fingerprint(secret_of(runtime, subscription.id, subscription.generation)) == subscription.fingerprint


def signing(runtime: Runtime, subscription: Subscription, now: datetime) -> list[bytes]:
    """Give the secrets to sign with now, the newest first."""
    both = subscription.old_secret_until is not None and now < subscription.old_secret_until
    generations = [subscription.generation, subscription.generation - 1][: 2 if both else 1]
    return [secret_of(runtime, subscription.id, generation).encode() for generation in generations]
