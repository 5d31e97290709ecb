"""Deliver messages straight to the function, as Pub/Sub does: over HTTP, several at one moment."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from threading import Barrier
from typing import Final

import httpx

from rotation.local.demo.narrator import DemoError

_LIMIT: Final = 30.0
_PAUSE: Final = 0.2
_SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class Delivery:
    """One message as it is delivered; a repeat keeps all of it."""

    message_id: str
    attributes: Mapping[str, str]
    published_at: datetime


def deliver_at_once(url: str, token: str, deliveries: Sequence[Delivery]) -> list[int]:
    """Send every delivery at the same moment, with a push token; return the HTTP answers."""
    barrier = Barrier(len(deliveries))

    def send(delivery: Delivery) -> int:
        with _client(token) as client:
            barrier.wait(_LIMIT)
            return _post(client, url, delivery)

    with ThreadPoolExecutor(len(deliveries)) as threads:
        return list(threads.map(send, deliveries))


def deliver_until_accepted(url: str, token: str, delivery: Delivery) -> None:
    """Send one delivery again and again until it is accepted.

    Raises:
        DemoError: It never was.
    """
    end = time.monotonic() + _LIMIT
    with _client(token) as client:
        while _post(client, url, delivery) >= _SERVER_ERROR:
            if time.monotonic() > end:
                raise DemoError(f"a delivery was not accepted within {_LIMIT:.0f} s")
            time.sleep(_PAUSE)


def _client(token: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.Client(trust_env=False, timeout=_LIMIT, headers=headers)


def _post(client: httpx.Client, url: str, delivery: Delivery) -> int:
    message = {
        "messageId": delivery.message_id,
        "publishTime": delivery.published_at.isoformat(),
        "attributes": dict(delivery.attributes),
    }
    return client.post(url, json={"message": message, "subscription": "demo"}).status_code
