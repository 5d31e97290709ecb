"""One consumer as a process: reads its credential, keeps a small pool, queries without pause.

It behaves as applications are told to, and no better: it reads user and password together, now
and then and whenever something fails, and it logs in anew all the time.

Rules of this module:
  1. Orders come on standard input, reports go to standard output; end of input ends the process.
  2. The credential stays in memory: no argument, variable, message or log line holds it.
  3. A failure is counted by its kind and never hidden by a second attempt.
"""

import contextlib
import os
import select
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

import grpc
import msgspec
import psycopg
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

from rotation.local.drill.wire import READ_EVERY, Order, Report, Start

_POOL: Final = 2
#: Seconds between two queries; eight consumers share a small machine.
_THINK: Final = 0.02
#: Seconds before the second and every later retry.
_PAUSE: Final = 0.25
#: Seconds between two fresh logins that replace a pooled session.
_LOG_IN_EVERY: Final = 0.5
_QUERY: Final = "SELECT count(*), sum(total) FROM orders WHERE id <= 50"

_Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class _Credential:
    version: int
    #: Never printed: a repr would show the password.
    login: dict[str, Any]

    def __repr__(self) -> str:
        return f"<credential of version {self.version}>"


class _Reader:
    """Reads user and password together, from one version."""

    def __init__(self, start: Start) -> None:
        self._secret = start.secret
        self.version = start.version
        self._channel = grpc.insecure_channel(start.endpoint)
        transport = SecretManagerServiceGrpcTransport(channel=self._channel)
        self._client = SecretManagerServiceClient(transport=transport)

    def read(self) -> _Credential:
        name = f"{self._secret}/versions/{self.version}"
        answer = self._client.access_secret_version(name=name, retry=None, timeout=5)
        fields = msgspec.json.decode(answer.payload.data)
        login = {
            "host": fields["host"],
            "port": fields["port"],
            "dbname": fields["dbname"],
            "user": fields["username"],
            "password": fields["password"],
        }
        return _Credential(int(answer.name.rpartition("/")[2]), login)

    def close(self) -> None:
        self._channel.close()


class Consumer:
    """The process's whole life."""

    def __init__(self, start: Start) -> None:
        self.report = Report()
        self._name = start.name
        self._reader = _Reader(start)
        self._credential: _Credential | None = None
        self._pool: list[tuple[int, _Connection]] = []
        self._next_read = self._next_login = self._resume = 0.0
        self._streak = 0

    def work(self) -> None:
        """Do one round: read when it is time, log in when it is time, query."""
        now = time.monotonic()
        if now < self._resume:
            return
        if now >= self._next_read:
            self._follow()
        if now >= self._next_login:
            self._next_login = now + _LOG_IN_EVERY
            if not self._log_in():
                return
        self._query()

    def bind(self, version: int) -> None:
        """Take another version number, as a deployment would hand it over."""
        self._reader.version = str(version)
        self._next_read = self._resume = 0.0

    def told(self) -> Report:
        """Return the report as of now."""
        used = {version for version, _ in self._pool}
        self.report.version = min(used, default=0)
        return self.report

    def close(self) -> None:
        """Close every session."""
        self._drop(self._pool)
        self._reader.close()

    def _follow(self) -> None:
        """Read the credential; move the pool when it is another one."""
        try:
            read = self._reader.read()
        except GoogleAPICallError as error:
            self.report.failed_reads += 1
            self._failed(f"read: {type(error).__name__}")
            return
        self._next_read = time.monotonic() + READ_EVERY
        if self._credential is None or read.version != self._credential.version:
            self._credential = read
            self._renew()

    def _renew(self) -> None:
        before = self._pool
        self._pool = []
        while len(self._pool) < _POOL and self._log_in():
            pass
        self._drop(before)

    def _log_in(self) -> bool:
        """Put one fresh session into the pool, in place of the oldest."""
        if self._credential is None:
            return False
        try:
            fresh = psycopg.connect(
                **self._credential.login,
                application_name=self._name,
                autocommit=True,
                connect_timeout=5,
            )
        except psycopg.Error as error:
            self.report.failed_logins += 1
            self._failed(f"login: {_kind_of_login(error)}")
            return False
        self.report.logins += 1
        self._pool.append((self._credential.version, fresh))
        self._drop(self._pool[:-_POOL])
        self._pool = self._pool[-_POOL:]
        return True

    def _query(self) -> None:
        if not self._pool and not self._log_in():
            return
        connection = self._pool[self.report.queries % len(self._pool)][1]
        self.report.queries += 1
        try:
            connection.execute(_QUERY).fetchone()
        except psycopg.Error as error:
            self.report.failed_queries += 1
            self._failed(f"query: {type(error).__name__}")
            self._drop(self._pool)
            self._pool = []
        else:
            self._streak = 0

    def _failed(self, kind: str) -> None:
        """Read again before the next try; the first try comes at once, later ones wait."""
        self._streak += 1
        self._next_read = 0.0
        if self._streak > 1:
            self._resume = time.monotonic() + _PAUSE
        report = self.report
        report.longest_streak = max(report.longest_streak, self._streak)
        report.failures[kind] = report.failures.get(kind, 0) + 1

    def _drop(self, pool: list[tuple[int, _Connection]]) -> None:
        for _, connection in pool:
            with contextlib.suppress(psycopg.Error):
                connection.close()


def _kind_of_login(error: psycopg.Error) -> str:
    text = str(error)
    refused = "authentication failed" in text or "not permitted to log in" in text
    return "refused" if refused else type(error).__name__


class _Input:
    """Standard input, line by line, with a limit to every wait."""

    def __init__(self) -> None:
        self._received = bytearray()
        self.is_open = True

    def line(self, wait: float) -> bytes | None:
        """Return the next line; None when none comes within ``wait`` seconds, or ever again."""
        if b"\n" not in self._received and self.is_open:
            if not select.select([sys.stdin.fileno()], [], [], wait)[0]:
                return None
            part = os.read(sys.stdin.fileno(), 65536)
            self.is_open = bool(part)
            self._received += part
        line, end, rest = bytes(self._received).partition(b"\n")
        self._received[:] = rest if end else line
        return line if end else None


def _serve(start: Start, orders: _Input) -> None:
    with contextlib.closing(Consumer(start)) as consumer:
        while orders.is_open:
            consumer.work()
            line = orders.line(_THINK)
            if line is not None:
                _obey(consumer, msgspec.json.decode(line, type=Order))


def _obey(consumer: Consumer, order: Order) -> None:
    if order.pin is not None:
        consumer.bind(order.pin)
        consumer.work()
    sys.stdout.buffer.write(msgspec.json.encode(consumer.told()) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Wait for the first message, then work until the input ends."""
    orders = _Input()
    line = None
    while line is None and orders.is_open:
        line = orders.line(1.0)
    if line is not None:
        _serve(msgspec.json.decode(line, type=Start), orders)


if __name__ == "__main__":
    main()
