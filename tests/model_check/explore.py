"""Looks for a schedule that breaks a rule: systematically up to a bound, and at random beyond it.

Rules of this module:
  1. Systematic: every schedule with up to ``bound`` deviations, each later than the one before.
  2. Random: a deviation is often followed by another one close by; the same seed makes the same
     schedules.
  3. A schedule that breaks a rule is shrunk: no deviation can be left out, and the story is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from .conductor import Conductor, Follow, Played, Scenario, Schedule

#: How often the next deviation of a random schedule is looked for close to the last one.
CLOSE = 0.65
#: How many places a deviation may be away otherwise.
REACH = 70


@dataclass
class Found:
    """A schedule that breaks a rule."""

    scenario: Scenario
    schedule: dict[str, str]
    played: Played
    #: Schedules tried until then.
    tried: int

    def __str__(self) -> str:
        lines = "\n".join(self.played.story)
        return (
            f"scenario {self.scenario.name!r}, after {self.tried} schedules\n"
            f"schedule {self.schedule!r}\n{lines}"
        )


class Wander:
    """Leaves the plain order at random, a bounded number of times, and remembers where."""

    def __init__(self, random: Random, most: int) -> None:
        self._random = random
        self._left = random.randint(1, most)
        self._gap = random.randrange(REACH)
        self.schedule: dict[str, str] = {}

    @property
    def spent(self) -> bool:
        """Whether the rest of the run is plain."""
        return self._left == 0

    def choose(self, place: str, options: tuple[str, ...]) -> str | None:
        """Deviate once the gap is over; the next gap is often a short one."""
        self._gap -= 1
        if self.spent or self._gap >= 0 or not options:
            return None
        self._left -= 1
        close = self._random.random() < CLOSE
        self._gap = self._random.randrange(6 if close else REACH)
        self.schedule[place] = self._random.choice(options)
        return self.schedule[place]


def play(scenario: Scenario, schedule: Schedule) -> Played:
    """Run one schedule."""
    return Conductor(scenario, Follow(schedule)).play()


def systematic(scenario: Scenario, bound: int) -> Iterator[tuple[dict[str, str], Played]]:
    """Yield every schedule of up to ``bound`` deviations, and what it showed."""
    todo: list[dict[str, str]] = [{}]
    while todo:
        schedule = todo.pop()
        played = play(scenario, schedule)
        yield schedule, played
        if len(schedule) >= bound:
            continue
        last = next(reversed(schedule)) if schedule else None
        places = [place for place, _ in played.places]
        after = places.index(last) + 1 if last in places else 0
        for place, options in reversed(played.places[after:]):
            todo.extend({**schedule, place: option} for option in options)


def at_random(
    scenario: Scenario, seed: int, number: int, most: int
) -> Iterator[tuple[dict[str, str], Played]]:
    """Yield ``number`` random schedules of one to ``most`` deviations."""
    random = Random(seed)  # noqa: S311 - schedules, not secrets
    for _ in range(number):
        wander = Wander(random, most)
        played = Conductor(scenario, wander).play()
        yield wander.schedule, played


def shrink(scenario: Scenario, schedule: Schedule) -> tuple[dict[str, str], Played]:
    """Leave out every deviation that the breach does not need."""
    kept, played = dict(schedule), play(scenario, schedule)
    rule = played.wrong[0].split(":")[0]
    for place in list(kept):
        without = {key: value for key, value in kept.items() if key != place}
        tried = play(scenario, without)
        if tried.wrong and tried.wrong[0].startswith(rule):
            kept, played = without, tried
    return kept, played


def find(
    scenario: Scenario, runs: Iterator[tuple[dict[str, str], Played]]
) -> tuple[Found | None, int]:
    """Return the first breach, shrunk, and how many schedules were run."""
    tried = 0
    for schedule, played in runs:
        tried += 1
        if played.wrong:
            small, shown = shrink(scenario, schedule)
            return Found(scenario, small, shown, tried), tried
    return None, tried
