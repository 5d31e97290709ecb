"""Ask IAM before a call is answered, over gRPC and REST alike.

It never answers a call itself but for what a caller may do.

1. What is created, and lists, are a matter of the project; everything else of the resource and its
   project.
2. A subscription needs a permission on its topic as well.
3. A refusal does not tell whether the resource exists.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import grpc

from rotation.emulator.iam import Iam
from rotation.emulator.pubsub.api import PubSubApi
from rotation.emulator.pubsub.methods import IAM, METHODS, Method
from rotation.emulator.status import StatusError

_OF_PROJECT: Final = ("create", "list")
_PULL: Final = next(method for method in METHODS if method.name == "Pull")


async def answer(api: PubSubApi, method: Method, request: Any, caller: str) -> Any:  # noqa: ANN401
    """Answer one call of a caller, see `rotation.emulator.iam`.

    Raises:
        StatusError: It is refused.
    """
    permit(api, method, request, caller)
    response = await method.handle(api, request)
    if method.name == "TestIamPermissions":
        iam, resource = api.broker.iam, method.resource_of(request)
        allowed = [
            permission
            for permission in request.permissions
            if _allows(iam, caller, permission, resource)
        ]
        del response.permissions[:]
        response.permissions.extend(allowed)
    return response


def permit(api: PubSubApi, method: Method, request: Any, caller: str) -> None:  # noqa: ANN401
    """Let a call through, or refuse it.

    Raises:
        StatusError: PERMISSION_DENIED.
    """
    iam = api.broker.iam
    for permission, resource in _needs(method, request):
        refusal = StatusError(
            grpc.StatusCode.PERMISSION_DENIED, "User not authorized to perform this action."
        )
        iam.permit(caller, permission, resource, partial(iam.policy, resource), refusal)


def permit_pull(api: PubSubApi, subscription: str, caller: str) -> None:
    """Let a streaming pull through, or refuse it.

    Raises:
        StatusError: PERMISSION_DENIED.
    """
    permit(api, _PULL, _PULL.request(subscription=subscription), caller)


def _needs(method: Method, request: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    resource = method.resource_of(request)
    if not method.permission:
        return
    if method.service == IAM:
        kind = "topics" if "/topics/" in resource else "subscriptions"
        yield f"pubsub.{kind}.{method.permission}", resource
        return
    project = "/".join(resource.split("/")[:2])
    of_project = method.permission.rpartition(".")[2] in _OF_PROJECT
    yield f"pubsub.{method.permission}", project if of_project else resource
    if method.name == "CreateSubscription":
        yield "pubsub.topics.attachSubscription", request.topic


def _allows(iam: Iam, caller: str, permission: str, resource: str) -> bool:
    return iam.allows(caller, permission, resource, iam.policy(resource))
