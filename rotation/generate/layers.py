"""The import layers of this package, as data; the test and the drawing both come from here.

Rules of this module:
  1. A module imports only from layers below its own.
  2. Names on one line never import each other.
"""

#: From top to bottom.  A name is a module or package right below ``rotation``.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("main", "cli", "app"),
    ("control", "agent", "generate", "doctor", "adopt"),
    ("registry",),
    ("engine", "issuers", "participants", "gates", "guards", "google", "local"),
    ("config", "pins"),
    ("machine", "ports", "client"),
    ("model",),
)

#: The exceptions: ``python -m rotation`` is the command line, which builds its parts with the
#: composition root.
ALLOWED: frozenset[tuple[str, str]] = frozenset({("main", "app"), ("main", "cli"), ("cli", "app")})


def may_import(importer: str, imported: str) -> bool:
    """Whether a module of the package ``importer`` may import one of ``imported``."""
    if importer == imported or (importer, imported) in ALLOWED:
        return True
    return _layer(importer) < _layer(imported)


def draw() -> str:
    """Return the layers as a text drawing, top to bottom."""
    return "\n".join(["```", *(" | ".join(layer) for layer in LAYERS), "```"])


def _layer(name: str) -> int:
    for number, layer in enumerate(LAYERS):
        if name in layer:
            return number
    raise KeyError(f"{name} is in no layer: add it to LAYERS")
