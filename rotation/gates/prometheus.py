"""A PromQL instant query against a threshold.

Speaks to Prometheus, to Google Managed Prometheus's frontend and to Cloud Monitoring itself, and to
what answers like them.

Rules of this module:
  1. Every series must satisfy the threshold; one that does not is observed, and fails.
  2. No series, NaN (a ratio without traffic), an old evaluation or a partial answer does not
     count as an observation.
  3. ``control`` is a query that must have data: it proves that a zero means zero.  Where it selects
     a series by name, its samples must not be older than ``fresh_for``, too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final
from urllib.parse import quote

from rotation.gates._fetch import fetch_all
from rotation.gates._location import location_of
from rotation.gates._promql import Blind, Sample, age_of, distance, read_samples
from rotation.gates._reach import AUTHORIZATION, NO_HEADERS, Reach, bearer, permissions
from rotation.gates._wording import reason_of
from rotation.kit.net.location import Location
from rotation.model.errors import PolicyError, RotationError
from rotation.model.password import Password
from rotation.model.permission import FailureMode, NotNeeded, On, Permission
from rotation.model.plugin import GateSpec
from rotation.model.rollout import Verdict, Watch
from rotation.model.text import Lines
from rotation.ports.gate import GateEnvironment

#: The one API that an access token is sent to.
_MONITORING: Final = "https://monitoring.googleapis.com"
_QUERY_PATH: Final = "/api/v1/query"
_LONGEST_QUERY: Final = 4000
_LONGEST_FRESHNESS: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class PrometheusTarget(Reach):
    """A server of metrics that may be asked."""

    #: The server, with or without ``/api/v1/query`` at the end.
    url: str
    #: Send the function's own access token; only to Cloud Monitoring.
    access_token: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        location = self.location
        self.check_secrecy(location, "url")
        if location.query:
            raise PolicyError("url must not hold a ?query", remedy="write the PromQL under query")
        self._check_access_token(location)

    def _check_access_token(self, location: Location) -> None:
        is_monitoring = location.origin == _MONITORING
        if self.access_token and not is_monitoring:
            raise PolicyError(f"access_token is sent to {_MONITORING} only")
        if is_monitoring and not self.access_token:
            raise PolicyError("Google's API wants a token", remedy="set access_token: true")
        if self.access_token and self.tls_root_cert:
            raise PolicyError("with access_token leave tls_root_cert out")
        if self.access_token and (self.identity or self.header):
            raise PolicyError("with access_token leave identity and header out")

    def reaches(self) -> str:
        """Say which host is asked, and with what."""
        return self.hosts_asked(self.location)

    @property
    def location(self) -> Location:
        """Where queries are sent, without a query."""
        path = self.url.rstrip("/")
        complete = path if path.endswith(_QUERY_PATH) else path + _QUERY_PATH
        return location_of(complete, "url")


@dataclass(frozen=True, kw_only=True)
class PrometheusSettings(PrometheusTarget):
    """A ``prometheus`` gate, without ``kind``."""

    #: An instant query, in PromQL; each series of its result is judged.
    query: Lines
    #: No series may be above.
    max: float | None = None
    #: No series may be below.
    min: float | None = None
    #: A query that must have data before the other one counts.
    control: Lines = ""
    #: How old data may be.
    fresh_for: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("query", "control"):
            if len(getattr(self, name)) > _LONGEST_QUERY:
                raise PolicyError(f"{name} must be at most {_LONGEST_QUERY} characters")
        if not self.query.strip():
            raise PolicyError("query is empty")
        if not timedelta(seconds=1) <= self.fresh_for <= _LONGEST_FRESHNESS:
            raise PolicyError("fresh_for must be between 1s and 1h")
        self._check_threshold()

    def _check_threshold(self) -> None:
        given = [bound for bound in (self.min, self.max) if bound is not None]
        if not given or not all(math.isfinite(bound) for bound in given):
            raise PolicyError("set max or min, or both, to a number")
        if given != sorted(given):
            raise PolicyError("min must not be above max")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest number that is well."""
        lowest = -math.inf if self.min is None else self.min
        return lowest, math.inf if self.max is None else self.max

    def asking(self, promql: str) -> Location:
        """Return where one query is sent."""
        at = self.location
        return Location(at.scheme, at.host, at.port, at.path, f"query={quote(promql, safe='')}")


class PrometheusGate:
    """Waits until a query's numbers are within bounds; fails when one is outside."""

    spec: ClassVar[GateSpec] = GateSpec(
        name="prometheus",
        title="A PromQL query against a threshold",
        does="looks at the result of an instant query, each series against max and min, after a "
        "control query has proved that there is data",
        settings=PrometheusSettings,
        permissions=(
            Permission(
                "monitoring.timeSeries.list",
                On.PROJECT,
                "run queries on Cloud Monitoring",
                when="access_token: true",
                which="the scoping project of the metrics",
            ),
            *permissions("the Cloud Run service of url"),
        ),
        permissions_not_needed=(
            NotNeeded("monitoring.timeSeries.create", "nothing is written"),
            NotNeeded(
                "secretmanager.versions.access on the secret that is rotated",
                "metrics are asked; the credential plays no part",
            ),
        ),
        network=("the URL's host, from where the function runs; redirects are not followed",),
        failure_modes=(
            FailureMode("no answer, a refusal, no series, old samples", "it waits, and says which"),
            FailureMode("a series is outside its bounds", "it fails: every participant goes back"),
        ),
        guide="gates.md#prometheus",
    )

    def __init__(self, settings: PrometheusSettings, environment: GateEnvironment) -> None:
        self._settings = settings
        self._environment = environment

    def check(self, watch: Watch) -> Verdict:
        """Run the queries now."""
        settings = self._settings
        queries = [settings.query, *([age_of(settings.control)] if settings.control else [])]
        try:
            asked = settings.requests(
                self._environment, [settings.asking(query) for query in queries], own=self._own()
            )
        except RotationError as error:
            return Verdict.wait(f"{settings.location} is not asked: {reason_of(error)}")
        query, *control = [
            read_samples(outcome) for outcome in fetch_all(asked, settings.timeout.total_seconds())
        ]
        unproved = next(filter(None, (self._unproved(ages, watch) for ages in control)), "")
        if unproved:
            return Verdict.wait(f"{settings.location}: control query: {unproved}")
        if isinstance(query, Blind):
            return Verdict.wait(f"{settings.location}: {query.reason}")
        return self._judge(query, watch)

    def _own(self) -> Mapping[str, Password]:
        if not self._settings.access_token:
            return NO_HEADERS
        return {AUTHORIZATION: bearer(self._environment.access_token())}

    def _unproved(self, ages: Sequence[Sample] | Blind, watch: Watch) -> str:
        """Say why the control query proves nothing; empty when it does."""
        if isinstance(ages, Blind):
            return ages.reason
        longest = self._settings.fresh_for.total_seconds()
        if not all(abs(age.value) <= longest for age in ages):
            return f"samples are older than {longest:.0f} s"
        return self._staleness(ages, watch)

    def _staleness(self, samples: Sequence[Sample], watch: Watch) -> str:
        away = distance(samples, watch.now.timestamp())
        if away <= self._settings.fresh_for.total_seconds():
            return ""
        return f"evaluated {away:.0f} s away from now"

    def _judge(self, samples: Sequence[Sample], watch: Watch) -> Verdict:
        lowest, highest = self._settings.bounds
        values = [sample.value for sample in samples]
        outside = [value for value in values if value < lowest or value > highest]
        # NaN is neither outside nor within.
        within = [value for value in values if lowest <= value <= highest]
        message = f"{self._settings.location}: {_listed(values)}, wanted {self._wanted()}"
        staleness = self._staleness(samples, watch)
        if staleness:
            return Verdict.wait(f"{message}, but {staleness}")
        if outside:
            return Verdict.failed(f"{message}: {len(outside)} of {len(values)} outside")
        if len(within) < len(values):
            return Verdict.wait(f"{message}: NaN is not a number (no traffic?)")
        return Verdict.passed(message)

    def _wanted(self) -> str:
        bounds = (("min", self._settings.min), ("max", self._settings.max))
        return " and ".join(f"{name} {bound:g}" for name, bound in bounds if bound is not None)


def _listed(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:g}"
    return f"{min(values):g} to {max(values):g} in {len(values)} series"


GATE = PrometheusGate
