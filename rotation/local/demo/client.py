"""Consumers in a process: each reads its credential, keeps a small pool, queries without pause.

It behaves as applications are advised to, and no better: it reads user and password together, now
and then and whenever something fails, and it logs in anew all the time.

Rules of this module:
  1. Orders come on standard input, reports go to standard output; end of input ends the process.
  2. The credential stays in memory: no argument, variable, message or log line holds it.
  3. A failure is counted by its kind and never hidden by a second attempt.
  4. A consumer has a thread of its own: one that hangs does not hold up the others.
"""

import contextlib
import os
import select
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Final, Self

import grpc
import msgspec
import psycopg
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

from rotation.local.demo.wire import MOST_FAILURES, REFUSALS, Failure, Order, Report, Roster, Start

#: One session that is kept for as long as its credential, and one that is replaced all the time.
_POOL: Final = 2
#: Seconds before the second and every later retry.
_PAUSE: Final = 0.25
#: Longest that an order waits to be noticed to have come.
_LOOK_EVERY: Final = 1.0
_QUERY: Final = "SELECT count(*), sum(total) FROM orders WHERE id <= 50"

_Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class _Credential:
    version: int
    #: Never printed: a repr would show the password.
    login: dict[str, Any]

    def __repr__(self) -> str:
        return f"<credential of version {self.version}>"


@dataclass(frozen=True)
class _Session:
    version: int
    since: float
    connection: _Connection


class _Reader:
    """Reads user and password together, from one version."""

    def __init__(self, start: Start) -> None:
        self._secret = start.secret
        self._pooler = start.pooler
        self.version = start.version
        self._channel = grpc.insecure_channel(start.endpoint)
        transport = SecretManagerServiceGrpcTransport(channel=self._channel)
        self._client = SecretManagerServiceClient(transport=transport)

    def read(self) -> _Credential:
        name = f"{self._secret}/versions/{self.version}"
        answer = self._client.access_secret_version(name=name, retry=None, timeout=5)
        fields = msgspec.json.decode(answer.payload.data)
        host, _, port = self._pooler.rpartition(":")
        login = {
            "host": host or fields["host"],
            "port": port or fields["port"],
            "dbname": fields["dbname"],
            "user": fields["username"],
            "password": fields["password"],
        }
        return _Credential(int(answer.name.rpartition("/")[2]), login)

    def close(self) -> None:
        self._channel.close()


class Consumer:
    """One consumer, from its first read on; used by one thread at a time."""

    def __init__(self, start: Start) -> None:
        self.report = Report()
        self.name = start.name
        self.pace = start.pace
        self._reader = _Reader(start)
        self._credential: _Credential | None = None
        self._pool: list[_Session] = []
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
            self._next_login = now + self.pace.log_in_every
            if not self._log_in():
                return
        self._query()

    def bind(self, version: int) -> None:
        """Take another version number, as a deployment would hand it over."""
        self._reader.version = str(version)
        self._next_read = self._resume = 0.0

    def take_report(self) -> Report:
        """Return the report as of now; the next one leaves out what failed before this one."""
        used = {session.version for session in self._pool}
        self.report.version = min(used, default=0)
        report = msgspec.structs.replace(self.report)
        self.report.recent = []
        return report

    @property
    def _version(self) -> int:
        return self._credential.version if self._credential else 0

    def close(self) -> None:
        """Close every session."""
        self._drop(self._pool)
        self._reader.close()

    def _follow(self) -> None:
        """Read the credential; move the pool when it is another one."""
        self.report.reads += 1
        began = time.monotonic()
        try:
            read = self._reader.read()
        except GoogleAPICallError as error:
            self.report.failed_reads += 1
            self._failed(f"read: {type(error).__name__}", error, began, self._version)
            return
        self._next_read = time.monotonic() + self.pace.read_every
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
        """Put one fresh session into the pool; the oldest one stays."""
        if self._credential is None:
            return False
        began = time.monotonic()
        try:
            fresh = psycopg.connect(
                **self._credential.login,
                application_name=self.name,
                autocommit=True,
                connect_timeout=5,
                prepare_threshold=None,  # a pooler may sit between
            )
        except psycopg.Error as error:
            self.report.failed_logins += 1
            self._failed(f"login: {_kind_of_login(error)}", error, began, self._version)
            return False
        self.report.logins += 1
        self._pool.append(_Session(self._credential.version, began, fresh))
        self._drop(self._pool[1 : 1 - _POOL])
        self._pool[1 : 1 - _POOL] = []
        return True

    def _query(self) -> None:
        if not self._pool and not self._log_in():
            return
        session = self._pool[self.report.queries % len(self._pool)]
        self.report.queries += 1
        try:
            session.connection.execute(_QUERY).fetchone()
        except psycopg.Error as error:
            self.report.failed_queries += 1
            self._failed(f"query: {type(error).__name__}", error, session.since, session.version)
            self._drop(self._pool)
            self._pool = []
        else:
            self._streak = 0

    def _failed(self, kind: str, error: Exception, since: float, version: int) -> None:
        """Read again before the next try; the first try comes at once, later ones wait."""
        self._streak += 1
        self._next_read = 0.0
        if self._streak > 1:
            self._resume = time.monotonic() + _PAUSE
        report = self.report
        report.longest_streak = max(report.longest_streak, self._streak)
        report.failures[kind] = report.failures.get(kind, 0) + 1
        if len(report.recent) < MOST_FAILURES:
            text = " ".join(str(error).split())
            failure = Failure(time.monotonic(), since, kind, text, version, self._streak)
            report.recent.append(failure)

    def _drop(self, pool: list[_Session]) -> None:
        for session in pool:
            with contextlib.suppress(psycopg.Error):
                session.connection.close()


def _kind_of_login(error: psycopg.Error) -> str:
    text = str(error)
    return "refused" if any(words in text for words in REFUSALS) else type(error).__name__


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


class _Worker:
    """A consumer at work on a thread of its own."""

    def __init__(self, start: Start) -> None:
        self._consumer = Consumer(start)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=start.name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def obey(self, order: Order) -> Report:
        """Take the number this consumer is to be bound to, if any, and report."""
        with self._lock:
            if self._consumer.name in order.pins:
                self._consumer.bind(order.pins[self._consumer.name])
                self._consumer.work()
            return self._consumer.take_report()

    def _run(self) -> None:
        while not self._stop.wait(self._consumer.pace.think):
            with self._lock:
                self._consumer.work()


def _serve(roster: Roster, orders: _Input) -> None:
    with contextlib.ExitStack() as entered:
        workers = [entered.enter_context(_Worker(start)) for start in roster.starts]
        while orders.is_open:
            line = orders.line(_LOOK_EVERY)
            if line is not None:
                order = msgspec.json.decode(line, type=Order)
                _say([worker.obey(order) for worker in workers])


def _say(reports: list[Report]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(reports) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Wait for the first message, then work until the input ends."""
    orders = _Input()
    line = None
    while line is None and orders.is_open:
        line = orders.line(_LOOK_EVERY)
    if line is not None:
        _serve(msgspec.json.decode(line, type=Roster), orders)


if __name__ == "__main__":
    main()
