"""The embedded stack behind the terminal, as the story needs it: misfortunes, looks, and patience.

It prepares and looks; whatever a page says to do, only the page's own commands do.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from psycopg import sql

from tests.documents.terminal import Terminal

PATIENCE = 60.0


@dataclass
class World:
    """What surrounds the reader."""

    terminal: Terminal

    @property
    def variables(self) -> dict[str, str]:
        return self.terminal.variables()

    def call(self, method: str, path: str, body: Any = None, **query: str) -> dict[str, Any]:
        """Ask the Secret Manager, as somebody else would."""
        base = self.variables["CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER"]
        project = self.variables["ROTATION_PROJECT"]
        url = f"{base}v1/projects/{project}/secrets{path}"
        answer = httpx.request(method, url, json=body, params=query, trust_env=False, timeout=30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def secret(self, name: str) -> dict[str, Any]:
        return self.call("GET", f"/{name}")

    def change(self, name: str, field: str, value: Mapping[str, Any]) -> None:
        """Replace one map of a secret whole, with no regard for anybody."""
        spelled = {"version_aliases": "versionAliases"}.get(field, field)
        self.call("PATCH", f"/{name}", {spelled: value}, updateMask=field)

    def execute(self, *statements: str, database: str = "orders") -> None:
        """Run statements as the administrator."""
        with self._connect(database) as connection:
            for statement in statements:
                connection.execute(sql.SQL(statement))  # type: ignore[arg-type]

    def rows(self, query: str, database: str = "orders") -> list[tuple[Any, ...]]:
        with self._connect(database) as connection:
            return connection.execute(sql.SQL(query)).fetchall()  # type: ignore[arg-type]

    def _connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        found = self.variables
        return psycopg.connect(
            host=found["PGHOST"],
            port=found["PGPORT"],
            user=found["PGUSER"],
            password=found["PGPASSWORD"],
            dbname=database,
            autocommit=True,
        )

    def log_in(self, name: str) -> str:
        """Log in with the credential in force, as a consumer; return who the session is."""
        data = self.terminal.run(f"gcloud secrets versions access current --secret={name}").output
        login = json.loads(data)
        with psycopg.connect(
            host=login["host"],
            port=login["port"],
            dbname=login["dbname"],
            user=login["username"],
            password=login["password"],
        ) as session:
            (row,) = session.execute("SELECT current_user").fetchall()
        return str(row[0])

    def rotation(self, *words: str) -> dict[str, Any]:
        """Run one of our commands with ``--json``."""
        done = self.terminal.run(f"rotation --json {' '.join(words)} 2>/dev/null")
        found: dict[str, Any] = json.loads(done.output)
        return found

    def settle_down(self) -> None:
        """Wait until no delivery is on its way."""
        base = self.variables["CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB"]

        def quiet() -> bool:
            answer = httpx.get(f"{base}embedded/v1/pubsub/backlog", trust_env=False, timeout=30)
            waiting = answer.json()
            return not any(
                messages["outstanding"] for name, messages in waiting.items() if "dead" not in name
            )

        self.await_(quiet, "no delivery is on its way")

    def await_(self, done: Callable[[], bool], what: str) -> None:
        ends = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < ends, f"never: {what}"
            time.sleep(0.1)

    def hold_session(self, user: str, password: str) -> subprocess.Popen[bytes]:
        """Log in and stay, as a forgotten client does."""
        found = self.variables
        environment = {**found, "PGPASSWORD": password, "PATH": f"{self.terminal.folder / 'bin'}"}
        return subprocess.Popen(
            ["psql", "-U", user, "-d", "orders", "-c", "SELECT pg_sleep(600)"],
            env=environment,
            executable=self.terminal.folder / "bin" / "psql",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
