"""A worker is killed at each message it sends to its system, and another one makes the same call.

The repeat succeeds, and there is no second effect: either nothing had changed when the worker was
killed, or all had, and then the repeat leaves what is stored as it is, byte for byte.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
import pytest

from rotation.model.payload import Payload
from rotation.ports.issuer import Composes, Issuer, Suspends
from tests.contract.issuers.holding import ALL, HALF, NONE, Holding
from tests.contract.issuers.subject import Killable, Subject
from tests.contract.issuers.worker import worker
from tests.support.minting import minting


@pytest.fixture
def killable(subject: Subject) -> Killable:
    if not isinstance(subject, Killable):
        pytest.skip("there is no system outside to be killed in the middle of a change of")
    return subject


@pytest.fixture
def issuer(subject: Subject) -> Iterator[Issuer]:
    issuer = subject.issuer()
    yield issuer
    issuer.close()


def is_killed_at(killable: Killable, number: int, share: float, **call: Any) -> bool:
    """Kill a worker at a message of its call; false: it has fewer of them, and succeeded."""
    with Holding(killable.port) as holding:
        errand = msgspec.structs.replace(killable.errand(holding.port), **call)
        with worker(errand) as process:
            holding.hold(number, share)
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
            while not holding.reached.wait(0.01):
                if process.poll() is not None:
                    assert process.returncode == 0
                    return False
    return True


class Walk:
    """One kill after another, at every message of a call that is made again and again."""

    def __init__(self, subject: Killable, handle: str, share: float) -> None:
        self._subject, self._handle, self._share = subject, handle, share
        self._number = 0
        self._before: object = None
        self._killed: list[object] = []
        #: Kills after which everything was stored already.
        self.late = 0

    def kill(self, **call: Any) -> bool:
        """Kill a worker at the next message; false: the walk is over."""
        self._number += 1
        self._before = self._subject.stored(self._handle)
        is_killed = is_killed_at(
            self._subject, self._number, self._share, handle=self._handle, **call
        )
        if is_killed:
            self._killed.append(self._subject.stored(self._handle))
        return is_killed

    def check_repeat(self) -> None:
        """Fail unless the kill left nothing or everything, and the repeat did the rest once."""
        killed, now = self._killed[-1], self._subject.stored(self._handle)
        assert now != self._before
        assert killed in (self._before, now)
        self.late += killed == now

    def check_walked(self) -> None:
        """Fail where the walk was none: it met no message, or no effect to repeat."""
        assert len(self._killed) > 1
        assert self.late or self._share != ALL


@pytest.fixture(params=[NONE, HALF, ALL], ids=["before", "in-the-middle-of", "after"])
def walk(request: pytest.FixtureRequest, killable: Killable, issuer: Issuer) -> Walk:
    return Walk(killable, issuer.next_handle(None, "r1"), request.param)


def propose(issuer: Issuer, handle: str, token: int) -> Payload:
    if not isinstance(issuer, Composes):
        pytest.skip("the system makes the value")
    return issuer.propose(handle, f"r{token}", None)


def test_a_killed_mint_is_repeated(subject: Subject, issuer: Issuer, walk: Walk) -> None:
    handle = issuer.next_handle(None, "r1")
    for token in count(1):
        candidate = propose(issuer, handle, token)
        if not walk.kill(call="mint", token=token, candidate=candidate.reveal()):
            break
        issuer.mint(minting(handle, candidate, token, token))
        assert subject.works(candidate)
        walk.check_repeat()
    walk.check_walked()


def test_a_killed_suspend_is_repeated(subject: Subject, issuer: Issuer, walk: Walk) -> None:
    if not isinstance(issuer, Suspends):
        pytest.skip("it cannot suspend")
    handle = issuer.next_handle(None, "r1")
    payload = propose(issuer, handle, 1)
    issuer.mint(minting(handle, payload, 1, 1))
    with subject.session(payload) as session:
        for token in count(2):
            if not walk.kill(call="suspend", token=token):
                break
            issuer.suspend(handle, token)
            assert not subject.works(payload)
            walk.check_repeat()
            issuer.restore(handle, token)
            assert subject.works(payload)
        assert subject.is_alive(session)
    walk.check_walked()


def test_a_killed_revoke_is_repeated(subject: Subject, issuer: Issuer, walk: Walk) -> None:
    handle = issuer.next_handle(None, "r1")
    for token in count(1):
        payload = propose(issuer, handle, token)
        issuer.mint(minting(handle, payload, token, token))
        with subject.session(payload) as session:
            if not walk.kill(call="revoke", token=token):
                break
            issuer.revoke(handle, token)
            assert not subject.is_alive(session)
        assert not subject.works(payload)
        walk.check_repeat()
        assert issuer.revoke(handle, token) == 0
    walk.check_walked()
