"""Consumers that never stop logging in, on direct connections: of `current`, `latest`, pinned ones.

1. They read with Google's client by a door of their own, and log in to the server itself: a fault
   on a link of the function's is none of theirs.
2. A server that is down is no refusal: it is counted apart.
3. A refusal is kept with everything needed to judge it; no password is kept.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import psycopg
from google.api_core.exceptions import GoogleAPICallError

from rotation.local.postgres import PostgresServer
from tests.crash.history import Key, key_of
from tests.crash.stage import Stage
from tests.support.stack.scene import wait_until
from tests.support.stack.target import REFUSALS, Target

#: Seconds between two probes of one consumer.
_PAUSE = 0.02


class Trouble(Enum):
    """What stopped a consumer."""

    #: The server answered the login, and the answer was no.
    REFUSED = "login refused"
    #: Secret Manager answered, and there is nothing to read.
    UNREADABLE = "version unreadable"
    #: The login worked and is somebody else.
    STRANGER = "another identity"


@dataclass(frozen=True)
class Incident:
    """One probe that failed for the credential's sake."""

    consumer: str
    trouble: Trouble
    #: Version number that was read; 0: none could be.
    version: int
    credential: Key
    #: When it was read, when the login began, and when the answer came.
    read: float
    began: float
    ended: float
    #: The stack's time of the answer.
    clock: datetime

    def __str__(self) -> str:
        return f"{self.consumer}: {self.trouble.value}, version {self.version}"


class Consumer:
    """One consumer on a thread of its own."""

    def __init__(
        self, stage: Stage, target: Target, name: str, server: Callable[[], PostgresServer | None]
    ) -> None:
        self.name = name
        #: What is read: an alias, or a version number.
        self.bound = name.partition(" ")[0]
        self.incidents: list[Incident] = []
        self.counts: Counter[str] = Counter()
        self._stage, self._target, self._server = stage, target, server
        self._read_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def probes(self) -> int:
        return self.counts["probes"]

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE):
            self._probe()
            self.counts["probes"] += 1

    def _probe(self) -> None:
        server = self._server()
        if server is None:
            return
        began, bound = time.monotonic(), self.bound
        # What a pinned consumer cannot read is known by its number all the same.
        version, payload = int(bound) if bound.isdecimal() else 0, dict[str, Any]()
        try:
            version, payload = self._read(bound)
            trouble = None if self._logs_in(server, payload) else Trouble.STRANGER
        except GoogleAPICallError:
            trouble = Trouble.UNREADABLE
        except psycopg.OperationalError as error:
            trouble = Trouble.REFUSED if any(w in str(error) for w in REFUSALS) else None
            self.counts["server down"] += trouble is None
        else:
            self.counts["logins"] += trouble is None
        if trouble is not None:
            self._keep(trouble, version, payload, began)

    def _read(self, bound: str) -> tuple[int, dict[str, Any]]:
        name = f"{self._target.name}/versions/{bound}"
        answer = self._stage.scene.client.access_secret_version(name=name, timeout=10)
        self._read_at = time.monotonic()
        return int(answer.name.rpartition("/")[2]), dict(json.loads(answer.payload.data))

    def _logs_in(self, server: PostgresServer, payload: dict[str, Any]) -> bool:
        here = {**payload, "host": server.host, "port": server.port}
        with closing(self._target.connect(here)) as session:
            row = session.execute("SELECT current_user::text").fetchone()
        return row == (self._target.owner,)

    def _keep(self, trouble: Trouble, version: int, payload: dict[str, Any], began: float) -> None:
        self.incidents.append(
            Incident(
                consumer=self.name,
                trouble=trouble,
                version=version,
                credential=key_of(payload) if payload else "",
                read=began,
                began=self._read_at if payload else began,
                ended=time.monotonic(),
                clock=self._stage.stack.services.clock.now(),
            )
        )


class Consumers:
    """All consumers of one secret."""

    def __init__(self, stage: Stage, target: Target) -> None:
        self._target = target
        pair = stage.pair

        def primary() -> PostgresServer:
            return pair.primary

        def standby() -> PostgresServer | None:
            return pair.standby

        self.pinned = Consumer(stage, target, "pinned", primary)
        self.all = [
            Consumer(stage, target, "current", primary),
            Consumer(stage, target, "current on the replica", standby),
            Consumer(stage, target, "latest", primary),
            self.pinned,
        ]
        self.pin()

    def pin(self) -> None:
        """Deploy the version in force to the pinned consumer."""
        self.pinned.bound = str(self._target.current)

    def beat(self) -> None:
        """Return when each has looked twice more: the second time, all of it after this call."""
        before = [consumer.probes for consumer in self.all]
        wait_until(
            lambda: all(
                consumer.probes >= n + 2 for consumer, n in zip(self.all, before, strict=True)
            ),
            "each consumer looks again",
            120,
        )

    @property
    def incidents(self) -> list[Incident]:
        return sorted(
            (i for consumer in self.all for i in consumer.incidents), key=lambda i: i.ended
        )

    @property
    def counts(self) -> Counter[str]:
        return sum((consumer.counts for consumer in self.all), Counter())


@contextmanager
def consuming(stage: Stage, target: Target) -> Iterator[Consumers]:
    """Have consumers while entered."""
    consumers = Consumers(stage, target)
    for consumer in consumers.all:
        consumer.start()
    try:
        yield consumers
    finally:
        for consumer in consumers.all:
            consumer.stop()
