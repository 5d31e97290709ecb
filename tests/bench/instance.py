"""The function's application in this process, without HTTP: what a handler costs.

1. It is built as `rotation.local.served` builds it, from an environment: with the lab's clock.
2. A delivery that is not acknowledged fails the bench: a figure of something that did not work
   says nothing.
"""

import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from msgspec.structs import replace

from rotation.engine.gather import Threads
from rotation.engine.pool import IssuerPool
from rotation.engine.worker import Worker
from rotation.google.journal import CloudJournal
from rotation.google.publisher import PubSubPublisher
from rotation.google.secret_manager import SecretManager
from rotation.local import embedded
from rotation.machine.requests import PRIVILEGED
from tests.bench.lab import Lab, full_name
from tests.bench.server import OPTIONS, Call

_MESSAGES = itertools.count(1)


class StrictJournal(CloudJournal):
    """Writes as on Google Cloud, and remembers what a person would be called for."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def note(self, severity: str, message: str, **fields: str | float | None) -> None:
        super().note(severity, message, **fields)
        if severity == "ERROR":
            self.errors.append(message)


class Instance:
    """One instance of the function."""

    def __init__(self, lab: Lab, **environment: str) -> None:
        self._lab = lab
        self._authorization = lab.authorization()
        self.application = embedded.make_application({**lab.environment(), **environment})
        sys.excepthook = sys.__excepthook__  # the bench's own faults are for people
        os.environ["PUBSUB_EMULATOR_HOST"] = lab.services.addresses["pubsub"]
        self._journal = StrictJournal()
        self.application._journal = self._journal
        self.worker._parts = replace(self.worker._parts, journal=self._journal)

    @property
    def worker(self) -> Worker:
        return self.application._worker

    @property
    def store(self) -> SecretManager:
        store = self.worker._parts.tools.store
        assert isinstance(store, SecretManager)
        return store

    @property
    def issuers(self) -> IssuerPool:
        return self.worker._parts.plugins.issuers

    def forget(self) -> None:
        """Be cold again: no admin connection, no admin credential."""
        self.issuers.close()

    def deliver(self, **attributes: str) -> None:
        """Handle one message."""
        body = self.body(**attributes)
        _, status = self.application.handle("application/json", body, self._authorization)
        assert status == 204, f"answered {status}: {attributes}"
        assert not self._journal.errors, self._journal.errors[-1]

    def body(self, **attributes: str) -> bytes:
        stamp = self._lab.clock.now().isoformat().replace("+00:00", "Z")
        message_id = f"bench-{next(_MESSAGES)}"
        message = {"attributes": attributes, "messageId": message_id, "publishTime": stamp}
        privileged = attributes.get("mode") in {ask.value for ask in PRIVILEGED}
        name = OPTIONS.emergency_subscription_name if privileged else OPTIONS.subscription_name
        return json.dumps({"message": message, "subscription": name}).encode()

    def fire(self, secret_id: str) -> None:
        """Handle Google's own message, which starts a rotation."""
        self.deliver(eventType="SECRET_ROTATE", secretId=full_name(secret_id))

    def wake(self, secret_id: str) -> None:
        self.deliver(eventType="ROTATION_WAKE", secretId=full_name(secret_id), reason="bench")

    def settle(self, ids: Sequence[str]) -> None:
        """Let all the time pass that rotations take."""
        for _ in range(20):
            stored = self._lab.services.ask("stored")
            waiting = [
                secret_id for secret_id in ids if "rotation_phase" in stored[secret_id]["labels"]
            ]
            if not waiting:
                return
            self._lab.advance(timedelta(hours=1, seconds=1))
            for secret_id in waiting:
                self.wake(secret_id)
        raise AssertionError(f"never settled: {waiting[:3]}")

    def close(self) -> None:
        parts = self.worker._parts
        self.store.close()
        self.issuers.close()
        assert isinstance(parts.publisher, PubSubPublisher)
        parts.publisher.close()
        assert isinstance(parts.tools.gather, Threads)
        parts.tools.gather.close()


@contextmanager
def instance(lab: Lab, **environment: str) -> Iterator[Instance]:
    running = Instance(lab, **environment)
    try:
        yield running
    finally:
        running.close()


def depth(calls: Sequence[Call]) -> int:
    """Return how many calls came one after the other: the longest chain without an overlap."""
    longest: list[tuple[float, int]] = []
    for _, arrived, answered, _ in sorted(calls, key=lambda call: call.answered):
        before = max((length for end, length in longest if end <= arrived), default=0)
        longest.append((answered, before + 1))
    return max((length for _, length in longest), default=0)
