"""What the contract suite needs from a place that hosts a repository.

To run the suite against another host, write a `World` for it and add it to ``WORLDS`` of the
conftest beside this file.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from rotation.model.errors import TemporaryError
from rotation.model.names import SecretName
from rotation.model.plugin import Change
from rotation.model.rollout import Answer, Move, Progress, Vote
from rotation.ports.participant import OutsideParticipant

PATH = "deploy/canary.yaml"
CONTENT = b"""# What the canary runs with.
db_version: "3"  # {"$rotation": "acme-prod/orders-db"}
api_version: "7"  # {"$rotation": "acme-prod/api-key"}
replicas: 3
"""
FILES: Mapping[str, bytes] = {PATH: CONTENT, "README.md": b"The shop\n"}
DB = SecretName("acme-prod", "orders-db")
API = SecretName("acme-prod", "api-key")
MOVE = Move(DB, "20261124t120000-ab12", "canary", Change(previous=3, next=4))
API_MOVE = Move(API, "20261124t120500-cd34", "canary", Change(previous=7, next=8))
#: What the base holds after the move.
MOVED = CONTENT.replace(b'"3"', b'"4"')
_ROUNDS = 15

Result = TypeVar("Result", Vote, Progress)


class World(Protocol):
    """A repository with `FILES` on ``main``, its host, and the people who work with it."""

    #: Whether there are requests that people can see, close and merge.
    has_requests: bool

    def participant(self, **settings: Any) -> OutsideParticipant:
        """Return a fresh object, as another process would make it."""

    def head(self, branch: str) -> str | None: ...

    def branches(self) -> set[str]:
        """Return all branches but the base."""

    def read(self, branch: str, path: str) -> bytes | None: ...

    def push(self, branch: str, files: Mapping[str, bytes | None], message: str) -> str:
        """Do what a person does: add a commit; None deletes a file."""

    def settle(self) -> None:
        """Let some time pass at the host."""


def until_settled(world: World, call: Callable[[], Result]) -> Result:
    """Call until the answer is none to wait for; the last one when it stays so."""
    result = None
    for _round in range(_ROUNDS):
        try:
            result = call()
        except TemporaryError:
            continue
        finally:
            world.settle()
        if result.answer is not Answer.WAIT:
            return result
    assert result is not None, "nothing but temporary errors"
    return result


def prepared(world: World, move: Move = MOVE, **settings: Any) -> Vote:
    return until_settled(world, lambda: world.participant(**settings).prepare(move))


def committed(world: World, move: Move = MOVE, **settings: Any) -> Progress:
    return until_settled(world, lambda: world.participant(**settings).commit(move))


def reverted(world: World, move: Move = MOVE, **settings: Any) -> Progress:
    return until_settled(world, lambda: world.participant(**settings).revert(move))


def aborted(world: World, move: Move = MOVE, **settings: Any) -> None:
    for _round in range(_ROUNDS):
        try:
            return world.participant(**settings).abort(move)
        except TemporaryError:
            world.settle()
    raise AssertionError("abort never ends")


def with_versions(previous: int | None, following: int) -> Move:
    return replace(MOVE, change=Change(previous, following))
