"""A click group whose commands are imported when they are used, one module each.

1. Listing the commands imports none of them: ``rotation --help`` answers at once.
2. A command is the attribute of the module ``rotation.cli.commands.NAME`` that has its name.
3. A command that does not exist is answered with the nearest ones.
"""

import difflib
import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import click

_PACKAGE = "rotation.cli.commands"


class LazyGroup(click.Group):
    """A group of the commands in ``lazy``: one line of help by name, in the order of the help."""

    def __init__(self, *, lazy: Mapping[str, str], **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands that are there."""
        del ctx
        return [name for name in self.lazy if find_spec(f"{_PACKAGE}.{name}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = getattr(importlib.import_module(f"{_PACKAGE}.{cmd_name}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{_PACKAGE}.{cmd_name} has no command of its name")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.lazy[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with.

        Raises:
            click.UsageError: There is none; names the nearest.
        """
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], known, n=2)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)
