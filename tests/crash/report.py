"""Say what many seeds came to: a line for each, a table for all, everything for one that failed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.crash.play import Outcome

FIGURES = (
    *("asked", "rotations", "emergencies", "sent back", "deliveries", "calls"),
    *("probes", "logins", "server down", "refused on purpose", "orphans read"),
)


def line(outcome: Outcome) -> str:
    """Return one line for one seed."""
    figures, faults = outcome.figures, sum(outcome.faults.values())
    verdict = f"{len(outcome.violations)} VIOLATIONS" if outcome.violations else "ok"
    return (
        f"seed {outcome.schedule.seed:5}  {outcome.seconds:5.1f} s"
        f"  {outcome.schedule.workers} workers  {faults:3} faults"
        f"  {figures['rotations']:2} rotations  {figures['probes']:5} probes  {verdict}"
    )


def failure(outcome: Outcome) -> str:
    """Return everything about a seed that failed."""
    parts = [
        str(outcome.schedule),
        "what happened:",
        *outcome.log,
        "what the function logged:",
        *outcome.log_tail,
        "violations:",
        *(f"  {violation} ({n} times)" for violation, n in Counter(outcome.violations).items()),
        f"run this schedule again: make chaos SEED={outcome.schedule.seed}",
    ]
    return "\n".join(parts)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return all figures of all seeds."""
    figures = sum((outcome.figures for outcome in outcomes), Counter[str]())
    faults = sum((outcome.faults for outcome in outcomes), Counter[str]())
    return {
        "seeds": len(outcomes),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
        **{name: figures[name] for name in FIGURES},
        "faults": faults.total(),
        "faults_by_kind": {kind: faults[kind] for kind in sorted(faults) if faults[kind]},
        "violations": sum(len(outcome.violations) for outcome in outcomes),
        "failed_seeds": [outcome.schedule.seed for outcome in outcomes if outcome.violations],
    }


def table(totals: dict[str, Any]) -> str:
    """Return the summary as text."""

    def rows() -> Iterator[tuple[str, object]]:
        yield from ((name, totals[name]) for name in ("seeds", "seconds", *FIGURES))
        yield "faults injected", totals["faults"]
        yield from ((f"  {kind}", count) for kind, count in totals["faults_by_kind"].items())
        yield "violations", totals["violations"]
        if totals["failed_seeds"]:
            yield "failed seeds", " ".join(map(str, totals["failed_seeds"]))

    return "\n".join(f"{name:30} {value}" for name, value in rows())
