"""The ``gcloud`` of the documents' terminal: records, or sends to the embedded stack.

Rules of this module:
  1. `secrets` and `pubsub` go to the embedded stack: by Google's own command where
     ``DOCUMENTS_GCLOUD`` names it, else by `rest`, which knows the few commands the pages use.
  2. Everything else, and everything with ``DOCUMENTS_GCLOUD=record``, is recorded and answered with
     a plausible line; `tests.documents.test_commands` holds what was recorded to gcloud's own parser.
"""  # noqa: E501

import os
import sys

from tests.documents.standins import recording

_ANSWERS = {
    ("projects", "describe"): "123456789012",
    ("run", "services", "describe"): "https://rotation-abc-ew.a.run.app",
    ("secrets", "versions", "access"): '{"username": "rotator", "password": "not-real"}',
    ("config", "get-value"): "acme",
}


def main() -> int:
    words, how = sys.argv[1:], os.environ.get("DOCUMENTS_GCLOUD", "")
    if how == "record" or not words or words[0] not in {"secrets", "pubsub"}:
        return _record(words)
    if how:
        os.execv(how, [how, *words])  # noqa: S606
    from tests.documents.standins import rest  # noqa: PLC0415 - only where it is used

    return rest.run(words)


def _record(words: list[str]) -> int:
    recording.record("gcloud", words)
    if "--data-file=-" in words:
        sys.stdin.buffer.read()  # whoever writes must not find the pipe closed
    plain = tuple(word for word in words if not word.startswith("-"))
    for start, answer in _ANSWERS.items():
        if plain[: len(start)] == start:
            print(answer)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
