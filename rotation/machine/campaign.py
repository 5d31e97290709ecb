"""Decide what of a campaign may be published now; never publish, look or wait.

A campaign is one request made of many secrets: an emergency over a filter, for example.  What the
requests cost is spent by the function, under quotas that all secrets of a project share.  Asking
for all of them at once would make thousands of deliveries wait, fail and come again; so requests
are kept few in flight, and more follow as fast as they are answered.

Rules of this module:
  1. A secret is asked once.  What was asked and is not answered is in flight.
  2. In flight are never more than the window, nor more than the limit of a place or a project.
  3. The window follows what is answered: as many as are answered in `AHEAD` seconds, or in twice
     the shortest time an answer took.  While a quota holds everything up it does not grow.
  4. A project is asked no faster than its quota of writes carries.
  5. After too many failures nothing more is asked; what is in flight is still followed.
  6. No clock: ``now`` is in seconds since the campaign began, as all times here.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

#: The smallest window: enough to see how fast answers come.
LEAST = 8
#: Seconds of work that are asked for ahead, so that nobody waits for the next look.
AHEAD = 8.0
#: Over how many seconds the rate of answers is measured at least.
SPAN = 20.0
#: The pace is kept in every stretch of so many seconds.
STRETCH = 30.0
#: So many answers before a share of failures means anything.
ENOUGH = 10
_MINUTE = 60.0


@dataclass(frozen=True)
class Limits:
    """What a campaign keeps to."""

    #: Most requests in flight.
    together: int = 64
    #: Most of them for one place, such as a database.
    per_place: int = 8
    #: Most of them for one project.
    per_project: int = 64
    #: Requests a minute that the write quota of one project carries; 0: any number.
    per_minute: float = 0.0
    #: Failures in a row after which nothing more is asked; 0: any number.
    stop_after: int = 5
    #: Share of failures after which nothing more is asked; 1: any.
    stop_share: float = 0.25
    #: Seconds after which a request counts as unanswered.
    timeout: float = 900.0


class Condition(Enum):
    """Where one secret of a campaign stands."""

    WAITING = "waiting"
    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Subject:
    """One secret of a campaign."""

    name: str
    project: str
    #: What it shares connections with; a secret of its own place has its own name here.
    place: str
    condition: Condition = Condition.WAITING
    asked_at: float | None = None
    ended_at: float | None = None

    def asked(self, now: float) -> "Subject":
        """Return it in flight."""
        return replace(self, condition=Condition.ASKED, asked_at=now)

    def ended(self, now: float, *, failed: bool) -> "Subject":
        """Return it answered, or given up."""
        condition = Condition.FAILED if failed else Condition.DONE
        return replace(self, condition=condition, ended_at=now)

    @property
    def over(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.condition in {Condition.DONE, Condition.FAILED}


@dataclass(frozen=True)
class Step:
    """What to do now."""

    #: Names to ask, in their order.
    ask: tuple[str, ...] = ()
    #: Names that were not answered in time.
    give_up: tuple[str, ...] = ()
    #: Why nothing more is asked, although some wait; empty: it goes on.
    stopped: str = ""
    #: Whether nothing is in flight and nothing will be asked.
    over: bool = False


@dataclass
class _Count:
    """Requests in flight, as they grow while more are chosen."""

    places: Counter[str] = field(default_factory=Counter)
    projects: Counter[str] = field(default_factory=Counter)
    total: int = 0

    def take(self, subject: Subject) -> None:
        self.places[subject.place] += 1
        self.projects[subject.project] += 1
        self.total += 1


def step(subjects: Sequence[Subject], limits: Limits, now: float) -> Step:
    """Return what to ask now, and what to give up."""
    late = tuple(subject.name for subject in subjects if _is_late(subject, limits, now))
    stopped = breaker(subjects, limits)
    waiting = [subject for subject in subjects if subject.condition is Condition.WAITING]
    flying = [subject for subject in subjects if subject.condition is Condition.ASKED]
    if stopped or not waiting:
        return Step((), late, stopped if waiting else "", over=len(flying) == len(late))
    return Step(tuple(_chosen(waiting, flying, subjects, limits, now)), late)


def breaker(subjects: Sequence[Subject], limits: Limits) -> str:
    """Say why nothing more should be asked; empty: nothing speaks against it."""
    ended = sorted((subject for subject in subjects if subject.over), key=_end_of)
    row = 0
    for subject in reversed(ended):
        if subject.condition is not Condition.FAILED:
            break
        row += 1
    if limits.stop_after and row >= limits.stop_after:
        return f"{row} failures in a row"
    failed = sum(subject.condition is Condition.FAILED for subject in ended)
    if len(ended) >= ENOUGH and failed > limits.stop_share * len(ended):
        return f"{failed} of {len(ended)} failed"
    return ""


def window(subjects: Iterable[Subject], limits: Limits, now: float) -> int:
    """Return how many requests may be in flight."""
    done = [subject for subject in subjects if subject.over and subject.asked_at is not None]
    if not done:
        return min(LEAST, limits.together)
    shortest = min(_end_of(subject) - (subject.asked_at or 0.0) for subject in done)
    wanted = math.ceil(rate(done, now, 3 * shortest) * max(AHEAD, 2 * shortest))
    return max(min(max(wanted, LEAST), limits.together), 1)


def rate(subjects: Iterable[Subject], now: float, span: float = 0.0) -> float:
    """Return answers a second, over the last ``span`` seconds or `SPAN`."""
    asked = [subject for subject in subjects if subject.asked_at is not None]
    if not asked:
        return 0.0
    span = min(max(span, SPAN), max(now - min(subject.asked_at or 0.0 for subject in asked), 1.0))
    return sum(subject.over and _end_of(subject) > now - span for subject in asked) / span


def _chosen(
    waiting: Sequence[Subject],
    flying: Sequence[Subject],
    subjects: Sequence[Subject],
    limits: Limits,
    now: float,
) -> Iterable[str]:
    most, count, left = window(subjects, limits, now), _Count(), _allowances(subjects, limits, now)
    for subject in flying:
        count.take(subject)
    for subject in waiting:
        if count.total >= most:
            return
        full = count.places[subject.place] >= limits.per_place
        full = full or count.projects[subject.project] >= limits.per_project
        if full or left.get(subject.project, 1) < 1:
            continue
        count.take(subject)
        if subject.project in left:
            left[subject.project] -= 1
        yield subject.name


def _allowances(subjects: Sequence[Subject], limits: Limits, now: float) -> dict[str, int]:
    """Return how many more each project may be asked now; without a quota, no project is named."""
    if not limits.per_minute:
        return {}
    stretch = max(STRETCH, _MINUTE / limits.per_minute)
    most = max(math.floor(limits.per_minute * stretch / _MINUTE), 1)
    recent: dict[str, deque[float]] = {subject.project: deque() for subject in subjects}
    for subject in subjects:
        if subject.asked_at is not None and subject.asked_at > now - stretch:
            recent[subject.project].append(subject.asked_at)
    return {project: most - len(times) for project, times in recent.items()}


def _is_late(subject: Subject, limits: Limits, now: float) -> bool:
    asked = subject.asked_at if subject.condition is Condition.ASKED else None
    return asked is not None and now - asked >= limits.timeout


def _end_of(subject: Subject) -> float:
    return subject.ended_at if subject.ended_at is not None else 0.0


def percentile(numbers: Sequence[float], share: float) -> float | None:
    """Return the smallest number that ``share`` of all do not exceed; None of none."""
    if not numbers:
        return None
    return sorted(numbers)[max(math.ceil(share * len(numbers)) - 1, 0)]


def estimate(subjects: Sequence[Subject], limits: Limits, now: float) -> float | None:
    """Return the seconds until all are answered, as far as one can tell."""
    left = sum(not subject.over for subject in subjects)
    measured = rate(subjects, now)
    carried = limits.per_minute / _MINUTE
    pace = measured or carried
    return left / pace if pace else None


def tally(subjects: Iterable[Subject]) -> Mapping[Condition, int]:
    """Count the subjects by where they stand."""
    counted = Counter(subject.condition for subject in subjects)
    return {condition: counted[condition] for condition in Condition}
