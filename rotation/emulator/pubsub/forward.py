"""Publish to another Pub/Sub: Google's emulator, or whatever listens at an emulator address.

It takes the place of the broker's `publish` when ``PUBSUB_EMULATOR_HOST`` is set.

1. One message, one call, answered before it returns; nothing is batched or retried.
2. A refusal comes back with the code and message of the service.
3. The client library is imported only when this is used.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import grpc

from rotation.emulator.status import StatusError

_TIMEOUT: Final = 10.0


class ForwardingPublisher:
    """Publishes to the Pub/Sub at ``host:port``, without encryption or credentials."""

    def __init__(self, address: str) -> None:
        from google.pubsub_v1 import PublisherClient  # noqa: PLC0415
        from google.pubsub_v1.services.publisher.transports import (  # noqa: PLC0415
            PublisherGrpcTransport,
        )

        self._channel = grpc.insecure_channel(address)
        transport = PublisherGrpcTransport(channel=self._channel)
        self._client: Any = PublisherClient(transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def publish(self, topic: str, attributes: Mapping[str, str], data: bytes | None) -> None:
        """Publish one message; blocks until it is accepted.

        Raises:
            StatusError: As the other side refused; UNAVAILABLE when it cannot be reached.
        """
        from google.api_core.exceptions import GoogleAPICallError  # noqa: PLC0415

        message = {"attributes": dict(attributes), "data": data or b""}
        try:
            self._client.publish(topic=topic, messages=[message], timeout=_TIMEOUT, retry=None)
        except GoogleAPICallError as error:
            code = error.grpc_status_code or grpc.StatusCode.UNKNOWN
            raise StatusError(code, str(error.message)) from None

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._channel.close()
