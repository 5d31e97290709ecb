"""Keeps the store in a SQLite file, so that a restart loses nothing.

It stores and loads records; it judges nothing.

1. A write is durable before it returns.
2. Only what changed is written: the secret's row, and the rows of versions that are other objects.
3. The file holds payloads and is readable by its owner only.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from rotation.emulator.secretmanager.messages import Policy, Secret, SecretVersion
from rotation.emulator.secretmanager.names import Parent, SecretKey
from rotation.emulator.secretmanager.outbox import Undelivered
from rotation.emulator.secretmanager.records import SecretRecord, VersionRecord

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS secret (
  project INTEGER, location TEXT, secret_id TEXT, message BLOB, policy BLOB,
  PRIMARY KEY (project, location, secret_id));
CREATE TABLE IF NOT EXISTS version (
  project INTEGER, location TEXT, secret_id TEXT, number INTEGER, message BLOB, payload BLOB,
  PRIMARY KEY (project, location, secret_id, number));
CREATE TABLE IF NOT EXISTS undelivered (
  topic TEXT, attributes TEXT, data BLOB, since TEXT);
"""
_SELECT_VERSIONS: Final = """
SELECT message, payload FROM version
WHERE project = ? AND location = ? AND secret_id = ? ORDER BY number
"""
_DELETE: Final = (
    "DELETE FROM version WHERE project = ? AND location = ? AND secret_id = ?",
    "DELETE FROM secret WHERE project = ? AND location = ? AND secret_id = ?",
)

_Key = tuple[int, str, str]


class Database:
    """One SQLite file."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def records(self) -> Iterator[SecretRecord]:
        """Load every secret."""
        rows = self._connection.execute(
            "SELECT project, location, secret_id, message, policy FROM secret"
        ).fetchall()
        for project, location, secret_id, message, policy in rows:
            yield SecretRecord(
                key=SecretKey(Parent(project, location), secret_id),
                message=Secret.FromString(message),
                versions=self._versions((project, location, secret_id)),
                policy=None if policy is None else Policy.FromString(policy),
            )

    def _versions(self, key: _Key) -> tuple[VersionRecord, ...]:
        rows = self._connection.execute(_SELECT_VERSIONS, key)
        return tuple(VersionRecord(SecretVersion.FromString(m), payload) for m, payload in rows)

    def save(self, record: SecretRecord, before: SecretRecord | None) -> None:
        """Store a record that replaces another one."""
        key = _key(record.key)
        policy = None if record.policy is None else record.policy.SerializeToString()
        kept = before.versions if before else ()
        changed = [
            (*key, number, version.message.SerializeToString(), version.payload)
            for number, version in enumerate(record.versions, start=1)
            if number > len(kept) or kept[number - 1] is not version
        ]
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.execute(
                "INSERT OR REPLACE INTO secret VALUES (?, ?, ?, ?, ?)",
                (*key, record.message.SerializeToString(), policy),
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO version VALUES (?, ?, ?, ?, ?, ?)", changed
            )

    def delete(self, key: SecretKey) -> None:
        """Remove a secret with its versions."""
        with self._connection:
            self._connection.execute("BEGIN")
            for statement in _DELETE:
                self._connection.execute(statement, _key(key))

    def save_undelivered(self, items: Sequence[Undelivered]) -> None:
        """Replace the events that are still to be sent."""
        rows = [
            (item.topic, json.dumps(dict(item.attributes)), item.data, item.since.isoformat())
            for item in items
        ]
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.execute("DELETE FROM undelivered")
            self._connection.executemany("INSERT INTO undelivered VALUES (?, ?, ?, ?)", rows)

    def undelivered(self) -> list[Undelivered]:
        """Load the events that are still to be sent, oldest first."""
        rows = self._connection.execute("SELECT * FROM undelivered ORDER BY rowid")
        return [
            Undelivered(topic, json.loads(attributes), data, datetime.fromisoformat(since))
            for topic, attributes, data, since in rows
        ]


def _key(key: SecretKey) -> _Key:
    return key.parent.project, key.parent.location, key.secret_id
