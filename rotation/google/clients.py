"""Builds the clients of Secret Manager, one for each endpoint; makes no call.

1. A client is built when it is first needed, once, whichever thread asks first.
2. The client library can log whole requests and answers, payloads included, at level DEBUG.  Its
   logger is pinned above that, whatever the environment or a parent logger says.
3. A list of a thousand secrets with their annotations is larger than gRPC's default limit of
   4 MiB: the limit is lifted, as the library does for its own channels.
"""

import logging
import threading
from typing import Final

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

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = endpoint
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
            channel = grpc.insecure_channel(self._endpoint, options=_UNLIMITED)
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
