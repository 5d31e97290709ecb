"""Walks every path of a model, breadth first, so that the first breach found is a shortest one.

Rules of this module:
  1. A state met before is not walked again, by whatever path it is reached.
  2. What is known of a state met is a digest of its parts and the move it was reached by; the story
     of a path is found by walking it once more.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from random import Random
from typing import Any

from .moves import Model
from .state import Bounds, Move, Scenario, State, spent


@dataclass(frozen=True)
class Breach:
    """A path that breaks a rule."""

    broken: tuple[str, ...]
    story: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((*self.story, *(f"BROKEN: {what}" for what in self.broken)))


@dataclass(frozen=True)
class Report:
    """What an exploration showed."""

    scenario: str
    bounds: Bounds
    states: int
    transitions: int
    #: Moves on the longest of the shortest paths.
    depth: int
    breach: Breach | None

    def __str__(self) -> str:
        counts = (
            f"{self.scenario}, {self.bounds}: {self.states:,} states, "
            f"{self.transitions:,} transitions, {self.depth} deep"
        )
        return f"{counts}: no rule is broken" if self.breach is None else f"{counts}\n{self.breach}"


class _Met:
    """The states met, each by a digest and the move that led to it."""

    def __init__(self) -> None:
        self._parts: dict[Any, int] = {}
        self._numbers: dict[bytes, int] = {}
        self._origins = array("q")

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, state: State, origin: int, move: int) -> int | None:
        """Note a state; return its number, or None when it was met before."""
        key = array("i", [self._number(part) for part in state]).tobytes()
        if key in self._numbers:
            return None
        self._numbers[key] = len(self._numbers)
        self._origins.append(origin << 8 | move)
        return len(self._numbers) - 1

    def path(self, number: int) -> list[int]:
        """Return the moves that lead to a state."""
        moves = []
        while number:
            origin = self._origins[number]
            moves.append(origin & 0xFF)
            number = origin >> 8
        return moves[::-1]

    def _number(self, part: Any) -> int:
        return self._parts.setdefault(part, len(self._parts))


def explore(scenario: Scenario, bounds: Bounds) -> Report:
    """Walk every path within the bounds, until a rule is broken or all are walked."""
    model, met = Model(scenario, bounds), _Met()
    start = model.start()
    met.add(start, 0, 0)
    todo: deque[tuple[int, int, State]] = deque([(0, 0, start)])
    transitions = depth = 0
    while todo:
        number, depth, state = todo.popleft()
        for index, move in enumerate(model.moves(state)):
            transitions += 1
            if move.broken:
                story = _tell(Model(scenario, bounds), [*met.path(number), index])
                breach = Breach(move.broken, story)
                return Report(scenario.name, bounds, len(met), transitions, depth, breach)
            after = spent(move.state)
            reached = met.add(after, number, index)
            if reached is not None:
                todo.append((reached, depth + 1, after))
    return Report(scenario.name, bounds, len(met), transitions, depth, None)


def explore_all(walks: Iterable[tuple[Scenario, Bounds]], processes: int) -> Iterator[Report]:
    """Explore side by side; yield the reports as they come."""
    with ProcessPoolExecutor(processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(explore, *walk) for walk in walks]):
            yield done.result()


def wander(scenario: Scenario, bounds: Bounds, seed: int, paths: int) -> Report:
    """Walk ``paths`` random paths: deeper than all of them could be walked.

    The same seed walks the same paths.
    """
    random = Random(seed)  # noqa: S311 - paths, not secrets
    model, steps, longest = Model(scenario, bounds), 0, 0
    for _ in range(paths):
        path: list[int] = []
        state: State | None = model.start()
        rate = random.choice((0.02, 0.05, 0.15))
        while state is not None:
            index, move = _any_move(model, state, random, rate)
            if move is None:
                break
            path.append(index)
            steps += 1
            if move.broken:
                story = _tell(Model(scenario, bounds), path)
                breach = Breach(move.broken, story)
                return Report(scenario.name, bounds, 0, steps, len(path), breach)
            state = move.state
        longest = max(longest, len(path))
    return Report(scenario.name, bounds, 0, steps, longest, None)


def _any_move(model: Model, state: State, random: Random, rate: float) -> tuple[int, Move | None]:
    moves = list(enumerate(model.moves(state)))
    deviate = random.random() < rate
    wanted = [move for move in moves if move[1].is_deviation is deviate] or moves
    return random.choice(wanted) if wanted else (0, None)


def _tell(model: Model, path: list[int]) -> tuple[str, ...]:
    """Walk a path once more and tell what happens and what the workers say."""
    story, state = [f"scenario: {model.scenario.name}"], model.start()
    for index in path:
        before = {actor.serial: actor for actor in state.actors}
        move = list(model.moves(state))[index]
        sentence = " ".join(map(str, move.story))
        story.append(f"{state.world.now:%d %H:%M:%S} {sentence}")
        for actor in move.state.actors:
            notes = model.replays[actor.stands].notes
            known = before.get(actor.serial)
            new = notes[len(model.replays[known.stands].notes) if known else 0 :]
            story += [f"            w{actor.serial} says {level}: {line}" for level, line in new]
        state = move.state
    return tuple(story)
