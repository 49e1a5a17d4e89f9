"""What the people of a scenario do, each prepared once so that all its copies say the same."""

import html
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.channels.chat import DEFAULT_SITE, ChatUser
from gateway.conversation.phoning import Phone, SimulationFailed
from gateway.conversation.simulation import files, forms
from gateway.conversation.simulation.forms import OUR_NUMBER, OUR_WHATSAPP, Said
from gateway.conversation.simulation.line import Line
from gateway.core.messages import CHAT, SMS, VOICE, WHATSAPP
from gateway.core.scenarios import Lost, Person, Step

# Says or does something on a line, and gives what the gateway answered to it.
Deed = Callable[[Line], str]

LINES = {SMS: OUR_NUMBER, WHATSAPP: OUR_WHATSAPP, VOICE: OUR_NUMBER, CHAT: DEFAULT_SITE}
_WEBHOOKS = {SMS: "/webhooks/sms", WHATSAPP: "/webhooks/whatsapp"}
_SPOKEN = re.compile(r"<(?:Message|Body|Say)\b[^>]*>([^<]*)<")


@dataclass(frozen=True)
class Stage:
    """Where a scenario is played: `line` reaches the gateway, `folder` is that of the file.

    `stored` says that its MongoDB can be asked; meanwhile `wait` lets what a worker makes come about.
    """

    line: Line
    folder: Path
    stored: bool
    wait: Callable[[], object] = lambda: time.sleep(0.2)


@dataclass(frozen=True)
class Cast:
    """The people of a scenario, and the number each has in this run."""

    stage: Stage
    people: Mapping[str, Person]
    numbers: Mapping[str, str]

    def deed(self, step: Step) -> Deed:
        """Prepare what somebody does; SimulationFailed where a file of theirs cannot be had."""
        if step.kind == VOICE:
            return self._calls(step)
        return self._chats(step) if step.kind == CHAT else self._texts(step)

    def _texts(self, step: Step) -> Deed:
        """Prepare one text or WhatsApp message, the same for all its copies."""
        configured, path = self.stage.line.configured, _WEBHOOKS[step.kind]
        sid = forms.message_sid(Said(media=step.media))  # type: ignore[arg-type]  # only whether there is one
        base = self.stage.folder
        media = [files.attach(configured, one if "://" in one else str(base / one), sid) for one in step.media]
        place = forms.Place(*step.location) if step.location else None
        said = Said(step.body, media, step.button, step.choice, place)
        sender, to = self.numbers[step.person], step.to or LINES[step.kind]
        profile = self.people[step.person].profile
        if step.kind == SMS:
            form = forms.text_form(configured, sender, to, said, sid=sid)
        else:
            form = forms.whatsapp_form(configured, sender, to, said, name=profile, sid=sid)

        def send(line: Line) -> str:
            twiml = line.post(path, form)
            if step.lost is Lost.ANSWER:
                twiml = line.post(path, forms.failed_before(form, line.public_url + path))
            return _words(twiml)

        return send

    def _calls(self, step: Step) -> Deed:
        to = step.to or LINES[VOICE]
        form = forms.call_form(self.stage.line.configured, self.numbers[step.person], to)

        def call(line: Line) -> str:
            phone = Phone(line.post, line.public_url, form)
            try:
                phone.talk(step.turns)
                heard = _words(phone.twiml)
                if step.dial and not phone.put_through(step.dial):
                    raise SimulationFailed(f"Calls to {to} are not put through.")
                if step.leave and not phone.leave(step.leave):
                    raise SimulationFailed(f"Nothing asks for a message: calls to {to} are no voicemail.")
            finally:
                # Whatever went wrong, a call that is never over would keep its session open for hours.
                if line.told:
                    phone.hang_up(10 * (1 + len(step.turns)))
            return heard

        return call

    def _chats(self, step: Step) -> Deed:
        user_id = f"{step.person}-{self.numbers[step.person].lstrip('+')}"
        user = ChatUser(step.to or DEFAULT_SITE, user_id, name=self.people[step.person].profile)

        def say(line: Line) -> str:
            line.chat(user, step.body)
            return str(line.told[-1]["twiml"])

        return say


def _words(twiml: str) -> str:
    return " ".join(filter(None, (html.unescape(text).strip() for text in _SPOKEN.findall(twiml))))
