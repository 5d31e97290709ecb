"""Push what is due to its endpoints, and end what has run out of time.

It decides nothing about messages: queues say what is due, answers go back to the broker.

1. Answered 200, 201, 202 or 204 is accepted; any other answer, or none, is a failed attempt.
   (The service also takes a 102, which HTTP calls interim: here the final answer counts.)
2. The acknowledgement deadline is the request's timeout.  A slower endpoint goes on working while
   the message is delivered again: deliveries overlap, as with the real service.
3. Slow start: a subscription has a `Window` of requests at once.
4. One task looks after all subscriptions; it sleeps until a change or the next due time.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self

import httpx
from google.pubsub_v1 import types

from rotation.emulator.pubsub.broker import Broker
from rotation.emulator.pubsub.envelope import push_of
from rotation.emulator.pubsub.message import Delivery
from rotation.emulator.pubsub.queue import Queue
from rotation.emulator.pubsub.tasks import cancelled
from rotation.emulator.pubsub.window import Window

_ACCEPTED: Final = frozenset({200, 201, 202, 204})


class Dispatcher:
    """Delivers a broker's push subscriptions while it is entered."""

    def __init__(self, broker: Broker, *, first_window: int = 1) -> None:
        self._broker = broker
        self._first_window = first_window
        self._windows: dict[str, Window] = {}
        self._wake = asyncio.Event()
        self._pushes: set[asyncio.Task[None]] = set()
        # Push endpoints are local: a proxy from the environment must not see them.
        self._client = httpx.AsyncClient(
            trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=20)
        )

    async def __aenter__(self) -> Self:
        self._unwatch = self._broker.watch(self._wake.set)
        self._loop = asyncio.create_task(self._run(), name="pubsub-dispatcher")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._unwatch()
        await cancelled([self._loop])
        await cancelled(self._pushes)
        await self._client.aclose()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            due = [self._serve(*pair) for pair in self._broker.queues()]
            await self._sleep_until(
                min((moment for moment in due if moment is not None), default=None)
            )

    def _serve(self, subscription: types.Subscription, queue: Queue) -> float | None:
        """Start what may start now; return when to look again."""
        now = self._broker.now()
        queue.expire(now)
        if not subscription.push_config.push_endpoint:
            return queue.next_expiry()
        window = self._windows.setdefault(queue.name, Window(self._first_window))
        for delivery in self._broker.lease(queue.name, window.free):
            window.start()
            task = asyncio.create_task(self._push(types.Subscription(subscription), delivery))
            self._pushes.add(task)
            task.add_done_callback(self._pushes.discard)
        # With a full window or while held, a change wakes this up, not the time.
        may_start = window.free and not self._broker.failures.holds(queue.name)
        moments = [queue.next_expiry(), queue.next_delivery() if may_start else None]
        return min((moment for moment in moments if moment is not None), default=None)

    async def _push(self, subscription: types.Subscription, delivery: Delivery) -> None:
        # Cancelled at shutdown, it is not a failed attempt: the lease just ends with the process.
        accepted = await self._post(subscription, delivery)
        self._windows[subscription.name].finish(accepted=accepted)
        self._broker.pushed(subscription.name, delivery, accepted=accepted)

    async def _post(self, subscription: types.Subscription, delivery: Delivery) -> bool:
        push = push_of(subscription, delivery, self._broker.signer)
        try:
            # httpx limits each read; the deadline limits the whole exchange.
            async with asyncio.timeout(push.timeout):
                answer = await self._client.post(
                    push.url, content=push.body, headers=push.headers, timeout=None
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            return False
        return answer.status_code in _ACCEPTED

    async def _sleep_until(self, moment: float | None) -> None:
        if moment is None:
            await self._wake.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, moment - self._broker.now())):
                await self._wake.wait()
