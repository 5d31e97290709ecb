"""Any order of rotations, refusals, reads and borrowers: who borrows gets what works, no leaks.

The rules a rotating pool keeps, against a model of one secret: where the source points, which
versions the server refuses, and who has borrowed what.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from rotation.client import Credentials, Rotating
from rotation.model.errors import TemporaryError

from .profiles import profile

VERSIONS = st.integers(1, 6)
SECRET = "projects/acme/secrets/orders"


class RefusedError(Exception):
    def __init__(self) -> None:
        super().__init__("password authentication failed for user")


@dataclass
class Server:
    """Which versions log in; each borrower needs a login of its own."""

    refused: set[int] = field(default_factory=set)
    sessions: int = 0

    def log_in(self, version: int) -> None:
        if version in self.refused:
            raise RefusedError


@dataclass
class Pool:
    server: Server
    version: int
    lent: int = 0
    is_closed: bool = False

    @contextmanager
    def connection(self) -> Iterator[int]:
        assert not self.is_closed, "a closed pool was asked"
        self.server.log_in(self.version)
        self.lent += 1
        try:
            yield self.version
        finally:
            self.lent -= 1

    def close(self) -> None:
        self.is_closed = True


class RotatingPool(RuleBasedStateMachine):
    borrowers: Bundle[ExitStack] = Bundle("borrowers")

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.pointer = 1
        self.is_away = False
        self.now = 0.0
        self.pools: list[Pool] = []
        self.open_stacks: list[ExitStack] = []
        self.pool = Rotating(self, self.open_pool, read_every=3600.0, monotonic=lambda: self.now)

    def read(self) -> Credentials:
        if self.is_away:
            raise TemporaryError("away")
        payload = b'{"username": "u%d", "password": "p"}' % self.pointer
        return Credentials(payload, secret=SECRET, version=self.pointer)

    def open_pool(self, credentials: Credentials) -> Pool:
        version = credentials.version or 0
        self.server.log_in(version)
        self.pools.append(Pool(self.server, version))
        return self.pools[-1]

    @property
    def current(self) -> int:
        usage = self.pool.usage()
        assert usage is not None
        return usage.held.version or 0

    @initialize()
    def open(self) -> None:
        self.pool.open()

    @rule(version=VERSIONS)
    def point(self, version: int) -> None:
        self.pointer = version

    @rule(version=VERSIONS)
    def suspend(self, version: int) -> None:
        self.server.refused.add(version)

    @rule(version=VERSIONS)
    def restore(self, version: int) -> None:
        self.server.refused.discard(version)

    @rule(away=st.booleans())
    def switch_source(self, *, away: bool) -> None:
        self.is_away = away

    @rule(seconds=st.sampled_from([0.1, 1.0, 30.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def refresh(self) -> None:
        before = self.current
        moved = self.pool.refresh()
        if self.is_away or self.pointer in self.server.refused:
            assert not moved
            assert self.current == before
        else:
            assert self.current == self.pointer
            usage = self.pool.usage()
            assert usage is not None
            assert usage.failure is None

    @rule(target=borrowers)
    def borrow(self) -> object:
        could = self.current not in self.server.refused
        stack = ExitStack()
        try:
            version = stack.enter_context(self.pool.connection())
        except RefusedError:
            assert not could
            return multiple()
        assert version not in self.server.refused
        self.open_stacks.append(stack)
        return stack

    @precondition(lambda self: not self.is_away and self.pointer not in self.server.refused)
    @rule()
    def borrow_after_a_pause_when_the_source_has_what_works(self) -> None:
        self.now += 1000.0
        with self.pool.connection() as version:
            assert version not in self.server.refused

    @rule(stack=consumes(borrowers))
    def give_back(self, stack: ExitStack) -> None:
        self.open_stacks.remove(stack)
        stack.close()

    @invariant()
    def only_one_pool_lends_and_the_others_are_closed(self) -> None:
        lending = [pool for pool in self.pools if not pool.is_closed]
        if self.pool.usage() is not None:
            assert [pool.version for pool in lending] == [self.current]

    @invariant()
    def who_drains_is_said(self) -> None:
        busy = sorted(pool.version for pool in self.pools if pool.lent and pool.is_closed)
        assert sorted(held.version or 0 for held in self.pool.draining()) == busy

    def teardown(self) -> None:
        for stack in self.open_stacks:
            stack.close()
        self.pool.close()
        assert all(pool.is_closed and not pool.lent for pool in self.pools)
        assert self.pool.draining() == ()


TestRotatingPool = RotatingPool.TestCase
TestRotatingPool.settings = profile(60, stateful_step_count=30)
