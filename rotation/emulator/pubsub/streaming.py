"""StreamingPull: hand out deliveries as they become due, take acknowledgements on the way.

It keeps nothing: what a broken stream held is delivered again when its deadline passes.

1. The first request names the subscription; later ones acknowledge, refuse or prolong.
2. With ``max_outstanding_messages`` no more than that many deliveries of this stream are open.
3. ``stream_ack_deadline_seconds`` is the deadline of what the stream hands out.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from google.pubsub_v1 import types

from rotation.emulator.iam import OWNER
from rotation.emulator.pubsub.access import permit_pull
from rotation.emulator.pubsub.api import PubSubApi, next_deliveries
from rotation.emulator.pubsub.tasks import cancelled
from rotation.emulator.status import invalid

_LARGEST_BATCH: Final = 100


async def stream(
    api: PubSubApi, requests: AsyncIterator[types.StreamingPullRequest], caller: str = OWNER
) -> AsyncIterator[types.StreamingPullResponse]:
    """Answer one StreamingPull call until the client ends it."""
    first = await anext(aiter(requests), None)
    if first is None or not first.subscription:
        raise invalid("The first request must name the subscription.")
    permit_pull(api, first.subscription, caller)
    state = _Stream(api, first)
    reading = asyncio.create_task(state.obey_all(requests))
    try:
        while not reading.done():
            handing_out = asyncio.create_task(state.hand_out())
            await asyncio.wait({reading, handing_out}, return_when=asyncio.FIRST_COMPLETED)
            if handing_out.done():
                yield handing_out.result()
            await cancelled([handing_out])
        reading.result()
    finally:
        await cancelled([reading])


class _Stream:
    """What one call has open."""

    def __init__(self, api: PubSubApi, first: types.StreamingPullRequest) -> None:
        self._api = api
        self._broker = api.broker
        self._subscription = first.subscription
        self._most = first.max_outstanding_messages or _LARGEST_BATCH
        self._deadline = first.stream_ack_deadline_seconds
        self._open: set[str] = set()
        self._broker.subscription(first.subscription)

    async def hand_out(self) -> types.StreamingPullResponse:
        """Wait for the next deliveries."""
        room = await self._room()
        deliveries = await next_deliveries(self._broker, self._subscription, room)
        ack_ids = [delivery.ack_id for delivery in deliveries]
        self._open.update(ack_ids)
        if self._deadline:
            self._broker.modify_deadline(self._subscription, ack_ids, self._deadline)
        received = [self._api.received(self._subscription, one) for one in deliveries]
        return types.StreamingPullResponse(received_messages=received)

    async def obey_all(self, requests: AsyncIterator[types.StreamingPullRequest]) -> None:
        """Carry out what the client sends after the first request."""
        async for request in requests:
            self._deadline = request.stream_ack_deadline_seconds or self._deadline
            if request.ack_ids:
                self._broker.acknowledge(self._subscription, request.ack_ids)
            pairs = zip(
                request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True
            )
            for ack_id, seconds in pairs:
                self._broker.modify_deadline(self._subscription, [ack_id], seconds)

    async def _room(self) -> int:
        """Wait until fewer than the most deliveries are open; return how many more may be."""
        changed = asyncio.Event()
        unwatch = self._broker.watch(changed.set)
        try:
            while not (room := self._most - self._count_open()):
                changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._broker.wait_for_next(self._subscription)):
                        await changed.wait()
        finally:
            unwatch()
        return min(room, _LARGEST_BATCH)

    def _count_open(self) -> int:
        running = self._broker.running(self._subscription, self._open)
        self._open.intersection_update(running)
        return len(running)
