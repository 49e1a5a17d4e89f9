"""A simulated telephone: follows what the gateway answers the way Twilio's calls do."""

import html
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

from gateway.core.errors import GatewayError

# A person hangs up after listening to filler for so many seconds.
PATIENCE = 60
# What becomes of a call that is put through, in Twilio's words, and for how many seconds whoever answers it speaks.
OUTCOMES = ("completed", "no-answer", "busy", "failed", "canceled")
TALK = 60


class SimulationFailed(GatewayError):
    """The gateway did not take a simulated webhook, or kept a caller waiting; the text says what to do."""


_REDIRECT = re.compile(r"<Redirect[^>]*>([^<]*)</Redirect>")
_PAUSE = re.compile(r'<Pause[^>]* length="(\d+)"')
_WORDS_A_SECOND = 2


@dataclass
class Phone:
    """One call: `form` is what every webhook of it carries, `twiml` what the gateway said last."""

    post: Callable[[str, dict[str, str]], str]
    public_url: str
    form: dict[str, str]
    twiml: str = ""

    def ring(self) -> None:
        """Call the number and listen."""
        self.twiml = self.post("/webhooks/voice", self.form | {"CallStatus": "ringing"})
        self._wait()

    def talk(self, turns: Sequence[dict[str, str]]) -> None:
        """Call, and say or key one thing after the other as long as the gateway listens."""
        self.ring()
        for turn in turns:
            if not self.answer(turn):
                break

    def hang_up(self, seconds: int) -> None:
        """End the call."""
        ended = {"CallStatus": "completed", "CallDuration": str(seconds), "SequenceNumber": "0"}
        self.post("/webhooks/voice/status", self.form | ended)

    @property
    def listens(self) -> bool:
        """Tell whether something may be said or keyed now."""
        return self._path("Gather", "action") is not None

    @property
    def records(self) -> bool:
        """Tell whether a message may be left now, be it after somebody who is dialled did not answer."""
        return "<Record" in self.twiml or "<Dial" in self.twiml

    def answer(self, turn: dict[str, str]) -> bool:
        """Say or key something where the gateway listens; False where it does not."""
        return self._go_on("Gather", turn)

    def put_through(self, outcome: str) -> bool:
        """Let the telephone ring that the call is put through to, and tell what became of it; False where none rings.

        The outcome is Twilio's: completed (somebody spoke with the caller), no-answer, busy, failed or canceled.
        """
        spoke = outcome == "completed"
        talked = {"DialCallDuration": str(TALK)} if spoke else {}
        told = {"DialCallStatus": outcome, "DialCallSid": new_sid("CA"), "DialBridged": str(spoke).lower()}
        return self._go_on("Dial", told | talked)

    def leave(self, words: str) -> bool:
        """Leave a message after the tone, which nobody who is dialled keeps from coming; False without a tone."""
        self.put_through("no-answer")
        status, transcription = (
            self._path("Record", "recordingStatusCallback"),
            self._path("Record", "transcribeCallback"),
        )
        sid, account = new_sid("RE"), self.form["AccountSid"]
        recording = {
            "RecordingSid": sid,
            "RecordingUrl": f"https://api.twilio.com/2010-04-01/Accounts/{account}/Recordings/{sid}",
            "RecordingDuration": str(1 + len(words.split()) // _WORDS_A_SECOND),
        }
        if not self._go_on("Record", recording | {"Digits": "hangup"}):
            return False
        ours = {name: self.form[name] for name in ("AccountSid", "CallSid")}
        if status:
            self.post(status, ours | recording | {"RecordingStatus": "completed", "RecordingSource": "RecordVerb"})
        if transcription:
            said = {"TranscriptionSid": new_sid("TR"), "TranscriptionStatus": "completed", "TranscriptionText": words}
            self.post(transcription, self.form | recording | said)
        return True

    def _go_on(self, verb: str, form: dict[str, str]) -> bool:
        path = self._path(verb, "action")
        if path is None:
            return False
        self.twiml = self.post(path, self.form | {"CallStatus": "in-progress"} | form)
        self._wait()
        return True

    def _wait(self) -> None:
        """Listen to filler until the answer is there."""
        waited = 0
        while (found := _REDIRECT.search(self.twiml)) and "<Gather" not in self.twiml:
            pause = sum(int(seconds) for seconds in _PAUSE.findall(self.twiml))
            waited += max(pause, 1)
            if waited > PATIENCE:
                raise SimulationFailed(f"No answer came within {PATIENCE} s. Does a worker run? (`gateway worker`)")
            time.sleep(pause)
            self.twiml = self.post(self._local(found[1]), self.form | {"CallStatus": "in-progress"})

    def _path(self, verb: str, attribute: str) -> str | None:
        found = re.search(rf'<{verb}[^>]* {attribute}="([^"]*)"', self.twiml)
        return self._local(found[1]) if found else None

    def _local(self, url: str) -> str:
        return urljoin("/webhooks/voice", html.unescape(url)).removeprefix(self.public_url)


def new_sid(kind: str) -> str:
    """Make up an id of Twilio's form."""
    return kind + secrets.token_hex(16)
