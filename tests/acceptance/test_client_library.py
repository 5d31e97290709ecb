"""An application that uses `rotation.client`, while the function rotates its credential."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rotation.client import Rotating, SecretManagerSource, serve_report
from rotation.client.psycopg import rotating
from rotation.gates.consumers import ConsumersGate, ConsumersSettings
from rotation.model.names import SecretName
from rotation.model.plugin import Change
from rotation.model.rollout import Look
from tests.contract.gates.subjects import environment, watch
from tests.support.stack.scene import PROJECT, PROJECT_NUMBER, wait_until
from tests.support.stack.target import Target


@dataclass
class Application:
    """Two threads that query without pause."""

    pool: Rotating[Any]
    queries: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def version(self) -> int | None:
        usage = self.pool.usage()
        return usage.held.version if usage else None

    def beat(self) -> None:
        """Let it do some work."""
        before = self.queries
        wait_until(lambda: self.queries > before + 20, "the application works")

    def work(self, stop: threading.Event) -> None:
        while not stop.wait(0.005):
            try:
                with self.pool.connection() as connection:
                    connection.execute("SELECT 1").fetchone()
            except Exception as error:  # noqa: BLE001 - none is expected
                self.failures.append(f"{type(error).__name__}: {error}")
            self.queries += 1


@contextmanager
def running(pool: Rotating[Any]) -> Iterator[Application]:
    application, stop = Application(pool), threading.Event()
    threads = [threading.Thread(target=application.work, args=(stop,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield application
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def gate_says(target: Target, url: str, change: Change) -> Look:
    numbers = {PROJECT: str(PROJECT_NUMBER)}
    gate = ConsumersGate(ConsumersSettings(urls=(url,)), environment(project_number=numbers.get))
    secret, now = SecretName.parse(target.name), datetime.now(UTC)
    return gate.check(watch(secret=secret, change=change, now=now)).look


def test_it_notices_nothing_of_two_rotations_and_reports_each(target: Target) -> None:
    endpoint = target.scene.stack.services.secret_manager_grpc
    source = SecretManagerSource(target.name, endpoint=endpoint)
    with (
        rotating(source, read_every=0.2, application_name="library") as pool,
        serve_report(pool) as url,
        running(pool) as application,
    ):
        for number in (2, 3):
            change, replaced = Change(number - 1, number), target.payload(number - 1)
            assert gate_says(target, url, change) is Look.WAIT
            target.rotate()
            wait_until(lambda number=number: application.version == number, "it has moved")  # type: ignore[misc]
            assert gate_says(target, url, change) is Look.PASS
            target.settle(application.beat)
            target.assert_settled(current=number, previous=number - 1)
            application.beat()
            assert target.refused(replaced)
    assert application.failures == []
    source.close()
