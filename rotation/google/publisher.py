"""Publishes wake-ups to Pub/Sub; decides neither what nor when.

1. The Pub/Sub client is imported by the first publication, not with this module: a function that
   only receives never pays for it.
2. ``PUBSUB_EMULATOR_HOST`` is honoured by the client itself.
3. `publish` returns when every message is accepted, or raises.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    RotationError,
    TemporaryError,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

    from google.cloud.pubsub_v1 import PublisherClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

_LONGEST_QUOTE: Final = 500


class _Client(Protocol):
    def publish(self, topic: str, data: bytes, **attributes: str) -> "Future[str]": ...
    def stop(self) -> None: ...


class PubSubPublisher:
    """The rotation topic.  Safe to use from several threads."""

    def __init__(
        self,
        topic: str,
        *,
        per_second: float | None = None,
        timeout: float = 30.0,
        emulator: str = "",
        identity: str = "",
    ) -> None:
        """Set up; nothing is imported or sent before the first publication.

        Args:
            topic: ``projects/P/topics/T``.
            per_second: At most so many messages a second; None does not pace.
            timeout: Seconds to wait for the last message to be accepted.
            emulator: What ``PUBSUB_EMULATOR_HOST`` says; used only with an identity.
            identity: E-mail address to call an embedded Pub/Sub as; empty: its owner.
        """
        self._topic = topic
        self._interval = 1 / per_second if per_second else 0.0
        self._timeout = timeout
        self._emulator = emulator if identity else ""
        self._identity = identity
        self._lock = threading.Lock()
        self._client: _Client | None = None

    def publish(self, messages: Sequence[Mapping[str, str]]) -> None:
        """Publish one attribute-only message each; return when all are accepted."""
        if not messages:
            return
        if not self._topic:
            raise PermanentError(
                "there is no topic to publish to",
                remedy="set ROTATION_TOPIC to projects/PROJECT/topics/TOPIC",
                reason="config-invalid",
            )
        client = self._connected()
        due = time.monotonic()
        futures = []
        for attributes in messages:
            time.sleep(max(0.0, due - time.monotonic()))
            futures.append(self._send(client, attributes))
            due += self._interval
        self._await(futures)

    def close(self) -> None:
        """Send what is waiting and stop the client's threads.  May be called twice."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.stop()

    def _connected(self) -> _Client:
        with self._lock:
            if self._client is None:
                self._client = cast("_Client", self._new_client())
            return self._client

    def _new_client(self) -> "PublisherClient":
        if not self._emulator:
            return _new_client(self._timeout, None)
        from google.pubsub_v1.services.publisher.transports import (  # noqa: PLC0415 - rule 1
            PublisherGrpcTransport,
        )

        from rotation.google.clients import embedded_channel  # noqa: PLC0415 - only embedded

        channel = embedded_channel(self._emulator, self._identity)
        return _new_client(self._timeout, PublisherGrpcTransport(channel=channel))

    def _send(self, client: _Client, attributes: Mapping[str, str]) -> "Future[str]":
        try:
            # Attributes travel as keyword arguments, so one named like a parameter cannot be sent.
            return client.publish(self._topic, b"", **attributes)
        except TypeError:
            raise PermanentError("a wake-up has attributes that cannot be published") from None

    def _await(self, futures: "list[Future[str]]") -> None:
        ends = time.monotonic() + self._timeout
        for future in futures:
            try:
                future.result(max(0.0, ends - time.monotonic()))
            except Exception as error:  # noqa: BLE001 - every failure is translated, none is hidden
                raise _translate(error, self._topic) from None


def _new_client(timeout: float, transport: "PublisherGrpcTransport | None") -> "PublisherClient":
    from google.api_core.retry import Retry  # noqa: PLC0415 - rule 1
    from google.auth.exceptions import DefaultCredentialsError  # noqa: PLC0415
    from google.cloud import pubsub_v1  # noqa: PLC0415

    # The library would go on trying for ten minutes, longer than a function lives.
    options = pubsub_v1.types.PublisherOptions(
        retry=Retry(
            predicate=_is_passing, initial=0.1, maximum=5.0, multiplier=2.0, timeout=timeout
        ),
        timeout=timeout,
    )
    chosen: dict[str, Any] = {"transport": transport} if transport else {}
    try:
        return pubsub_v1.PublisherClient(publisher_options=options, **chosen)
    except DefaultCredentialsError:
        raise AccessDeniedError(
            "no Google credentials were found",
            remedy="run: gcloud auth application-default login",
        ) from None


def _is_passing(error: Exception) -> bool:
    from google.api_core import exceptions  # noqa: PLC0415 - rule 1

    # An expired token is renewed by the next attempt.
    passing = (
        exceptions.ServerError,
        exceptions.TooManyRequests,
        exceptions.Aborted,
        exceptions.Unauthorized,
    )
    return isinstance(error, passing)


def _translate(error: Exception, topic: str) -> RotationError:
    from google.api_core import exceptions  # noqa: PLC0415 - rule 1

    message = f"publishing to {topic}: {type(error).__name__}: {str(error)[:_LONGEST_QUOTE]}"
    name = topic.rpartition("/")[2]
    match error:
        case exceptions.NotFound():
            return NotFoundError(message, remedy=f"run: gcloud pubsub topics create {name}")
        case exceptions.Forbidden():
            grant = f"gcloud pubsub topics add-iam-policy-binding {name}"
            role = "--member=serviceAccount:CALLER --role=roles/pubsub.publisher"
            return AccessDeniedError(message, remedy=f"run: {grant} {role}")
        case exceptions.ClientError():
            return PermanentError(message)
        case _:
            return TemporaryError(message)
