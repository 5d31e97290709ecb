"""The running function and the sweep's job, as Cloud Run Admin and Cloud Scheduler show them.

It serves what doctor reads, over REST with Google's own names: the settings of the running stack.

1. GET and PATCH of one service and of one job; a service's IAM policy; pause, resume and run.
2. A paused job stops the sweep.  What a PATCH of the service says is shown, and not carried out:
   the function is a process of this machine.
3. Nothing is kept: a stack that starts again shows its own settings again.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rotation.local.bodies import parse_json
from rotation.local.status import StatusError, invalid, not_found, rest_body

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
    """

    def __init__(
        self, project: str, publish_sweep: Callable[[], None], now: Callable[[], datetime]
    ) -> None:
        parent = f"projects/{project}/locations/{REGION}"
        self._service_name = f"{parent}/services/{SERVICE}"
        self._job_name = f"{parent}/jobs/{JOB}"
        self._publish_sweep = publish_sweep
        self._now = now
        #: By full name.
        self.services: dict[str, _Answer] = {}
        self.jobs: dict[str, _Answer] = {}
        self._policies: dict[str, _Answer] = {}

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
        """Let a member use the service."""
        bindings = self._policies.setdefault(self._service_name, {"bindings": []})["bindings"]
        bindings.append({"role": role, "members": [member]})

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
            return self._policies.get(name, {"etag": "ACAB"})
        return _found(self.services, name)

    async def list_services(self, request: Request) -> _Answer:
        """Answer the services of a location."""
        parent = request.url.path.removeprefix("/v2/")
        return {
            "services": [each for name, each in self.services.items() if name.startswith(parent)]
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
        self._policies[name] = (await _body(request)).get("policy", {})
        return self._policies[name]

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
    table: list[tuple[str, str, _Handler]] = [
        ("GET", services, deployment.list_services),
        ("POST", services, deployment.create),
        ("GET", f"{services}/{{name}}", deployment.get_service),
        ("PATCH", f"{services}/{{name}}", deployment.patch_service),
        ("POST", f"{services}/{{name}}", deployment.set_policy),
        ("DELETE", f"{services}/{{name}}", deployment.delete),
        ("POST", jobs, deployment.create),
        ("GET", f"{jobs}/{{name}}", deployment.get_job),
        ("PATCH", f"{jobs}/{{name}}", deployment.patch_job),
        ("POST", f"{jobs}/{{name}}", deployment.steer_job),
        ("DELETE", f"{jobs}/{{name}}", deployment.delete),
    ]
    return Starlette(
        routes=[Route(path, _answering(handler), methods=[verb]) for verb, path, handler in table]
    )


def function_timeout(budget: float, ack_deadline: float) -> float:
    """Return how long a request may take: between the budget and the ack deadline."""
    return budget + (ack_deadline - budget) * _MARGIN


def _answering(handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return JSONResponse(await handler(request))
        except StatusError as error:
            return JSONResponse(rest_body(error), status_code=error.http_status)

    return answer


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
