"""``python -m rotation.generate [--check]``: write the generated parts, or fail on drift."""

import sys
from pathlib import Path

from rotation.generate import documents

_ROOT = Path(__file__).parent.parent.parent


def main() -> int:
    """Return 1 when ``--check`` finds drift."""
    if "--check" in sys.argv[1:]:
        for path in documents.stale(_ROOT):
            sys.stderr.write(f"{path}: differs from the code; run `make generate`\n")
        return 1 if documents.stale(_ROOT) else 0
    for path in documents.write(_ROOT):
        sys.stdout.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
