"""Files that simulated people send: kept where the loopback finds them, under an address of Twilio's form."""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from gateway import clients
from gateway.clients.loopback import type_of
from gateway.conversation.phoning import SimulationFailed
from gateway.conversation.simulation.forms import account
from gateway.core.messages import Media
from gateway.settings import Settings

_API = "https://api.twilio.com/2010-04-01"
_PATIENCE_SECONDS = 20
_NO_LOOPBACK = (
    "{}: this gateway fetches files from Twilio, since an account is set. Give the URL of a file there, or try it "
    "without TWILIO_ACCOUNT_SID and GATEWAY_TWILIO__API_BASE_URL."
)


def attach(configured: Settings, given: str, sid: str) -> Media:
    """Let a file come with the message of this SID: one of this host, or one at a URL.

    Where files are fetched from Twilio (or a stand-in) a URL is passed on as it is. SimulationFailed where the file
    cannot be read, or nobody could fetch it.
    """
    is_url = given.startswith(("http://", "https://"))
    if not clients.has_loopback(configured):
        if not is_url:
            raise SimulationFailed(_NO_LOOPBACK.format(given))
        return Media(given, type_of(urlsplit(given).path))
    name, content = _download(given, configured.media.max_bytes) if is_url else _read(Path(given))
    kept = clients.simulated_files(configured).add(name, content)
    return Media(f"{_API}/Accounts/{account(configured)['AccountSid']}/Messages/{sid}/Media/{kept}", type_of(name))


def _read(path: Path) -> tuple[str, bytes]:
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise SimulationFailed(f"{path} cannot be read ({error.strerror}). Name a file that is there.") from None


def _download(url: str, most: int) -> tuple[str, bytes]:
    import requests

    try:
        with requests.get(url, timeout=_PATIENCE_SECONDS, stream=True) as answer:
            answer.raise_for_status()
            content = answer.raw.read(most + 1, decode_content=True)
    except (requests.RequestException, OSError) as error:
        raise SimulationFailed(f"{url} did not come ({type(error).__name__}). Give a file, or another URL.") from None
    if len(content) > most:
        raise SimulationFailed(f"{url} is larger than media.max_bytes, {most}. Give a smaller file.")
    return _named(url), content


def _named(url: str) -> str:
    """Name a file by its URL as a folder here can hold it; an encoded slash leads nowhere else."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    kept = "".join(sign for sign in name if sign.isprintable())[-60:]
    return kept if kept.strip(".") else "file"
