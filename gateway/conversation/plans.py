"""What a call to one of our numbers is for: the channel's own settings, else those for all."""

from dataclasses import fields, replace

from gateway.channels.line import DIAL, VOICEMAIL, CallPlan, Line
from gateway.conversation.runtime import Runtime
from gateway.core.messages import VOICE, Channel
from gateway.logs import log
from gateway.settings.sections import Voice

# What a channel document may say in `settings`.
BY_CHANNEL = ("mode", "greeting", "filler", "voicemail_prompt", "dial_to", "text_back")
_QUESTION = Voice.model_fields["greeting"].default


def line_for(runtime: Runtime, channel: Channel | None) -> Line:
    """Give what is spoken on a channel; what its document says wrongly is logged, and the settings' is used."""
    if channel is not None and channel.communication_type != VOICE:
        return runtime.line
    return replace(runtime.line, plan=_plan(runtime.settings.voice, channel))


def _plan(voice: Voice, channel: Channel | None) -> CallPlan:
    chosen = _chosen(voice, channel) if channel else voice
    plan = CallPlan(**{field.name: getattr(chosen, field.name) for field in fields(CallPlan)})
    if plan.mode != DIAL:
        return plan
    if not plan.dial_to:
        _tell(channel, "mode is dial, and there is no dial_to. Give a number; until then callers reach a voicemail.")
        return replace(plan, mode=VOICEMAIL)
    # "How can we help you?" is no question to a caller who is put through.
    return replace(plan, greeting="") if plan.greeting == _QUESTION else plan


def _chosen(voice: Voice, channel: Channel) -> Voice:
    for name in BY_CHANNEL:
        if name not in channel.settings:
            continue
        value = channel.settings[name]
        try:
            voice = Voice.model_validate(voice.model_dump() | {name: value})
        except ValueError:
            _tell(channel, f"settings.{name} cannot be {value!r:.60}. GATEWAY_VOICE__{name.upper()} is used.")
    return voice


def _tell(channel: Channel | None, message: str) -> None:
    log.error("channel_misconfigured", channel_id=channel.id if channel else None, message=message)
