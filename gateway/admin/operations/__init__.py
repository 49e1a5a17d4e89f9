"""Operations: how the gateway is doing, what failed, what Twilio sent, our numbers and the API's keys."""

from gateway.admin.operations import channels, health, inspector, keys, outbox

__all__ = ["channels", "health", "inspector", "keys", "outbox"]
