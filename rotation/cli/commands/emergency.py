"""The command ``emergency``: replace leaked credentials and revoke them at once.

1. On a terminal the secret's id, or the number of secrets, must be typed, unless ``--yes``:
   consumers that have not moved lose their sessions.
2. It ends when the previous credential is revoked, and says how long that took from the moment
   Pub/Sub accepted the request, by the times on record.
3. Several emergencies at once are one: then the first one's id is followed.
4. Many secrets are a campaign: paced, resumable, with a receipt.
"""

from datetime import datetime
from typing import Any, Final

import click

from rotation.cli.campaign.kind import Kind
from rotation.cli.campaign.requesting import request, request_options
from rotation.cli.views.asking import Asked, Verdict, unless_blocked
from rotation.cli.views.failures import NO
from rotation.engine.snapshot import Snapshot
from rotation.model.errors import PermanentError
from rotation.model.phase import Mode
from rotation.model.rotation import Receipt, Record, State
from rotation.model.wakeup import Ask


def _confirm(snapshot: Snapshot) -> None:
    click.echo(
        f"The credential in force of {snapshot.secret.name} will be revoked as soon as the next"
        " one works. Consumers that do not read the new version lose access.",
        err=True,
    )
    typed = click.prompt(
        f"Type {snapshot.short} to go on", err=True, default="", show_default=False
    )
    if typed != snapshot.short:
        raise PermanentError("not confirmed: nothing was published", reason="not-confirmed")


@unless_blocked
def _judge(asked: Asked, _snapshot: Snapshot, state: State) -> Verdict | None:
    ids = {asked.id, _under_way(asked.before)}
    if state.record and state.record.request_id in ids and state.record.revoked_at:
        return _revoked(state.record, state.record.requested_at, state.record.next)
    receipt = state.receipt
    if receipt is None or receipt.request_id not in ids or receipt.mode is not Mode.EMERGENCY:
        return None
    if receipt.outcome != "rotated":
        return Verdict(receipt.outcome, f"{receipt.outcome}: {receipt.why}", NO)
    return _revoked(receipt, receipt.emergencies_until, receipt.current)


def _under_way(before: Snapshot) -> str | None:
    """Return the id of an emergency that serves this one too."""
    record = before.state.record if before.state else None
    if record is None:
        return None
    if record.again and record.again.mode is Ask.EMERGENCY:
        return record.again.id
    return record.request_id if record.mode is Mode.EMERGENCY and not record.published_at else None


def _revoked(done: Record | Receipt, asked_at: datetime | None, current: int | None) -> Verdict:
    if done.previous is None or done.revoked_at is None:
        return Verdict("rotated", f"version {current} is in force; there was no previous one")
    seconds = max((done.revoked_at - (asked_at or done.started_at)).total_seconds(), 0.0)
    return Verdict(
        "revoked",
        f"version {current} is in force; the credential of version {done.previous} is revoked,"
        f" {seconds:.1f} s after the request",
        seconds=seconds,
        revoked_at=done.revoked_at,
    )


KIND: Final = Kind(
    ask=Ask.EMERGENCY,
    judge=_judge,
    # Claim, version, aliases; then the old credential is dead, and recorded as dead.
    writes=4,
    does="replace and revoke the credential in force of",
    serving=_under_way,
    confirm=_confirm,
    needs_reason=True,
    ends_sessions=True,
)


@click.command()
@request_options(KIND)
@click.pass_context
def emergency(ctx: click.Context, /, **given: Any) -> None:  # noqa: ANN401 - the options of `request`
    """Replace the credential of each SECRET now and revoke the previous one at once.

    Soak and every wait are skipped, verification is not.  --reason is required.

    With a --filter, or several secrets: shows what is going to be touched, and asks for the number
    of secrets to be typed. Requests are paced so that the quota of writes carries them, and not
    more than --per-database are under way at once. After failures in a row nothing more is asked.
    Interrupted with Ctrl-C or by a lost network, it goes on with --resume; nothing happens twice.
    --receipt writes what became of each secret, and how long its credential lived on.
    """
    request(ctx, KIND, **given)
