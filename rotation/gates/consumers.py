"""Declared consumers say themselves which version they use.

The contract is deploy/docs/consumers.md; `rotation.client` speaks it.

Rules of this module:
  1. A consumer has arrived when a fresh report says that it opens new connections with the next
     version, everywhere it uses the secret.
  2. A fresh report that the next version was tried and refused, or fails at work, fails the gate,
     whatever ``share`` is; that nobody answered does not: it says nothing about the credential.
  3. A report that is old, or ahead of time, or of another shape does not count as an observation.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import ClassVar, Final

from rotation.gates._fetch import fetch_all
from rotation.gates._location import location_of
from rotation.gates._reach import Reach, permissions
from rotation.gates._reports import Report, Unread, read_report
from rotation.gates._wording import listed, reason_of
from rotation.kit.net.location import Location
from rotation.model.consumer import Held, Usage
from rotation.model.errors import BadNameError, PolicyError, RotationError
from rotation.model.names import SecretName
from rotation.model.permission import FailureMode, NotNeeded, On, Permission
from rotation.model.plugin import GateSpec
from rotation.model.rollout import Verdict, Watch
from rotation.ports.gate import GateEnvironment

_MOST_CONSUMERS: Final = 100
_LONGEST_FRESHNESS: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class ConsumersTarget(Reach):
    """Consumers that may be asked."""

    #: Where each consumer reports.  One URL is one consumer: name instances, not a load balancer.
    urls: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.urls) <= _MOST_CONSUMERS:
            raise PolicyError(f"urls must be 1 to {_MOST_CONSUMERS}")
        if len(set(self.urls)) < len(self.urls):
            raise PolicyError("urls must differ: one is there twice")
        for index, location in enumerate(self.locations):
            self.check_secrecy(location, f"urls[{index}]")

    def reaches(self) -> str:
        """Say which host is asked, and with what."""
        return self.hosts_asked(*self.locations)

    @property
    def locations(self) -> tuple[Location, ...]:
        """Where to look."""
        return tuple(location_of(url, f"urls[{n}]") for n, url in enumerate(self.urls))


@dataclass(frozen=True, kw_only=True)
class ConsumersSettings(ConsumersTarget):
    """A ``consumers`` gate, without ``kind``."""

    #: How large a share of them must have arrived.
    share: float = 1.0
    #: How old a report may be.
    fresh_for: timedelta = timedelta(minutes=5)
    #: Name the consumers report the secret under; empty: its own.
    secret: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise PolicyError("share must be above 0 and at most 1")
        if not timedelta(seconds=1) <= self.fresh_for <= _LONGEST_FRESHNESS:
            raise PolicyError("fresh_for must be between 1s and 1h")
        if self.secret:
            _parsed(self.secret)


class ConsumerState(Enum):
    """Where a consumer is on its way, in the order of the message."""

    FAILING = "cannot use"
    UNKNOWN = "not seen"
    LATE = "not yet there"
    ARRIVED = "arrived"


class ConsumersGate:
    """Waits until declared consumers report the next version; fails when one cannot use it."""

    spec: ClassVar[GateSpec] = GateSpec(
        name="consumers",
        title="Versions that consumers report",
        does="asks which version each declared consumer says it uses, and whether it could use "
        "the next one (contract rotation.consumer/1)",
        settings=ConsumersSettings,
        permissions=(
            *permissions("the consumers' Cloud Run services"),
            Permission(
                "secretmanager.secrets.list",
                On.PROJECT,
                "learn the project's number, since reports may name a secret by id or by number",
                which="the function's own project",
            ),
        ),
        permissions_not_needed=(
            NotNeeded(
                "secretmanager.versions.access on the secret that is rotated",
                "consumers say which version they use, never its payload",
            ),
        ),
        network=("every consumer's host, from where the function runs",),
        failure_modes=(
            FailureMode(
                "a consumer does not answer, or its report is old", "it waits, and names it"
            ),
            FailureMode(
                "a consumer reports that it could not use the next version",
                "it fails: every participant goes back",
            ),
        ),
        guide="gates.md#consumers",
    )

    def __init__(self, settings: ConsumersSettings, environment: GateEnvironment) -> None:
        self._settings = settings
        self._environment = environment

    def check(self, watch: Watch) -> Verdict:
        """Ask every consumer now."""
        settings, environment = self._settings, self._environment
        try:
            asked = settings.requests(environment, settings.locations)
        except RotationError as error:
            return Verdict.wait(f"consumers are not asked: {reason_of(error)}")
        secret = _parsed(settings.secret) if settings.secret else watch.secret
        outcomes = fetch_all(asked, settings.timeout.total_seconds())
        by_state: dict[ConsumerState, list[str]] = defaultdict(list)
        for location, outcome in zip(settings.locations, outcomes, strict=True):
            report = read_report(outcome, secret, environment.project_number)
            state, what = self._place(report, watch)
            by_state[state].append(f"{location} ({what})")
        return self._judge(by_state, watch)

    def _place(self, report: Report | Unread, watch: Watch) -> tuple[ConsumerState, str]:
        if isinstance(report, Unread):
            return ConsumerState.UNKNOWN, report.reason
        age = watch.now - report.reported_at
        if abs(age) > self._settings.fresh_for:
            when = "old" if age > timedelta(0) else "ahead of time"
            return ConsumerState.UNKNOWN, f"its report is {abs(age).total_seconds():.0f} s {when}"
        return min(
            (_state_of(usage, watch) for usage in report.usages),
            key=lambda placed: list(ConsumerState).index(placed[0]),
        )

    def _judge(self, by_state: dict[ConsumerState, list[str]], watch: Watch) -> Verdict:
        total, arrived = len(self._settings.urls), len(by_state[ConsumerState.ARRIVED])
        failing, version = by_state[ConsumerState.FAILING], f"version {watch.change.next}"
        if failing:
            return Verdict.failed(
                f"{len(failing)} of {total} cannot use {version}: {listed(failing)}"
            )
        counts = f"{arrived} of {total} consumers use {version}"
        missing = [
            f"{state.value}: {listed(by_state[state])}"
            for state in (ConsumerState.LATE, ConsumerState.UNKNOWN)
            if by_state[state]
        ]
        summary = "; ".join([counts, *missing])
        if arrived < self._settings.share * total:
            return Verdict.wait(summary)
        return Verdict.passed(summary)


def _state_of(usage: Usage, watch: Watch) -> tuple[ConsumerState, str]:
    failure = usage.failure
    if failure and failure.trouble.condemns and _is_next(failure.held, watch):
        return ConsumerState.FAILING, failure.trouble.value
    if not _is_next(usage.held, watch):
        return ConsumerState.LATE, _named(usage.held)
    # Its newest sessions use it, and others could not be opened: not well yet.
    if failure and _is_next(failure.held, watch):
        return ConsumerState.LATE, failure.trouble.value
    return ConsumerState.ARRIVED, _named(usage.held)


def _is_next(held: Held, watch: Watch) -> bool:
    if held.version is not None:
        return held.version == watch.change.next
    return held.rotation_id == watch.rotation_id


def _named(held: Held) -> str:
    return f"version {held.version}" if held.version is not None else "a version without number"


def _parsed(name: str) -> SecretName:
    try:
        return SecretName.parse(name)
    except BadNameError:
        raise PolicyError("secret must be projects/PROJECT/secrets/SECRET") from None


GATE = ConsumersGate
