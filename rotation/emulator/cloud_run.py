"""The running function and the sweep's job, as Cloud Run Admin and Cloud Scheduler show them.

It serves what doctor reads, over REST with Google's own names: the settings of the running stack.

1. GET and PATCH of one service and of one job; a service's IAM policy; pause, resume and run.
2. A paused job stops the sweep.  What a PATCH of the service says is shown, and not carried out:
   the function is a process of this machine.
3. Settings are not kept: a stack that starts again shows its own again.  Policies are IAM's.
4. Who may call is asked of IAM; a list is a matter of the project.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

import grpc
from google.iam.v1 import policy_pb2
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rotation.emulator.bodies import parse_json
from rotation.emulator.iam import Iam, caller_of
from rotation.emulator.status import StatusError, invalid, not_found, rest_body

_Answer = dict[str, Any]
_Handler = Callable[[Request], Awaitable[_Answer]]

SERVICE: Final = "rotation"
JOB: Final = "rotation-sweep"
REGION: Final = "europe-west1"
#: Seconds between the end of the budget and that of the request.
_MARGIN: Final = 0.5


class EmbeddedDeployment:
    """One service and one job; lives on the event loop of the services.

    Args:
        project: Id of the project.
        publish_sweep: Publishes the sweep's message at once.
        now: The clock of the stack.
        iam: Who may do what.
    """

    def __init__(
        self,
        project: str,
        publish_sweep: Callable[[], None],
        now: Callable[[], datetime],
        iam: Iam,
    ) -> None:
        parent = f"projects/{project}/locations/{REGION}"
        self._service_name = f"{parent}/services/{SERVICE}"
        self._job_name = f"{parent}/jobs/{JOB}"
        self._publish_sweep = publish_sweep
        self._now = now
        self.iam = iam
        #: By full name.
        self.services: dict[str, _Answer] = {}
        self.jobs: dict[str, _Answer] = {}

    def deploy(
        self, url: str, account: str, environment: Mapping[str, str], timeout: float
    ) -> None:
        """Show the function as it was started."""
        variables = [{"name": name, "value": value} for name, value in environment.items()]
        self.services[self._service_name] = {
            "name": self._service_name,
            "uri": url.rstrip("/"),
            "urls": [url.rstrip("/")],
            "template": {
                "serviceAccount": account,
                "timeout": f"{timeout:g}s",
                "maxInstanceRequestConcurrency": int(environment.get("THREADS", "8")),
                "scaling": {"maxInstanceCount": 1},
                "containers": [{"env": variables}],
            },
            "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        }

    def schedule(self, topic: str, schedule: str, attributes: Mapping[str, str]) -> None:
        """Show the sweep as it was started."""
        self.jobs[self._job_name] = {
            "name": self._job_name,
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            "state": "ENABLED",
            "pubsubTarget": {"topicName": topic, "attributes": dict(attributes)},
        }

    def allow(self, member: str, role: str) -> None:
        """Let a member use the service, unless its policy was set before the stack began again."""
        if not self.iam.policy(self._service_name).bindings:
            binding = policy_pb2.Binding(role=role, members=[member])
            self.iam.set_policy(self._service_name, policy_pb2.Policy(bindings=[binding]))

    @property
    def is_sweeping(self) -> bool:
        """Whether the job is there and not paused."""
        return self.jobs.get(self._job_name, {}).get("state") == "ENABLED"

    def swept(self) -> None:
        """Remember that the job ran."""
        job = self.jobs.get(self._job_name)
        if job is not None:
            job["lastAttemptTime"] = f"{self._now():%Y-%m-%dT%H:%M:%SZ}"
            job["status"] = {}

    async def get_service(self, request: Request) -> _Answer:
        """Answer one service, or its policy."""
        name = _name(request)
        if name.endswith(":getIamPolicy"):
            name = name.removesuffix(":getIamPolicy")
            _found(self.services, name)
            return _policy(self.iam, name)
        return _found(self.services, name)

    async def list_services(self, request: Request) -> _Answer:
        """Answer the services of a location."""
        parent = request.url.path.removeprefix("/v2/")
        return {
            "services": [
                service for name, service in self.services.items() if name.startswith(parent)
            ]
        }

    async def patch_service(self, request: Request) -> _Answer:
        """Replace fields of a service."""
        service = _found(self.services, _name(request))
        _merge(service, await _body(request))
        return service

    async def set_policy(self, request: Request) -> _Answer:
        """Replace the policy of a service."""
        name = _name(request).removesuffix(":setIamPolicy")
        _found(self.services, name)
        policy = policy_pb2.Policy()
        try:
            json_format.ParseDict((await _body(request)).get("policy", {}), policy)
        except (json_format.ParseError, TypeError, ValueError):
            raise invalid("Invalid JSON payload received.") from None
        self.iam.set_policy(name, policy)
        return _policy(self.iam, name)

    async def get_job(self, request: Request) -> _Answer:
        """Answer one job."""
        return _found(self.jobs, _name(request))

    async def patch_job(self, request: Request) -> _Answer:
        """Replace fields of a job."""
        job = _found(self.jobs, _name(request))
        _merge(job, await _body(request))
        return job

    async def steer_job(self, request: Request) -> _Answer:
        """Pause, resume or run a job."""
        name, _, verb = _name(request).rpartition(":")
        job = _found(self.jobs, name)
        if verb == "run":
            self._publish_sweep()
            self.swept()
        elif verb in {"pause", "resume"}:
            job["state"] = "PAUSED" if verb == "pause" else "ENABLED"
        else:
            raise not_found("The requested URL was not found on this server.")
        return job

    async def delete(self, request: Request) -> _Answer:
        """Remove a service or a job."""
        name = _name(request)
        found = self.jobs if "/jobs/" in name else self.services
        _found(found, name)
        del found[name]
        return {}

    async def create(self, request: Request) -> _Answer:
        """Add a service or a job under the name in its body."""
        body = await _body(request)
        name = str(body.get("name", ""))
        if not name.startswith("projects/"):
            raise invalid("Invalid resource name.")
        (self.jobs if "/jobs/" in name else self.services)[name] = body
        return body


def deployment_app(deployment: EmbeddedDeployment) -> Starlette:
    """Return an application that serves both APIs."""
    place = "projects/{project}/locations/{region}"
    services, jobs = f"/v2/{place}/services", f"/v1/{place}/jobs"
    #: Method, path, what answers, and the verb of the permission it needs.
    table: list[tuple[str, str, _Handler, str]] = [
        ("GET", services, deployment.list_services, "list"),
        ("POST", services, deployment.create, "create"),
        ("GET", f"{services}/{{name}}", deployment.get_service, "get"),
        ("PATCH", f"{services}/{{name}}", deployment.patch_service, "update"),
        ("POST", f"{services}/{{name}}", deployment.set_policy, "setIamPolicy"),
        ("DELETE", f"{services}/{{name}}", deployment.delete, "delete"),
        ("POST", jobs, deployment.create, "create"),
        ("GET", f"{jobs}/{{name}}", deployment.get_job, "get"),
        ("PATCH", f"{jobs}/{{name}}", deployment.patch_job, "update"),
        ("POST", f"{jobs}/{{name}}", deployment.steer_job, ""),
        ("DELETE", f"{jobs}/{{name}}", deployment.delete, "delete"),
    ]
    return Starlette(
        routes=[
            Route(path, _answering(deployment.iam, handler, verb), methods=[method])
            for method, path, handler, verb in table
        ]
    )


def function_timeout(budget: float, ack_deadline: float) -> float:
    """Return how long a request may take: between the budget and the ack deadline."""
    return budget + (ack_deadline - budget) * _MARGIN


def _answering(iam: Iam, handler: _Handler, verb: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            _permit(iam, request, verb)
            return JSONResponse(await handler(request))
        except StatusError as error:
            return JSONResponse(rest_body(error), status_code=error.http_status)

    return answer


def _permit(iam: Iam, request: Request, verb: str) -> None:
    name, _, method = _name(request).partition(":")
    kind = "cloudscheduler.jobs" if "/jobs" in name else "run.services"
    permission = f"{kind}.{method or verb}"
    of_project = verb in {"list", "create"}
    resource = "/".join(name.split("/")[:2]) if of_project else name
    refusal = StatusError(
        grpc.StatusCode.PERMISSION_DENIED,
        f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).",
    )
    caller = caller_of(request.headers.items())
    iam.permit(caller, permission, resource, lambda: iam.policy(resource), refusal)


def _policy(iam: Iam, name: str) -> _Answer:
    return dict(json_format.MessageToDict(iam.policy(name)))


def _name(request: Request) -> str:
    return request.url.path.split("/", 2)[2]


def _found(things: dict[str, _Answer], name: str) -> _Answer:
    if name not in things:
        raise not_found(f"Resource '{name}' was not found")
    return things[name]


async def _body(request: Request) -> _Answer:
    try:
        body = parse_json(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise invalid("Invalid JSON payload received.")
    return body


def _merge(stored: _Answer, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(stored.get(key), dict):
            _merge(stored[key], value)
        else:
            stored[key] = value
