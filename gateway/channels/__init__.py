"""The channels: from Twilio's parameters to values, and from answers to TwiML."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.channels import chat, messaging, voice
from gateway.channels.line import Line
from gateway.core.messages import CHAT, SMS, VOICE, WHATSAPP, InboundMessage
from gateway.core.replies import Reply


@dataclass(frozen=True, slots=True)
class Channel:
    """How one type of channel is called, and writes its answers."""

    name: str
    title: Callable[[str], str]
    render: Callable[[Reply, InboundMessage, str, Line], str]
    split: Callable[[str], list[str]]
    no_answer: str


CHANNELS = {
    SMS: Channel("SMS", "SMS from {}".format, messaging.render, messaging.split, messaging.NO_ANSWER),
    WHATSAPP: Channel("WhatsApp", "WhatsApp from {}".format, messaging.render, messaging.split, messaging.NO_ANSWER),
    VOICE: Channel("Voice", "Call from {}".format, voice.render, voice.split, voice.NO_ANSWER),
    CHAT: Channel("Chat", "Chat with {}".format, chat.render, chat.split, chat.NO_ANSWER),
}
