"""Operations: how the gateway is doing, what failed, what Twilio sent, our numbers, the API's keys and webhooks out."""

from gateway.admin.operations import channels, health, inspector, keys, outbox, subscriptions

__all__ = ["channels", "health", "inspector", "keys", "outbox", "subscriptions"]
