"""An address lent to a running gateway: heard of by each process, and gone with whoever lent it."""

import os
import socket
import subprocess
from datetime import timedelta

import pytest

from gateway.conversation import tunnel
from gateway.conversation.tunnel import LEASE, TunnelTaken, Watch
from gateway.core.errors import StoreUnavailable
from gateway.store import tunnels
from gateway.store.tunnels import Tunnel
from tests.conftest import HOST, TEN, Twilio, fixture

TUNNEL = "https://abc.tunnel.example"


@pytest.fixture
def serving(app):
    return app.extensions["gateway"]


@pytest.fixture
def watch(serving):
    return Watch(serving)


def calls_back_to(app):
    """Call the gateway through the tunnel, and give the address the call goes on at."""
    told = Twilio(app.test_client(), base=TUNNEL).call().get_data(as_text=True)
    return told.partition('action="')[2].partition("/webhooks")[0]


def status_of_a_text(app, base):
    return Twilio(app.test_client(), base=base).sms(MessageSid="SM" + os.urandom(16).hex()).status_code


def test_the_gateway_is_reached_through_the_tunnel_as_soon_as_it_looks_and_no_longer_after_the_end(app, serving, watch):
    held = tunnel.open_(serving, TUNNEL + "/", "ada")
    assert status_of_a_text(app, TUNNEL) == 403
    watch.look()
    assert calls_back_to(app) == TUNNEL
    assert serving.line.status_url("m1") == f"{TUNNEL}/webhooks/status?m=m1"
    tunnel.close(serving, held, "ada")
    watch.look()
    assert status_of_a_text(app, TUNNEL) == 403
    assert serving.line.status_url("m1") == f"{HOST}/webhooks/status?m=m1"


def test_who_calls_the_usual_address_is_served_as_before(app, serving, watch):
    tunnel.open_(serving, TUNNEL, "ada")
    watch.look()
    assert [status_of_a_text(app, base) for base in (HOST, TUNNEL, "https://other.example")] == [200, 200, 403]


def test_what_a_killed_process_lent_ends_by_itself_and_what_is_renewed_does_not(app, serving, watch, clock):
    held = tunnel.open_(serving, TUNNEL, "ada")
    clock.tick(LEASE.total_seconds() - 1)
    assert tunnel.renew(serving, held)
    clock.tick(LEASE.total_seconds() - 1)
    watch.look()
    assert serving.line.public.url == TUNNEL
    clock.tick(1)
    watch.look()
    assert serving.line.public.url == HOST


def test_while_mongodb_is_away_the_lease_known_last_counts_until_it_ends(serving, watch, clock, monkeypatch):
    tunnel.open_(serving, TUNNEL, "ada")
    watch.look()

    def away(_env):
        raise StoreUnavailable("away")

    monkeypatch.setattr(tunnels, "of", away)
    watch.look()
    assert serving.line.public.url == TUNNEL
    clock.tick(LEASE.total_seconds())
    watch.look()
    assert serving.line.public.url == HOST


def test_a_gateway_believes_only_a_tunnel_of_its_own_environment(make_app, serving):
    tunnel.open_(serving, TUNNEL, "ada")
    other = make_app(env="production", public_url=HOST).extensions["gateway"]
    Watch(other).look()
    assert other.line.public.url == HOST


def test_a_second_one_is_refused_in_one_line_that_says_who_has_it(serving, clock):
    tunnels.hold("test", Tunnel("https://first.example", "first", "another-host", 7, TEN + LEASE), TEN)
    with pytest.raises(TunnelTaken, match="process 7 on another-host listens at https://first"):
        tunnel.open_(serving, TUNNEL, "ada")
    clock.tick(LEASE.total_seconds())
    tunnel.open_(serving, TUNNEL, "ada")
    assert tunnels.of("test").url == TUNNEL


def test_what_a_process_of_this_host_left_behind_is_taken_over_at_once(serving):
    gone = subprocess.Popen(["true"])
    gone.wait()
    here = socket.gethostname()
    tunnels.hold("test", Tunnel("https://first.example", "first", here, gone.pid, TEN + LEASE), TEN)
    held = tunnel.open_(serving, TUNNEL, "ada")
    assert tunnels.of("test") == held.tunnel
    tunnels.let_go("test", held.tunnel.owner)
    tunnels.hold("test", Tunnel("https://first.example", "first", here, os.getpid(), TEN + LEASE), TEN)
    with pytest.raises(TunnelTaken):
        tunnel.open_(serving, TUNNEL, "ada")


def test_who_lost_the_lease_neither_renews_nor_ends_that_of_another(serving, clock):
    held = tunnel.open_(serving, TUNNEL, "ada")
    clock.tick(LEASE.total_seconds())
    tunnels.hold("test", Tunnel("https://next.example", "next", "host", 1, clock.now() + LEASE), clock.now())
    assert not tunnel.renew(serving, held)
    tunnel.close(serving, held, "ada")
    assert tunnels.of("test").url == "https://next.example"


def test_who_opened_and_closed_it_is_in_the_audit(serving, db):
    tunnel.close(serving, tunnel.open_(serving, TUNNEL, "ada"), "ada")
    noted = [(row["action"], row["by"], row["details"]["url"]) for row in db.audit.find().sort("_id")]
    assert noted == [("tunnel_opened", "ada", TUNNEL), ("tunnel_closed", "ada", TUNNEL)]


def test_what_the_worker_sends_names_the_tunnel_too(make_app, clock):
    """Without PUBLIC_URL no status callback is asked for; through a tunnel it is."""
    app = make_app(public_url="")
    serving = app.extensions["gateway"]
    assert not serving.line.public.url
    tunnel.open_(serving, TUNNEL, "ada")
    Watch(serving).look()
    told = Twilio(app.test_client(), base=TUNNEL).post("/webhooks/sms", fixture("sms/text"))
    assert f'statusCallback="{TUNNEL}/webhooks/status' in told.get_data(as_text=True)
    clock.tick(timedelta(days=1).total_seconds())
    Watch(serving).look()
    assert not serving.line.public.url
