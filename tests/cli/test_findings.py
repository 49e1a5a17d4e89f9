"""What the doctor found, on a terminal: part of it is what others wrote."""

from gateway.cli import findings
from gateway.conversation.doctor.examine import Examined
from gateway.conversation.doctor.findings import wrong
from gateway.conversation.doctor.table import CHECKS


def test_what_others_wrote_is_shown_as_it_is_and_moves_no_terminal(capsys):
    """A Server header is whatever answers at our address says, and a URL at Twilio whatever stood there."""
    fetched = "https://[fd00::1]/webhooks?a[red]=1&b[/b]=2"
    found = wrong("answered by \x1b[2Jnginx\x9b", "See there [/]", details=(f"sms_url is {fetched}", "[/red] " * 40))
    findings.show("Twilio", [Examined(CHECKS[0], (found,))], first=True)
    told = capsys.readouterr().out
    assert not {"\x1b", "\x9b"} & set(told)
    assert fetched in told
    assert "-> See there [/]" in told
    assert told.count("[/red]") == 40
