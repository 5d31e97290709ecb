"""The command ``history``: what rotations did, and whether the receipts of it are whole.

1. A secret holds its last receipt whole and the few before it in short form; the log holds all.
   ``--from`` reads what was exported from the log, or by this command before.
2. It changes nothing.
3. With ``--verify`` it exits with 1 when a receipt was changed, left out, moved or is not ours;
   with ``--keys``, also when its signature is missing or wrong.  It needs no secret key.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from rotation.cli.views.context import Context, json_option, printable
from rotation.cli.views.failures import NO, OK
from rotation.cli.views.selecting import managed
from rotation.engine.snapshot import Snapshot
from rotation.kit import signatures
from rotation.machine import chain, receipts
from rotation.machine.chain import Entry, Fault
from rotation.model.rotation import Brief, Receipt
from rotation.model.text import escaped
from rotation.model.wakeup import claimed
from rotation.policies.duration import format_duration
from rotation.policies.keys import read_public_keys

#: Columns of a terminal.
_WIDTH = 80


@dataclass(frozen=True)
class _SecretHistory:
    """The receipts of one secret."""

    secret: str
    last: Receipt | None
    before: tuple[Brief, ...]
    lines: tuple[Entry, ...]
    faults: tuple[Fault, ...]

    def rows(self) -> list[Mapping[str, Any]]:
        """Return each receipt once, the newest first; whole where it is known whole."""
        whole = {line.sequence: _row(line) for line in self.lines if line.form is not None}
        rows: dict[int, Mapping[str, Any]] = {}
        if self.last is not None:
            rows[self.last.sequence] = receipts.line(self.last, self.secret)
        for brief in self.before:
            rows[brief.sequence] = whole.get(brief.sequence) or _short(self.secret, brief)
        rows = {**whole, **rows}
        return [rows[number] for number in sorted(rows, reverse=True)]


@click.command()
@click.argument("secret", required=False)
@click.option("--verify", is_flag=True, help="Check that no receipt was changed or left out.")
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Lines exported from the log, or by --jsonl.",
)
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public keys, as `rotation keys show --json` prints them: --verify checks signatures.",
)
@click.option("--jsonl", is_flag=True, help="Print one JSON object a line, for each receipt.")
@json_option
@click.pass_context
def history(
    ctx: click.Context,
    secret: str | None,
    file: Path | None,
    keys_file: Path | None,
    *,
    verify: bool,
    jsonl: bool,
) -> None:
    """Show what the rotations of SECRET, or of every managed secret, did; the newest first.

    --from takes JSON lines: as --jsonl prints them, as the function writes them, or as Cloud
    Logging exports them ({"jsonPayload": ...}).

    With --json: {"secrets": [{"secret", "receipts": [...], "faults": [...]}], "sound"}.
    """
    context = ctx.ensure_object(Context)
    found = map(context.snapshot, managed(context, [secret] if secret else (), ""))
    lines, faults = _read(file) if file else ([], [])
    publics = _publics(keys_file) if keys_file else None
    histories = [_history_of(snapshot, lines, publics, alone=bool(secret)) for snapshot in found]
    if not secret:
        faults += _strangers(lines, {past.secret for past in histories})
    if not verify:
        faults, histories = [], [replace(past, faults=()) for past in histories]
    _answer(context, histories, faults, verify=verify, jsonl=jsonl)
    if verify and not (context.json or jsonl):
        click.echo(_unknowable(signed=publics is not None, exported=file is not None), err=True)
    ctx.exit(NO if faults or any(past.faults for past in histories) else OK)


def _read(file: Path) -> tuple[list[Entry], list[Fault]]:
    entries, faults = [], []
    for number, text in enumerate(file.read_text(errors="replace").splitlines(), start=1):
        read = chain.read_line(text, f"{file.name} line {number}") if text.strip() else None
        if isinstance(read, Entry):
            entries.append(read)
        elif read is not None:
            faults.append(read)
    return entries, faults


def _publics(file: Path) -> Mapping[str, bytes]:
    return {key.id: key.public for key in read_public_keys(file.read_bytes())}


def _unknowable(*, signed: bool, exported: bool) -> str:
    """Say what the check cannot know."""
    found = [] if signed else ["who wrote them (give --keys)"]
    found += [] if exported else ["what the log says (give --from)"]
    found.append("receipts that were taken away at the end, wherever they were kept")
    return f"note: not known here: {'; '.join(found)}"


def _history_of(
    snapshot: Snapshot,
    lines: Sequence[Entry],
    publics: Mapping[str, bytes] | None,
    *,
    alone: bool,
) -> _SecretHistory:
    """Return the receipts of a secret; where it alone is asked for, every line is about it."""
    name = str(snapshot.secret.name)
    last, before = snapshot.receipts
    held = chain.on_secret(name, last, before)
    mine = [line for line in lines if alone or line.secret == name]
    faults = chain.verify(name, held, mine)
    ours = tuple(entry for entry in mine if entry.secret == name)
    if publics is not None:
        faults += chain.check_signatures(name, [*held, *ours], publics, signatures.fits)
    return _SecretHistory(name, last, before, ours, tuple(faults))


def _strangers(lines: Sequence[Entry], known: set[str]) -> list[Fault]:
    return [
        Fault(line.place, "foreign", f"{line.secret} is not a managed secret of this project")
        for line in lines
        if line.secret not in known
    ]


def _answer(
    context: Context,
    histories: Sequence[_SecretHistory],
    faults: Sequence[Fault],
    *,
    verify: bool,
    jsonl: bool,
) -> None:
    every = [*faults, *(fault for past in histories for fault in past.faults)]
    if jsonl:
        for row in (row for past in histories for row in past.rows()):
            click.echo(escaped(json.dumps(row, ensure_ascii=False)))
        for fault in every:
            click.echo(printable(str(fault)), err=True)
        return
    body = {
        "secrets": [
            {
                "secret": past.secret,
                "receipts": past.rows(),
                "faults": [str(fault) for fault in past.faults],
            }
            for past in histories
        ],
        "faults": [str(fault) for fault in faults],
        "sound": not every if verify else None,
    }
    context.answer(body, "\n".join(_text(histories, every, verify=verify)))


def _text(
    histories: Sequence[_SecretHistory], faults: Sequence[Fault], *, verify: bool
) -> Iterator[str]:
    for past in histories:
        rows = past.rows()
        short = printable(past.secret.rpartition("/")[2])
        if not rows:
            yield f"{short}: no rotation has ended yet"
        for row in rows:
            yield from (_cut(line) for line in _row_lines(short, row))
    if not histories:
        yield "no secret of this project has a policy; see: rotation policy apply --help"
    for fault in faults:
        yield f"FAULT {printable(str(fault))}"
    if verify and not faults:
        count = sum(len(past.rows()) for past in histories)
        yield f"sound: {count} receipts, each names the one before it"


def _row_lines(short: str, row: Mapping[str, Any]) -> Iterator[str]:
    form = row.get("receipt") or row["brief"]
    version = f", version {form['current']} in force" if form.get("current") else ""
    when = str(form.get("settled_at", ""))[:19].replace("T", " ")
    what = printable(f"{form.get('mode')} {form.get('outcome')}")
    yield f"{short} #{row['sequence']} {when}Z {what}{version}"
    asked = f"asked by {claimed(form['requested_by'])}" if form.get("requested_by") else "asked"
    why = f": {form['reason']}" if form.get("reason") else ""
    if "receipt" in row:
        yield f"  {printable(asked + why)}"
    if form.get("why"):
        yield f"  went back because: {printable(form['why'])}"
    spent = row.get("seconds", {}).get("revoked")
    if spent is not None:
        yield f"  time to revoke: {_span(spent)}"


def _span(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:g} s"
    return format_duration(timedelta(seconds=int(seconds)))


def _row(entry: Entry) -> Mapping[str, Any]:
    form = entry.form or {}
    return {
        "schema": receipts.SCHEMA,
        "secret": entry.secret,
        "sequence": entry.sequence,
        "digest": entry.digest,
        "receipt": form,
        "seconds": receipts.seconds_between(_moments(form)),
        **_signature(entry.signature),
    }


def _signature(text: str) -> Mapping[str, str]:
    return {"signature": text} if text else {}


def _moments(form: Mapping[str, Any]) -> Mapping[str, datetime]:
    read = {}
    for name, value in form.items():
        if name.endswith("_at") and isinstance(value, str):
            try:
                read[name] = datetime.fromisoformat(value)
            except ValueError:
                continue
    return {name: at for name, at in read.items() if at.tzinfo is not None}


def _short(secret: str, brief: Brief) -> Mapping[str, Any]:
    form = receipts.public_brief(brief)
    return {
        "schema": receipts.SCHEMA,
        "secret": secret,
        "sequence": brief.sequence,
        "digest": brief.digest,
        "brief": form,
        "seconds": receipts.seconds_between(_moments(form)),
        **_signature(brief.signature),
    }


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."
