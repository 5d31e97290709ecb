"""Finds the secrets a command is about: by name, or by a filter that Secret Manager understands.

1. A filter is sent to Secret Manager as it is; nothing here reads it.
2. A filter and names together are refused: which of them counts would be a guess.
"""

from collections.abc import Callable, Sequence
from typing import Any

import click

from rotation.cli.views.context import Context
from rotation.model.secret import Secret


def filter_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--filter``."""
    return click.option(
        "--filter",
        "matching",
        metavar="F",
        default="",
        help="The secrets that match, in Secret Manager's own language: labels.db=orders",
    )(command)


def find(context: Context, names: Sequence[str], matching: str) -> list[Secret]:
    """Return the secrets named, or those that match a filter (empty: all), by name.

    Raises:
        BadFilterError: Secret Manager cannot read the filter.
    """
    if names and matching:
        raise click.UsageError("give either names of secrets or a --filter, not both")
    if names:
        wanted = dict.fromkeys(context.secret_name(text) for text in names)
        found = {each.name: each for each in map(context.store.get, wanted)}
        return list(found.values())
    _ = context.project  # a missing project is told before anything is asked of Google
    return sorted(context.store.list(matching), key=lambda each: str(each.name))
