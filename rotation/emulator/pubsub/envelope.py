"""Compose the HTTP request that pushes one delivery.

It never sends anything.

1. Raw push is what Pub/Sub sends; Eventarc adds ``ce-*`` headers to the same body
   (https://cloud.google.com/eventarc/docs/cloudevents).
2. A message without data has no ``data``; ``deliveryAttempt`` appears only with a dead-letter
   policy; both spellings of id and time are there, as the service sends them.
3. An ``oidc_token`` asked for is sent as a bearer; its audience is the endpoint where none is
   named.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from google.pubsub_v1 import types

from rotation.emulator.pubsub.message import Delivery, Message, rfc3339
from rotation.emulator.pubsub.rules import DELIVERY_ATTRIBUTE
from rotation.emulator.signing import TokenSigner


@dataclass(frozen=True)
class Push:
    """One POST to a push endpoint."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    #: Seconds; the acknowledgement deadline.
    timeout: float


def push_of(subscription: types.Subscription, delivery: Delivery, signer: TokenSigner) -> Push:
    """Return the request for one delivery."""
    config = subscription.push_config
    headers = {"content-type": "application/json"}
    if account := config.oidc_token.service_account_email:
        token = signer.token(account, config.oidc_token.audience or config.push_endpoint)
        headers["authorization"] = f"Bearer {token}"
    if DELIVERY_ATTRIBUTE in config.attributes:
        headers |= _event_headers(subscription.topic, delivery.message)
    return Push(
        url=config.push_endpoint,
        headers=headers,
        body=json.dumps(_body(subscription, delivery), separators=(",", ":")).encode(),
        timeout=subscription.ack_deadline_seconds,
    )


def _body(subscription: types.Subscription, delivery: Delivery) -> dict[str, object]:
    body: dict[str, object] = {
        "message": _message(delivery.message),
        "subscription": subscription.name,
    }
    if "dead_letter_policy" in subscription:
        body["deliveryAttempt"] = delivery.attempt
    return body


def _message(message: Message) -> dict[str, object]:
    published = rfc3339(message.publish_time)
    shown: dict[str, object] = {
        "attributes": dict(message.attributes),
        "messageId": message.message_id,
        "message_id": message.message_id,
        "publishTime": published,
        "publish_time": published,
    }
    if message.data:
        shown["data"] = base64.b64encode(message.data).decode()
    if message.ordering_key:
        shown["orderingKey"] = message.ordering_key
    return shown


def _event_headers(topic: str, message: Message) -> dict[str, str]:
    return {
        "ce-id": message.message_id,
        "ce-source": f"//pubsub.googleapis.com/{topic}",
        "ce-specversion": "1.0",
        "ce-time": rfc3339(message.publish_time),
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    }
