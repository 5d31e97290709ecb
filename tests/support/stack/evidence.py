"""What the stacks of one test session made and wrote: every password, and everything readable.

1. Passwords are taken at the store, where each payload passes, before its version is destroyed.
2. Text is taken where an outsider could read it: logs, labels, annotations, events, process lists,
   reports of the tests.
"""

import base64
import contextlib
import json
import re
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

#: How the base64 of each payload of ours begins: '{"engine": '.
ENCODED_PAYLOAD = base64.b64encode(b'{"engine": ')[:14].decode()

#: Shorter ones are typed by tests, and typed again in statements that PostgreSQL logs.
SHORTEST = 20


class Evidence:
    """Passwords on one side, texts by place on the other."""

    def __init__(self) -> None:
        self.passwords: set[str] = set()
        self._texts: defaultdict[str, set[str]] = defaultdict(set)
        self._lock = threading.Lock()

    def add_text(self, place: str, text: str) -> None:
        with self._lock:
            self._texts[place].add(text)

    def add_payload(self, payload: bytes) -> None:
        with contextlib.suppress(ValueError):
            fields = json.loads(payload)
            if isinstance(fields, dict) and len(str(fields.get("password", ""))) >= SHORTEST:
                self.passwords.add(fields["password"])

    def add_record(self, record: Any) -> None:
        """Take what one write of the embedded Secret Manager stores."""
        for version in record.versions:
            self.add_payload(version.payload)
        for place in ("labels", "annotations"):
            self.add_text(place, json.dumps(dict(getattr(record.message, place))))

    def add_file(self, place: str, path: Path) -> None:
        if path.exists():
            self.add_text(place, path.read_text(encoding="utf-8", errors="replace"))

    def add_processes(self) -> None:
        """Take command line and environment of this process and all below it."""
        here = psutil.Process()
        for process in (here, *here.children(recursive=True)):
            for place in ("cmdline", "environ"):
                with contextlib.suppress(OSError):
                    text = (Path("/proc") / str(process.pid) / place).read_text(errors="replace")
                    self.add_text(place, text)

    def places(self) -> dict[str, str]:
        with self._lock:
            return {place: "\n".join(texts) for place, texts in self._texts.items()}

    def leaks(self) -> list[str]:
        """Say where a password, or a whole payload, can be read; never which."""
        return [
            f"{place}: {what}"
            for place, text in self.places().items()
            for what, found in (
                ("a password", self._holds_password(text)),
                ("an encoded payload", ENCODED_PAYLOAD in text),
            )
            if found
        ]

    def _holds_password(self, text: str) -> bool:
        # A password is one run of these characters, so only long enough runs are looked at.
        runs = set(re.findall(rf"[\w-]{{{SHORTEST},}}", text, re.ASCII))
        return any(password in run for run in runs for password in self.passwords)
