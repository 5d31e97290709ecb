"""Builds the clients of Secret Manager, one for each endpoint; makes no call.

1. A client is built when it is first needed, once, whichever thread asks first.
2. The client library can log whole requests and answers, payloads included, at level DEBUG.  Its
   logger is pinned above that, whatever the environment or a parent logger says.
3. Embedded services believe who a caller says it is; Google's never get a caller's name from us.
4. A list of a thousand secrets with their annotations is larger than gRPC's default limit of
   4 MiB: the limit is lifted, as the library does for its own channels.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

import grpc
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

from rotation.model.errors import AccessDeniedError

_UNLIMITED: Final = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
_PAYLOAD_LOGGERS: Final = tuple(
    f"google.cloud.secretmanager_v1.services.secret_manager_service.{module}"
    for module in ("client", "transports.grpc", "transports.rest")
)


class Clients:
    """The clients of one process.  Safe to use from several threads."""

    def __init__(self, endpoint: str | None, identity: str = "") -> None:
        self._endpoint = endpoint
        self._identity = identity
        self._lock = threading.Lock()
        self._by_location: dict[str | None, SecretManagerServiceClient] = {}

    def at(self, location: str | None) -> SecretManagerServiceClient:
        """Return the client of a location; None is the global service.

        Raises:
            AccessDeniedError: The process has no Google credentials.
        """
        # An endpoint of one's own serves every location.
        place = None if self._endpoint else location
        with self._lock:
            if place not in self._by_location:
                self._by_location[place] = self._build(place)
            return self._by_location[place]

    def close(self) -> None:
        """Close every channel.  May be called twice; the next use builds anew."""
        with self._lock:
            clients, self._by_location = self._by_location, {}
        for client in clients.values():
            client.transport.close()  # type: ignore[no-untyped-call]

    def _build(self, location: str | None) -> SecretManagerServiceClient:
        for name in _PAYLOAD_LOGGERS:
            logging.getLogger(name).setLevel(logging.INFO)
        if self._endpoint:
            channel = embedded_channel(self._endpoint, self._identity)
            return SecretManagerServiceClient(
                transport=SecretManagerServiceGrpcTransport(channel=channel)
            )
        options = {}
        if location:
            options["api_endpoint"] = f"secretmanager.{location}.rep.googleapis.com"
        try:
            return SecretManagerServiceClient(client_options=options)
        except DefaultCredentialsError:
            raise AccessDeniedError(
                "no Google credentials were found",
                remedy="run: gcloud auth application-default login",
            ) from None


def embedded_channel(endpoint: str, identity: str) -> grpc.Channel:
    """Return a channel to an embedded service, on which every call says who it is from."""
    channel = grpc.insecure_channel(endpoint, options=_UNLIMITED)
    return grpc.intercept_channel(channel, _Identified(identity)) if identity else channel


class _Identified(grpc.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    """Adds a bearer token that is the e-mail address itself."""

    def __init__(self, identity: str) -> None:
        self._header = ("authorization", f"Bearer {identity}")

    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Any], Any],
        client_call_details: Any,  # noqa: ANN401 - a named tuple that has no name
        request: Any,  # noqa: ANN401 - whatever is sent
    ) -> Any:  # noqa: ANN401 - whatever is answered
        metadata = [*(client_call_details.metadata or ()), self._header]
        return continuation(client_call_details._replace(metadata=metadata), request)
