"""From a seed to what is asked and what goes wrong, and when; a pure function.

1. The same seed gives the same schedule, on every machine.  What the operating system makes of
   it (which process runs when) is not replayed.
2. Faults are aimed: most of them lie within a few tenths of a second around something asked, as
   a rotation takes about one tenth.
3. Every fault here passes, and a correct rotation needs nobody's help to survive it.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Arguments = Mapping[str, Any]
Draw = random.Random


@dataclass(frozen=True)
class Step:
    """One thing that happens at one moment."""

    #: Seconds since the storm began.
    moment: float
    action: str
    arguments: Arguments = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What it is counted as."""
        arguments = [str(self.arguments[key]) for key in ("link", "mode") if key in self.arguments]
        return " ".join([self.action, *arguments])

    def __str__(self) -> str:
        arguments = " ".join(f"{key}={value}" for key, value in self.arguments.items())
        return f"{self.moment:6.2f}  {self.action} {arguments}".rstrip()


@dataclass(frozen=True)
class Schedule:
    """Everything one seed decides."""

    seed: int
    #: Processes of the function that serve.
    workers: int
    #: How long a suspended credential is watched, as the policy spells it.
    observe: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        head = f"seed {self.seed}: {self.workers} function processes, observe {self.observe}"
        return "\n".join([head, *map(str, self.steps)])


ASKS: Final = {"fire": 6, "request": 5, "emergency": 4, "revert": 3, "repeat": 3}
#: Crash points that a routine rotation, or an emergency, comes by.
POINTS: Final = (
    *("claimed", "claimed", "minted", "verified", "adding", "adding", "added"),
    *("published", "committed"),
    *("suspending", "suspended", "disabled", "observed", "revoked", "destroyed"),
    *("reverted", "aborted"),
)
_READS: Final = ("GetSecret", "AccessSecretVersion", "GetSecretVersion", "ListSecrets")
_WRITES: Final = (
    *("UpdateSecret", "UpdateSecret", "AddSecretVersion", "AddSecretVersion"),
    *("DisableSecretVersion", "EnableSecretVersion", "DestroySecretVersion"),
)
_TROUBLES: Final = (
    *("stale", "committed-unavailable", "committed-unavailable"),
    *("unavailable", "exhausted", "latency"),
)
_LINKS: Final = ("primary", "primary", "replica", "secrets", "secrets", "publish", "push")
#: Seconds between two rounds.
_ROUND: Final = (0.6, 1.2)


def schedule(seed: int) -> Schedule:
    """Return what happens under ``seed``."""
    draw = Draw(seed)
    workers = draw.choice((1, 2, 2, 3, 4))
    observe = draw.choice(("0s", "2s", "2m"))
    steps: list[Step] = []
    begin = 0.0
    for _ in range(draw.randint(2, 4)):
        steps += _round(draw, begin, workers)
        begin += draw.uniform(*_ROUND)
    steps += _upheaval(draw, begin)
    steps += _armed(draw, workers)
    return Schedule(seed, workers, observe, tuple(sorted(steps, key=_order)))


def _order(step: Step) -> tuple[float, bool]:
    return step.moment, step.action != "arm"


def _round(draw: Draw, begin: float, workers: int) -> list[Step]:
    """Ask something, or several things, and let things go wrong around it."""
    asked = draw.choices(list(ASKS), list(ASKS.values()), k=draw.choice((1, 1, 1, 2, 3)))
    steps = [
        _ask(draw, begin + draw.uniform(0, 0.15) * place, ask) for place, ask in enumerate(asked)
    ]
    for _ in range(draw.choice((0, 1, 2, 2, 3, 4))):
        fault = draw.choices(list(_FAULTS), list(_FAULTS.values()))[0]
        moment = max(0.0, begin + draw.triangular(-0.15, 0.6, 0.05))
        action, arguments = fault(draw, workers)
        steps.append(Step(round(moment, 3), action, arguments))
    if draw.random() < 0.6:
        passing = draw.choice(("wait-ends", "wait-ends", "lease-ends"))
        steps.append(Step(round(begin + draw.uniform(0.3, 0.6), 3), passing))
    return steps


def _ask(draw: Draw, moment: float, ask: str) -> Step:
    arguments = {"number": draw.randrange(8)} if ask == "repeat" else {}
    return Step(round(moment, 3), ask, arguments)


def _upheaval(draw: Draw, end: float) -> list[Step]:
    """At most one thing that takes the whole database away for a moment."""
    moment = round(draw.uniform(0, end), 3)
    chance = draw.random()
    if chance < 0.12:
        return [Step(moment, "fail-over")]
    if chance < 0.3:
        return [Step(moment, "restart", {"mode": draw.choice(("fast", "immediate"))})]
    return []


def _armed(draw: Draw, workers: int) -> list[Step]:
    """Now and then have a worker, from the start, that is interrupted at a crash point."""
    if draw.random() < 0.6:
        return []
    at = f"{draw.choice(POINTS)}:{draw.choice(('kill', 'stop', 'stop'))}"
    return [Step(0.0, "arm", {"instance": draw.randrange(workers), "armed": at, "seconds": 1.2})]


def _seconds(draw: Draw, shortest: float, longest: float) -> float:
    return round(draw.uniform(shortest, longest), 3)


def _kill_worker(draw: Draw, workers: int) -> tuple[str, Arguments]:
    return "kill-worker", {"instance": draw.randrange(workers)}


def _kill_instance(draw: Draw, workers: int) -> tuple[str, Arguments]:
    at = f"{draw.choice(POINTS)}:{draw.choice(('kill', 'stop', 'stop'))}"
    armed = draw.choice(("", at, at, at))
    arguments: dict[str, Any] = {"instance": draw.randrange(workers), "armed": armed}
    if armed.endswith("stop"):
        arguments["seconds"] = _seconds(draw, 0.3, 1.8)
    return "kill-instance", arguments


def _stop(draw: Draw, workers: int) -> tuple[str, Arguments]:
    return "stop", {
        "instance": draw.randrange(workers),
        "seconds": _seconds(draw, 0.2, 1.5),
        "past_lease": draw.random() < 0.7,
    }


def _link(draw: Draw, _: int) -> tuple[str, Arguments]:
    link = draw.choice(_LINKS)
    mode = draw.choice(("delay", "cut", "reset", "black-hole", "refuse"))
    arguments: dict[str, Any] = {"link": link, "mode": mode}
    if mode == "delay":
        arguments["each"] = _seconds(draw, 0.005, 0.08)
    if mode in {"delay", "black-hole", "refuse"}:
        arguments["seconds"] = _seconds(draw, 0.1, 0.9)
    return "link", arguments


def _commit(draw: Draw, _: int) -> tuple[str, Arguments]:
    mode = draw.choice(("lose-answer", "lose-answer", "lose-commit"))
    return "commit", {"mode": mode, "ending": draw.choice(("fin", "reset"))}


def _late(draw: Draw, _: int) -> tuple[str, Arguments]:
    return "late", {"seconds": _seconds(draw, 0.5, 2.5), "past_lease": draw.random() < 0.8}


def _request(draw: Draw, _: int) -> tuple[str, Arguments]:
    link = draw.choice(("secrets", "secrets", "publish", "push"))
    return "cut-request", {"link": link, "bytes": draw.randrange(1, 1500)}


def _secrets(draw: Draw, _: int) -> tuple[str, Arguments]:
    mode = draw.choice(_TROUBLES)
    if mode == "stale":
        method = draw.choice(("GetSecret", "GetSecretVersion", "ListSecrets"))
        more = {"writes": draw.randint(1, 3)}
    elif mode == "latency":
        method, more = draw.choice(_READS + _WRITES), {"seconds": _seconds(draw, 0.05, 0.8)}
    else:
        method = draw.choice(_WRITES if "committed" in mode else _READS + _WRITES)
        more = {}
    count = draw.randint(1, 3)
    return "secrets", {"mode": mode, "method": method, "count": count, **more}


def _pubsub(draw: Draw, _: int) -> tuple[str, Arguments]:
    return draw.choice((("duplicate", {"copies": 2}), ("lose-acks", {"count": draw.randint(1, 4)})))


def _end_sessions(_draw: Draw, _: int) -> tuple[str, Arguments]:
    return "end-sessions", {}


_FAULTS: Final[Mapping[Callable[[Draw, int], tuple[str, Arguments]], int]] = {
    _kill_worker: 3,
    _kill_instance: 5,
    _stop: 5,
    _link: 6,
    _commit: 4,
    _late: 3,
    _request: 2,
    _secrets: 7,
    _pubsub: 3,
    _end_sessions: 1,
}


def of_kind(steps: Sequence[Step], *actions: str) -> list[Step]:
    """Return the steps with one of these actions."""
    return [step for step in steps if step.action in actions]
