"""What every scene needs: tell and await the function's phases, move time, count, claim.

Rules of this module:
  1. Time is moved to where the policy says that something happens next, never further.
  2. The clock leaves the soak only when every consumer has moved: that is what a soak is for.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from rotation.local.demo.consumers import Consumers, Tally
from rotation.local.demo.functionlog import Entry, FunctionLog
from rotation.local.demo.narrator import Claim, Narrator
from rotation.local.demo.world import DESTROY_AFTER, OBSERVE, SOAK, World, await_that

#: A wait's end is stored in whole seconds, rounded up.
_ROUNDING: Final = timedelta(seconds=2)
#: By how much to move the clock in a phase that waits; looks come four to the watch.
WAITS: Final = {
    "soaking": SOAK + _ROUNDING,
    "suspending": OBSERVE / 4 + _ROUNDING,
    "observing": OBSERVE / 4 + _ROUNDING,
    "destroying": DESTROY_AFTER + _ROUNDING,
}
#: A shorter wait is not worth a number.
_AT_ONCE: Final = 0.1
_ALARMS: Final = frozenset({"WARNING", "ERROR", "CRITICAL"})
#: Calls of the sweep, which serves all secrets at once.
_SWEEP: Final = "ListSecrets"


@dataclass
class Findings:
    """What was measured on the way, for the summary."""

    claims: list[Claim] = field(default_factory=list)
    #: Calls of Secret Manager until the next version was in force, by rotation.
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    #: What consumers did while nothing was meant to fail, and during the emergency.
    routine: Tally = field(default_factory=Tally)
    emergency: Tally = field(default_factory=Tally)
    #: Seconds from the emergency request to the database's refusal of the old credential.
    refused_after: float | None = None


class Director:
    """Runs the world for the scenes."""

    def __init__(
        self, world: World, consumers: Consumers, narrator: Narrator, policy_key: str
    ) -> None:
        self.world = world
        self.consumers = consumers
        self.policy_key = policy_key
        self.findings = Findings()
        #: What else is searched at the end, by name.
        self.kept: dict[str, bytes] = {}
        self._narrator = narrator
        self._log = FunctionLog(world.stack.function.log, self._tell)
        self._warned: set[str] = set()
        self._is_brief = False

    def scene(self, title: str) -> None:
        """Begin a scene."""
        self._log.forget()
        self._narrator.scene(title)

    def line(self, text: str) -> None:
        """Tell one event."""
        self._narrator.line(text)

    def claim(self, text: str, detail: str = "", *, held: bool) -> None:
        """Judge one claim."""
        claim = Claim(text, held, detail)
        self.findings.claims.append(claim)
        self._narrator.claim(claim)

    def claim_unnoticed(self, during: str, before: Tally) -> None:
        """Claim that nothing has failed since ``before``."""
        did = self.consumers.tally() - before
        self.findings.routine += did
        detail = (
            f"{did.queries} queries and {did.logins} logins; failed: {did.failed_queries} queries,"
            f" {did.failed_logins} logins, {did.failed_reads} reads"
        )
        if did.failures:
            detail += f" ({self._kinds()})"
        self.claim(f"nobody noticed {during}", detail, held=did.queries > 0 and not did.failures)

    def remember_passwords(self, passwords: Mapping[str, str]) -> None:
        """Have further passwords searched for at the end."""
        self.world.further.update(passwords)

    def keep_for_search(self, name: str, text: bytes) -> None:
        """Have something searched at the end that will be gone by then."""
        self.kept[name] = text

    def publish(self, **attributes: str) -> None:
        """Publish one message to the function's topic."""
        self.world.stack.publish(**attributes)

    def count_from_here(self) -> None:
        """Set the counters of the function's calls to zero."""
        self.world.stack.controls.reset_calls()

    def counted(self, rotation: str = "") -> dict[str, int]:
        """Return the function's calls by method; kept for the summary under a name."""
        calls = self.world.stack.controls.calls()
        calls.pop(_SWEEP, None)
        if rotation:
            self.findings.calls[rotation] = calls
        return calls

    def move_clock(self, step: timedelta) -> None:
        """Move the clock of Secret Manager, Pub/Sub and the function."""
        self.world.stack.advance(step)
        if not self._is_brief:
            self.line(f"the clock moves {in_words(step)}")

    def await_phase(self, *phases: str, seconds: float = 60.0) -> Entry:
        """Tell what the function does until it has reached one of the phases."""
        what = f"the phase {' or '.join(phases)}"
        return self._log.await_entry(what, lambda entry: reached(entry) in phases, seconds)

    def await_claimed(self) -> Entry:
        """Tell what the function does until it has taken the lease."""
        return self._log.await_entry(
            "a claim", lambda entry: str(entry["message"]).endswith(": claimed")
        )

    def await_sweep(self) -> None:
        """Wait until the function has swept."""
        self._log.await_entry("a sweep", lambda entry: str(entry["message"]).startswith("sweep:"))

    def await_moved(self, version: int, *, pinned: bool) -> None:
        """Wait until the consumers use a version; pinned ones only where they got it."""

        def moved() -> bool:
            self._log.catch_up()
            reports = [
                report
                for report in self.consumers.reports()
                if pinned or report.binding != "pinned"
            ]
            return all(entry.report.version == version for entry in reports)

        who = "all consumers" if pinned else "consumers of current and latest"
        seconds = await_that(f"{who} moving to version {version}", moved)
        later = f"{seconds:.1f} s later" if seconds >= _AT_ONCE else "at once"
        self.line(f"{who} use version {version}, {later}")

    def deploy(self, version: int) -> None:
        """Deploy a version number to the pinned consumers."""
        self.consumers.deploy(version)
        self.line(f"version {version} is deployed to the pinned consumers")

    def settle(self, since: str = "soaking", *, brief: bool = False) -> None:
        """Move the clock from wait to wait until the rotation has settled.

        Args:
            since: Phase that waits now.
            brief: Tell only the beginning, the end and what goes wrong.
        """
        phase, began = since, self.world.now()
        self._is_brief = brief
        while phase != "settled":
            self.move_clock(WAITS[phase])
            phase = reached(self.await_phase(*WAITS, "settled"))
        self._is_brief = False
        if brief:
            passed = in_words(self.world.now() - began)
            self.line(f"the clock moves {passed}, wait by wait; function: {since} -> settled")

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = 30.0) -> float:
        """Wait for a condition and tell meanwhile what the function does."""

        def look() -> bool:
            self._log.catch_up()
            return condition()

        return await_that(what, look, seconds)

    def _tell(self, entry: Entry) -> None:
        text, severity = str(entry["message"]), entry.get("severity")
        if severity in _ALARMS and text not in self._warned:
            # The same complaint comes with every delivery.
            self._warned.add(text)
            self.line(f"function: {text}")
        elif severity == "NOTICE" and not self._is_brief:
            self.line(f"function: {text}{_in_detail(entry)}")

    def _kinds(self) -> str:
        kinds: dict[str, int] = {}
        for report in self.consumers.reports():
            for kind, count in report.report.failures.items():
                kinds[f"{report.binding} {kind}"] = kinds.get(f"{report.binding} {kind}", 0) + count
        return ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long ago that was."""
        return time.monotonic() - self._began


def reached(entry: Entry) -> str:
    """Return the phase an entry says was reached; empty when it is about something else."""
    return str(entry.get("phase", "")) if " -> " in str(entry["message"]) else ""


def in_words(step: timedelta) -> str:
    """Spell a step of the clock, without the seconds that rounding takes."""
    minutes = int(step.total_seconds()) // 60
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "a few seconds"


def by_method(calls: dict[str, Any]) -> str:
    """Spell calls by method."""
    return ", ".join(f"{method} {count}" for method, count in sorted(calls.items())) or "none"


def _in_detail(entry: Entry) -> str:
    token, took = entry.get("token"), entry.get("duration_ms")
    parts = [f"token {token}"] if token and str(entry["message"]).endswith("claimed") else []
    parts += [f"{took:.0f} ms"] if isinstance(took, float) else []
    return f" ({', '.join(parts)})" if parts else ""
