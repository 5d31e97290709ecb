"""The incidents: how each is staged, what its briefing says, what ends it, and how it is judged.

1. Staging changes the stack only; the briefing says what a person on call would know.
2. `missing` names everything that is not well yet; nothing missing ends the exercise.
3. ``moves`` are the right commands, for ``--auto`` and for who gives up.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

import psycopg

from rotation.local.drill.fleet import Fleet


class Scenario(Protocol):
    """One incident."""

    name: ClassVar[str]
    title: ClassVar[str]

    def stage(self, fleet: Fleet, ids: Sequence[str]) -> None:
        """Make it happen."""

    def is_staged(self, fleet: Fleet, ids: Sequence[str]) -> bool:
        """Whether the incident shows."""

    def briefing(self, ids: Sequence[str]) -> Iterator[str]:
        """Yield what the person on call knows."""

    def moves(self, ids: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield the right commands, each without the name of the program."""

    def missing(self, fleet: Fleet, ids: Sequence[str]) -> Iterator[str]:
        """Yield what is not well yet."""

    def files(self) -> dict[str, str]:
        """Return the files that the right commands need, by name."""

    def close(self) -> None:
        """End what was staged.  May be called twice."""


class Leak:
    """Credentials of the whole fleet were printed into a public log; somebody uses one."""

    name: ClassVar[str] = "leak"
    title: ClassVar[str] = "credentials leaked, and somebody else is logged in"

    def __init__(self) -> None:
        self._intruders: list[psycopg.Connection[tuple[Any, ...]]] = []

    def stage(self, fleet: Fleet, ids: Sequence[str]) -> None:
        """Log in as somebody else would."""
        self._intruders = [fleet.log_in(fleet.leaked[secret_id]) for secret_id in ids[:3]]

    def is_staged(self, fleet: Fleet, ids: Sequence[str]) -> bool:
        """Whether the incident shows."""
        return any(self.missing(fleet, ids))

    def briefing(self, ids: Sequence[str]) -> Iterator[str]:
        """Yield what the person on call knows."""
        yield f"the payloads of all {len(ids)} secrets were printed into a public build log"
        yield "sessions of application somebody-else are open in the database"
        yield "end it: no leaked credential may work, nobody else may be logged in,"
        yield "and every secret must have a credential that works"

    def moves(self, ids: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield one emergency over all."""
        del ids
        yield ("emergency", "--filter", "labels.exercise=yes", "--reason", "exercise", "--yes")

    def missing(self, fleet: Fleet, ids: Sequence[str]) -> Iterator[str]:
        """Yield what still works, and what does not."""
        works = [secret_id for secret_id in ids if fleet.can_log_in(fleet.leaked[secret_id])]
        if works:
            yield f"{len(works)} leaked credentials still work: {_some(works)}"
        dead = [secret_id for secret_id in ids if not fleet.can_log_in(fleet.current(secret_id))]
        if dead:
            yield f"{len(dead)} secrets have no credential that works: {_some(dead)}"
        if inside := sum(map(_is_inside, self._intruders)):
            yield f"{inside} sessions of somebody else are open"

    def files(self) -> dict[str, str]:
        """Return no file."""
        return {}

    def close(self) -> None:
        """Let the intruders go."""
        for intruder in self._intruders:
            with contextlib.suppress(psycopg.Error):
                intruder.close()


class Blocked:
    """A rotation cannot go on: the policy of one secret has a probe that nobody can run."""

    name: ClassVar[str] = "blocked"
    title: ClassVar[str] = "one secret is blocked, and its rotation is asked for"

    def __init__(self) -> None:
        self._policy = ""

    def stage(self, fleet: Fleet, ids: Sequence[str]) -> None:
        """Break one policy, and ask for a rotation under it."""
        self._policy = fleet.described(ids[0])["annotations"][fleet.policy_key]
        broken = json.loads(self._policy)
        broken["issuer"]["probes"] = ["SELECT 1 FROM nothing_of_this_name"]
        fleet.set_annotation(ids[0], fleet.policy_key, json.dumps(broken))
        name = f"projects/{fleet.stack.options.project}/secrets/{ids[0]}"
        fleet.stack.publish(eventType="ROTATION_REQUEST", secretId=name, reason="schedule")

    def is_staged(self, fleet: Fleet, ids: Sequence[str]) -> bool:
        """Whether the incident shows."""
        return "rotation_blocked" in fleet.described(ids[0]).get("labels", {})

    def briefing(self, ids: Sequence[str]) -> Iterator[str]:
        """Yield what the person on call knows."""
        yield f"an alert says that {ids[0]} is blocked since its policy was edited an hour ago"
        yield "the policies of the others have no probes, and its database has no tables"
        yield "end it: the secret rotates, and nothing is blocked any more"

    def moves(self, ids: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield the mended policy and the release."""
        file = "mended.json"
        yield ("policy", "apply", ids[0], file)
        yield ("unblock", ids[0])

    def missing(self, fleet: Fleet, ids: Sequence[str]) -> Iterator[str]:
        """Yield whether it is blocked, and whether it rotated."""
        found = fleet.described(ids[0])
        if "rotation_blocked" in found.get("labels", {}):
            yield f"{ids[0]} is blocked: {found['labels']['rotation_blocked']}"
        current = fleet.current(ids[0])
        if current["username"] == fleet.leaked[ids[0]]["username"]:
            yield f"{ids[0]} has not rotated"
        elif not fleet.can_log_in(current):
            yield f"{ids[0]} has no credential that works"

    def files(self) -> dict[str, str]:
        """Return the policy as it was."""
        return {"mended.json": self._policy}

    def close(self) -> None:
        """Leave nothing."""


class Revert:
    """A new version was just handed out, and consumers fail with it."""

    name: ClassVar[str] = "revert"
    title: ClassVar[str] = "consumers fail with the new version"

    def stage(self, fleet: Fleet, ids: Sequence[str]) -> None:
        """Rotate everything."""
        for secret_id in ids:
            name = f"projects/{fleet.stack.options.project}/secrets/{secret_id}"
            fleet.stack.publish(eventType="ROTATION_REQUEST", secretId=name, reason="schedule")

    def is_staged(self, fleet: Fleet, ids: Sequence[str]) -> bool:
        """Whether the incident shows."""
        users = {secret_id: fleet.current(secret_id)["username"] for secret_id in ids}
        return all(users[secret_id] != fleet.leaked[secret_id]["username"] for secret_id in ids)

    def briefing(self, ids: Sequence[str]) -> Iterator[str]:
        """Yield what the person on call knows."""
        yield f"all {len(ids)} secrets rotated a minute ago; since then the shop answers with 500"
        yield "the previous version still works, and the shop worked with it"
        yield "end it: consumers of every secret get the previous version again"

    def moves(self, ids: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield one revert over all."""
        del ids
        yield ("revert", "--filter", "labels.exercise=yes", "--reason", "exercise", "--yes")

    def missing(self, fleet: Fleet, ids: Sequence[str]) -> Iterator[str]:
        """Yield who has not gone back."""
        users = {secret_id: fleet.current(secret_id)["username"] for secret_id in ids}
        gone = [
            secret_id
            for secret_id in ids
            if users[secret_id] != fleet.leaked[secret_id]["username"]
        ]
        if gone:
            yield f"{len(gone)} secrets still hand out the new version: {_some(gone)}"

    def files(self) -> dict[str, str]:
        """Return no file."""
        return {}

    def close(self) -> None:
        """Leave nothing."""


SCENARIOS: dict[str, type[Leak] | type[Blocked] | type[Revert]] = {
    check.name: check for check in (Leak, Blocked, Revert)
}


def _is_inside(session: psycopg.Connection[tuple[Any, ...]]) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004 - a few
    return ", ".join(names[:3]) + more
