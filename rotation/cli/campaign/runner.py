"""Runs a campaign: publishes what may be published, and follows it until it is answered.

1. What may be published is decided by `rotation.machine.campaign`; this only carries it out.
2. A request is in the logbook before it is published; whether the answer to that was lost makes no
   difference, as the same id is the same request.
3. While Google cannot be reached nothing is asked; after `PATIENCE` seconds it ends.
4. It can be left at any moment by an exception, and gone on with later.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from rotation.cli.campaign.kind import Kind
from rotation.cli.campaign.logbook import Logbook, Story
from rotation.cli.campaign.looking import Looker
from rotation.cli.views.asking import Asked, RequestOptions, Verdict, message
from rotation.cli.views.context import Context
from rotation.cli.views.failures import OK, UNREACHABLE
from rotation.engine.snapshot import Snapshot
from rotation.machine import campaign
from rotation.machine.campaign import Limits, Subject
from rotation.model.errors import TemporaryError

#: Seconds for each read that a look takes: a fifth of the quota of reads.
LOOK_EVERY: Final = 0.5
#: No more than this part of the time is spent on looking.
_SHARE: Final = 0.25
#: Seconds without an answer of Google after which it ends.
PATIENCE: Final = 120.0


class Teller(Protocol):
    """Shows a person how it goes."""

    def ended(self, name: str, verdict: Verdict) -> None:
        """Show what became of one request."""

    def progress(self, subjects: Mapping[str, Subject], now: float) -> None:
        """Show how far it is."""

    def line(self, text: str) -> None:
        """Show something else."""


@dataclass(frozen=True)
class Parts:
    """What a runner works with."""

    context: Context
    logbook: Logbook
    limits: Limits
    options: RequestOptions
    kind: Kind
    teller: Teller


class Runner:
    """One run of a campaign."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._context, self._logbook = parts.context, parts.logbook
        self._looker = Looker(parts.context, parts.logbook.head.matching)
        self._began = time.monotonic()
        self._reached_at = self._began
        self._asked: dict[str, Asked] = {}
        #: Those that are not over yet, and those that ended in this run.
        self.subjects: dict[str, Subject] = {}
        #: Why nothing more was asked; empty: nothing spoke against it.
        self.stopped = ""

    def run(self) -> None:
        """Ask and follow until nothing is left, or the breaker stops it.

        Raises:
            TemporaryError: Google could not be reached for `PATIENCE` seconds.
        """
        self._begin()
        while True:
            step = campaign.step(list(self.subjects.values()), self._parts.limits, self._now)
            for name in step.give_up:
                self._end(name, _unanswered(self._now - (self.subjects[name].asked_at or 0)))
            if step.stopped and not self.stopped:
                self.stopped = step.stopped
                self._parts.teller.line(f"stopped asking: {step.stopped}")
            self._patiently(partial(self._ask, step.ask))
            self._parts.teller.progress(self.subjects, self._now)
            if step.over and not step.ask:
                return
            took = self._patiently(self._look)
            time.sleep(max(LOOK_EVERY * self._looker.reads - took, took / _SHARE - took, 0.05))

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began

    def _begin(self) -> None:
        """Take up every secret that is not well yet; what was asked before is looked for first."""
        stories = [story for story in self._logbook.stories.values() if not _is_well(story)]
        for story in stories:
            self._take_up(story)
        begun = [story for story in stories if self._was_begun(story)]
        if not begun:
            return
        snapshots = self._looker.look([story.target.secret.name for story in begun])
        for story in begun:
            self._find(story.target.name, snapshots[story.target.name])

    def _take_up(self, story: Story) -> None:
        target = story.target
        before = self._context.snapshot(target.secret)
        head = self._logbook.head
        self._asked[target.name] = Asked(head.request_id(target.name), head.mode, before)
        project = target.secret.name.project
        self.subjects[target.name] = Subject(target.name, project, target.place)

    def _was_begun(self, story: Story) -> bool:
        under_way = self._parts.kind.serving(self._asked[story.target.name].before)
        return story.asked_at is not None or story.verdict is not None or bool(under_way)

    def _find(self, name: str, snapshot: Snapshot) -> None:
        """Go on with what is known on the secret; ask again, with the same id, what is not."""
        asked, story = self._asked[name], self._logbook.stories[name]
        verdict = self._parts.kind.judge(asked, snapshot)
        if verdict is not None:
            self._end(name, verdict)
        elif _knows(snapshot, asked.id) or self._parts.kind.serving(asked.before):
            self.subjects[name] = self.subjects[name].asked(self._now)
        elif story.verdict is not None and story.verdict.code != UNREACHABLE:
            self._end(name, story.verdict)

    def _ask(self, names: tuple[str, ...]) -> None:
        if not names:
            return
        self._logbook.ask(names, self._context.clock.now())
        topics: dict[str, list[Mapping[str, str]]] = {}
        for name in names:
            asked, topic = self._asked[name], self._logbook.stories[name].target.topic
            secret = asked.before.secret.name
            attributes = message(secret, asked.ask, asked.id, self._parts.options)
            topics.setdefault(topic, []).append(attributes)
        for topic, messages in topics.items():
            self._context.publisher(topic).publish(messages)
        for name in names:
            self.subjects[name] = self.subjects[name].asked(self._now)

    def _look(self) -> None:
        flying = [
            self._asked[subject.name].before.secret.name
            for subject in self.subjects.values()
            if subject.condition is campaign.Condition.ASKED
        ]
        if not flying:
            return
        for name, snapshot in self._looker.look(flying).items():
            verdict = self._parts.kind.judge(self._asked[name], snapshot)
            if verdict is not None:
                self._end(name, verdict)

    def _end(self, name: str, verdict: Verdict) -> None:
        self._logbook.end(name, verdict, self._context.clock.now())
        subject = self.subjects[name]
        self.subjects[name] = subject.ended(self._now, failed=verdict.code != OK)
        self._parts.teller.ended(name, verdict)

    def _patiently(self, work: "_Work") -> float:
        """Do something that needs Google; return the seconds it took."""
        began = time.monotonic()
        try:
            work()
        except TemporaryError as error:
            since = time.monotonic() - self._reached_at
            if since >= PATIENCE:
                raise
            self._parts.teller.line(f"not reached for {since:.0f} s: {error}")
        else:
            self._reached_at = time.monotonic()
        return time.monotonic() - began


class _Work(Protocol):
    def __call__(self) -> None: ...


def _is_well(story: Story) -> bool:
    return story.verdict is not None and story.verdict.code == OK


def _knows(snapshot: Snapshot, request_id: str) -> bool:
    """Whether a request is on record at the secret."""
    state = snapshot.state
    if state is None:
        return False
    record, receipt = state.record, state.receipt
    known = {receipt.request_id, receipt.emergency_id} if receipt else set()
    if record is not None:
        known |= {record.request_id, *record.serves}
        known |= {record.again.id} if record.again else set()
    return request_id in known


def _unanswered(seconds: float) -> Verdict:
    return Verdict(
        "not-finished",
        f"not answered after {seconds:.0f} s; it goes on without you",
        UNREACHABLE,
    )
