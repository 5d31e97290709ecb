"""The way of every call, whatever brought it: count, fail as asked, run, answer.

1. A call is counted when it arrives, refused or not.
2. Order: count; wait; refuse; ask IAM; run; lose the answer.
3. What has expired is gone before a call looks.
4. A call that shall never be answered waits until its caller gives up, its failure is cleared, or
   the server stops.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final, NoReturn

import grpc

from rotation.emulator.iam import OWNER
from rotation.emulator.secretmanager.failures import Failure, Failures, Mode, view_of
from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.secretmanager.policies import policy_on
from rotation.emulator.secretmanager.quotas import Quotas, exhausted
from rotation.emulator.secretmanager.rpcs import Rpc
from rotation.emulator.secretmanager.schedule import Schedule
from rotation.emulator.secretmanager.store import Store
from rotation.emulator.status import StatusError

_UNAVAILABLE: Final = "The service is currently unavailable."


class Dispatcher:
    """Runs calls on a store; lives on the event loop both transports share."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.schedule = Schedule(store)
        self.failures = Failures()
        self.quotas = Quotas()
        self.calls: Counter[str] = Counter()
        self._released = asyncio.Event()

    async def call(self, rpc: Rpc, request: Message, caller: str = OWNER) -> Message:
        """Answer one call.

        Args:
            rpc: What is called.
            request: With what.
            caller: Who calls, see `rotation.emulator.iam`.

        Raises:
            StatusError: The call is refused, or its answer is lost.
        """
        self.calls[rpc.name] += 1
        failures = self.failures.take(rpc, request)
        if failures:
            await self._fail_before(rpc, request, failures)
        self._permit(rpc, request, caller)
        response = self._run(rpc, request, failures, caller)
        if failures:
            await self._fail_after(failures)
        return response

    def _permit(self, rpc: Rpc, request: Message, caller: str) -> None:
        resource = self._resource(rpc, request)
        self.store.permissions.permit(
            caller,
            f"secretmanager.{rpc.permission}" if rpc.permission else "",
            resource,
            lambda: policy_on(self.store, resource),
            self._denied(rpc, request),
        )

    def _run(self, rpc: Rpc, request: Message, failures: Sequence[Failure], caller: str) -> Message:
        now = self.store.clock.now()
        self.quotas.check(rpc, self._resource(rpc, request), now)
        self.schedule.expire_due(now)
        response = rpc.run(self.store, request, view_of(failures))
        if rpc.name == "TestIamPermissions":
            self._remove_denied(response, self._resource(rpc, request), caller)
        return response

    async def _fail_before(self, rpc: Rpc, request: Message, failures: Sequence[Failure]) -> None:
        await asyncio.sleep(sum(f.seconds for f in failures if f.mode is Mode.LATENCY))
        for failure in failures:
            match failure.mode:
                case Mode.UNAVAILABLE:
                    raise StatusError(grpc.StatusCode.UNAVAILABLE, _UNAVAILABLE)
                case Mode.EXHAUSTED:
                    raise exhausted("Write requests per minute", self._resource(rpc, request))
                case Mode.DENIED:
                    raise self._denied(rpc, request)
                case Mode.BLACK_HOLE:
                    await self._never()

    async def _fail_after(self, failures: Sequence[Failure]) -> None:
        for failure in failures:
            match failure.mode:
                case Mode.COMMITTED_UNAVAILABLE:
                    raise StatusError(grpc.StatusCode.UNAVAILABLE, _UNAVAILABLE)
                case Mode.COMMITTED_BLACK_HOLE:
                    await self._never()

    def _remove_denied(self, response: Message, resource: str, caller: str) -> None:
        denied, iam = self.failures.denied_permissions(), self.store.permissions
        own = policy_on(self.store, resource)
        granted = [
            permission
            for permission in response.permissions
            if permission not in denied
            and "" not in denied
            and iam.allows(caller, permission, resource, own)
        ]
        del response.permissions[:]
        response.permissions.extend(granted)

    def _denied(self, rpc: Rpc, request: Message) -> StatusError:
        resource = self._resource(rpc, request)
        return StatusError(
            grpc.StatusCode.PERMISSION_DENIED,
            f"Permission 'secretmanager.{rpc.permission}' denied for resource '{resource}' "
            "(or it may not exist).",
        )

    def _resource(self, rpc: Rpc, request: Message) -> str:
        return self.store.names.resolved(rpc.resource_of(request))

    async def _never(self) -> NoReturn:
        await self._released.wait()
        raise StatusError(grpc.StatusCode.UNAVAILABLE, _UNAVAILABLE)

    def release(self) -> None:
        """Answer UNAVAILABLE to every call that is held back."""
        self._released.set()
        self._released = asyncio.Event()
