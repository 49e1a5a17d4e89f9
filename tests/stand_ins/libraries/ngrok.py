"""ngrok's library, as far as the gateway uses it: put this folder on the path and no tunnel is opened.

Its address is the environment's FAKE_NGROK_URL; FAKE_NGROK_FAILS makes connecting fail with these words. `sessions`
are those that were made, so that a test can let them lose their connection.
"""

import os

sessions = []


class SessionBuilder:
    """Collects what a session is to be."""

    def __init__(self):
        self.asked = {}

    def _keep(self, name, *value):
        self.asked[name] = value
        return self

    def authtoken(self, authtoken):
        return self._keep("authtoken", authtoken)

    def client_info(self, client_type, version, comments=None):
        return self._keep("client_info", client_type, version, comments)

    def heartbeat_interval(self, heartbeat_interval):
        return self._keep("heartbeat_interval", heartbeat_interval)

    def handle_heartbeat(self, handler):
        return self._keep("heartbeat", handler)

    def handle_disconnection(self, handler):
        return self._keep("disconnection", handler)

    def handle_stop_command(self, handler):
        return self._keep("stop", handler)

    async def connect(self):
        if os.environ.get("FAKE_NGROK_FAILS"):
            raise ValueError("failed to connect session", os.environ["FAKE_NGROK_FAILS"])
        sessions.append(Session(self.asked))
        return sessions[-1]


class Session:
    """A session, and what was asked of it."""

    def __init__(self, asked):
        self.asked, self.closed = asked, False

    def http_endpoint(self):
        return HttpListenerBuilder(self)

    async def close(self):
        self.closed = True


class HttpListenerBuilder:
    """Collects what a listener is to be."""

    def __init__(self, session):
        self.session = session

    def domain(self, domain):
        self.session.asked["domain"] = (domain,)
        return self

    async def listen_and_forward(self, url):
        self.session.asked["forwards_to"] = (url,)
        return Listener(self.session)


class Listener:
    """An open tunnel that nobody on the internet finds."""

    def __init__(self, session):
        self.session = session

    def url(self):
        domain = self.session.asked.get("domain", ("",))[0]
        return f"https://{domain}" if domain else os.environ.get("FAKE_NGROK_URL", "https://abc.ngrok.app")

    async def close(self):
        self.session.asked["closed"] = ()
