"""A consumer that never stops: reads alias ``current`` with Google's client and logs in with it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.acceptance.scene import wait_until
from tests.acceptance.target import Target


class Prober:
    """Logs in again and again on a thread of its own."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stop = threading.Event()
        self.logins = 0
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._run, name="prober")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def beat(self) -> None:
        """Return when two more probes are over: the last of them began after this call."""
        seen = self.logins + len(self.failures)
        wait_until(lambda: self.logins + len(self.failures) >= seen + 2, "the consumer looks again")

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            try:
                assert self._target.works(self._current()), "another identity"
                self.logins += 1
            except Exception as error:  # noqa: BLE001 - whatever stops a consumer is what is looked for
                self.failures.append(f"{type(error).__name__}: {error}")

    def _current(self) -> dict[str, Any]:
        name = f"{self._target.name}/versions/current"
        answer = self._target.scene.client.access_secret_version(name=name)
        return dict(json.loads(answer.payload.data))


@contextmanager
def probing(target: Target) -> Iterator[Prober]:
    """Probe while entered; fails at the end unless every single probe has worked."""
    prober = Prober(target)
    prober.start()
    try:
        prober.beat()
        yield prober
        prober.beat()
    finally:
        prober.stop()
    assert prober.failures == []
