"""The import layers of this package, as data, and their drawing.

import-linter holds the code to them; its contract in ``pyproject.toml``, which an installed package
has not, is compared with this by `tests/architecture`.

Rules of this module:
  1. A module imports only from layers below its own.
  2. Names on one line never import each other.
"""

#: From top to bottom.  ``main`` is the file beside this package, and ``python -m rotation``; every
#: other name is a module or package right below ``rotation``.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("main", "cli", "local"),
    ("wiring",),
    ("app", "generate", "doctor", "adopt"),
    ("registry",),
    ("engine", "issuers", "participants", "gates", "google"),
    ("kit",),
    ("policies", "pins", "client", "config"),
    ("machine", "ports"),
    ("model",),
)

#: In no layer: it imports nothing of the others.
BESIDE = ("emulator",)


def draw() -> str:
    """Return the layers as a text drawing, top to bottom."""
    lines = [" | ".join(layer) for layer in LAYERS]
    beside = f"{' | '.join(BESIDE)} (beside everything, imports nothing of it)"
    return "\n".join(["```", *lines[:-1], f"{lines[-1]:39}{beside}", "```"])
