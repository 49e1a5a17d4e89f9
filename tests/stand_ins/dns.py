"""A name server with one service in it, which does not answer while it is away."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.message
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

ZONE = "gateway.test"
CLUSTER, MEMBER = f"office.{ZONE}", f"member.{ZONE}"


class NameServer:
    """Tells where the members of CLUSTER are: at a port of this host, by the name MEMBER."""

    def __init__(self, port: int) -> None:
        self.is_away, self._member = False, f"_mongodb._tcp.{CLUSTER}. 60 IN SRV 0 0 {port} {MEMBER}."
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def serve(self) -> None:
        """Answer until the socket is shut."""
        while True:
            asked, whom = self._socket.recvfrom(4096)
            if not asked:
                return
            if not self.is_away:
                self._socket.sendto(self._answer(dns.message.from_wire(asked)).to_wire(), whom)

    def _answer(self, asked: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(asked)
        if asked.question[0].rdtype == dns.rdatatype.SRV:
            name, *told = self._member.split(maxsplit=4)
            answer.answer.append(dns.rrset.from_text(name, int(told[0]), *told[1:3], told[3]))
        return answer

    def stop(self) -> None:
        """End `serve`."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))


@contextmanager
def name_server(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """Let this process ask a name server of its own, and find MEMBER on this host."""
    server = NameServer(port)
    thread = threading.Thread(target=server.serve)
    thread.start()
    asking = dns.resolver.Resolver(configure=False)
    asking.nameservers, asking.port = ["127.0.0.1"], server.port
    monkeypatch.setattr(dns.resolver, "default_resolver", asking)
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **named: real("127.0.0.1" if host == MEMBER else host, *more, **named),
    )
    try:
        yield server
    finally:
        server.stop()
        thread.join()
