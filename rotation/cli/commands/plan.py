"""The command ``plan``: what a rotation would do, stage by stage; it changes nothing.

1. Participants and gates are asked as the function would ask them, with your credentials.
2. It exits with 1 when a participant would refuse, or a gate fails now.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from rotation.cli.views.context import Context, json_option, printable
from rotation.cli.views.explaining import demand_lines, name_logins
from rotation.cli.views.failures import NO, OK
from rotation.cli.views.selecting import find_managed
from rotation.engine.planning import PlannedStage, RotationPlan
from rotation.engine.planning import plan as make_plan
from rotation.engine.snapshot import Snapshot
from rotation.model.plugin import Fence
from rotation.model.policy import Policy
from rotation.model.rollout import Look, Verdict
from rotation.policies.duration import format_duration
from rotation.ports.issuer import Located


@click.command()
@click.argument("secret")
@json_option
@click.pass_context
def plan(ctx: click.Context, secret: str) -> None:
    """Show what a rotation of SECRET would do: stages, every file's diff, every gate's verdict.

    Exits with 1 when a participant would refuse or a gate fails now.

    With --json: {"secret", "rotation", "from", "to", "stages": [{"stage", "soak",
    "participants": [{"name", "edits": [{"place", "diff"}], "obstacle"}],
    "gates": [{"name", "verdict", "evidence"}]}], "issuer": {"kind", "location", "cannot"},
    "demanded": {PATH: LINE}}: which line of the targets document a word comes from.
    """
    context = ctx.ensure_object(Context)
    snapshot = find_managed(context, secret)
    policy = snapshot.sound_policy()
    name_logins(context, [policy])
    planned, issuer = make_plan(snapshot, context.rollout(policy)), _issuer_of(context, policy)
    body = {**_body(snapshot, planned), "issuer": issuer, "demanded": dict(policy.demanded)}
    context.answer(body, "\n".join(_lines(snapshot, planned, issuer)))
    ctx.exit(NO if _obstructed(planned) else OK)


def _issuer_of(context: Context, policy: Policy) -> Mapping[str, Any]:
    """Return what the issuer is, where the credential lives, and what it cannot."""
    issuer = context.issuer(policy)
    can = issuer.spec.capabilities
    lacks = {"suspend": can.suspends, "see use": can.sees_use, "fence": can.fence is not Fence.NONE}
    return {
        "kind": issuer.spec.name,
        "location": issuer.location() if isinstance(issuer, Located) else None,
        "cannot": [what for what, able in lacks.items() if not able],
    }


def _obstructed(planned: RotationPlan) -> bool:
    return any(
        any(participant.obstacle for _, participant in stage.participants)
        or any(verdict.look is Look.FAIL for _, verdict in stage.gates)
        for stage in planned.stages
    )


def _lines(snapshot: Snapshot, planned: RotationPlan, issuer: Mapping[str, Any]) -> Iterator[str]:
    old = f"version {planned.change.previous}" if planned.change.previous else "no version"
    what = f"rotation {planned.rotation_id}" if planned.rotation_id else "the next rotation"
    yield f"{snapshot.short}: {what}, from {old} to version {planned.change.next}"
    for stage in planned.stages:
        yield from _stage_lines(stage)
    policy = snapshot.sound_policy()
    soak, observe = format_duration(policy.soak), format_duration(policy.retire.observe)
    if "see use" in issuer["cannot"]:
        yield f"then: soak {soak}; {issuer['kind']} cannot show who uses the old credential:"
        yield f"      it is retired by age, and revoked {observe} after its version is disabled"
    else:
        yield f"then: soak {soak}; the old credential is watched for"
        yield f"      {observe} without logins, then revoked"
    yield from demand_lines(policy)


def _stage_lines(stage: PlannedStage) -> Iterator[str]:
    soak = f", watched for {format_duration(stage.soak)}" if stage.soak else ""
    yield f"stage {stage.name}{soak}"
    for name, participant in stage.participants:
        yield f"  {name}"
        for edit in participant.edits:
            yield f"    {printable(edit.place)}"
            yield from (f"      {printable(line)}" for line in edit.diff.splitlines())
        if participant.obstacle:
            yield f"    in the way: {printable(participant.obstacle)}"
    for name, verdict in stage.gates:
        yield f"  gate {name}: {_verdict(verdict)}"


def _verdict(verdict: Verdict) -> str:
    words = {Look.PASS: "passes now", Look.WAIT: "cannot tell now", Look.FAIL: "fails now"}
    return f"{words[verdict.look]}: {printable(verdict.evidence)}"


def _body(snapshot: Snapshot, planned: RotationPlan) -> Mapping[str, Any]:
    return {
        "secret": str(snapshot.secret.name),
        "rotation": planned.rotation_id or None,
        "from": planned.change.previous,
        "to": planned.change.next,
        "stages": [
            {
                "stage": stage.name,
                "soak": format_duration(stage.soak),
                "participants": [
                    {
                        "name": name,
                        "edits": [{"place": e.place, "diff": e.diff} for e in participant.edits],
                        "obstacle": participant.obstacle or None,
                    }
                    for name, participant in stage.participants
                ],
                "gates": [
                    {"name": name, "verdict": gate.look.value, "evidence": gate.evidence}
                    for name, gate in stage.gates
                ],
            }
            for stage in planned.stages
        ],
    }
