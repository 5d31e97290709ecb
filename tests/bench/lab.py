"""Everything the bench measures against: PostgreSQL, the services' process, and secrets.

1. PostgreSQL is a real server with fsync on, as the peer's was; nothing is logged unless asked.
2. All secrets share one database, owner and rotator; each has two slots of its own.
3. Time is moved, never slept through; what is stored is read from the store itself.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from psycopg import sql

from rotation.emulator.clock import MovableClock
from rotation.emulator.secretmanager.controls import Controls
from rotation.local.postgres.rotatable import create_rotatable_database, slot_statements
from rotation.local.postgres.server import PostgresServer
from rotation.local.stack.keys import key_file
from rotation.local.stack.targets import TargetsFile, postgresql_target
from tests.bench.server import OPTIONS, Call

DATABASE, OWNER, ROTATOR = "bench", "bench_owner", "bench_rotator"
TARGET = "bench-db"
ADMIN = f"projects/{OPTIONS.project}/secrets/bench-admin"
TIMES = {"soak": "1h", "retire": {"observe": "1m", "destroy_after": "1h"}}
#: Counts every login and statement.
LOGGED = {"log_statement": "all", "log_connections": "on"}
_POSTGRES = {"fsync": "on", "max_connections": "500"}
_ROOT = Path(__file__).parent.parent.parent


class Services:
    """The services' process."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.server", str(folder)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addresses: dict[str, str] = self.ask("addresses")

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, do: str, **command: Any) -> Any:
        """Have one command carried out; return what it answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **command}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


class Lab:
    """A running bench; a context manager."""

    def __init__(self, **postgres_settings: str) -> None:
        self._settings = {**_POSTGRES, **postgres_settings}
        self._parts = ExitStack()
        self._numbers = iter(range(1, 1_000_000))
        self.folder = Path()
        #: Of a relay in front of the database, for functions that start from then on; 0: its own.
        self.port = 0

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            folder = parts.enter_context(tempfile.TemporaryDirectory(prefix="rotation-bench-"))
            self.folder = Path(folder)
            self.folder.chmod(0o755)  # PostgreSQL may have to run as another user
            self.postgres = parts.enter_context(
                PostgresServer(self.folder / "postgres", settings=self._settings)
            )
            self.services = Services(self.folder)
            parts.callback(self.services.close)
            self.controls = parts.enter_context(Controls(self.services.addresses["rest"]))
            self.clock = MovableClock(self.folder / "clock")
            self._create_database()
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._parts.close()

    def environment(self) -> dict[str, str]:
        """Return what the function runs with."""
        addresses = self.services.addresses
        targets = TargetsFile(self.folder)
        targets.write({TARGET: self._target()})
        return {
            "ROTATION_PROJECT": OPTIONS.project,
            "ROTATION_PROJECT_NUMBER": str(OPTIONS.project_number),
            "ROTATION_TARGETS": str(targets.path),
            "ROTATION_TOPIC": OPTIONS.topic_name,
            "ROTATION_PUSH_AUDIENCE": OPTIONS.push_audience,
            "ROTATION_PUSH_ACCOUNT": OPTIONS.push_account,
            "ROTATION_EMBEDDED_CERTIFICATES": addresses["certificates"],
            "SECRET_MANAGER_ENDPOINT": addresses["grpc"],
            "PUBSUB_EMULATOR_HOST": addresses["pubsub"],
            "ROTATION_CLOCK_FILE": str(self.folder / "clock"),
            "ROTATION_CHECK_SECONDS": "0",
            "ROTATION_KEYS": str(key_file(self.folder)),
        }

    def authorization(self) -> str:
        """Return the header by which the embedded push proves itself."""
        return f"Bearer {self.services.ask('token')}"

    def calls(self) -> list[Call]:
        """Return the calls of Secret Manager since the last look."""
        return [Call(*service) for service in self.services.ask("calls")]

    def secrets(
        self,
        count: int,
        *,
        in_force: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Make secrets that were never rotated, with their slots; return their ids.

        Args:
            count: How many.
            labels: Of each.
            in_force: Password of the first slot in a first version; empty: there is no version.
        """
        ids = [f"s{number}" for number, _ in zip(self._numbers, range(count), strict=False)]
        self._create_slots(ids)
        policies = {secret_id: self.policy(secret_id) for secret_id in ids}
        made: list[dict[str, Any]] = [
            {
                "secret_id": secret_id,
                "annotations": {"rotation.policy": json.dumps(policy)},
                "labels": dict(labels or {}),
            }
            for secret_id, policy in policies.items()
        ]
        if in_force:
            for secret in made:
                secret["payload"] = self.payload(secret["secret_id"], in_force)
        self.services.ask("create", made=made)
        return ids

    def payload(self, secret_id: str, password: str) -> dict[str, Any]:
        """Return what consumers of the first slot read."""
        return {
            "engine": "postgres",
            "host": self.postgres.host,
            "port": self.postgres.port,
            "dbname": DATABASE,
            "username": f"{secret_id}_a",
            "password": password,
        }

    def policy(self, secret_id: str) -> Mapping[str, Any]:
        slots = [f"{secret_id}_a", f"{secret_id}_b"]
        issuer = {"kind": "postgresql", "target": TARGET, "slots": slots, "owner": OWNER}
        return {"issuer": issuer, **TIMES}

    def _target(self) -> dict[str, Any]:
        target = postgresql_target(
            self.postgres,
            DATABASE,
            owner=OWNER,
            roles=["s*_a", "s*_b"],
            admin=ADMIN,
            secrets=[full_name("s*")],
        )
        return {**target, "port": self.port or self.postgres.port}

    @contextmanager
    def latency(self, seconds: float) -> Iterator[None]:
        """Have every call of Secret Manager answered so much later."""
        switched = self.controls.set_failure("latency", seconds=seconds) if seconds else None
        try:
            yield
        finally:
            if switched is not None:
                self.controls.clear_failures(switched)

    def advance(self, step: timedelta) -> None:
        self.clock.advance(step)

    def _create_database(self) -> None:
        login = create_rotatable_database(
            self.postgres, DATABASE, OWNER, ("bench_a", "bench_b"), ROTATOR
        )
        admin = {"secret_id": "bench-admin", "annotations": {}, "payload": login}
        self.services.ask("create", made=[admin])

    def _create_slots(self, ids: list[str]) -> None:
        statements = slot_statements(self.postgres.binaries.major)
        with self.postgres.connect() as connection, connection.transaction():
            for secret_id in ids:
                names = {
                    "first": sql.Identifier(f"{secret_id}_a"),
                    "second": sql.Identifier(f"{secret_id}_b"),
                    "owner": sql.Identifier(OWNER),
                    "rotator": sql.Identifier(ROTATOR),
                }
                for statement in statements:
                    connection.execute(sql.SQL(statement).format(**names))


def full_name(secret_id: str) -> str:
    return f"projects/{OPTIONS.project}/secrets/{secret_id}"


def cpu_seconds(*pids: int) -> float:
    """Return the processor time of some processes so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
