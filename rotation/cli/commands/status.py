"""The command ``status``: where every managed secret stands.

1. Managed is who has the annotation ``rotation.policy``.
2. It reads what the worker reads, and changes nothing.
3. Those that need a person come first, then those in flight, then the rest; each by name.
4. It exits with 1 when a secret shown needs a person: blocked, a faulty policy, unreadable state.
"""

from collections.abc import Sequence

import click

from rotation.cli.views import wording
from rotation.cli.views.context import Context, json_option
from rotation.cli.views.describing import describe
from rotation.cli.views.failures import NO, OK
from rotation.cli.views.selecting import filter_option, managed
from rotation.cli.views.table import print_table
from rotation.engine.snapshot import Snapshot


@click.command()
@click.argument("secrets", metavar="[SECRET]...", nargs=-1)
@filter_option
@click.option("--blocked", is_flag=True, help="Only those that need a person.")
@click.option("--in-flight", is_flag=True, help="Only those with a rotation in flight.")
@json_option
@click.pass_context
def status(
    ctx: click.Context,
    /,
    secrets: tuple[str, ...],
    matching: str,
    *,
    blocked: bool,
    in_flight: bool,
) -> None:
    """Show where every managed secret stands, or each SECRET (an id or a full name).

    Those that need a person come first. Exits with 1 when one of them is shown: blocked, a faulty
    policy, unreadable state.

    With --json: {"now", "needs_a_person", "secrets": [{"secret", "phase", "current", "handle",
    "waits_until", "lease_until", "rotation", "pending", "blocked", "paused", "kept", "faults",
    "last", "next_rotation", "overdue_since", "needs_a_person"}]}; times are RFC 3339.
    """
    context = ctx.ensure_object(Context)
    found = managed(context, secrets, matching)
    snapshots = ordered([context.snapshot(secret) for secret in found])
    if blocked or in_flight:
        snapshots = [
            snapshot
            for snapshot in snapshots
            if (blocked and snapshot.needs_a_person) or (in_flight and snapshot.is_in_flight)
        ]
    stuck = [snapshot for snapshot in snapshots if snapshot.needs_a_person]
    body = {
        "now": context.clock.now(),
        "needs_a_person": len(stuck),
        "secrets": [describe(snapshot) for snapshot in snapshots],
    }
    if context.is_terminal and len(snapshots) > 1:
        print_table(snapshots)
    else:
        context.answer(body, _text(snapshots, narrowed=bool(matching or blocked or in_flight)))
    ctx.exit(NO if stuck else OK)


def ordered(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Put first what a person should see first."""
    return sorted(snapshots, key=lambda snapshot: (rank(snapshot), str(snapshot.secret.name)))


def rank(snapshot: Snapshot) -> int:
    """Say how soon a person should see it: 0 is first."""
    if snapshot.needs_a_person:
        return 0
    if snapshot.overdue_since is not None:
        return 1
    return 2 if snapshot.is_in_flight else 3


def _text(snapshots: Sequence[Snapshot], *, narrowed: bool) -> str:
    if not snapshots and narrowed:
        return "no secret with a policy is like that"
    if not snapshots:
        return "no secret of this project has a policy; see: rotation policy apply --help"
    return "\n".join(line for snapshot in snapshots for line in wording.details(snapshot))
