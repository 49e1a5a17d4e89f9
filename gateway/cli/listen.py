"""`gateway listen`: a tunnel from Twilio to the gateway on this machine, and what comes through it."""

import getpass
import os
import sys
from urllib.parse import urlsplit

import click
import requests

from gateway import logs, settings
from gateway.cli import running, serving
from gateway.cli.entries import Printer
from gateway.cli.listening import Choices, Listening
from gateway.clients.tunnel import TOKEN_PAGE
from gateway.conversation import tunnel
from gateway.core import wiring
from gateway.settings import Settings

# Stable, so that a tunnel of one's own can be pointed at it once and for all.
PORT = 8090


@click.command("listen")
@click.option("--url", default="", help="The https address of a tunnel of your own, which forwards to --port.")
@click.option("--domain", default="", help="A domain of your ngrok account, instead of a random address.")
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True,
              help="Where the tunnel ends on this machine.")  # fmt: skip
@click.option("--point", "numbers", multiple=True, metavar="NUMBER",
              help="Point this number (or whatsapp:+1... sender) here until the end; may be repeated.")  # fmt: skip
@click.option("--point-all", is_flag=True, help="Point all numbers and senders of the account here until the end.")
@click.option(
    "--admin", is_flag=True, help="Let the console and the API through too: they are on the open internet then."
)
@click.option("--production", count=True, help="Said twice: do it though GATEWAY_ENV is production.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line instead of text.")
def listen(url: str, domain: str, port: int, numbers: tuple[str, ...], point_all: bool, admin: bool, production: int,
           as_json: bool) -> None:  # fmt: skip
    """Let Twilio reach the gateway on this machine, and show what comes, one line each. Ctrl-C ends it.

    Opens a tunnel with ngrok (NGROK_AUTHTOKEN), or takes one of your own (--url), and lends its address to the running
    gateway as PUBLIC_URL. Only webhooks are let through. Numbers that are pointed here are put back at the end; after a
    crash the next `gateway listen` does that, or `gateway channels restore`.

    \b
    Examples:
      gateway listen
      gateway listen --point +15017122661
      gateway listen --domain mine.ngrok.app --point-all
      gateway listen --url https://mine.trycloudflare.com --point +15017122661

    \b
    Exit codes:
      0  stopped by Ctrl-C or a signal
      1  it could not begin or go on, or a number was not put back
      2  the options make no sense
    """
    _require_sense(url, domain, numbers, point_all)
    configured = settings.load()
    _require_agreed(configured, production)
    upstream = _gateway(configured)
    token = "" if url else _token()
    runtime = serving.build()
    logs.configure_for_commands(redact=configured.log.redact)
    tunnel.require_free(runtime)
    choices = Choices(url.rstrip("/"), domain, token, numbers, point_all, f"command line ({getpass.getuser()})")
    printer = Printer(as_json=as_json)
    sys.exit(Listening(runtime, choices, printer, port=port, upstream=upstream, everything=admin).run())


def _require_sense(url: str, domain: str, numbers: tuple[str, ...], point_all: bool) -> None:
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost")
    if url and (not parts.netloc or parts.scheme not in (("https", "http") if local else ("https",))):
        raise click.UsageError(f"--url {url}: give the https address of your tunnel, such as https://abc.example.com.")
    if parts.query or parts.fragment or parts.path.strip("/"):
        raise click.UsageError(f"--url {url}: give the address without a path; webhooks are below /webhooks there.")
    if url and domain:
        raise click.UsageError("Give --url for a tunnel of your own, or --domain for one of ngrok's, not both.")
    if url and (numbers or point_all) and wiring.unreachable(url):
        raise click.UsageError(
            f"--url {url} is an address of this machine or network, which Twilio cannot call. Give the https address "
            "of your tunnel, or leave --point and --point-all out."
        )
    if numbers and point_all:
        raise click.UsageError("Give --point for some numbers, or --point-all, not both.")


def _require_agreed(configured: Settings, production: int) -> None:
    if configured.env == "production" and production < 2:
        raise click.ClickException(
            "GATEWAY_ENV is production: the running gateway would tell Twilio a tunnel's address instead of "
            "PUBLIC_URL. Should that be so, say it twice: --production --production."
        )


def _token() -> str:
    token = os.environ.get("NGROK_AUTHTOKEN", "").strip()
    if not token:
        raise click.ClickException(
            f"NGROK_AUTHTOKEN is not set. Copy yours from {TOKEN_PAGE}, or open another tunnel and give its address: "
            "--url https://..."
        )
    return token


def _gateway(configured: Settings) -> str:
    """Find the gateway that runs on this machine."""
    found = running.find(configured.data_dir)
    local = found.url if found else f"http://127.0.0.1:{configured.port}"
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.get(f"{local}/healthz", timeout=5).raise_for_status()
    except requests.RequestException:
        raise click.ClickException(
            f"No gateway answers at {local}. Start it with `make run` in another terminal, or name its port: PORT=8081."
        ) from None
    return local
