"""Files at Twilio: photographs and recordings, fetched with our credentials and without giving them away.

A webhook's URLs are signed by Twilio, yet the credentials in a request are worth more than a file: they go to
Twilio's own host and nowhere else, and only to paths that name a file.
"""

import re
import time
from email.message import Message
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3

from gateway.clients.credentials import API, Credentials, Login, NoCredentials
from gateway.core.fetching import Fetched, MediaFailed, MediaNotThere, MediaRefused
from gateway.settings import Settings

MOST_REDIRECTS = 4
_CHUNK = 65_536
_TOO_LONG = "The file took too long to come."
_FILE = re.compile(
    r"/2010-04-01/Accounts/(?P<account>AC\w+)/"
    r"(Messages/\w+/Media/\w+|(Calls/\w+/)?Recordings/\w+(?P<ending>\.mp3|\.wav)?)",
    re.ASCII,
)
_STORAGE = (".twilio.com", ".twiliocdn.com", ".amazonaws.com")
_HERE = ("127.0.0.1", "localhost")


class Downloads:
    """Fetches and deletes files at Twilio, or at the stand-in that the settings name."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._credentials = credentials
        self._base = settings.twilio.api_base_url.rstrip("/")
        host = urlsplit(self._base).hostname or "twilio.com"
        # A stand-in stores its files on this host; a region of Twilio's (api.dublin.ie1.twilio.com) does not.
        self._here = () if host.endswith("twilio.com") else (host, *_HERE)
        self._timeout = settings.twilio.timeout_seconds
        # Half a lease: nobody else must take the job over while its file is still coming.
        self._total = settings.outbox.lease_seconds / 2
        self._max_bytes = settings.media.max_bytes
        self._types = settings.media.types

    def fetch(self, url: str) -> Fetched:
        """Fetch a file within the settings' size, types and half a lease's time."""
        deadline = time.monotonic() + self._total
        path, login = self._locate(url)
        try:
            with self._follow(self._open("GET", path, login, deadline), deadline) as response:
                return self._read(response, deadline)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise MediaFailed(f"The file did not come: {type(error).__name__}.") from error

    def delete(self, url: str) -> None:
        """Delete a file; one that is not there is deleted."""
        path, login = self._locate(url)
        ending = _FILE.fullmatch(path)["ending"] or ""  # type: ignore[index]  # _locate has matched it
        try:
            deadline = time.monotonic() + self._total
            with self._open("DELETE", path.removesuffix(ending), login, deadline) as response:
                if not response.ok and response.status_code != 404:
                    raise MediaFailed(f"Twilio answered {response.status_code} to deleting a file.")
        except OSError as error:
            raise MediaFailed(f"The file could not be deleted: {type(error).__name__}.") from error

    def _locate(self, url: str) -> tuple[str, Login]:
        """Give a file's path, and who asks for it. The host is checked here and never taken from the URL again."""
        parts = _split(url)
        origin, base = f"{parts.scheme}://{parts.netloc}".lower(), urlsplit(self._base)
        path = parts.path
        if self._base and origin == f"{base.scheme}://{base.netloc}".lower():
            path = path.removeprefix(base.path)
        elif origin not in (API, f"{API}:443"):
            raise MediaRefused("host", "The file is not at Twilio.")
        file = _FILE.fullmatch(path)
        if not file:
            raise MediaRefused("path", "The address names neither a message's file nor a recording.")
        try:
            return path, self._credentials.login(file["account"])
        except NoCredentials as error:
            raise MediaFailed(str(error)) from error

    def _open(self, method: str, path: str, login: Login, deadline: float) -> requests.Response:
        for token in login.tokens:
            response = self._request(method, (self._base or API) + path, (login.account, token), deadline)
            if response.status_code != 401:
                self._credentials.remember(login.account, token)
                break
            response.close()
        return response

    def _request(self, method: str, url: str, auth: tuple[str, str] | None, deadline: float) -> requests.Response:
        left = deadline - time.monotonic()
        if left <= 0:
            raise MediaFailed(_TOO_LONG)
        return requests.request(
            method,
            url,
            # A function that changes nothing keeps requests from looking for credentials in ~/.netrc.
            auth=auth or (lambda request: request),
            # What is packed could unpack to any size.
            headers={"Accept-Encoding": "identity"},
            stream=True,
            allow_redirects=False,
            timeout=min(self._timeout, left),
        )

    def _follow(self, response: requests.Response, deadline: float) -> requests.Response:
        """Go where the file is stored, without the credentials."""
        for _ in range(MOST_REDIRECTS):
            if not response.is_redirect:
                return response
            response.close()
            target = _split(response.headers["Location"], response.url)
            if not self._is_storage(target):
                raise MediaRefused("host", "Twilio sent us for the file to a host that is not its own.")
            response = self._request("GET", target.geturl(), None, deadline)
        if response.is_redirect:
            response.close()
            raise MediaFailed(f"The file was more than {MOST_REDIRECTS} redirects away.")
        return response

    def _is_storage(self, parts: SplitResult) -> bool:
        host = parts.hostname or ""
        return host in self._here or (parts.scheme == "https" and host.endswith(_STORAGE))

    def _read(self, response: requests.Response, deadline: float) -> Fetched:
        if response.status_code == 404:
            raise MediaNotThere("Twilio does not have the file, or not yet.")
        if response.status_code != 200:
            raise MediaFailed(f"Twilio answered {response.status_code} instead of the file.")
        content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not any(fnmatchcase(content_type, pattern.lower()) for pattern in self._types):
            raise MediaRefused("type", f"Files of type {content_type or 'unknown'} are not in media.types.")
        content = bytearray()
        # read1 gives what is there: a server that drips single bytes cannot hold us beyond the deadline.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            content += chunk
            if len(content) > self._max_bytes:
                raise MediaRefused("too_large", f"The file is larger than media.max_bytes, {self._max_bytes}.")
            if time.monotonic() > deadline:
                raise MediaFailed(_TOO_LONG)
        return Fetched(content_type, bytes(content), _filename(response.headers.get("Content-Disposition", "")))


def _split(url: str, base: str = "") -> SplitResult:
    try:
        parts = urlsplit(urljoin(base, url))
        _ = parts.port, parts.hostname
    except ValueError as error:
        raise MediaRefused("host", "The file's address is no URL.") from error
    if parts.username is not None or "\\" in url:
        # Two readers of such an address may see two different hosts in it.
        raise MediaRefused("host", "The file's address hides its host.")
    return parts


def _filename(disposition: str) -> str | None:
    """Read the name a file was sent under; a path in it is dropped, it is somebody else's."""
    header = Message()
    header["Content-Disposition"] = disposition
    name = (header.get_filename() or "").replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in name if sign.isprintable()).strip()[:150] or None
