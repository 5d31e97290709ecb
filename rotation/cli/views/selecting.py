"""Finds the secrets a command is about: by name, or by a filter that Secret Manager understands.

1. A filter is sent to Secret Manager as it is; nothing here reads it.
2. A filter and names together are refused: which of them counts would be a guess.
3. Managed is who has a policy, or a rotation that began with one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import click

from rotation.cli.views.context import Context
from rotation.engine.codec import is_managed
from rotation.engine.snapshot import Snapshot
from rotation.model.errors import PermanentError
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
        found = {secret.name: secret for secret in map(context.store.get, wanted)}
        return list(found.values())
    _ = context.project  # a missing project is reported before anything is asked of Google
    return sorted(context.store.list(matching), key=lambda secret: str(secret.name))


def managed(context: Context, names: Sequence[str], matching: str) -> list[Secret]:
    """Return the managed secrets that were named, or that match a filter.

    Raises:
        PermanentError: One that was named is not managed.
    """
    found = find(context, names, matching)
    if names and (strangers := [secret for secret in found if not is_managed(secret)]):
        raise _not_managed(strangers[0])
    return [secret for secret in found if is_managed(secret)]


def find_managed(context: Context, text: str) -> Snapshot:
    """Read a secret that a person named, and make sure that something can be asked of it.

    Raises:
        PermanentError: It has no policy, or a faulty one, or its state cannot be read.
    """
    snapshot = find_any(context, text)
    snapshot.check()
    return snapshot


def find_any(context: Context, text: str) -> Snapshot:
    """Read a secret that a person named, whatever is wrong with it: it can be paused all the same.

    Raises:
        PermanentError: It is not managed.
    """
    [secret] = managed(context, [text], "")
    return context.snapshot(secret)


def _not_managed(secret: Secret) -> PermanentError:
    return PermanentError(
        f"{secret.name} has no policy, so it is not managed by rotation",
        remedy=f"give it one: rotation policy apply {secret.name.secret_id} FILE",
        reason="not-managed",
    )
