"""The command group ``keys``: the document of keys that records and receipts are signed with.

1. Nothing here talks to anybody: a document comes from a file or standard input, and goes to
   standard output or to a file that only its owner can read.
2. A secret is never shown on a terminal.
3. What `show` prints is public.
"""

import os
import secrets
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from rotation.cli.views.context import Context, json_option
from rotation.config import ConfigError
from rotation.kit import signatures
from rotation.model.errors import PermanentError
from rotation.model.keys import SECRET_BYTES, Key, KeyRing, PublicKey
from rotation.policies import keys as documents

#: How many keys that have signed go on to verify records.
_KEPT: Final = 2


@click.group()
def keys() -> None:
    """Make and show the keys that records and receipts are signed with."""


@keys.command()
@click.argument("file", required=False, type=click.Path(allow_dash=True, path_type=Path))
@click.option(
    "--keep",
    type=click.IntRange(min=1, max=16),
    default=_KEPT,
    show_default=True,
    help="How many keys that have signed go on to verify records in flight.",
)
@click.option(
    "--leaked", is_flag=True, help="All keys so far are known to others: none verifies any more."
)
@click.option("--out", type=click.Path(path_type=Path), help="New file, readable by its owner.")
@click.pass_context
def rotate(
    ctx: click.Context, file: Path | None, keep: int, out: Path | None, *, leaked: bool
) -> None:
    """Print the document that follows the one in FILE (- for standard input); else a first one.

    The key that was to sign next signs now, and a new one is to sign after it. Deploy the document
    before you make another one, so that every instance knows the key that signs next.
    """
    if out is None and sys.stdout.isatty():
        raise click.UsageError("the document is secret: give --out FILE, or pipe it")
    now = ctx.ensure_object(Context).clock.now()
    before = _read(file) if file else None
    if before is None:
        ring = documents.first_ring(_new_key(now), _new_key(now))
    else:
        kept = documents.next_ring(before, _new_key(now), keep)
        if leaked:
            kept = (_new_key(now), _new_key(now))
        ring = KeyRing(kept, documents.retired_from(before, kept, _publics(before.keys)))
    _write(documents.write_keys(ring), out)
    verifying = ", ".join(key.id for key in ring.keys[2:]) or "no other"
    click.echo(
        f"{ring.signing.id} signs, {ring.keys[1].id} signs next, {verifying} still verifies",
        err=True,
    )


@keys.command()
@click.argument("file", required=False, type=click.Path(allow_dash=True, path_type=Path))
@json_option
@click.pass_context
def show(ctx: click.Context, file: Path | None) -> None:
    """Show the public part of the keys in FILE (- for standard input), else of $ROTATION_KEYS.

    With --json: the document that `rotation history --verify --keys` takes.
    """
    context = ctx.ensure_object(Context)
    file = file or context.settings.keys
    if file is None:
        raise ConfigError("no keys are named", remedy="give FILE, or set ROTATION_KEYS")
    ring = _read(file)
    publics = (*_publics(ring.keys), *ring.retired)
    if context.json:
        return click.echo(documents.write_public_keys(publics), nl=False)
    roles = {key.id: "verifies" for key in ring.keys}
    roles |= {key.id: "signs next" for key in ring.keys[1:2]} | {ring.signing.id: "signs"}
    for key in publics:
        role = roles.get(key.id, "retired")
        click.echo(f"{key.id}  {key.created:%Y-%m-%d}  {role:<10}  {key.public.hex()}")
    return None


def _read(file: Path) -> KeyRing:
    text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    return documents.read_keys(text)


def _new_key(now: datetime) -> Key:
    secret = secrets.token_bytes(SECRET_BYTES)
    return Key(documents.new_id(now, secret), now.replace(microsecond=0), secret)


def _publics(of: tuple[Key, ...]) -> tuple[PublicKey, ...]:
    return tuple(
        PublicKey(key.id, key.created, signatures.public_of(key.signing_seed)) for key in of
    )


def _write(text: str, out: Path | None) -> None:
    if out is None:
        return click.echo(text, nl=False)
    try:
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise PermanentError(
            f"{out} exists already", remedy="a document is never written over: name a new file"
        ) from None
    with os.fdopen(file, "w", encoding="ascii") as opened:
        opened.write(text)
    return None
