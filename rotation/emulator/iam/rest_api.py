"""IAM over REST: policies of projects, custom roles, and the control API.

1. Paths and answers are those of Cloud Resource Manager v1 and IAM v1, as gcloud asks them.
2. A custom role that is deleted is gone at once; the real service keeps it for seven days.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from google.iam.v1 import policy_pb2
from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rotation.emulator.iam.callers import caller_of
from rotation.emulator.iam.policies import Iam
from rotation.emulator.iam.roles import PREDEFINED
from rotation.emulator.status import StatusError, already_exists, invalid, not_found, rest_body

_ROLE_FIELDS: Final = ("title", "description", "includedPermissions", "stage")
_Handler = Callable[[Request], Awaitable[Any]]


def iam_routes(iam: Callable[[], Iam]) -> list[BaseRoute]:
    """Return the Starlette routes of IAM; ``iam`` is asked for each call."""
    served = _Served(iam)
    project, roles = "/v1/projects/{project}", "/v1/projects/{project}/roles"
    of_project, of_roles = "resourcemanager.projects", "iam.roles"
    #: Method, path, what answers, and the permission it needs.
    table: list[tuple[str, str, _Handler, str]] = [
        ("GET", project, served.get_project, f"{of_project}.get"),
        ("POST", f"{project}:getIamPolicy", served.get_policy, f"{of_project}.getIamPolicy"),
        ("POST", f"{project}:setIamPolicy", served.set_policy, f"{of_project}.setIamPolicy"),
        ("POST", f"{project}:testIamPermissions", served.test_permissions, ""),
        ("GET", roles, served.list_roles, f"{of_roles}.list"),
        ("POST", roles, served.create_role, f"{of_roles}.create"),
        ("GET", f"{roles}/{{role}}", served.get_role, f"{of_roles}.get"),
        ("PATCH", f"{roles}/{{role}}", served.update_role, f"{of_roles}.update"),
        ("DELETE", f"{roles}/{{role}}", served.delete_role, f"{of_roles}.delete"),
        ("POST", "/v1/permissions:queryTestablePermissions", served.testable, ""),
        ("GET", "/embedded/v1/iam", served.show, ""),
        ("PUT", "/embedded/v1/iam", served.switch, ""),
        ("DELETE", "/embedded/v1/iam/used", served.forget, ""),
    ]
    return [
        Route(path, _answering(iam, handler, permission), methods=[method])
        for method, path, handler, permission in table
    ]


def _answering(
    iam: Callable[[], Iam], handler: _Handler, permission: str
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(http: Request) -> Response:
        try:
            if permission:
                _permit(iam(), http, permission)
            return JSONResponse(await handler(http))
        except StatusError as error:
            return JSONResponse(rest_body(error), status_code=error.http_status)

    return answer


def _permit(iam: Iam, http: Request, permission: str) -> None:
    caller, project = caller_of(http.headers.items()), _project(http)
    refusal = StatusError(
        grpc.StatusCode.PERMISSION_DENIED,
        f"Permission '{permission}' denied on resource '//{project}' (or it may not exist).",
    )
    iam.permit(caller, permission, project, lambda: None, refusal)


class _Served:
    """One method for each request."""

    def __init__(self, iam: Callable[[], Iam]) -> None:
        self._iam = iam

    async def get_project(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        number = self._iam().number(_project(http))
        if number is None:
            raise not_found(f"The project {http.path_params['project']} was not found.")
        name = self._iam().named(_project(http)).partition("/")[2]
        return {"projectId": name, "projectNumber": number, "lifecycleState": "ACTIVE"}

    async def get_policy(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        return json_format.MessageToDict(self._iam().policy(_project(http)))

    async def set_policy(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        policy = policy_pb2.Policy()
        try:
            json_format.ParseDict((await _body(http)).get("policy", {}), policy)
        except (json_format.ParseError, TypeError, ValueError):
            raise invalid("Invalid JSON payload received.") from None
        return json_format.MessageToDict(self._iam().set_policy(_project(http), policy))

    async def test_permissions(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        asked = [str(permission) for permission in (await _body(http)).get("permissions", [])]
        iam, caller, project = self._iam(), caller_of(http.headers.items()), _project(http)
        return {
            "permissions": [
                permission for permission in asked if iam.allows(caller, permission, project, None)
            ]
        }

    async def list_roles(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        iam = self._iam()
        prefix = iam.named(f"{_project(http)}/roles/")
        found = [name for name in sorted(iam.roles) if name.startswith(prefix)]
        return {"roles": [_resource(name, iam.roles[name]) for name in found]}

    async def create_role(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        body = await _body(http)
        role_id, iam = body.get("roleId", ""), self._iam()
        name = iam.named(f"{_project(http)}/roles/{role_id}")
        if name in iam.roles:
            raise already_exists(f"A role named {role_id} in {_project(http)} already exists.")
        iam.roles[name] = _fields(body.get("role", {}))
        iam.save()
        return _resource(name, iam.roles[name])

    async def get_role(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        name = self._role(http)
        return _resource(name, self._iam().roles[name])

    async def update_role(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        name, iam = self._role(http), self._iam()
        iam.roles[name] |= _fields(await _body(http))
        iam.save()
        return _resource(name, iam.roles[name])

    async def delete_role(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        name, iam = self._role(http), self._iam()
        deleted = {**_resource(name, iam.roles.pop(name)), "deleted": True}
        iam.save()
        return deleted

    async def testable(self, _http: Request) -> Any:  # noqa: ANN401 - JSON
        known = sorted({permission for granted in PREDEFINED.values() for permission in granted})
        return {"permissions": [{"name": permission, "stage": "GA"} for permission in known]}

    async def show(self, _http: Request) -> Any:  # noqa: ANN401 - JSON
        iam = self._iam()
        return {"enforced": iam.enforced, "used": iam.used(), "denied": iam.denied()}

    async def switch(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        enforced = (await _body(http)).get("enforced")
        if not isinstance(enforced, bool):
            raise invalid("enforced must be true or false")
        self._iam().enforced = enforced
        return await self.show(http)

    async def forget(self, http: Request) -> Any:  # noqa: ANN401 - JSON
        shown = await self.show(http)
        self._iam().forget_used()
        return shown

    def _role(self, http: Request) -> str:
        name = self._iam().named(f"{_project(http)}/roles/{http.path_params['role']}")
        if name not in self._iam().roles:
            raise not_found(f"The role named {name} was not found.")
        return name


async def _body(http: Request) -> dict[str, Any]:
    text = await http.body()
    try:
        body = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        raise invalid("Invalid JSON payload received.") from None
    if not isinstance(body, dict):
        raise invalid("Invalid JSON payload received.")
    return body


def _project(http: Request) -> str:
    return f"projects/{http.path_params['project']}"


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in _ROLE_FIELDS if name in body}


def _resource(name: str, role: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, **role, "etag": "BwXhqDVjJ14="}
