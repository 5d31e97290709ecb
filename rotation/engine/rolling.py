"""Carries out the rollout: votes, stages, the watched soak, and the way back.

Theory of operation: a two-phase commit.  Every participant of every stage prepares before the first
commits; the write that ends the voting is the decision, and it is stored before anybody is handed
*next*.  From then on each commit is driven again until it is acknowledged, or all go back.

Rules of this module:
  1. What a participant has acknowledged is stored and not asked again: a person who moves its
     consumers by hand afterwards wins.
  2. *next* logs in before each stage is handed it, and before the rollout is over.
  3. The aliases go back first, in one write; then the other participants, the last stage first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from rotation.engine.crashpoints import CrashPoint
from rotation.engine.outcome import Outcome, Waiting, with_evidence
from rotation.engine.participants import Outside, Reply
from rotation.engine.run import Run
from rotation.engine.use import look_at_use
from rotation.machine import rollout
from rotation.machine.rollout import Answered, Course, Judgement
from rotation.model.errors import CredentialRefusedError, PermanentError
from rotation.model.phase import Event, Mode
from rotation.model.plugin import Change, Observation
from rotation.model.rollout import Answer, Move, Progress, Vote, Watch

#: How many links are kept for people.
_KEPT_LINKS = 8


def vote(run: Run) -> Outcome | Waiting:
    """Ask every participant of every stage whether it can take *next*."""
    run.check_pointer()
    replies = _ask(run, run.participants.outside, _prepare, Vote.wait)
    run.reach(CrashPoint.VOTED)
    facts = _known(run, replies)
    answered = [
        Answered(
            reply.by.name,
            reply.by.choice,
            reply.answer or Vote.no(str(reply.error)),
            reached=not reply.trouble,
        )
        for reply in replies
    ]
    judged = rollout.judge_votes(answered, run.state.in_flight, run.now)
    match judged:
        case Judgement(Course.BACK):
            return Outcome(Event.REFUSED, _going_back(judged.why, facts))
        case Judgement(Course.HOLD):
            return _hold(run, judged, facts)
    if refused := _refused(run):
        return Outcome(Event.REFUSED, _going_back(refused, facts))
    stage = rollout.next_stage(run.policy, run.state.in_flight)
    if stage is None:
        raise PermanentError("the policy has no stage", reason="stage-gone")
    unready = tuple(reply.by.name for reply in replies if reply.trouble)
    return Outcome(Event.PREPARED, {**facts, "acked": (), "unready": unready, "stage": stage.stage})


def roll_out(run: Run) -> Outcome | Waiting:
    """Hand *next* to the consumers of the stages reached, and watch them."""
    rollout.check_stage(run.policy, run.state.in_flight.stage)
    run.check_pointer()
    stages = rollout.handed(run.policy, run.state.in_flight.stage)
    names = [stage.stage for stage in stages]
    judged, facts = _hand_out(
        run, [participant for participant in run.participants.outside if participant.stage in names]
    )
    run.reach(CrashPoint.HANDED)
    if judged.course is Course.GO:
        record = run.state.in_flight
        facts["handed_at"] = since = record.handed_at or run.now
        facts["first_moved_at"] = record.first_moved_at or since
        judged = _watch(run, names, since, stages[-1].soak)
        run.reach(CrashPoint.WATCHED)
    match judged:
        case Judgement(Course.BACK):
            return _revert(run, judged.why, facts)
        case Judgement(Course.HOLD):
            return _hold(run, judged, facts)
    return _proven(run, {**facts, "evidence": _evidence(run, f"{names[-1]}: {judged.why}")})


def soak(run: Run) -> Outcome | Waiting:
    """Watch everybody while old and new both work; only a rollout with gates is watched."""
    run.check_pointer()
    length = run.policy.soak
    since = (run.state.in_flight.watch_until or run.now) - length
    judged = _watch(run, [stage.stage for stage in run.policy.rollout], since, length)
    run.reach(CrashPoint.WATCHED)
    match judged:
        case Judgement(Course.BACK):
            return _revert(run, judged.why, {})
        case Judgement(Course.HOLD):
            return _hold(run, judged, {})
    evidence = _evidence(run, f"soak: {judged.why}")
    return Outcome(Event.SOAKED, {"watch_until": None, "evidence": evidence})


def withdraw(run: Run) -> Outcome | Waiting:
    """Hand *previous* out again, the last stage first."""
    replies = _ask(run, run.handed_outside()[::-1], _take_back, Progress.wait)
    run.reach(CrashPoint.WITHDRAWN)
    facts = _known(run, replies)
    _raise_errors(run, replies, facts)
    waiting = [reply for reply in replies if reply.answer and reply.answer.answer is Answer.WAIT]
    if not waiting:
        return Outcome(Event.WITHDRAWN, facts)
    why = "; ".join(f"{reply.by.name}: {reply.answer.reason}" for reply in waiting if reply.answer)
    return Waiting(run.now + rollout.ASK_AGAIN, f"going back; {why}", facts=facts)


def hand_out_rest(run: Run) -> Waiting | None:
    """Hand *next* to whoever an emergency did not wait for; None: nobody is left."""
    late = [
        participant
        for participant in run.handed_outside()
        if participant.name not in run.state.in_flight.acked
    ]
    if not run.participants.staged or not late:
        return None
    _, facts = _hand_out(run, late)
    left = [participant.name for participant in late if participant.name not in facts["acked"]]
    if not left:
        return None
    why = f"not handed the next version yet: {', '.join(left)}"
    return Waiting(run.now + rollout.ASK_AGAIN, why, facts=facts)


def retire(run: Run) -> tuple[str, ...]:
    """Let participants remove what is left of theirs; return the evidence, with what stays."""

    def remove(participant: Outside) -> str:
        participant.plugin.retire(_move(run, participant))
        return ""

    return _left_behind(run, run.participants.ask(run.handed_outside(), remove, str))


def forget(run: Run) -> Waiting | tuple[str, ...]:
    """Let those who only prepared remove what they made; return the evidence, with what stays.

    Trouble that may pass is waited for: somebody may have merged by hand what was prepared, and
    then it has to be taken back before the credential dies.
    """
    if run.state.in_flight.next is None:
        return run.state.in_flight.evidence  # nobody was asked for anything yet
    handed = run.handed_outside()

    def remove(participant: Outside) -> str:
        participant.plugin.abort(_move(run, participant))
        return ""

    rest = [participant for participant in run.participants.outside if participant not in handed]
    replies = run.participants.ask(rest, remove, str)
    trouble = [f"{reply.by.name}: {reply.answer}" for reply in replies if reply.trouble]
    if trouble:
        why = f"what was prepared is being removed; {'; '.join(trouble)}"
        return Waiting(run.now + rollout.ASK_AGAIN, why)
    return _left_behind(run, replies)


def _left_behind(run: Run, replies: Sequence[Reply[str]]) -> tuple[str, ...]:
    left = [
        f"{reply.by.name}: {reply.answer or reply.error}" for reply in replies if reply.answer != ""
    ]
    return _evidence(run, f"left behind: {'; '.join(left)}" if left else "")


def unmoved(run: Run) -> str:
    """Say which participant's consumers do not get *next*, or are not known to; empty: all do."""

    def look(participant: Outside) -> str:
        served = participant.plugin.observe(_move(run, participant))
        where = f" in {served.place}" if served.place else ""
        if not served.versions:
            return (
                f"cannot see what {participant.name} hands out{where}: {served.unobservable_reason}"
            )
        other = sorted(served.versions - {run.state.in_flight.next})
        return f"{participant.name} hands out version {other[0]}{where}" if other else ""

    replies = run.participants.ask(run.participants.outside, look, str)
    found = [
        reply.answer or (f"{reply.by.name}: {reply.error}" if reply.error else "")
        for reply in replies
    ]
    return "; ".join(reason for reason in found if reason)


def _prepare(participant: Outside, move: Move) -> Vote:
    return participant.plugin.prepare(move)


def _commit(participant: Outside, move: Move, unready: Sequence[str]) -> Progress:
    if participant.name in unready:
        vote = participant.plugin.prepare(move)
        if vote.answer is Answer.NO:
            return Progress.wait(vote.reason, vote.link)
    return participant.plugin.commit(move)


def _take_back(participant: Outside, move: Move) -> Progress:
    return participant.plugin.revert(move)


def _ask(
    run: Run,
    asked: Iterable[Outside],
    question: Callable[[Outside, Move], Any],
    not_yet: Callable[[str], Any],
) -> list[Reply[Any]]:
    """Ask those that have not acknowledged yet."""
    done = run.state.in_flight.acked
    rest = [participant for participant in asked if participant.name not in done]
    return run.participants.ask(
        rest, lambda participant: question(participant, _move(run, participant)), not_yet
    )


def _hand_out(run: Run, asked: Sequence[Outside]) -> tuple[Judgement, dict[str, Any]]:
    unready = run.state.in_flight.unready
    replies = _ask(
        run, asked, lambda participant, move: _commit(participant, move, unready), Progress.wait
    )
    facts = _known(run, replies)
    _raise_errors(run, replies, facts)
    answered = [
        Answered(reply.by.name, reply.by.choice, reply.answer) for reply in replies if reply.answer
    ]
    return rollout.judge_progress(answered, run.state.in_flight, run.now), facts


def _known(run: Run, replies: Sequence[Reply[Any]]) -> dict[str, Any]:
    """Return what the answers add to the record."""
    record = run.state.in_flight
    answers = [(reply.by.name, reply.answer) for reply in replies if reply.answer is not None]
    done = [name for name, answer in answers if answer.answer is Answer.DONE]
    links = [answer.link for _, answer in answers if answer.link]
    fresh = [link for link in dict.fromkeys(links) if link not in record.links]
    return {
        "acked": (*record.acked, *done),
        "links": (*record.links, *fresh)[-_KEPT_LINKS:],
    }


def _raise_errors(run: Run, replies: Sequence[Reply[Any]], facts: Mapping[str, Any]) -> None:
    """Store what is known, then raise what a person has to mend."""
    errors = [(reply.by.name, reply.error) for reply in replies if reply.error]
    if not errors:
        return
    run.hold.rewrite(lambda state: replace(state, record=replace(state.in_flight, **facts)))
    text = "; ".join(f"{name}: {error}" for name, error in errors)
    raise PermanentError(text, reason=errors[0][1].reason)


def _watch(run: Run, stages: Sequence[str], since: Any, length: timedelta) -> Judgement:  # noqa: ANN401
    """Judge by the gates, and then by a login: consumers that cannot log in suffer."""

    def watch(stage: str) -> Watch:
        return _watch_of(run, stage, since)

    judged = Judgement(Course.GO, "an emergency waits for no gate")
    if not run.state.in_flight.urgent:
        verdicts = run.participants.check(stages, watch)
        judged = rollout.judge_gates(verdicts, run.now, since, length)
    if judged.course is not Course.BACK and (refused := _refused(run)):
        return Judgement(Course.BACK, refused)
    return judged


def _watch_of(run: Run, stage: str, since: Any) -> Watch:  # noqa: ANN401
    record = run.state.in_flight
    return Watch(
        secret=run.secret.name,
        rotation_id=record.id,
        stage=stage,
        change=_change(run),
        since=since,
        now=run.now,
        previous_use=None if record.previous is None else lambda: _use_of_previous(run),
        next_use=lambda: _use_of_next(run),
    )


def _use_of_previous(run: Run) -> Observation:
    return look_at_use(run.issuer, run.previous_handle, run.working)


def _use_of_next(run: Run) -> Observation:
    payload, previous = run.working, run.state.in_flight.previous
    handle = run.issuer.identify(payload)
    if previous is None:
        return look_at_use(run.issuer, handle, payload)
    witness = run.store.access(run.secret.name, previous).payload
    return look_at_use(run.issuer, handle, witness)


def _refused(run: Run) -> str:
    """Say why *next* does not log in; empty when it does."""
    try:
        run.issuer.verify(run.working)
    except CredentialRefusedError as error:
        return f"version {run.state.in_flight.next} does not log in any more: {error}"
    return ""


def _proven(run: Run, facts: Mapping[str, Any]) -> Outcome:
    record = run.state.in_flight
    stage = rollout.next_stage(run.policy, record)
    if stage is not None:
        return Outcome(Event.STAGE_PROVEN, {**facts, "stage": stage.stage, "handed_at": None})
    if record.previous is None:
        return Outcome(Event.ROLLED_OUT_FIRST, facts)
    if record.mode is Mode.EMERGENCY or record.urgent:
        return Outcome(Event.ROLLED_OUT_IN_EMERGENCY, facts)
    return Outcome(Event.ROLLED_OUT, facts)


def _revert(run: Run, why: str, facts: Mapping[str, Any]) -> Outcome:
    if run.state.in_flight.previous is None:
        raise PermanentError(
            f"the first credential does not prove itself, and there is none to go back to: {why}",
            remedy="mend it, then unblock",
            reason="no-way-back",
        )
    return Outcome(Event.REVERT_ASKED, _going_back(why, facts))


def _going_back(why: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**facts, "reverted": why, "alarm": True, "acked": (), "watch_until": None}


def _hold(run: Run, judged: Judgement, facts: Mapping[str, Any]) -> Waiting:
    return Waiting(judged.until or run.now + rollout.ASK_AGAIN, judged.why, facts=facts)


def _move(run: Run, participant: Outside) -> Move:
    record = run.state.in_flight
    return Move(
        secret=run.secret.name,
        rotation_id=record.id,
        stage=participant.stage,
        change=_change(run),
        reason=record.reason,
        requested_by=record.requested_by,
        urgent=record.urgent,
    )


def _change(run: Run) -> Change:
    record = run.state.in_flight
    if record.next is None:
        raise PermanentError("nothing was added yet", reason="state-invalid")
    return Change(record.previous, record.next)


def _evidence(run: Run, line: str) -> tuple[str, ...]:
    stamped = f"{run.now:%Y-%m-%dT%H:%M:%SZ} {line}" if line else ""
    return with_evidence(run.state.in_flight, stamped).evidence
