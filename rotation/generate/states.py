"""Draws the life of a rotation from the table of transitions."""

from rotation.machine.transitions import TRANSITIONS
from rotation.model.phase import RETIRING, Phase


def draw() -> str:
    """Return a Mermaid state diagram; the steps of retiring stand in a box of their own."""
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR", "    [*] --> settled"]
    inside: list[str] = []
    outside: list[str] = []
    for (before, event), after in TRANSITIONS.items():
        both = {before, after} <= RETIRING
        arrow = f"{_node(before)} --> {_node(after)}: {event.value}"
        (inside if both else outside).append(arrow)
    lines += ["    state retiring {", *(f"        {arrow}" for arrow in inside), "    }"]
    lines += [f"    {arrow}" for arrow in outside]
    return "\n".join([*lines, "```"])


def _node(phase: Phase) -> str:
    return phase.value
