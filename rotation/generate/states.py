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


def proofs() -> tuple[tuple[str, ...], ...]:
    """Return what is looked at before something ends; `rotation.engine.proving` does it.

    Each row: before what, what is looked at, Google's calls and the logins that it costs more.
    """
    return (
        (
            "`suspending`, `revoking`, `destroying`",
            "*next* can be read, is pointed to, does not end, has another handle than *previous*",
            "`destroying`: one AccessSecretVersion",
            "",
        ),
        (
            "`suspending`",
            "*next* logs in; nobody uses *previous*; what participants hand out",
            "",
            "",
        ),
        (
            "`revoking`",
            "*next* logs in",
            "",
            "none where it was the witness in the same delivery; else one",
        ),
        (
            "`destroying`",
            "*next* logs in; a version that is enabled still is refused",
            "one AccessSecretVersion for each that is enabled",
            "one, and one for each that is enabled",
        ),
        (
            "`aborting`, once a version was added",
            "*previous* logs in; the alias points to it",
            "",
            "one",
        ),
    )


#: What stands below the table.
PROOFS_END = (
    "An emergency revokes what leaked without another login of *next*, and wherever the alias"
    " points: *next* was used before it was published. It never revokes the handle of *next*"
    " itself. What it cannot prove it does not destroy: the receipt says so, and the version stays."
    " Up to the soak nothing changes: 5 calls, 6 from a cold start."
)


def _node(phase: Phase) -> str:
    return phase.value
