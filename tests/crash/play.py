"""Play one schedule on the stage: ask, hurt, heal, let it come to rest, judge.

1. Each step is carried out at its moment, or as soon after it as the machine allows; each is told
   in the log with the moment it really happened.
2. A fault counts as injected only if it has met something: a connection, a process, a call.
3. Before time is moved past a wait, the pinned consumers have been given the version in force: a
   soak is how long they have for it.
"""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg

from tests.acceptance.evidence import Evidence
from tests.acceptance.scene import wait_until
from tests.acceptance.target import Target
from tests.crash import rules
from tests.crash.consumers import consuming
from tests.crash.fleet import UNNOTICED, Instance
from tests.crash.history import Stored
from tests.crash.proxy import Ending
from tests.crash.rest import at_rest, is_quiet, settle
from tests.crash.rules import Asked, Verdict
from tests.crash.schedule import Schedule, Step
from tests.crash.stage import LEASE, SOAK, Stage

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
    #: The end of what the function said about the secret.
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Player:
    """Plays one schedule."""

    def __init__(self, stage: Stage, schedule: Schedule) -> None:
        self.stage = stage
        self.outcome = Outcome(schedule)
        self.asked: list[Asked] = []
        self._published: list[dict[str, str]] = []
        self._seen = counted(stage)
        self._deliveries = stage.links.push.counts()["connections"]
        #: Calls that are to fail, by mode.
        self._failing: Counter[str] = Counter()
        self._later: list[threading.Timer] = []
        #: How long a worker stays stopped at a crash point, by instance.
        self._held: dict[int, float] = {}
        self._began = time.monotonic()
        self._actions: Mapping[str, Callable[..., None]] = {
            "fire": self._fire,
            "request": self._request,
            "emergency": self._emergency,
            "revert": self._revert,
            "repeat": self._repeat,
            "wait-ends": self._end_wait,
            "lease-ends": self._end_lease,
            "kill-worker": self._kill_worker,
            "kill-instance": self._kill_instance,
            "stop": self._stop,
            "link": self._hurt_link,
            "commit": self._cut_at_commit,
            "late": self._hold_begin,
            "cut-request": self._cut_request,
            "secrets": self._fail_secrets,
            "duplicate": self._duplicate,
            "lose-acks": self._lose_acks,
            "end-sessions": self._end_sessions,
            "restart": self._restart,
            "fail-over": self._fail_over,
        }

    def play(self) -> Outcome:
        """Play it to the end; what is wrong is in the outcome, not raised."""
        schedule, stage = self.outcome.schedule, self.stage
        stage.scene.evidence = Evidence()
        self.target = make_target(stage, schedule)
        try:
            self._play()
        except AssertionError as error:
            self.outcome.violations.append(f"gave up: {error}")
        finally:
            self._recover()
            self.outcome.seconds = time.monotonic() - self._began
            if self.outcome.violations:
                self.outcome.said = [str(line) for line in self.target.log()[-40:]]
            remove(stage, self.target)
        return self.outcome

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
            self._recover()
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
            self.tell(f"{step.action} {dict(step.arguments) or ''} [{self._standing()}]")
        self._wait_until(time.monotonic() + CALM)

    def _wait_until(self, moment: float) -> None:
        """Wait, and look meanwhile whether a crash point has stopped a worker."""
        while (left := moment - time.monotonic()) > 0:
            self._look_for_stopped()
            time.sleep(min(left, 0.04))

    def _standing(self) -> str:
        last = self.stage.history.stored()[-1]
        return f"{last.phase}, token {last.token}, current {last.current}"

    def _judge(self) -> None:
        outcome, stored = self.outcome, self.stage.history.stored()
        verdict = rules.judge_incidents(self.consumers.incidents, self.stage.history, self.asked)
        outcome.violations += verdict.violations
        outcome.violations += rules.judge_history(stored, self.asked)
        outcome.violations += at_rest(self.stage, self.target, stored[-1], self.asked)
        self._count(verdict, stored)

    def _count(self, verdict: Verdict, stored: list[Stored]) -> None:
        began = rules.rotations(stored)
        figures = self.outcome.figures
        figures["rotations"] = len(began)
        figures["emergencies"] = sum(began.values())
        figures["asked"] = len(self._published)
        figures["refused on purpose"] = verdict.on_purpose
        figures["strays read"] = verdict.strays
        figures["calls"] = sum(self.stage.scene.controls.calls().values())
        delivered = self.stage.links.push.counts()["connections"]
        figures["deliveries"] = delivered - self._deliveries
        figures.update(self.consumers.counts)

    def _hit(self, step: Step, times: int = 1) -> None:
        if times:
            self.outcome.faults[step.kind] += 1

    # What is asked.

    def _ask(self, kind: str, attributes: dict[str, str]) -> None:
        last = self.stage.history.stored()[-1]
        self.asked.append(Asked(kind, self.stage.stack.services.clock.now(), last.in_force))
        self._published.append(attributes)
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
        """Publish once more what was published: the same request, as another message."""
        if self._published:
            again = self._published[step.arguments["number"] % len(self._published)]
            self._ask(again.get("mode", "fire"), again)

    # Time.

    def _end_wait(self, _: Step) -> None:
        self.consumers.pin()
        self.target.skip_wait()
        self.stage.scene.sweep()

    def _end_lease(self, _: Step | None = None) -> None:
        self.stage.stack.advance(LEASE + timedelta(seconds=1))
        self.stage.scene.sweep()

    # Processes.

    def _instance(self, step: Step) -> Instance:
        return self.stage.fleet.instances[step.arguments["instance"]]

    def _kill_worker(self, step: Step) -> None:
        self._hit(step, self._instance(step).kill_worker())

    def _kill_instance(self, step: Step) -> None:
        instance = self._instance(step)
        instance.replace(step.arguments["armed"])
        self._held[id(instance)] = step.arguments.get("seconds", 0.0)
        self._hit(step)

    def _stop(self, step: Step) -> None:
        instance = self._instance(step)
        if not instance.stop():
            return
        self._hit(step)
        self._after(UNNOTICED, lambda: self.stage.fleet.cut_off(instance))
        self._after(step.arguments["seconds"], lambda: self._resume(instance))
        if step.arguments["past_lease"]:
            self._after(UNNOTICED, self._end_lease)

    def _resume(self, instance: Instance) -> None:
        if instance.resume():
            self.tell("resumed")
        instance.is_serving = True

    def _look_for_stopped(self) -> None:
        """Do with workers that a crash point has stopped what `_stop` does with others."""
        for instance in self.stage.fleet.instances:
            if instance.is_serving and instance.stopped() and instance.disarm():
                self.outcome.faults["stop at a crash point"] += 1
                self.tell("a crash point has stopped a worker")
                self.stage.fleet.cut_off(instance)
                self._end_lease()
                held = self._held[id(instance)]
                self._after(held, lambda each=instance: self._resume(each))  # type: ignore[misc]

    # Links.

    def _hurt_link(self, step: Step) -> None:
        relay, mode = self.stage.links[step.arguments["link"]], step.arguments["mode"]
        if mode in {"cut", "reset"}:
            return self._hit(step, relay.cut(Ending.FIN if mode == "cut" else Ending.RESET))
        if mode == "delay":
            relay.delay(step.arguments["each"])
        elif mode == "refuse":
            relay.refuse()
        else:
            relay.black_hole()
        self._hit(step)
        return self._after(step.arguments["seconds"], relay.heal)

    def _cut_at_commit(self, step: Step) -> None:
        relay, ending = self.stage.links.primary, Ending(step.arguments["ending"])
        if step.arguments["mode"] == "lose-commit":
            relay.lose_commit(ending)
        else:
            relay.lose_commit_answer(ending)

    def _hold_begin(self, step: Step) -> None:
        relay = self.stage.links.primary
        seen = relay.counts()["begin late"]
        relay.hold_begin(step.arguments["seconds"])
        if step.arguments["past_lease"]:
            self._when(lambda: relay.counts()["begin late"] > seen, self._end_lease)

    def _cut_request(self, step: Step) -> None:
        self.stage.links[step.arguments["link"]].cut_request_after(step.arguments["bytes"])

    # Services.

    def _fail_secrets(self, step: Step) -> None:
        failure: dict[str, Any] = dict(step.arguments)
        self._failing[failure["mode"]] += failure["count"]
        self.stage.scene.controls.set_failure(failure.pop("mode"), **failure)

    def _duplicate(self, step: Step) -> None:
        self._pubsub(lambda failures: failures.duplicate(step.arguments["copies"]))
        self._hit(step)

    def _lose_acks(self, step: Step) -> None:
        subscription = self.stage.stack.options.subscription_name
        self._pubsub(lambda each: each.lose_acks(step.arguments["count"], subscription))
        self._hit(step)

    def _pubsub(self, change: Callable[[Any], None]) -> None:
        self.stage.scene.call(lambda running: change(running.broker.failures))

    def _end_sessions(self, step: Step) -> None:
        self._hit(step, self.stage.pair.end_sessions(self.target.rotator))

    def _restart(self, step: Step) -> None:
        self.stage.pair.restart(step.arguments["mode"])
        self._hit(step)

    def _fail_over(self, step: Step) -> None:
        self.stage.pair.fail_over()
        self._hit(step)

    # Afterwards.

    def _after(self, seconds: float, act: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, act)
        self._later.append(timer)
        timer.start()

    def _when(self, seen: Callable[[], bool], act: Callable[[], object]) -> None:
        """Act once something is seen; not at all when it has not come within a second."""

        def watch() -> None:
            ends = time.monotonic() + 1
            while time.monotonic() < ends:
                if seen():
                    act()
                    return
                time.sleep(0.02)

        self._after(0, watch)

    def _recover(self) -> None:
        """End every fault, and count those that only now are known to have met something."""
        for timer in self._later:
            timer.join()
        self._later = []
        stage, faults = self.stage, self.outcome.faults
        self._count_failures()
        seen = counted(stage)
        faults.update({name: seen[name] - self._seen[name] for name in seen})
        self._seen = seen
        stage.links.heal()
        stage.scene.controls.clear_failures()
        self._pubsub(lambda failures: failures.clear())
        faults["crash point fired"] += stage.fleet.recover()[1]
        stage.pair.attach()
        stage.fleet.await_workers()

    def _count_failures(self) -> None:
        """Count the calls that failed: what was planned, less what is still to come."""
        for failure in self.stage.scene.controls.failures():
            self._failing[failure["mode"]] -= failure["count"]
        for mode, count in self._failing.items():
            self.outcome.faults[f"secrets {mode}"] += count
        self._failing = Counter()


def counted(stage: Stage) -> Counter[str]:
    """Return what the relays have counted so far."""
    links, faults = stage.links, Counter[str]()
    for relay in (links.primary, links.secrets, links.publish, links.push):
        counts = relay.counts()
        for name in ("commit answer lost", "commit request lost", "request cut", "begin late"):
            faults[name] += counts[name]
    return faults


def _by_person(mode: str) -> dict[str, str]:
    return {
        "eventType": "ROTATION_REQUEST",
        "mode": mode,
        "request_id": uuid.uuid4().hex[:12],
        "reason": "chaos",
    }


def make_target(stage: Stage, schedule: Schedule) -> Target:
    """Create a database and a secret whose policy points to the relays."""
    links = stage.links
    issuer = {
        "port": links.primary.port,
        "replicas": [links.replica.address],
        "connect_timeout": 2,
        "lock_timeout": 1,
        "statement_timeout": 2,
        "replica_timeout": 3,
    }
    target = Target(
        stage.scene,
        issuer=issuer,
        secret={"topics": [{"name": stage.stack.topic}]},
        soak=f"{SOAK.total_seconds():.0f}s",
        retire={"observe": schedule.observe, "destroy_after": "1h"},
    )
    stage.pair.await_replay()
    return target


def remove(stage: Stage, target: Target) -> None:
    """Delete secrets, database and roles."""
    target.delete()
    with suppress(AssertionError):
        wait_until(stage.scene.idle, "no delivery is owed", 5)
    with stage.pair.primary.connect() as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{target.database}" WITH (FORCE)')  # type: ignore[call-overload]
        for role in (*target.slots, target.owner, target.rotator):
            connection.execute(f'DROP ROLE IF EXISTS "{role}"')  # type: ignore[call-overload]
