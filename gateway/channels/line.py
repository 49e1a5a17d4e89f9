"""What calls are spoken with, and the signed addresses their turns go to."""

from dataclasses import dataclass
from urllib.parse import quote

from itsdangerous import BadSignature, URLSafeSerializer

from gateway.core.messages import CallTurn
from gateway.core.reach import PublicAddress
from gateway.core.times import epoch_ms, from_epoch_ms

# What a call is for.
CONVERSE, VOICEMAIL, DIAL = "converse", "voicemail", "dial"


def status_path(message_id: str) -> str:
    """Give the path that the delivery status of one of our messages comes to."""
    return f"/webhooks/status?m={quote(message_id, safe=':')}"


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What a call to one of our numbers is for. `filler` is said (or, being a URL, played) while an answer is made."""

    mode: str = CONVERSE
    greeting: str = ""
    filler: str = ""
    voicemail_prompt: str = ""
    voicemail_thanks: str = ""
    voicemail_seconds: int = 120
    transcribe: bool = True
    dial_to: str = ""
    dial_seconds: int = 20
    text_back: str = ""


@dataclass(frozen=True)
class Line:
    """Texts and voice come from the settings; what `public` says is where Twilio comes back to."""

    silence: str
    goodbye: str
    language: str
    voice: str
    public: PublicAddress
    serializer: URLSafeSerializer
    plan: CallPlan = CallPlan()

    def status_url(self, message_id: str) -> str:
        """Say where the delivery status of one of our messages goes."""
        return self.public.url + status_path(message_id)

    def turn_url(self, turn: CallTurn) -> str:
        """Say where the next turn of a call goes: the turn in clear, its session signed by us."""
        return f"{self.public.url}/webhooks/voice/turn?{self._state(turn)}"

    def wait_url(self, turn: CallTurn, waits: int) -> str:
        """Say where a call asks for the answer to a turn, after so many pauses."""
        return f"{self.public.url}/webhooks/voice/wait?{self._state(turn)}&wait={waits}"

    def url(self, name: str) -> str:
        """Say where another webhook of a call is: `recording`, `transcription` or `dial`."""
        return f"{self.public.url}/webhooks/voice/{name}"

    def _state(self, turn: CallTurn) -> str:
        began = turn.began and epoch_ms(turn.began)
        state = self.serializer.dumps([turn.sid, turn.number, turn.session_id, turn.silences, began])
        return f"turn={turn.number}&state={state}"

    def read_turn(self, call_sid: str, number: int, state: str) -> CallTurn:
        """Read a turn back; a state that is not ours (or another call's) leaves only what is in clear."""
        try:
            # A call that was on while the gateway was updated has a state that does not say when it began.
            sid, signed_number, session_id, silences, *rest = self.serializer.loads(state)
        except (BadSignature, ValueError):
            return CallTurn(call_sid, number)
        if (sid, signed_number) != (call_sid, number):
            return CallTurn(call_sid, number)
        began = from_epoch_ms(rest[0]) if rest and rest[0] is not None else None
        return CallTurn(call_sid, number, session_id, silences, began)
