"""One measured figure beside its goalpost and the peer's figure, and the table of them.

1. A figure says what was measured, never how well: the verdict follows from the goalpost alone.
2. The peer's figures and the goalposts (G1 to G8) were measured and set once, with AWS's
   PostgreSQL rotation lambdas (multi user) in a simulator on a machine like this; none of them is
   measured again here.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MET = "met"
NO_GOALPOST = "-"


@dataclass(frozen=True)
class Goal:
    """A limit a figure is held to."""

    limit: float
    #: Name in the list of goalposts; empty: asked for beside them.
    name: str = ""
    #: The figure has to reach the limit, not to stay below it.
    at_least: bool = False

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{self.name} {sign} {_number(self.limit)}".strip()

    def verdict(self, value: float) -> str:
        """Return ``met``, or by how much it was missed."""
        missed = self.limit - value if self.at_least else value - self.limit
        if missed <= 0:
            return MET
        return f"missed by {missed / self.limit:.0%}" if self.limit else f"missed by {missed:g}"


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    name: str
    value: float
    unit: str = ""
    goal: Goal | None = None
    #: What the peer needs for the same, in words or numbers.
    peer: str = ""
    note: str = ""
    group: str = field(default="", compare=False)

    @property
    def verdict(self) -> str:
        return self.goal.verdict(self.value) if self.goal else NO_GOALPOST

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


def spread(
    name: str,
    values: Sequence[float],
    unit: str,
    goal: Goal | None = None,
    peer: str = "",
    *,
    p95_goal: Goal | None = None,
    p95_peer: str = "",
) -> list[Figure]:
    """Return the median and the 95th percentile of a figure that varies."""
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    note = f"{len(ordered)} runs"
    return [
        Figure(f"{name}, p50", statistics.median(ordered), unit, goal, peer, note),
        Figure(f"{name}, p95", p95, unit, p95_goal, p95_peer, note),
    ]


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as text, a heading for each group."""
    rows = [_row(figure) for figure in figures]
    heading = ("figure", "value", "", "goalpost", "peer", "verdict", "note")
    widths = [max(len(row[column]) for row in [heading, *rows]) for column in range(6)]
    lines = [_line(heading, widths)]
    group = ""
    for figure, row in zip(figures, rows, strict=True):
        if figure.group != group:
            group = figure.group
            lines += ["", group]
        lines.append(_line(row, widths))
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        f"  {figure.name}",
        _number(figure.value),
        figure.unit,
        str(figure.goal or ""),
        figure.peer,
        figure.verdict,
        figure.note,
    )


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        cell.rjust(width) if column == 1 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=False))
    ]
    return "  ".join([*cells, row[-1]]).rstrip()


def _number(value: float) -> str:
    if value == int(value):
        return str(int(value))
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
