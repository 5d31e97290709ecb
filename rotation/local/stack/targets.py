"""What a stack's function may touch: its targets document, a file in the stack's folder.

Rules of this module:
  1. A document that is there when a stack starts is somebody's, and stays as it is.
  2. Nobody but the file's owner can read it, and it appears whole or not at all.
"""

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rotation.local.postgres.server import PostgresServer
from rotation.policies.targets import parse_document, read_document

#: Targets by name, as a document spells them.
Allowed = Mapping[str, Mapping[str, Any]]
#: Returns what a stack begins with, of its PostgreSQL and its project.
Allowing = Callable[[PostgresServer, str], Allowed]

_NAME: Final = "targets.json"


def nothing(_postgres: PostgresServer, _project: str) -> Allowed:
    """Let nothing be touched."""
    return {}


class TargetsFile:
    """The document of one stack."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _NAME
        #: As it was at the last look.
        self._seen = ""

    def begin(self, targets: Allowed) -> None:
        """Write the first document; one that is there is kept."""
        if not self.path.exists():
            self.write(targets)
        self.is_edited()

    def is_edited(self) -> bool:
        """Whether somebody else has changed the file since the last look."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        before, self._seen = self._seen, text
        return text != before

    def put(self, targets: Allowed) -> bool:
        """Add targets, or replace those of the same names; return whether that changed anything.

        Raises:
            FaultyTargetsError: The document that is there is not one.
        """
        before = read_document(self.path)
        known = before.get("targets") if isinstance(before, dict) else None
        after = {**(known if isinstance(known, dict) else {}), **targets}
        # As it will be read: a tuple is a list there.
        is_changed = parse_document(json.dumps({"targets": after})) != before
        if is_changed:
            self.write(after)
        return is_changed

    def write(self, targets: Allowed) -> None:
        """Replace the document."""
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{_NAME}")
        text = json.dumps({"targets": targets}, indent=2) + "\n"
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(self.path)
        self._seen = text


def postgresql_target(
    server: PostgresServer,
    database: str,
    *,
    owner: str,
    roles: Sequence[str],
    admin: str,
    secrets: Sequence[str],
) -> dict[str, Any]:
    """Return the target that a database of a stack's PostgreSQL is.

    Args:
        server: Running.
        database: Its name.
        owner: The one role that may own.
        roles: Slots, as patterns.
        admin: Full name of the rotator's secret.
        secrets: Full names of the secrets that may use it; ids may be patterns.
    """
    tls = {"tls": "disable"}
    if server.tls:
        tls = {"tls": "verify-full", "tls_root_cert": str(server.ca_path)}
    return {
        "kind": "postgresql",
        "host": server.host,
        "port": server.port,
        "database": database,
        "admin": admin,
        "roles": list(roles),
        "owners": [owner],
        "secrets": list(secrets),
        **tls,
    }
