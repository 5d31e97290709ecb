"""A Secret Manager that answers exactly what a test wrote down, and counts the calls."""

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import proto
from google.cloud.secretmanager_v1 import types
from google.protobuf.message import Message

_SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
_METHODS = {
    "GetSecret": types.GetSecretRequest,
    "UpdateSecret": types.UpdateSecretRequest,
    "ListSecrets": types.ListSecretsRequest,
    "AddSecretVersion": types.AddSecretVersionRequest,
    "AccessSecretVersion": types.AccessSecretVersionRequest,
    "GetSecretVersion": types.GetSecretVersionRequest,
    "EnableSecretVersion": types.EnableSecretVersionRequest,
    "DisableSecretVersion": types.DisableSecretVersionRequest,
    "DestroySecretVersion": types.DestroySecretVersionRequest,
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
        self._threads = ThreadPoolExecutor(8)
        self._server = grpc.server(self._threads)
        handlers = {name: self._handler(name, kind) for name, kind in _METHODS.items()}
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
        self._threads.shutdown()

    def _handler(self, name: str, request: type[proto.Message]) -> grpc.RpcMethodHandler:
        def serve(message: Message, context: grpc.ServicerContext) -> Message:
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
