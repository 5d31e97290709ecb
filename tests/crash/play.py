"""Play one schedule on the stage: ask, hurt, heal, let it come to rest, judge.

1. Each step is carried out at its moment, or as soon after it as the machine allows; each is noted
   in the log with the moment it really happened.
2. Before time is moved past a wait, the pinned consumers have been given the version in force: a
   soak is how long they have for it.
3. Whatever stops the play itself is a violation, too.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from tests.crash import rules
from tests.crash.consumers import consuming
from tests.crash.faults import Faults
from tests.crash.history import Key, Stored
from tests.crash.rest import at_rest, is_quiet, settle
from tests.crash.rules import Asked, Verdict
from tests.crash.schedule import Schedule, Step
from tests.crash.secret import make_target, remove
from tests.crash.stage import Stage
from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import wait_until

#: Seconds a step may take before it is given up: the machine may be busy with other things.
PATIENCE = 120.0
#: Seconds after the last step until everything is healed.
CALM = 0.5


@dataclass
class Outcome:
    """What one seed came to."""

    schedule: Schedule
    violations: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    #: What happened, and when.
    log: list[str] = field(default_factory=list)
    #: The end of what the function logged about the secret.
    log_tail: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Player:
    """Plays one schedule."""

    def __init__(self, stage: Stage, schedule: Schedule) -> None:
        self.stage = stage
        self.outcome = Outcome(schedule)
        self.asked: list[Asked] = []
        self._published: list[tuple[dict[str, str], Key | None]] = []
        self._deliveries = stage.links.push.counts()["connections"]
        self._began = self._started = time.monotonic()
        stage.scene.evidence = Evidence()
        self.target = make_target(stage, schedule)
        self.faults = Faults(stage, self.target, self.tell)
        self._actions: Mapping[str, Callable[[Step], None]] = {
            **self.faults.actions,
            "fire": self._fire,
            "request": self._request,
            "emergency": self._emergency,
            "revert": self._revert,
            "repeat": self._repeat,
            "wait-ends": self._end_wait,
        }

    def play(self) -> Outcome:
        """Play it to the end; what is wrong is in the outcome, not raised."""
        outcome = self.outcome
        try:
            self._play()
        except Exception as error:  # noqa: BLE001 - rule 3
            outcome.violations.append(f"gave up: {type(error).__name__}: {error}")
        finally:
            self.faults.recover()
            if outcome.violations:
                outcome.log_tail = [str(line) for line in self.target.log()[-40:]]
            remove(self.stage, self.target)
            outcome.faults = self.faults.injected
            outcome.seconds = time.monotonic() - self._started
        return outcome

    def tell(self, what: str) -> None:
        self.outcome.log.append(f"{time.monotonic() - self._began:6.2f}  {what}")

    def _play(self) -> None:
        self.stage.fleet.use(self.outcome.schedule.workers)
        self.stage.history.watch(self.target.id)
        self._first_credential()
        self.stage.scene.controls.reset_calls()
        with consuming(self.stage, self.target) as self.consumers:
            self.consumers.beat()
            self._storm()
            self.faults.recover()
            self.tell("everything is healed")
            settle(self.stage, self.target, self.consumers, self.tell)
            self.consumers.beat()
        self._judge()

    def _first_credential(self) -> None:
        self.target.fire()
        wait_until(lambda: self.target.aliases.get("current") == 1, "a first credential", PATIENCE)
        is_quiet(self.stage, PATIENCE)

    def _storm(self) -> None:
        self._began = time.monotonic()
        for step in self.outcome.schedule.steps:
            self._wait_until(self._began + step.moment)
            with suppress(psycopg.OperationalError):
                self._actions[step.action](step)
            if step.action == "arm":  # it takes its time, and nothing has begun yet
                self._began = time.monotonic()
            self.tell(f"{step.action} {dict(step.arguments) or ''} [{self._standing()}]")
        self._wait_until(time.monotonic() + CALM)

    def _wait_until(self, moment: float) -> None:
        """Wait, and look meanwhile whether a crash point has stopped a worker."""
        while (left := moment - time.monotonic()) > 0:
            self.faults.look_for_stopped()
            time.sleep(min(left, 0.04))

    def _standing(self) -> str:
        last = self.stage.history.stored()[-1]
        return f"{last.phase}, token {last.token}, current {last.current}"

    def _judge(self) -> None:
        outcome, stored = self.outcome, self.stage.history.stored()
        verdict = rules.judge_incidents(self.consumers.incidents, stored, self.asked)
        outcome.violations += verdict.violations
        outcome.violations += rules.judge_history(stored, self.asked)
        outcome.violations += at_rest(self.stage, self.target, stored[-1], self.asked)
        self._count(verdict, stored)

    def _count(self, verdict: Verdict, stored: list[Stored]) -> None:
        figures = self.outcome.figures
        figures.update(rules.finished(stored))
        figures["asked"] = len(self._published)
        figures["refused on purpose"] = verdict.on_purpose
        figures["orphans read"] = verdict.orphans
        figures["calls"] = sum(self.stage.scene.controls.calls().values())
        delivered = self.stage.links.push.counts()["connections"]
        figures["deliveries"] = delivered - self._deliveries
        figures.update(self.consumers.counts)

    # What is asked.

    def _ask(self, kind: str, attributes: dict[str, str], leaked: Key | None = None) -> None:
        in_force = leaked or self.stage.history.stored()[-1].in_force
        self.asked.append(Asked(kind, self.stage.stack.services.clock.now(), in_force))
        self._published.append((attributes, in_force))
        self.stage.stack.publish(secretId=self.target.name, **attributes)

    def _fire(self, _: Step) -> None:
        self._ask("fire", {"eventType": "SECRET_ROTATE"})

    def _request(self, _: Step) -> None:
        self._ask("request", _by_person("routine"))

    def _emergency(self, _: Step) -> None:
        self._ask("emergency", _by_person("emergency"))

    def _revert(self, _: Step) -> None:
        self._ask("revert", _by_person("revert"))

    def _repeat(self, step: Step) -> None:
        """Publish once more what was published: the same request, as another message.

        It is about what had leaked when it was asked first.
        """
        if self._published:
            again, leaked = self._published[step.arguments["number"] % len(self._published)]
            self._ask(again.get("mode", "fire"), again, leaked)

    def _end_wait(self, _: Step) -> None:
        self.consumers.pin()
        self.target.skip_wait()
        self.stage.scene.sweep()


def _by_person(mode: str) -> dict[str, str]:
    return {
        "eventType": "ROTATION_REQUEST",
        "mode": mode,
        "request_id": uuid.uuid4().hex[:12],
        "reason": "chaos",
    }
