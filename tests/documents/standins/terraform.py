"""The ``terraform`` of the documents' terminal: knows the commands of the pages, and records them."""  # noqa: E501

import sys

from tests.documents.standins import recording

_COMMANDS = {"init", "plan", "apply", "destroy", "output", "fmt", "validate", "import", "state"}


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("-chdir=")]
    recording.record("terraform", sys.argv[1:])
    if not words or words[0] not in _COMMANDS:
        print(f"terraform has no command {words[:1]}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
