"""Databases of other programs, as far as their addresses go; what is read from them is in tests/conversation."""

import pytest

from gateway.store import foreign


@pytest.mark.parametrize(
    ("said", "selection", "socket"),
    [
        ("", 10, 60),
        ("?serverSelectionTimeoutMS=300", 0.3, 60),
        ("?appName=x&sockettimeoutms=5000", 10, 5),
    ],
)
def test_an_address_says_how_long_it_is_waited_for(said, selection, socket):
    with foreign._client(f"mongodb://a.example.com/app{said}") as client:
        assert client.options.server_selection_timeout == selection
        assert client.options.pool_options.socket_timeout == socket
