"""A Secret Manager that answers exactly what a test wrote down, and counts the calls."""

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.cloud.secretmanager_v1 import types
from google.protobuf.message import Message

from rotation.google.secret_manager import SecretManager

_SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
_VERSION = types.SecretVersion
_METHODS: dict[str, tuple[Any, Any]] = {
    "GetSecret": (types.GetSecretRequest, types.Secret),
    "UpdateSecret": (types.UpdateSecretRequest, types.Secret),
    "ListSecrets": (types.ListSecretsRequest, types.ListSecretsResponse),
    "AddSecretVersion": (types.AddSecretVersionRequest, _VERSION),
    "AccessSecretVersion": (types.AccessSecretVersionRequest, types.AccessSecretVersionResponse),
    "GetSecretVersion": (types.GetSecretVersionRequest, _VERSION),
    "EnableSecretVersion": (types.EnableSecretVersionRequest, _VERSION),
    "DisableSecretVersion": (types.DisableSecretVersionRequest, _VERSION),
    "DestroySecretVersion": (types.DestroySecretVersionRequest, _VERSION),
}

Answer = Message | tuple[grpc.StatusCode, str] | Callable[[Any], Any]


class ScriptedService:
    """Answers each method from its script; the last answer of a script is repeated."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.requests: defaultdict[str, list[Any]] = defaultdict(list)
        self.metadata: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        #: Held calls wait for it.
        self.release = threading.Event()
        self._scripts: dict[str, deque[Answer]] = {}
        self._server = grpc.server(ThreadPoolExecutor(8))
        handlers = {name: self._handler(name, *kinds) for name, kinds in _METHODS.items()}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE, handlers),)
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = f"127.0.0.1:{port}"
        self._server.start()

    def script(self, method: str, *answers: Answer) -> None:
        self._scripts[method] = deque(answers)

    def hold(self, _request: object) -> tuple[grpc.StatusCode, str]:
        """Answer only when the test is over."""
        self.release.wait(30)
        return grpc.StatusCode.CANCELLED, "held"

    def stop(self) -> None:
        self.release.set()
        self._server.stop(0).wait()

    def _handler(self, name: str, request: Any, answer: Any) -> grpc.RpcMethodHandler:
        def serve(message: Any, context: grpc.ServicerContext) -> Any:
            self.calls[name] += 1
            self.requests[name].append(message)
            self.metadata[name].append(dict(context.invocation_metadata()))
            script = self._scripts[name]
            reply = script.popleft() if len(script) > 1 else script[0]
            if callable(reply):
                reply = reply(message)
            if isinstance(reply, tuple):
                context.abort(*reply)
            return reply

        return grpc.unary_unary_rpc_method_handler(
            serve, request.pb().FromString, lambda message: message.SerializeToString()
        )


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    scripted = ScriptedService()
    yield scripted
    scripted.stop()


@pytest.fixture
def store(service: ScriptedService) -> Iterator[SecretManager]:
    store = SecretManager("demo", endpoint=service.endpoint, timeout=0.8)
    yield store
    store.close()
