"""Plays the rounds of the drill and keeps the story of everything that failed.

Rules of this module:
  1. The clock leaves the soak only when every consumer has moved, pinned ones by a deployment.
  2. Whether the previous credential may go is the function's decision; it is asked again as often
     as it finds a session.
  3. In an emergency the operator does one thing beside asking for it: PgBouncer's clients are
     ended, since the database does not know them.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rotation.engine import codec
from rotation.local.demo.consumers import ConsumerReport, Consumers, Member, Tally
from rotation.local.demo.director import WAITS, Director, reached
from rotation.local.demo.emergency import Intruder
from rotation.local.demo.narrator import Claim
from rotation.local.demo.wire import Failure, Pace
from rotation.local.demo.world import World
from tests.drill.findings import DIRECT, POOLED, Emergency, Findings, Story, path_of
from tests.drill.pooler import Pooler

_PROCESSES: Final = 4
_BINDINGS: Final = ("current", "current", "latest", "pinned")
#: 32 consumers on two cores: some 600 queries and 20 logins a second.
PACE: Final = Pace(think=0.05, read_every=0.4, log_in_every=1.5)


def roster(pooler: str, count: int = 32) -> list[list[Member]]:
    """Return the consumers by process: half through the pooler, every binding on both paths."""
    members = [
        Member(
            f"consumer-{number + 1:02}",
            _BINDINGS[number // 2 % len(_BINDINGS)],
            pooler if number % 2 else "",
            PACE,
        )
        for number in range(count)
    ]
    return [members[first::_PROCESSES] for first in range(_PROCESSES)]


class Watched(Consumers):
    """Consumers of which every failure is kept until it is taken."""

    def __init__(self, folder: Path, groups: Sequence[Sequence[Member]]) -> None:
        super().__init__(folder, groups)
        self._failures: list[tuple[Member, Failure]] = []

    def taken(self) -> list[tuple[Member, Failure]]:
        """Return what has failed since the last call, oldest first."""
        taken, self._failures = self._failures, []
        return sorted(taken, key=lambda pair: pair[1].at)

    def _ask(self, pins: dict[str, int]) -> list[ConsumerReport]:
        reports = super()._ask(pins)
        self._failures += [(entry.member, one) for entry in reports for one in entry.report.recent]
        return reports


class Quiet:
    """A narrator for a long drill: nothing is printed, the last lines are kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def scene(self, title: str) -> None:
        self.line(f"== {title}")

    def line(self, text: str) -> None:
        self.lines.append(f"{time.strftime('%H:%M:%S')} {text}")
        del self.lines[:-60]

    def claim(self, claim: Claim) -> None:
        self.line(f"{claim.text}: {claim.detail}")


class Conductor:
    """One drill.

    Args:
        world: Where.
        consumers: Who must not notice.
        pooler: What half of them log in through.
        findings: Where to write what was found.
        at: Called at every moment of a round, with its name.
    """

    def __init__(
        self,
        world: World,
        consumers: Watched,
        pooler: Pooler,
        findings: Findings,
        at: Callable[[str], None],
    ) -> None:
        self.world = world
        self.findings = findings
        self.narrator = Quiet()
        self.director = Director(world, consumers, self.narrator, codec.POLICY)
        self._consumers = consumers
        self._pooler = pooler
        self._at = at
        self._moments: list[tuple[float, str]] = [(0.0, "before the first rotation")]

    def routine(self, number: int) -> None:
        """Play one routine rotation, from the request to the destroyed version."""
        name = f"rotation {number}"
        began, version = time.monotonic(), self.world.current() + 1
        self._mark(name, "preparing")
        self._ask(mode="routine")
        self.director.await_phase("soaking")
        self._mark(name, "soaking")
        self._move(version)
        self._settle(name, "soaking")
        self._close(version, None)
        self.findings.routine_seconds.append(time.monotonic() - began)

    def emergency(self, number: int) -> None:
        """Play one emergency, until everybody is back and the leaked version is destroyed."""
        name = f"emergency {number}"
        began, leaked = time.monotonic(), self.world.current()
        self._mark(name, "before the request")
        with (
            Intruder(self.world, leaked) as direct,
            Intruder(self.world, leaked, self._pooler.address) as pooled,
        ):
            self.director.wait("a direct login", lambda: direct.logins > 0)
            self.director.wait("a pooled login", lambda: pooled.logins > 0)
            emergency = Emergency(leaked, time.monotonic())
            self.findings.emergencies.append(emergency)
            self._mark(name, "asked")
            self._ask(mode="emergency")
            self.director.await_phase("destroying")
            self._mark(name, "revoked")
            self._clear_pooler(emergency)
            self._consumers.deploy(leaked + 1)
            emergency.deployed = time.monotonic()
            emergency.refused = {DIRECT: direct.await_refusal(), POOLED: pooled.await_refusal()}
            self._check_out(direct, pooled)
        self.director.await_moved(leaked + 1, pinned=True)
        emergency.recovered = time.monotonic()
        self._settle(name, "destroying")
        self._close(leaked + 1, emergency)
        self.findings.emergency_seconds.append(time.monotonic() - began)

    def drain(self, emergency: Emergency | None = None) -> None:
        """Judge everything that has failed so far."""
        reports = self._consumers.reports()
        work: dict[str, Tally] = {DIRECT: Tally(), POOLED: Tally()}
        for entry in reports:
            work[path_of(entry.member)] += Tally.of(entry.report)
        self.findings.work = work
        for member, failure in self._consumers.taken():
            on_purpose = emergency is not None and emergency.is_on_purpose(member, failure)
            late = emergency is not None and emergency.is_late(member, failure)
            moment = self._moment_of(failure)
            self.findings.stories.append(Story(member, failure, moment, on_purpose, late))

    def _move(self, version: int) -> None:
        self.director.await_moved(version, pinned=False)
        self._consumers.deploy(version)
        self.director.await_moved(version, pinned=True)

    def _ask(self, mode: str) -> None:
        self.director.publish(**self.world.request(mode=mode, reason="drill", requested_by="drill"))

    def _settle(self, name: str, phase: str) -> None:
        while phase != "settled":
            self.director.move_clock(WAITS[phase])
            entry = self.director.await_phase(*WAITS, "settled")
            self.findings.held_up += "still use" in str(entry["message"])
            phase = reached(entry)
            self._mark(name, phase)

    def _clear_pooler(self, emergency: Emergency) -> None:
        """End PgBouncer's clients: it would go on serving whoever has logged in once."""

        def begins() -> None:
            emergency.cleared_from = time.monotonic()

        self._pooler.replace(begins)
        emergency.cleared_until = time.monotonic()

    def _check_out(self, *intruders: Intruder) -> None:
        for intruder, path in zip(intruders, (DIRECT, POOLED), strict=True):
            if not (intruder.is_out() and intruder.still_refused()):
                self._fault(f"the leaked credential still works, {path}")

    def _close(self, version: int, emergency: Emergency | None) -> None:
        """Judge the round: one version more, in force, and the one before it destroyed."""
        states, current = self.world.versions(), self.world.current()
        enabled = [number for number, state in states.items() if state == "ENABLED"]
        if (current, enabled, states[version - 1]) != (version, [version], "DESTROYED"):
            self._fault(f"version {version} is not the only one in force: {enabled}, {current}")
        if not self._pooler.is_alive:
            self._fault("PgBouncer has crashed")
        self.drain(emergency)

    def _fault(self, what: str) -> None:
        self.findings.faults.append(f"{self._moments[-1][1]}: {what}")

    def _mark(self, name: str, phase: str) -> None:
        moment = f"{name}, {phase}"
        self._moments.append((time.monotonic(), moment))
        self._at(moment)

    def _moment_of(self, failure: Failure) -> str:
        return [moment for began, moment in self._moments if began <= failure.at][-1]
