"""Carry out the faults of a schedule, end them all again, and count those that met something.

1. A fault counts as injected only if it has met something: a connection, a process, a call.
2. What ends by itself (a stop, a black hole) is ended by a timer; `recover` waits for all of them.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from tests.crash.fleet import UNNOTICED, Instance
from tests.crash.proxy import Ending
from tests.crash.schedule import Step
from tests.crash.stage import LEASE, Stage
from tests.support.stack.target import Target

#: What relays count of the faults that wait for something to meet.
_MET = ("commit answer lost", "commit request lost", "request cut", "begin late")


class Faults:
    """Everything that goes wrong with one secret.

    Args:
        stage: Where.
        target: The secret whose rotator loses its sessions.
        tell: Takes what happens by itself, for the log.
    """

    def __init__(self, stage: Stage, target: Target, tell: Callable[[str], None]) -> None:
        self.stage = stage
        self.injected: Counter[str] = Counter()
        self._target, self._tell = target, tell
        self._met = _met(stage)
        #: Calls that are to fail, by mode.
        self._failing: Counter[str] = Counter()
        self._later: list[threading.Timer] = []
        #: How long a worker stays stopped at a crash point, by instance.
        self._held: dict[int, float] = {}
        self.actions: Mapping[str, Callable[[Step], None]] = {
            "lease-ends": lambda _: self.end_lease(),
            "kill-worker": self._kill_worker,
            "kill-instance": self._kill_instance,
            "arm": self._arm,
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

    def end_lease(self) -> None:
        """Move the clock past any lease, and let the sweep wake whoever is due."""
        self.stage.stack.advance(LEASE + timedelta(seconds=1))
        self.stage.scene.sweep()

    def _hit(self, step: Step, times: int = 1) -> None:
        if times:
            self.injected[step.kind] += 1

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

    def _arm(self, step: Step) -> None:
        """Have an instance that is interrupted at a crash point, before anything else happens."""
        instance = self._instance(step)
        instance.replace(step.arguments["armed"])
        self._held[id(instance)] = step.arguments["seconds"]
        instance.join()

    def _stop(self, step: Step) -> None:
        instance = self._instance(step)
        if not instance.stop():
            return
        self._hit(step)
        self._after(UNNOTICED, lambda: self.stage.fleet.cut_off(instance))
        self._after(step.arguments["seconds"], lambda: self._resume(instance))
        if step.arguments["past_lease"]:
            self._after(UNNOTICED, self.end_lease)

    def _resume(self, instance: Instance) -> None:
        if instance.resume():
            self._tell("resumed")
        instance.is_serving = True

    def look_for_stopped(self) -> None:
        """Do with workers that a crash point has stopped what `_stop` does with others."""
        for instance in self.stage.fleet.instances:
            if instance.is_serving and instance.stopped() and instance.disarm():
                self.injected["stop at a crash point"] += 1
                self._tell("a crash point has stopped a worker")
                self.stage.fleet.cut_off(instance)
                self.end_lease()
                held = self._held[id(instance)]
                self._after(held, lambda stopped=instance: self._resume(stopped))  # type: ignore[misc]

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
        before = relay.counts()["begin late"]
        relay.hold_begin(step.arguments["seconds"])
        if step.arguments["past_lease"]:
            self._when(lambda: relay.counts()["begin late"] > before, self.end_lease)

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
        self._pubsub(lambda pubsub: pubsub.lose_acks(step.arguments["count"], subscription))
        self._hit(step)

    def _pubsub(self, change: Callable[[Any], None]) -> None:
        self.stage.scene.call(lambda running: change(running.broker.failures))

    def _end_sessions(self, step: Step) -> None:
        self._hit(step, self.stage.pair.end_sessions(self._target.rotator))

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

    def _when(self, condition: Callable[[], bool], act: Callable[[], object]) -> None:
        """Act once something is seen; not at all when it has not come within a second."""

        def watch() -> None:
            ends = time.monotonic() + 1
            while time.monotonic() < ends:
                if condition():
                    act()
                    return
                time.sleep(0.02)

        self._after(0, watch)

    def recover(self) -> None:
        """End every fault, and count those that only now are known to have met something."""
        for timer in self._later:
            timer.join()
        self._later = []
        stage, faults = self.stage, self.injected
        self._count_failures()
        met = _met(stage)
        faults.update({name: met[name] - self._met[name] for name in _MET})
        self._met = met
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
            self.injected[f"secrets {mode}"] += count
        self._failing = Counter()


def _met(stage: Stage) -> Counter[str]:
    links, met = stage.links, Counter[str]()
    for relay in (links.primary, links.secrets, links.publish, links.push):
        counts = relay.counts()
        met.update({name: counts[name] for name in _MET})
    return met
