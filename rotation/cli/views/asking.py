"""Publishes a request to the topic it belongs on, and follows the secret until it is answered.

1. A request is a message like any other; nothing here writes to a secret.  What is privileged
   goes to the topic of emergencies, which other people may publish to.
2. What became of a request is read from the secret: its id is in the record or the receipt.
3. Following is looking every 0.3 s, no longer than ``timeout``.  A look that fails in passing is
   repeated; the request goes on whether somebody follows it or not.
"""

import getpass
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click

from rotation.cli.views import wording
from rotation.cli.views.context import Context, printable
from rotation.cli.views.failures import NO, OK, UNREACHABLE
from rotation.engine.snapshot import Snapshot
from rotation.machine.wakeups import MAX_TEXT
from rotation.model.errors import TemporaryError
from rotation.model.names import SecretName
from rotation.model.rotation import State
from rotation.model.wakeup import Ask, WakeUpKind

#: Seconds between two looks.
_LOOK_EVERY: Final = 0.3
#: Seconds to follow one request.
_TIMEOUT: Final = 120.0


@dataclass(frozen=True)
class Asked:
    """A request that was published."""

    id: str
    ask: Ask
    #: Where the secret stood before.
    before: Snapshot


@dataclass(frozen=True)
class Verdict:
    """What became of a request."""

    #: Slug for scripts.
    outcome: str
    sentence: str
    code: int = OK
    #: From the request to the revoked credential, by the times on record.
    seconds: float | None = None
    revoked_at: datetime | None = None


#: Says what became of a request; None: nothing yet.
Judge = Callable[[Asked, Snapshot], Verdict | None]


@dataclass(frozen=True)
class RequestOptions:
    """How a person wants to ask: the options that every asking command has."""

    reason: str
    requested_by: str
    wait: bool
    #: Seconds; None: not given.
    timeout: float | None


def ask(
    context: Context, before: Snapshot, what: Ask, options: RequestOptions, judge: Judge
) -> int:
    """Publish one request, follow it where that is wanted, answer, and return the exit code."""
    asked = _publish(context, before, what, options)
    context.say(f"{before.short}: {what.value} request {asked.id} published")
    if not options.wait:
        verdict = Verdict("requested", f"follow it with: rotation status {before.short}")
    else:
        timeout = _TIMEOUT if options.timeout is None else options.timeout
        verdict = _follow(context, asked, judge, timeout)
    context.answer(_body(asked, verdict), f"{before.short}: {printable(verdict.sentence)}")
    return verdict.code


def unless_blocked(judge: Callable[[Asked, Snapshot, State], Verdict | None]) -> Judge:
    """Judge by the state, unless the secret was blocked since the request was published."""

    def whole(asked: Asked, snapshot: Snapshot) -> Verdict | None:
        block = snapshot.block
        if block is not None and block != asked.before.block:
            step = wording.next_step(block, snapshot)
            return Verdict("blocked", f"blocked: {block.reason}: {block.message}; {step}", NO)
        return judge(asked, snapshot, snapshot.state) if snapshot.state else None

    return whole


def asking_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `RequestOptions` is made of."""
    options = (
        click.option("--reason", default="", help="Why, for the record."),
        click.option("--by", "requested_by", default="", help="Who asks; else your login name."),
        click.option("--wait/--no-wait", default=True, help="Follow the request; the default."),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0),
            default=None,
            help="Seconds to follow it; 120, and for many secrets 900 each.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def checked_options(
    reason: str, requested_by: str, timeout: float | None, *, wait: bool
) -> RequestOptions:
    """Check the options.

    Raises:
        click.BadParameter: A text is too long to be kept.
    """
    for name, text in (("--reason", reason), ("--by", requested_by)):
        if len(text) > MAX_TEXT:
            raise click.BadParameter(f"{len(text)} characters; at most {MAX_TEXT} are kept: {name}")
    return RequestOptions(reason, requested_by or _login_name(), wait, timeout)


def message(
    secret: SecretName, what: Ask, request_id: str, options: RequestOptions
) -> Mapping[str, str]:
    """Return the attributes of one request."""
    attributes = {
        "eventType": WakeUpKind.REQUEST.value,
        "secretId": str(secret),
        "mode": what.value,
        "reason": options.reason,
        "requested_by": options.requested_by,
        "request_id": request_id,
    }
    return {key: value for key, value in attributes.items() if value}


def _publish(context: Context, before: Snapshot, what: Ask, options: RequestOptions) -> Asked:
    asked = Asked(str(uuid.uuid4()), what, before)
    publisher = context.publisher(context.topic_for(what, before.secret))
    publisher.publish([message(before.secret.name, what, asked.id, options)])
    return asked


def _follow(context: Context, asked: Asked, judge: Judge, timeout: float) -> Verdict:
    ends = time.monotonic() + timeout
    last = asked.before
    while True:
        try:
            snapshot = context.snapshot(context.store.get(last.secret.name))
        except TemporaryError:
            snapshot = last
        if _changed(last, snapshot):
            context.say(f"{asked.before.short}: {_progress(snapshot)}")
        verdict = judge(asked, snapshot)
        if verdict is not None:
            return verdict
        last = snapshot
        if time.monotonic() >= ends:
            return _unanswered(asked, last, timeout)
        time.sleep(_LOOK_EVERY)


def _changed(last: Snapshot, snapshot: Snapshot) -> bool:
    """Return whether there is something new to say."""
    return _progress(last) != _progress(snapshot)


def _progress(snapshot: Snapshot) -> str:
    state = snapshot.state
    if state is None:
        return wording.stands(snapshot)
    until = f" until {state.wake_at:%Y-%m-%d %H:%M:%SZ}" if state.wake_at else ""
    note = state.record.note if state.record else ""
    return f"{state.phase.value}{until}{f': {printable(note)}' if note else ''}"


def _unanswered(asked: Asked, snapshot: Snapshot, timeout: float) -> Verdict:
    went_on = snapshot.secret.etag != asked.before.secret.etag
    where = f"after {timeout:g} s it stands at: {_progress(snapshot)}"
    if went_on:
        hint = f"it goes on without you; see: rotation status {snapshot.short}"
        return Verdict("not-finished", f"{where}; {hint}", UNREACHABLE)
    hint = "is the function running, and does its subscription have this topic?"
    return Verdict("no-answer", f"no worker has taken the request up {where}; {hint}", UNREACHABLE)


def _body(asked: Asked, verdict: Verdict) -> Mapping[str, Any]:
    return {
        "secret": str(asked.before.secret.name),
        "mode": asked.ask.value,
        "request_id": asked.id,
        "outcome": verdict.outcome,
        "message": verdict.sentence,
        "seconds": verdict.seconds,
    }


def _login_name() -> str:
    try:
        return getpass.getuser()[:MAX_TEXT]
    except (OSError, KeyError):
        return ""
