"""Words for people: where a secret stands, in one or a few lines.

It decides nothing.  Whatever others wrote is made printable before it reaches a terminal.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from rotation.cli.views.context import printable
from rotation.engine.snapshot import Snapshot
from rotation.model.errors import NOT_ALLOWED, PolicyError, StateError
from rotation.model.phase import Phase
from rotation.model.rotation import Block, Receipt
from rotation.model.wakeup import claimed
from rotation.policies.duration import format_duration


def stands(snapshot: Snapshot) -> str:
    """Say the phase, and until when it lasts."""
    state, name = snapshot.state, phase(snapshot)
    if state is None:
        return name
    if snapshot.paused:
        return f"{name}, paused"
    if state.wake_at:
        return f"{name} until {moment(state.wake_at, snapshot.now)}"
    if state.phase is not Phase.SETTLED and state.lease_until is None:
        return f"{name}, waits for the next wake-up"
    return name


def phase(snapshot: Snapshot) -> str:
    """Say the phase, and of a rollout the stage."""
    state = snapshot.state
    if state is None:
        return "unreadable"
    stage = state.record.stage if state.record else ""
    if state.phase is not Phase.ROLLING_OUT or not stage:
        return state.phase.value
    stages = [entry.stage for entry in snapshot.policy.rollout] if snapshot.policy else []
    place = f", stage {stages.index(stage) + 1} of {len(stages)}" if stage in stages else ""
    return f"{state.phase.value} to {printable(stage)}{place}"


def in_force(snapshot: Snapshot) -> str:
    """Say which version consumers get."""
    if snapshot.current is None:
        return "no version on record"
    handle = f" ({printable(snapshot.handle)})" if snapshot.handle else ""
    return f"version {snapshot.current}{handle}"


def following(snapshot: Snapshot) -> str:
    """Say when the next rotation is scheduled."""
    if snapshot.overdue_since:
        return f"overdue since {moment(snapshot.overdue_since, snapshot.now)}"
    schedule = snapshot.secret.schedule
    return moment(schedule.next_time, snapshot.now) if schedule else "no schedule"


def last(snapshot: Snapshot) -> str:
    """Say what the last rotation did."""
    receipt = snapshot.state.receipt if snapshot.state else None
    return _outcome(receipt, snapshot.now) if receipt else "never"


def attention(snapshot: Snapshot) -> str:
    """Say what a person must do; empty when nothing."""
    block = snapshot.block
    remarks = [str(fault) for fault in snapshot.faults]
    if not remarks and block:
        since = moment(block.since, snapshot.now)
        remarks = [f"since {since}: {block.reason}: {block.message}; {next_step(block, snapshot)}"]
    return "; ".join(printable(remark) for remark in remarks)


def next_step(block: Block, snapshot: Snapshot) -> str:
    """Say how a blocked secret goes on, once the cause is mended."""
    if block.reason == NOT_ALLOWED:
        return f"see: rotation targets explain {snapshot.short}"
    if block.reason == PolicyError.reason:
        return f"then: rotation policy apply {snapshot.short} FILE"
    if block.reason == StateError.reason:
        return f"after that: rotation unblock {snapshot.short}"
    return f"when that is mended: rotation unblock {snapshot.short}"


def pause(snapshot: Snapshot) -> str:
    """Say who has paused, since when and why; empty when nobody has."""
    pause = snapshot.pause
    if pause is None or not pause.paused:
        return ""
    since = f" since {moment(pause.since, snapshot.now)}" if pause.since else ""
    why = f": {printable(pause.reason)}" if pause.reason else ""
    kept = "; a request is kept" if pause.again else ""
    return f"paused by {_who(pause.requested_by)}{since}{why}{kept}"


def details(snapshot: Snapshot) -> Iterator[str]:
    """Yield everything about one secret, a line each."""
    yield f"{snapshot.short}: {stands(snapshot)}; {in_force(snapshot)}"
    if todo := attention(snapshot):
        yield f"  blocked {todo}" if snapshot.block and not snapshot.faults else f"  faulty: {todo}"
    if held := pause(snapshot):
        yield f"  {held}"
    yield from flight(snapshot)
    yield f"  last: {last(snapshot)}"
    yield f"  next: {following(snapshot)}"


def flight(snapshot: Snapshot) -> Iterator[str]:
    """Yield what is known of the rotation in flight, a line each."""
    record = snapshot.state.record if snapshot.state else None
    if record is not None:
        asked = f" by {_who(record.requested_by)}" if record.requested_by else ""
        why = f": {printable(record.reason)}" if record.reason else ""
        yield f"  rotation {record.id}, {record.mode.value}, asked{asked}{why}"
        if record.note:
            yield f"  waits because: {printable(record.note)}"
        if record.reverted:
            yield f"  goes back because: {printable(record.reverted)}"
        for link in record.links:
            yield f"  see: {printable(link)}"
        if record.again:
            again = record.again
            yield f"  pending: {again.mode.value} request of {_who(again.requested_by)}"


def moment(time: datetime, now: datetime) -> str:
    """Spell a time, and how far from now it is."""
    distance = abs(time - now)
    near = format_duration(_rounded(distance))
    return f"{time:%Y-%m-%d %H:%M:%SZ} ({f'in {near}' if time >= now else f'{near} ago'})"


def _outcome(receipt: Receipt, now: datetime) -> str:
    why = f": {printable(receipt.why)}" if receipt.why else ""
    return f"{receipt.outcome} {moment(receipt.settled_at, now)}{why}"


def _who(name: str) -> str:
    return printable(claimed(name)) if name else "somebody"


def _rounded(length: timedelta) -> timedelta:
    """Leave out what does not matter at that distance."""
    for step in (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)):
        if length >= step * 2:
            return length - length % (step / (24 if step.days else 60))
    return length
