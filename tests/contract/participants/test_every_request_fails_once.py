"""A whole rotation in which every request fails the first time it is made.

Before the server did anything, or after it did and the answer was lost: the rotation only takes
longer.
"""

from collections.abc import Callable

import pytest

from rotation.model.errors import TemporaryError
from rotation.model.rollout import Answer
from tests.contract.participants.host_worlds import SiteWorld, site_world
from tests.contract.participants.subject import CONTENT, MOVE, MOVED, PATH, Result
from tests.support.hosting.serving import Request, Response, Trouble

pytestmark = pytest.mark.spread

#: More than the requests of any call.
_ROUNDS = 200
TROUBLES: dict[str, Response | Trouble] = {
    "reset": "reset",
    "unheard": "unheard",
    "503": Response(503),
}


class FirstTime:
    """Matches every request once in every state of the branches."""

    def __init__(self, world: SiteWorld) -> None:
        self._bare = world.site.bare
        self.requests: set[tuple[str, str, str, bytes, str]] = set()

    def __call__(self, request: Request) -> bool:
        state = self._bare.git("for-each-ref")
        key = (request.method, request.path, request.raw_query, request.body, state)
        is_new = key not in self.requests
        self.requests.add(key)
        return is_new


def carried_on(call: Callable[[], Result]) -> Result:
    """Call until it is done."""
    for _round in range(_ROUNDS):
        try:
            result = call()
        except TemporaryError:
            continue
        assert result.answer is not Answer.NO, result
        if result.answer is Answer.DONE:
            return result
    raise AssertionError("it never ends")


def contents(world: SiteWorld) -> list[bytes]:
    """What consumers got, the newest last."""
    found: list[bytes] = []
    for oid in world.site.bare.git("rev-list", "--reverse", "--first-parent", "main").split():
        content = world.site.bare.file(oid, PATH)
        if not found or found[-1] != content:
            found.append(content)
    return found


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("kind", ["http", "gitlab", "gitea"])
def test_rotation_and_revert_end_as_if_nothing_had_failed(kind: str, trouble: str) -> None:
    with site_world(kind)() as world:
        first_time = FirstTime(world)
        assert world.site.server is not None
        world.site.server.fail(TROUBLES[trouble], first_time, times=None)
        carried_on(lambda: world.participant().prepare(MOVE))
        assert contents(world) == [CONTENT]
        carried_on(lambda: world.participant().commit(MOVE))
        assert contents(world) == [CONTENT, MOVED]
        carried_on(lambda: world.participant().revert(MOVE))
        assert contents(world) == [CONTENT, MOVED, CONTENT]
        for _round in range(_ROUNDS):
            try:
                world.participant().retire(MOVE)
                break
            except TemporaryError:
                continue
        assert world.branches() == set()
        assert len(first_time.requests) > 20
        if world.site.forge:
            assert [pull.state for pull in world.site.forge.pulls] == ["merged", "merged"]
