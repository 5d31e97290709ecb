"""A consumer that never stops: reads alias ``current`` with Google's client and logs in with it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.stack.scene import wait_until
from tests.support.stack.target import Target


class Prober:
    """Logs in again and again on a thread of its own."""

    def __init__(self, target: Target, *, rereads: bool) -> None:
        self._target = target
        self._rereads = rereads
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
        before = self.logins + len(self.failures)
        wait_until(
            lambda: self.logins + len(self.failures) >= before + 2, "the consumer looks again"
        )

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            try:
                self._probe()
                self.logins += 1
            except Exception as error:  # noqa: BLE001 - whatever stops a consumer is what is looked for
                self.failures.append(f"{type(error).__name__}: {error}")

    def _probe(self) -> None:
        payload = self._current()
        try:
            works = self._target.works(payload)
        except psycopg.OperationalError:
            renewed = self._current()
            if not self._rereads or renewed == payload:
                raise
            works = self._target.works(renewed)
        if not works:
            raise AssertionError("another identity")

    def _current(self) -> dict[str, Any]:
        name = f"{self._target.name}/versions/current"
        answer = self._target.scene.client.access_secret_version(name=name)
        return dict(json.loads(answer.payload.data))


@contextmanager
def probing(target: Target, *, rereads: bool = False) -> Iterator[Prober]:
    """Probe while entered; fails at the end unless every single probe has worked.

    Args:
        target: Whose credential.
        rereads: Reads once more when the login is refused: where the credential just read may be
            withdrawn at once, as in a revert.
    """
    prober = Prober(target, rereads=rereads)
    prober.start()
    try:
        prober.beat()
        yield prober
        prober.beat()
    finally:
        prober.stop()
    if prober.failures:
        raise AssertionError(f"{len(prober.failures)} logins failed: {prober.failures[:3]}")
