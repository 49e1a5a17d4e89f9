"""`gateway simulate chat`: say something on a website."""

import click

from gateway.channels.chat import DEFAULT_SITE, ChatUser
from gateway.cli.simulating.lines import at_option, find_line, gap_option, json_option, remember, show, url_option


@click.command()
@click.option("--from", "user_id", default="alice", show_default=True, help="The site's id of its user.")
@click.option("--to", "site", default=DEFAULT_SITE, show_default=True, help="The chat site.")
@click.option("--body", default="Hello", show_default=True, help="What it says.")
@click.option("--email", default="", help="An address that is proved to be theirs.")
@click.option("--name", help="How the user is called.")
@at_option
@gap_option
@click.option("--id", "message_id", help="The page's id of the message; the same one twice is the same message.")
@url_option
@json_option
def chat(user_id: str, site: str, body: str, email: str, name: str | None, at: str | None, gap: float | None,
         message_id: str | None, url: str | None, as_json: bool) -> None:  # fmt: skip
    """Say something on a website, and wait for the answer.

    It takes a gateway in development.

    \b
    Example:  gateway simulate chat --from alice --body "Are you open?"
    """
    who = f"chat {user_id} {site}"
    line = find_line(url, at, gap, who)
    line.chat(ChatUser(site, user_id, email.lower(), name=name), body, message_id=message_id)
    remember(line, who)
    show(line, as_json)
