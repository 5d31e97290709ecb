"""An embedded Secret Manager on a thread of its own, and secrets made by Google's client."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import grpc
from google.cloud.secretmanager_v1 import SecretManagerServiceClient, types
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

from rotation.emulator.background import serve_in_background
from rotation.emulator.secretmanager.controls import Controls
from rotation.emulator.secretmanager.server import SecretManagerServer
from rotation.emulator.secretmanager.store import Store
from rotation.google.secret_manager import SecretManager
from rotation.model.names import SecretName

PROJECT = "demo-project"
NUMBER = "123456789012"


@dataclass
class Embedded:
    endpoint: str
    controls: Controls
    client: SecretManagerServiceClient
    store: SecretManager

    def create(self, short: str = "app", **fields: object) -> SecretName:
        location = fields.pop("location", None)
        name = SecretName(PROJECT, short, str(location) if location else None)
        replication = {} if location else {"replication": {"automatic": {}}}
        secret = types.Secret(**replication, **fields)
        self.client.create_secret(
            request={"parent": name.parent, "secret_id": short, "secret": secret}
        )
        return name

    def create_rotating(self, secret_id: str, period: timedelta) -> SecretName:
        moment = self.client.get_secret(name=str(self.create(f"{secret_id}-clock"))).create_time
        return self.create(
            secret_id,
            topics=[{"name": f"projects/{PROJECT}/topics/rotation"}],
            rotation={"next_rotation_time": moment + period, "rotation_period": period},
        )


@contextmanager
def embedded_secret_manager(
    timeout: float = 2.0, quota_patience: float = 4.0
) -> Iterator[Embedded]:
    with (
        serve_in_background(lambda: SecretManagerServer(Store())) as background,
        Controls(background.served.rest_url) as controls,
        grpc.insecure_channel(background.served.grpc_address) as channel,
    ):
        endpoint = background.served.grpc_address
        transport = SecretManagerServiceGrpcTransport(channel=channel)
        store = SecretManager(
            PROJECT, endpoint=endpoint, timeout=timeout, quota_patience=quota_patience
        )
        yield Embedded(endpoint, controls, SecretManagerServiceClient(transport=transport), store)
        controls.clear_failures()
        store.close()
