"""A question before something is done, which nobody may be there to answer."""

import click


def confirm(question: str) -> None:
    """Ask whether to go on; ClickException where the answer is no, or nobody is there to give one."""
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise
        if isinstance(error.__context__, EOFError):
            click.echo(err=True)
            raise click.ClickException("Nobody answered: nothing was changed. Scripts say --yes.") from None
        raise click.ClickException("Nothing was changed.") from None
