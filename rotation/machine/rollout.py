"""Decide how a rollout goes on: from votes, from what was handed out, from what gates say.

Rules of this module:
  1. No I/O, clock or randomness: answers and ``now`` arrive as arguments.
  2. Every reason is kept: a person reads all of them, not the first.
  3. An emergency waits for no review and no gate.  It waits for consumers to be handed *next* until
     their deadline, since what was leaked must die; whoever is late then is handed it afterwards.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum

from msgspec import Struct

from rotation.machine.transitions import LOOKS
from rotation.model.errors import PermanentError
from rotation.model.policy import OnDeadline, ParticipantChoice, Policy, Stage
from rotation.model.rollout import Answer, Look, Progress, Verdict, Vote
from rotation.model.rotation import Record

#: When a participant that needs more time is asked again.
ASK_AGAIN = timedelta(seconds=30)

#: Longest text of a reason that is stored.
_LONGEST = 600


class Course(Enum):
    """How it goes on."""

    GO = "go"
    HOLD = "hold"
    BACK = "back"


class Judgement(Struct, frozen=True):
    """How it goes on, why, and when to look again."""

    course: Course
    why: str = ""
    until: datetime | None = None


class Answered(Struct, frozen=True):
    """What one participant answered."""

    #: ``stage/kind``, for people.
    name: str
    choice: ParticipantChoice
    answer: Vote | Progress
    #: False: it could not be asked; the answer is made of the trouble.
    reached: bool = True


def is_staged(policy: Policy, *, outside: bool) -> bool:
    """Whether a version is handed out step by step; otherwise it rides in the write it is added by.

    Args:
        policy: Whose rollout.
        outside: Whether a participant lives outside the secret.
    """
    stages = policy.rollout
    return outside or len(stages) > 1 or any(stage.gates or stage.soak for stage in stages)


def handed(policy: Policy, stage: str) -> tuple[Stage, ...]:
    """Return the stages up to and including the one named; none for the empty name.

    All of them, where the policy has no such stage any more.
    """
    names = [entry.stage for entry in policy.rollout]
    if not stage:
        return ()
    return policy.rollout[: names.index(stage) + 1] if stage in names else policy.rollout


def check_stage(policy: Policy, stage: str) -> None:
    """Make sure that the policy knows how far the rollout is.

    Raises:
        PermanentError: The policy has no such stage any more.
    """
    if all(entry.stage != stage for entry in policy.rollout):
        raise PermanentError(
            f"the rollout has reached stage {stage!r}, and the policy has no such stage any more",
            remedy="put the stage back, or ask for a revert; then unblock",
            reason="stage-gone",
        )


def next_stage(policy: Policy, record: Record) -> Stage | None:
    """Return the stage to hand *next* to now; None when all have it.  An emergency takes all."""
    reached = len(handed(policy, record.stage))
    if reached >= len(policy.rollout):
        return None
    return policy.rollout[-1 if record.urgent else reached]


def judge_votes(answered: Sequence[Answered], record: Record, now: datetime) -> Judgement:
    """Decide from the votes of all participants.

    An emergency does not wait for who is ready but for others, such as reviewers.
    """
    ready = all(
        reply.reached or _overdue(reply, record, now)
        for reply in answered
        if reply.answer.answer is Answer.WAIT
    )
    return _judge(answered, record, now, asked_for="vote", go_on=record.urgent and ready)


def judge_progress(answered: Sequence[Answered], record: Record, now: datetime) -> Judgement:
    """Decide from what participants say of handing *next* out."""
    late = all(
        _overdue(reply, record, now) for reply in answered if reply.answer.answer is Answer.WAIT
    )
    return _judge(answered, record, now, asked_for="commit", go_on=record.urgent and late)


def _judge(
    answered: Sequence[Answered], record: Record, now: datetime, *, asked_for: str, go_on: bool
) -> Judgement:
    refused = [reply for reply in answered if reply.answer.answer is Answer.NO]
    if refused:
        return Judgement(Course.BACK, _reasons(refused, "refuses"))
    waiting = [reply for reply in answered if reply.answer.answer is Answer.WAIT]
    if not waiting:
        return Judgement(Course.GO)
    if go_on:
        return Judgement(Course.GO, _reasons(waiting, "was not waited for"))
    overdue = [reply for reply in waiting if _overdue(reply, record, now)]
    given_up = [reply for reply in overdue if reply.choice.on_deadline is OnDeadline.REVERT]
    if given_up and not record.urgent:
        return Judgement(Course.BACK, _reasons(given_up, f"is past its deadline to {asked_for}"))
    soon = [_deadline(reply, record, now) for reply in waiting if reply not in overdue]
    state = "is overdue" if overdue else "waits"
    return Judgement(Course.HOLD, _reasons(waiting, state), min([now + ASK_AGAIN, *soon]))


def judge_gates(
    verdicts: Sequence[tuple[str, Verdict]], now: datetime, since: datetime, length: timedelta
) -> Judgement:
    """Decide from what the gates say.

    Args:
        verdicts: Of each gate, by its name for people.
        now: Time of the look.
        since: When the watch began.
        length: How long to watch at least.
    """
    failed = [
        f"{name}: {verdict.evidence}" for name, verdict in verdicts if verdict.look is Look.FAIL
    ]
    if failed:
        return Judgement(Course.BACK, _cut("; ".join(failed)))
    end = since + length
    pace = now + max(length / LOOKS, timedelta(seconds=1))
    blind = [verdict for verdict in verdicts if verdict[1].look is Look.WAIT]
    moments = [
        verdict.until for _, verdict in blind if verdict.until is not None and verdict.until > now
    ]
    if blind:
        why = "; ".join(f"{name}: {verdict.evidence}" for name, verdict in blind)
        return Judgement(Course.HOLD, _cut(why), min([pace, *moments]))
    if now < end:
        return Judgement(Course.HOLD, "watched", min(end, pace))
    return Judgement(
        Course.GO, _cut("; ".join(f"{name}: {verdict.evidence}" for name, verdict in verdicts))
    )


def _overdue(reply: Answered, record: Record, now: datetime) -> bool:
    return now >= _deadline(reply, record, now)


def _deadline(reply: Answered, record: Record, now: datetime) -> datetime:
    return (record.asked_at or now) + reply.choice.deadline


def _reasons(answered: Iterable[Answered], state: str) -> str:
    return _cut("; ".join(f"{reply.name} {state}: {_reason(reply.answer)}" for reply in answered))


def _reason(answer: Vote | Progress) -> str:
    remedy = answer.remedy if isinstance(answer, Vote) else ""
    return f"{answer.reason}; {remedy}" if remedy else answer.reason


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
