"""`gateway completion`: what a shell needs to complete commands and options with the Tab key."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Write the script that completes commands and options in bash (4.4 or newer), zsh or fish.

    It asks the gateway that is on the PATH, and connects to nothing.

    \b
    Examples:  source <(gateway completion bash)
               gateway completion bash >> ~/.bash_completion
               gateway completion zsh > "${fpath[1]}/_gateway"
               gateway completion fish > ~/.config/fish/completions/gateway.fish
    """
    complete = get_completion_class(shell)
    assert complete  # noqa: S101 - the choices are click's own names
    click.echo(complete(ctx.find_root().command, {}, "gateway", "_GATEWAY_COMPLETE").source())
