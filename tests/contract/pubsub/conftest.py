from collections.abc import Iterator

import pytest
from pubsub_support import EMULATOR, Endpoint, PubSub, emulator, ours

BOTH = [
    pytest.param("ours", id="ours"),
    pytest.param("emulator", id="emulator", marks=pytest.mark.emulator),
]


@pytest.fixture(scope="session")
def google_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubSub]:
    if not EMULATOR.exists():
        pytest.skip("Google's Pub/Sub emulator is not installed")
    with emulator(tmp_path_factory.mktemp("emulator") / "log") as pubsub:
        yield pubsub


@pytest.fixture(scope="session")
def our_pubsub() -> Iterator[PubSub]:
    with ours() as pubsub:
        yield pubsub


@pytest.fixture(params=BOTH)
def pubsub(request: pytest.FixtureRequest) -> PubSub:
    fixture = {"ours": "our_pubsub", "emulator": "google_emulator"}[request.param]
    return request.getfixturevalue(fixture)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()
