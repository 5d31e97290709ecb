from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service import transports
from secretmanager_calls import Json
from secretmanager_support import World

from rotation.emulator.background import Background, serve_in_background
from rotation.emulator.secretmanager.controls import Controls
from rotation.emulator.secretmanager.server import SecretManagerServer
from rotation.emulator.secretmanager.store import Store


@pytest.fixture(scope="session")
def background() -> Iterator[Background[SecretManagerServer]]:
    with serve_in_background(lambda: SecretManagerServer(Store())) as background:
        yield background


@pytest.fixture(scope="session")
def controls(background: Background[SecretManagerServer]) -> Iterator[Controls]:
    with Controls(background.served.rest_url) as controls:
        yield controls


@pytest.fixture
def world(background: Background[SecretManagerServer], controls: Controls) -> World:
    return World(background, controls)


@pytest.fixture(scope="session")
def grpc_client(background: Background[SecretManagerServer]) -> Iterator[Any]:
    with grpc.insecure_channel(background.served.grpc_address) as channel:
        transport = transports.SecretManagerServiceGrpcTransport(channel=channel)
        yield secretmanager_v1.SecretManagerServiceClient(transport=transport)


@pytest.fixture(scope="session")
def rest_client(background: Background[SecretManagerServer]) -> Iterator[Any]:
    transport = transports.SecretManagerServiceRestTransport(
        host=background.served.rest_url.removeprefix("http://"),
        url_scheme="http",
        credentials=AnonymousCredentials(),
    )
    with secretmanager_v1.SecretManagerServiceClient(transport=transport) as client:
        yield client


@pytest.fixture(params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, world: World) -> Json:
    return request.getfixturevalue(f"{request.param}_client")
