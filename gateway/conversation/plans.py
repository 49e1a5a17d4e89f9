"""What a call to one of our numbers is for: the channel's own settings, else those for all."""

from dataclasses import fields, replace

from gateway.channels.line import CallPlan, Line
from gateway.conversation.runtime import Runtime
from gateway.core.messages import VOICE, Channel
from gateway.logs import log
from gateway.settings.sections import Voice

# What a channel document may say in `settings`.
BY_CHANNEL = ("greeting", "filler")


def line_for(runtime: Runtime, channel: Channel | None) -> Line:
    """Give what is spoken on a channel; what its document says wrongly is logged, and the settings' is used."""
    if channel is not None and channel.communication_type != VOICE:
        return runtime.line
    return replace(runtime.line, plan=_plan(runtime.settings.voice, channel))


def _plan(voice: Voice, channel: Channel | None) -> CallPlan:
    chosen = _chosen(voice, channel) if channel else voice
    return CallPlan(**{field.name: getattr(chosen, field.name) for field in fields(CallPlan)})


def _chosen(voice: Voice, channel: Channel) -> Voice:
    for name in BY_CHANNEL:
        if name not in channel.settings:
            continue
        value = channel.settings[name]
        try:
            voice = Voice.model_validate(voice.model_dump() | {name: value})
        except ValueError:
            _tell(channel, f"settings.{name} = {value!r} is not possible. GATEWAY_VOICE__{name.upper()} is used.")
    return voice


def _tell(channel: Channel, message: str) -> None:
    log.error("channel_misconfigured", channel_id=channel.id, message=message)
