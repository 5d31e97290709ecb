"""The processes of the function, the balancer's choice among them, and ways to hurt them.

1. A request goes to the processes in use in turn, as Cloud Run spreads them over its instances; a
   stopped one, or one that starts, gets none.
2. A stopped process is cut off from its callers: the message it works on is delivered again
   elsewhere, and it goes on with it later, a zombie.
3. Only processes started here are signalled, by their ids.
"""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from rotation.local.stack import FunctionProcess
from tests.crash.proxy import Ending, Relay
from tests.support.stack.scene import wait_until

#: Seconds until the balancer notices that an instance does not answer.
UNNOTICED = 0.15
#: Seconds gunicorn may take to notice a dead worker and start another, on a busy machine.
RESPAWN = 90.0


class Instance:
    """One functions-framework process with one worker below it."""

    def __init__(self, process: FunctionProcess, markers: Path) -> None:
        self.process = process
        self.is_serving = True
        self._markers = markers
        self._marker: Path | None = None
        self._restart: threading.Thread | None = None
        #: Steps and timers look at the processes from several threads.
        self._lock = threading.Lock()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.process.port)

    def kill_worker(self) -> int:
        """Kill what handles deliveries; the framework starts another."""
        with self._lock:
            return sum(_send(pid, signal.SIGKILL) for pid in self.process.children())

    def replace(self, armed: str) -> None:
        """Kill every process of the instance and start it anew, beside whatever goes on.

        Args:
            armed: Crash point and action of the new one; empty for none.
        """
        self.join()
        self.is_serving = False
        with self._lock:
            self.process.kill()
        environment = {}
        if armed:
            self._marker = self._markers / f"fired-{time.monotonic_ns()}"
            environment = {
                "ROTATION_CRASH_AT": armed,
                "ROTATION_CRASH_MARKER": str(self._marker),
            }
        self._restart = threading.Thread(target=self._start, args=(environment,))
        self._restart.start()

    def _start(self, environment: Mapping[str, str]) -> None:
        self.process.start(**environment)
        self.is_serving = True

    def join(self) -> None:
        """Return when the instance is not being replaced any more."""
        if self._restart is not None:
            self._restart.join()
            self._restart = None

    def stop(self) -> list[int]:
        """Stop what handles deliveries; return the ids."""
        with self._lock:
            return [pid for pid in self.process.children() if _send(pid, signal.SIGSTOP)]

    def stopped(self) -> list[int]:
        """Return the ids that are stopped, by whatever."""
        with self._lock, suppress(FileNotFoundError, ProcessLookupError):
            return list(self.process.stopped_children())
        return []

    def resume(self) -> int:
        """Let what is stopped go on; return how many processes that were."""
        return sum(_send(pid, signal.SIGCONT) for pid in self.stopped())

    def disarm(self) -> bool:
        """Have no crash point fire from now on; return whether one has."""
        marker, self._marker = self._marker, None
        if marker is None:
            return False
        fired = marker.exists()
        marker.touch()
        return fired


class Fleet:
    """Every instance; the first few are in use."""

    def __init__(self, instances: list[Instance], push: Relay) -> None:
        self.instances = instances
        self._push = push
        self._used = instances
        self._turns = itertools.count()
        push.balance(self._choose)

    def use(self, count: int) -> None:
        """Serve with so many."""
        self._used = self.instances[:count]

    def cut_off(self, instance: Instance) -> None:
        """Send nothing more to an instance, and reset what it is asked now."""
        instance.is_serving = False
        self._push.cut(Ending.RESET, instance.address)

    def recover(self) -> tuple[int, int]:
        """Have every instance as it was; return how many were resumed, and armed ones that fired.

        An armed worker may stop while this looks, so it is disarmed first.
        """
        fired = resumed = 0
        for instance in self.instances:
            instance.join()
            fired += instance.disarm()
            resumed += instance.resume()
            instance.is_serving = True
        return resumed, fired

    def await_workers(self) -> None:
        """Return when each instance has a worker again."""
        for instance in self.instances:
            there = partial(instance.process.children)
            wait_until(there, "a worker is there", seconds=RESPAWN)

    def _choose(self) -> tuple[str, int] | None:
        serving = [instance for instance in self._used if instance.is_serving]
        if not serving:
            return None
        return serving[next(self._turns) % len(serving)].address


@contextmanager
def fleet(
    first: FunctionProcess, environment: Mapping[str, str], push: Relay, count: int
) -> Iterator[Fleet]:
    """Run ``count`` processes in all, the first of which runs already."""
    folder = first.log.parent
    processes = [first, *(FunctionProcess(environment, first.log) for _ in range(count - 1))]
    starting = [threading.Thread(target=process.start) for process in processes[1:]]
    try:
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        yield Fleet([Instance(process, folder) for process in processes], push)
    finally:
        for process in processes[1:]:
            process.stop()


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
