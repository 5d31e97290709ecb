"""The REST form of each call is the one that Google publishes inside its own clients."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    rest_base as secret_manager,
)
from google.pubsub_v1.services.publisher.transports import rest_base as publisher
from google.pubsub_v1.services.subscriber.transports import rest_base as subscriber

from rotation.emulator.pubsub.methods import METHODS, PUBLISHER, SUBSCRIBER
from rotation.emulator.secretmanager.rpcs import RPCS

#: The collections of `rotation.emulator.secretmanager.rpcs.Rest`, as Google spells them.
COLLECTIONS = {
    "project": ("projects/*", "projects/*/locations/*"),
    "location": ("projects/*/locations/*",),
    "secret": ("projects/*/secrets/*", "projects/*/locations/*/secrets/*"),
    "version": ("projects/*/secrets/*/versions/*", "projects/*/locations/*/secrets/*/versions/*"),
}
CLIENTS: Mapping[str, tuple[Any, ...]] = {
    PUBLISHER: (publisher._BasePublisherRestTransport,),
    SUBSCRIBER: (subscriber._BaseSubscriberRestTransport,),
}
BOTH = (*CLIENTS[PUBLISHER], *CLIENTS[SUBSCRIBER])


def published(client: Any, call: str) -> Iterator[tuple[str, str]]:
    """Yield what Google's client would send: the method, and the path with its field's name."""
    for option in getattr(client, f"_Base{call}")._get_http_options():
        yield option["method"].upper(), option["uri"]


@pytest.mark.parametrize("name", RPCS)
def test_secret_manager_is_served_where_its_client_asks(name: str) -> None:
    rpc = RPCS[name]
    client = secret_manager._BaseSecretManagerServiceRestTransport
    ours = {
        (rpc.rest.method, f"/v1/{{{rpc.resource}={pattern}}}{rpc.rest.suffix}")
        for pattern in COLLECTIONS[rpc.rest.collection]
    }
    assert set(published(client, name)) <= ours
    bodies = {
        option.get("body", "") for option in getattr(client, f"_Base{name}")._get_http_options()
    }
    assert bodies == {rpc.rest.body}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.name}-{method.resource}")
def test_pub_sub_is_served_where_its_clients_ask(method: Any) -> None:
    pattern = re.sub(r"\{\w+\}", "*", method.resource)
    form = (method.verb, f"/v1/{{{method.bound}={pattern}}}{method.suffix}")
    for client in CLIENTS.get(method.service, BOTH):
        assert form in set(published(client, method.name))
