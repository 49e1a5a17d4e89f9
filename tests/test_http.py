"""What a request tells about itself."""

import ipaddress
from typing import Any

import pytest

from gateway.http import client_address, own_base_url, public_urls, raw_target

TRUSTED = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1")]


@pytest.mark.parametrize(
    ("environ", "target"),
    [
        ({"RAW_URI": "/a%2Fb?x=%7E&"}, "/a%2Fb?x=%7E&"),
        ({"RAW_URI": "/p?"}, "/p?"),
        ({"REQUEST_URI": "/p?x=1"}, "/p?x=1"),
        ({"RAW_URI": "http://h:8080/p?x=%2F"}, "/p?x=%2F"),
        ({"RAW_URI": "https://h/p?u=http://h/p"}, "/p?u=http://h/p"),
        ({"RAW_URI": "//webhooks/sms"}, "//webhooks/sms"),
        ({"PATH_INFO": "/a b", "QUERY_STRING": "x=%2F"}, "/a%20b?x=%2F"),
        ({"SCRIPT_NAME": "/gw", "PATH_INFO": "/webhooks/sms"}, "/gw/webhooks/sms"),
        ({"PATH_INFO": "/p", "QUERY_STRING": ""}, "/p"),
    ],
)
def test_the_target_is_taken_as_it_came_over_the_wire(environ, target):
    assert raw_target(environ) == target


def test_a_path_the_server_decoded_is_quoted_as_utf8():
    assert raw_target({"PATH_INFO": "/Jürgen".encode().decode("latin-1")}) == "/J%C3%BCrgen"


def environ(peer: str = "203.0.113.9", **headers: str) -> dict[str, Any]:
    named = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return {"wsgi.url_scheme": "http", "HTTP_HOST": "inner:8080", "REMOTE_ADDR": peer} | named


FORWARDED = {"x_forwarded_proto": "https", "x_forwarded_host": "x.org"}


@pytest.mark.parametrize(
    ("asked", "base"),
    [
        (environ(), "http://inner:8080"),
        (environ(**FORWARDED), "http://inner:8080"),
        (environ("10.1.2.3", **FORWARDED), "https://x.org"),
        (environ("::1", **FORWARDED), "https://x.org"),
        (environ("10.1.2.3", x_forwarded_proto="https"), "https://inner:8080"),
        (
            environ("10.1.2.3", x_forwarded_proto="http, https", x_forwarded_host="evil, x.org"),
            "https://x.org",
        ),
        (environ("10.1.2.3", **FORWARDED, x_forwarded_port="443"), "https://x.org"),
        (environ("10.1.2.3", **FORWARDED, x_forwarded_port="8443"), "https://x.org:8443"),
        (
            environ("10.1.2.3", x_forwarded_proto="https", x_forwarded_host="x.org:1", x_forwarded_port="2"),
            "https://x.org:1",
        ),
        (
            environ(
                "10.1.2.3",
                x_forwarded_proto="https",
                x_forwarded_host="[2001:db8::1]",
                x_forwarded_port="8443",
            ),
            "https://[2001:db8::1]:8443",
        ),
        (environ("10.1.2.3", **FORWARDED, x_forwarded_port="abc"), "https://x.org"),
        (environ("", **FORWARDED), "http://inner:8080"),
        (environ("nonsense", **FORWARDED), "http://inner:8080"),
    ],
)
def test_only_a_trusted_proxy_says_where_a_request_was_sent(asked, base):
    assert own_base_url(asked, TRUSTED) == base


@pytest.mark.parametrize("host", ["x.org:abc", "x.org:99999", "[::1", "[zz]"])
def test_a_forwarded_host_nobody_can_read_raises_nothing(host):
    own_base_url(environ("10.1.2.3", x_forwarded_host=host, x_forwarded_port="8443"), TRUSTED)


@pytest.mark.parametrize(
    ("base", "target", "urls"),
    [
        ("https://x.org", "/p", ["https://x.org/p"]),
        ("https://x.org/", "/p", ["https://x.org/p"]),
        ("https://x.org/gw", "/p", ["https://x.org/gw/p"]),
        ("https://x.org/gw/", "/gw/p", ["https://x.org/gw/p", "https://x.org/gw/gw/p"]),
    ],
)
def test_a_path_prefix_may_have_been_cut_off_or_not(base, target, urls):
    assert public_urls(base, target) == tuple(urls)


@pytest.mark.parametrize(
    ("peer", "hops", "address"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "6.6.6.6, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", "10.4.4.4", "10.4.4.4"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", " , 198.51.100.1 ,", "198.51.100.1"),
        ("10.1.2.3", "nonsense", "nonsense"),
    ],
)
def test_the_client_is_seen_through_trusted_proxies_only(peer, hops, address):
    assert client_address({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": hops}, TRUSTED) == address
