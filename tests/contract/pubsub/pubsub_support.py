"""The parts of the suite: a push endpoint that records, and two Pub/Subs to run it against."""

import http.server
import itertools
import json
import os
import queue
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from rotation.emulator.background import Background, serve_in_background
from rotation.emulator.clock import MovableClock
from rotation.emulator.pubsub.broker import Broker
from rotation.emulator.pubsub.journal import SqliteJournal
from rotation.emulator.pubsub.server import PubSubServer, rest_app
from rotation.emulator.web import serve_app
from rotation.local.postgres.server import free_port

EMULATOR = Path("/usr/lib/google-cloud-sdk/platform/pubsub-emulator/bin/cloud-pubsub-emulator")
PATIENCE = 30.0

Result = TypeVar("Result")

_numbers = itertools.count(1)


@dataclass
class Received:
    """One request at the push endpoint."""

    at: float
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def message(self) -> dict[str, Any]:
        return self.body["message"]


class Endpoint:
    """A push endpoint.  Each path records apart; a behaviour decides the answer's status."""

    def __init__(self) -> None:
        self._received: dict[str, queue.Queue[Received]] = {}
        self._behaviours: dict[str, Callable[[Received], int]] = {}
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def path(self, behaviour: Callable[[Received], int] = lambda _: 200) -> str:
        path = f"/{next(_numbers)}"
        self._received[path] = queue.Queue()
        self._behaviours[path] = behaviour
        return path

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def next(self, path: str, timeout: float = PATIENCE) -> Received:
        return self._received[path].get(timeout=timeout)

    def count(self, path: str) -> int:
        return self._received[path].qsize()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        text = request.rfile.read(int(request.headers["content-length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(time.monotonic(), headers, json.loads(text))
        self._received[request.path].put(received)
        status = self._behaviours[request.path](received)
        try:
            request.send_response(status)
            request.send_header("content-length", "0")
            request.end_headers()
        except OSError:
            # The other side has stopped waiting: what a slow endpoint is about.
            request.close_connection = True


@dataclass
class PubSub:
    """One running Pub/Sub with Google's clients on it."""

    address: str
    is_ours: bool
    rest_url: str
    clock: MovableClock = field(default_factory=MovableClock)
    background: Background[tuple[Broker, str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.channel = grpc.insecure_channel(self.address)
        self.publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self.channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=self.channel))

    def close(self) -> None:
        self.channel.close()

    def topic(self) -> str:
        name = f"projects/demo-1/topics/topic-{next(_numbers)}"
        self.publisher.create_topic(name=name)
        return name

    def new_name(self) -> str:
        return f"projects/demo-1/subscriptions/subscription-{next(_numbers)}"

    def subscribe(self, topic: str, **fields: object) -> str:
        name = self.new_name()
        self.subscriber.create_subscription(request={"name": name, "topic": topic, **fields})
        return name

    def push(self, topic: str, url: str, **fields: object) -> str:
        return self.subscribe(topic, push_config={"push_endpoint": url}, **fields)

    def publish(self, topic: str, data: bytes = b"", **attributes: str) -> str:
        message = {"data": data, "attributes": attributes}
        return self.publisher.publish(topic=topic, messages=[message]).message_ids[0]

    def pull(self, subscription: str, count: int = 1) -> list[Any]:
        """Pull until ``count`` messages are there."""
        found: list[Any] = []
        deadline = time.monotonic() + PATIENCE
        while len(found) < count and time.monotonic() < deadline:
            request = {"subscription": subscription, "max_messages": count - len(found)}
            found += self.subscriber.pull(request=request, timeout=PATIENCE).received_messages
        return found

    def pull_now(self, subscription: str) -> list[Any]:
        request = {
            "subscription": subscription,
            "max_messages": 10,
            "return_immediately": True,
        }
        with warnings.catch_warnings():
            # Deprecated for subscribers; a test of "nothing there" has no other way.
            warnings.simplefilter("ignore", DeprecationWarning)
            return list(self.subscriber.pull(request=request, timeout=PATIENCE).received_messages)

    def on_loop(self, function: Callable[[Broker], Result]) -> Result:
        """Run a function on our broker, where it lives."""
        return self.background.call(lambda served: function(served[0]))

    def wait_until(self, condition: Callable[[Broker], bool]) -> None:
        """Wait until our broker is as wanted; it is looked at after every change."""
        met = threading.Event()

        def watch(broker: Broker) -> Callable[[], None]:
            def look() -> None:
                if condition(broker):
                    met.set()

            look()
            return broker.watch(look)

        unwatch = self.on_loop(watch)
        assert met.wait(PATIENCE)
        self.on_loop(lambda _broker: unwatch())

    def wait_until_delivered(self, name: str) -> None:
        self.wait_until(lambda broker: broker.backlog()[name]["undelivered"] == 0)


@asynccontextmanager
async def _embedded(
    clock: MovableClock, journal_file: Path | None, first_window: int
) -> AsyncIterator[tuple[Broker, str, str]]:
    # A SQLite connection belongs to the thread that opened it: the broker's.
    journal = None if journal_file is None else SqliteJournal(journal_file)
    broker = Broker(clock, journal=journal)
    with closing(broker):
        async with (
            PubSubServer(broker, first_window=first_window) as server,
            serve_app(rest_app(broker)) as url,
        ):
            yield broker, server.grpc_address, url


@contextmanager
def ours(journal_file: Path | None = None, first_window: int = 1) -> Iterator[PubSub]:
    """Run the embedded Pub/Sub, gRPC and REST, on a loop of its own thread."""
    clock = MovableClock()
    with serve_in_background(lambda: _embedded(clock, journal_file, first_window)) as background:
        _broker, address, url = background.served
        pubsub = PubSub(address, is_ours=True, rest_url=f"{url}/", clock=clock)
        pubsub.background = background
        try:
            yield pubsub
        finally:
            pubsub.close()


@contextmanager
def emulator(log: Path) -> Iterator[PubSub]:
    """Run Google's emulator; its start script leaves a child, so the group is ended."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [EMULATOR, "--host=127.0.0.1", f"--port={port}"],
            start_new_session=True,
            stdout=output,
            stderr=output,
        )
    try:
        address = f"127.0.0.1:{port}"
        pubsub = PubSub(address, is_ours=False, rest_url=f"http://{address}/")
        grpc.channel_ready_future(pubsub.channel).result(PATIENCE)
        yield pubsub
        pubsub.close()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
