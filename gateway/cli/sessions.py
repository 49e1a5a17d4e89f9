"""`gateway sessions`: conversations closed, and where they begin changed by hand, and changed back."""

import getpass
import json
from collections.abc import Callable

import click

from gateway.cli import looking, serving
from gateway.conversation import operators, regroup
from gateway.conversation.runtime import Runtime
from gateway.store import listing, regroupings
from gateway.store.connection import deadline
from gateway.store.regroupings import DONE, MERGE, SPLIT, Regrouping

_undo = click.option("--undo", "back", is_flag=True, help="Take the last one of this session back.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def sessions() -> None:
    """Look after conversations.

    \b
    Examples:  gateway sessions list --status active
               gateway sessions show 68d1c0ffee68d1c0ffee0001
    """


sessions.add_command(looking.list_sessions)
sessions.add_command(looking.show)


@sessions.command()
@click.argument("session")
@_as_json
def close(session: str, as_json: bool) -> None:
    """Close SESSION for good: whatever its sender says next begins a new one.

    \b
    Example:  gateway sessions close 68d1c0ffee68d1c0ffee0001
    """
    runtime = serving.build()
    with deadline(10):
        if listing.one(session, None) is None:
            raise click.ClickException(looking.NOT_THERE.format(session))
    done = operators.close(runtime, session, _who())
    words = "is closed. Whatever comes next begins a new session." if done else "was closed for good already."
    click.echo(json.dumps({"id": session, "closed": done}) if as_json else f"Session {session} {words}")


@sessions.command()
@click.argument("session")
@click.argument("message", required=False)
@_undo
@_as_json
def split(session: str, message: str | None, back: bool, as_json: bool) -> None:
    """Let a new session begin at MESSAGE of SESSION: it and what follows moves there, with the answers.

    \b
    Examples:  gateway sessions split 68d1c0ffee68d1c0ffee0001 SM0123456789abcdef0123456789abcdef
               gateway sessions split 68d1c0ffee68d1c0ffee0001 --undo
    """
    if back == bool(message):
        raise click.UsageError("Say at which MESSAGE to split, or --undo.")
    runtime = serving.build()
    if back:
        _tell(_undone(runtime, session, SPLIT), as_json)
    else:
        _tell(regroup.split(runtime, session, message or "", by=_who()), as_json)


@sessions.command()
@click.argument("session")
@_undo
@_as_json
def merge(session: str, back: bool, as_json: bool) -> None:
    """Let SESSION go on in the one before it, which takes all its messages and keeps its id.

    \b
    Examples:  gateway sessions merge 68d1c0ffee68d1c0ffee0002
               gateway sessions merge 68d1c0ffee68d1c0ffee0002 --undo
    """
    runtime = serving.build()
    _tell(_undone(runtime, session, MERGE) if back else regroup.merge(runtime, session, by=_who()), as_json)


def _undone(runtime: Runtime, session_id: str, kind: str) -> Regrouping:
    with deadline(10):
        found = [one for one in regroupings.of_session(session_id) if one.state == DONE and one.kind == kind]
    if not found:
        raise click.ClickException(f"There is no {kind} of {session_id} that could be undone.")
    return regroup.undo(runtime, found[0].id, by=_who())


def _who() -> str:
    """Name who runs the command, as the console names who is logged in."""
    return f"{getpass.getuser()} (command line)"


_WORDS: dict[tuple[str, bool], Callable[[Regrouping], str]] = {
    (SPLIT, False): lambda one: f"Session {one.later} begins with {one.message_id}; before that it is {one.earlier}.",
    (SPLIT, True): lambda one: f"Session {one.earlier} is whole again; {one.later} leads there.",
    (MERGE, False): lambda one: f"Session {one.earlier} goes on with all of {one.later}, which leads there.",
    (MERGE, True): lambda one: f"Session {one.later} is one of its own again, after {one.earlier}.",
}


def _tell(done: Regrouping, as_json: bool) -> None:
    if not as_json:
        click.echo(_WORDS[done.kind, done.is_undone](done))
        return
    facts = {name: getattr(done, name) for name in ("id", "kind", "state", "earlier", "later", "by", "message_id")}
    click.echo(json.dumps(facts))
