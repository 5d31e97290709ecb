"""Keep topics, subscriptions and undelivered messages in a SQLite file, so a restart loses none.

It never decides what is due; leases are not kept, so what was leased is due again after a restart.

1. Every change is committed before the call that made it returns.
2. Rows are plain: protobuf JSON for resources, one column per field for messages.
"""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from google.pubsub_v1 import types

from rotation.emulator.pubsub.message import Message


class Kept(NamedTuple):
    """One undelivered message as it was kept."""

    subscription: str
    number: int
    message: Message
    attempts: int


class Journal(Protocol):
    """What outlives the process."""

    def save_topic(self, topic: types.Topic) -> None:
        """Remember a topic, or its change."""

    def drop_topic(self, name: str) -> None:
        """Forget a topic."""

    def save_subscription(self, subscription: types.Subscription) -> None:
        """Remember a subscription, or its change."""

    def drop_subscription(self, name: str) -> None:
        """Forget a subscription and its messages."""

    def save_message(self, kept: Kept) -> None:
        """Remember an undelivered message, or its next attempt."""

    def drop_message(self, subscription: str, number: int) -> None:
        """Forget a message."""

    def topics(self) -> list[types.Topic]:
        """Return the remembered topics."""

    def subscriptions(self) -> list[types.Subscription]:
        """Return the remembered subscriptions."""

    def messages(self) -> Iterator[Kept]:
        """Return the undelivered messages, in order of arrival."""

    def close(self) -> None:
        """Close what is open; may be called twice."""


class NoJournal:
    """Remembers nothing."""

    def save_topic(self, topic: types.Topic) -> None:
        """Do nothing."""

    def drop_topic(self, name: str) -> None:
        """Do nothing."""

    def save_subscription(self, subscription: types.Subscription) -> None:
        """Do nothing."""

    def drop_subscription(self, name: str) -> None:
        """Do nothing."""

    def save_message(self, kept: Kept) -> None:
        """Do nothing."""

    def drop_message(self, subscription: str, number: int) -> None:
        """Do nothing."""

    def topics(self) -> list[types.Topic]:
        """Return nothing."""
        return []

    def subscriptions(self) -> list[types.Subscription]:
        """Return nothing."""
        return []

    def messages(self) -> Iterator[Kept]:
        """Return nothing."""
        return iter(())

    def close(self) -> None:
        """Do nothing."""


class SqliteJournal:
    """Remembers in a SQLite file, which is created when it is missing.  Owns its tables only."""

    def __init__(self, path: Path) -> None:
        # Autocommit: one statement is one change.
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; only a power cut may cost the last changes.
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(
            """
            CREATE TABLE IF NOT EXISTS pubsub_topic (name TEXT PRIMARY KEY, body TEXT NOT NULL);
            CREATE TABLE IF NOT EXISTS pubsub_subscription (
                name TEXT PRIMARY KEY, body TEXT NOT NULL);
            CREATE TABLE IF NOT EXISTS pubsub_message (
                subscription TEXT, number INTEGER, attempts INTEGER NOT NULL,
                message_id TEXT NOT NULL, published REAL NOT NULL, attributes TEXT NOT NULL,
                data BLOB NOT NULL, ordering_key TEXT NOT NULL,
                PRIMARY KEY (subscription, number));
            """
        )

    def save_topic(self, topic: types.Topic) -> None:
        """Remember a topic, or its change."""
        self._database.execute(
            "INSERT OR REPLACE INTO pubsub_topic VALUES (?, ?)",
            (topic.name, types.Topic.to_json(topic)),
        )

    def drop_topic(self, name: str) -> None:
        """Forget a topic."""
        self._database.execute("DELETE FROM pubsub_topic WHERE name = ?", (name,))

    def save_subscription(self, subscription: types.Subscription) -> None:
        """Remember a subscription, or its change."""
        self._database.execute(
            "INSERT OR REPLACE INTO pubsub_subscription VALUES (?, ?)",
            (subscription.name, types.Subscription.to_json(subscription)),
        )

    def drop_subscription(self, name: str) -> None:
        """Forget a subscription and its messages."""
        self._database.execute("DELETE FROM pubsub_message WHERE subscription = ?", (name,))
        self._database.execute("DELETE FROM pubsub_subscription WHERE name = ?", (name,))

    def save_message(self, kept: Kept) -> None:
        """Remember an undelivered message, or its next attempt."""
        message = kept.message
        self._database.execute(
            "INSERT INTO pubsub_message VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET attempts = excluded.attempts",
            (
                kept.subscription,
                kept.number,
                kept.attempts,
                message.message_id,
                message.publish_time.timestamp(),
                json.dumps(dict(message.attributes)),
                message.data,
                message.ordering_key,
            ),
        )

    def drop_message(self, subscription: str, number: int) -> None:
        """Forget a message."""
        self._database.execute(
            "DELETE FROM pubsub_message WHERE subscription = ? AND number = ?",
            (subscription, number),
        )

    def topics(self) -> list[types.Topic]:
        """Return the remembered topics."""
        rows = self._database.execute("SELECT body FROM pubsub_topic")
        return [types.Topic.from_json(body) for (body,) in rows]

    def subscriptions(self) -> list[types.Subscription]:
        """Return the remembered subscriptions."""
        rows = self._database.execute("SELECT body FROM pubsub_subscription")
        return [types.Subscription.from_json(body) for (body,) in rows]

    def messages(self) -> Iterator[Kept]:
        """Return the undelivered messages, in order of arrival."""
        rows = self._database.execute(
            "SELECT subscription, number, attempts, message_id, published, attributes, data,"
            " ordering_key FROM pubsub_message ORDER BY subscription, number"
        )
        for subscription, number, attempts, *fields in rows.fetchall():
            message_id, published, attributes, data, ordering_key = fields
            message = Message(
                message_id=message_id,
                publish_time=datetime.fromtimestamp(published, UTC),
                attributes=json.loads(attributes),
                data=data,
                ordering_key=ordering_key,
            )
            yield Kept(subscription, number, message, attempts)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._database.close()
