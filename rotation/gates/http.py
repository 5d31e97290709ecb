"""What a URL answers: its status, its body, or how often it errs.

Rules of this module:
  1. What was answered was observed.  A status of ``expect`` is good, any other 2xx and every 5xx
     is an error.
  2. 3xx and 4xx say that the question was wrong, by address or by rights: the gate cannot see,
     unless ``expect`` names the status.
  3. Silence (no such name, refused, time-out, TLS) does not count as an observation either;
     ``unreachable: fail`` makes it an error, for a URL that only consumers who suffer leave
     unanswered.
  4. A body that says otherwise is an error; one that says nothing (no JSON, no such place) does
     not count as an observation.
  5. It fails when the errors alone exceed ``max_error_rate``; it passes when they do not even with
     everything unseen counted among them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from rotation.gates._fetch import Silence, fetch_all
from rotation.gates._json import MISSING, UNREADABLE, check_pointer, read_json, resolve
from rotation.gates._location import location_of
from rotation.gates._reach import Reach, permissions
from rotation.gates._wording import counted, printable, reason_of, tallied
from rotation.kit.net.exchange import Reply
from rotation.kit.net.location import Location
from rotation.model.errors import PolicyError, RotationError
from rotation.model.permission import FailureMode, NotNeeded
from rotation.model.plugin import GateSpec
from rotation.model.rollout import Look, Verdict, Watch
from rotation.ports.gate import GateEnvironment

_MOST_PROBES: Final = 100
_MOST_BODY: Final = 20
_STATUSES: Final = range(200, 600)
_SERVER_ERRORS: Final = range(500, 600)
_SUCCESSES: Final = range(200, 300)

Scalar = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class HttpTarget(Reach):
    """A URL that may be asked."""

    #: What is asked, with GET.
    url: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_secrecy(self.location, "url")

    def reaches(self) -> str:
        """Say which host is asked, and with what."""
        return self.hosts_asked(self.location)

    @property
    def location(self) -> Location:
        """Where to look."""
        return location_of(self.url, "url")


@dataclass(frozen=True, kw_only=True)
class HttpSettings(HttpTarget):
    """An ``http`` gate, without ``kind``."""

    #: Statuses that are well.
    expect: tuple[int, ...] = (200,)
    #: What the JSON body must hold, by JSON Pointer; for example ``{"/status": "ok"}``.
    body: Mapping[str, Scalar] = field(default_factory=dict)
    #: How often to ask in one look.
    probes: int = 1
    #: Largest share of errors that is well.
    max_error_rate: float = 0.0
    #: Whether silence is an error, or just does not count.
    unreachable: Literal["wait", "fail"] = "wait"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.expect or not all(status in _STATUSES for status in self.expect):
            raise PolicyError("expect must be statuses between 200 and 599, at least one")
        if len(self.body) > _MOST_BODY:
            raise PolicyError(f"body must name at most {_MOST_BODY} places")
        for pointer in self.body:
            check_pointer(pointer, f"body {printable(pointer)!r}")
        if not 1 <= self.probes <= _MOST_PROBES:
            raise PolicyError(f"probes must be between 1 and {_MOST_PROBES}")
        if not 0 <= self.max_error_rate < 1:
            raise PolicyError("max_error_rate must be at least 0 and less than 1")


class HttpGate:
    """Waits until a URL answers well; fails when it answers with errors."""

    spec: ClassVar[GateSpec] = GateSpec(
        name="http",
        title="Health or error rate of a URL",
        does="looks at what a URL answers: its status, places in its JSON body, and the share of "
        "errors over several probes",
        settings=HttpSettings,
        permissions=permissions("the Cloud Run service of url"),
        permissions_not_needed=(
            NotNeeded(
                "secretmanager.versions.access on the secret that is rotated",
                "a URL is asked; the credential plays no part",
            ),
        ),
        network=("the URL's host, from where the function runs; redirects are not followed",),
        failure_modes=(
            FailureMode(
                "refused, redirected, or an answer that makes no sense",
                "it waits: that says nothing about health",
            ),
            FailureMode("no answer", "it waits, or fails with `unreachable: fail`"),
            FailureMode(
                "more errors than `max_error_rate`", "it fails: every participant goes back"
            ),
        ),
        guide="gates.md#http",
    )

    def __init__(self, settings: HttpSettings, environment: GateEnvironment) -> None:
        self._settings = settings
        self._environment = environment

    def check(self, watch: Watch) -> Verdict:  # noqa: ARG002 - a URL's health is nobody's in particular
        """Ask the URL now."""
        settings, location = self._settings, self._settings.location
        try:
            asked = settings.requests(self._environment, [location], wants_body=bool(settings.body))
        except RotationError as error:
            return Verdict.wait(f"{location} is not asked: {reason_of(error)}")
        outcomes = fetch_all(asked * settings.probes, settings.timeout.total_seconds())
        return self._judge([self._probe(outcome) for outcome in outcomes])

    def _probe(self, outcome: Reply | Silence) -> tuple[Look, str]:
        settings = self._settings
        if isinstance(outcome, Silence):
            look = Look.FAIL if settings.unreachable == "fail" else Look.WAIT
            return look, outcome.reason
        message = f"status {outcome.status}"
        if outcome.status in settings.expect:
            return self._read(outcome.body) if settings.body else (Look.PASS, message)
        if outcome.status in _SUCCESSES or outcome.status in _SERVER_ERRORS:
            return Look.FAIL, message
        return Look.WAIT, message

    def _read(self, body: bytes) -> tuple[Look, str]:
        value = read_json(body)
        if value is UNREADABLE:
            return Look.WAIT, "a body that is not valid JSON"
        look, message = Look.PASS, "the body as wished"
        for pointer, wished in self._settings.body.items():
            found = resolve(value, pointer)
            if found is MISSING:
                look, message = Look.WAIT, f"a body without {printable(pointer)}"
            elif not _equal(found, wished):
                return Look.FAIL, f"another {printable(pointer) or 'body'} than wished"
        return look, message

    def _judge(self, probes: list[tuple[Look, str]]) -> Verdict:
        settings, looks = self._settings, Counter(look for look, _ in probes)
        errors, unseen = looks[Look.FAIL], looks[Look.WAIT]
        most = settings.max_error_rate * len(probes)
        message = f"{settings.location}: {tallied(message for _, message in probes)}"
        if len(probes) > 1 and errors:
            message += f"; {counted(errors, 'error')} in {len(probes)} probes, {most:.3g} allowed"
        if errors > most:
            return Verdict.failed(message)
        if errors + unseen > most:
            return Verdict.wait(message)
        return Verdict.passed(message)


def _equal(found: object, wished: Scalar) -> bool:
    """Compare as JSON does: true is not 1, and 1 is 1.0."""
    if isinstance(found, bool) or isinstance(wished, bool):
        return found is wished
    return isinstance(found, str | int | float | None) and found == wished


GATE = HttpGate
