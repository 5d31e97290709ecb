"""Reads what carries wake-ups: subscriptions, the function, the sweep, and rights on them.

It translates Google's JSON into `rotation.model.deployment`; it judges nothing.

1. What cannot be read comes back as `Unseen`, whatever the reason.
2. Lists are read to their end.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from rotation.google.rest import Rest
from rotation.model.deployment import (
    Binding,
    Bindings,
    Job,
    Mount,
    Service,
    Subscription,
    Unseen,
)
from rotation.model.errors import AccessDeniedError, NotFoundError, RotationError

_Read = TypeVar("_Read")

_BASIC: Final = frozenset({"roles/editor", "roles/owner"})
_PUBSUB: Final = ("roles/pubsub.editor", "roles/pubsub.admin")
#: Permissions that predefined roles grant, where only these matter.
_GRANTS: Final[Mapping[str, frozenset[str]]] = {
    "pubsub.topics.publish": _BASIC | {"roles/pubsub.publisher", *_PUBSUB},
    "pubsub.subscriptions.consume": _BASIC | {"roles/pubsub.subscriber", *_PUBSUB},
    "run.routes.invoke": _BASIC | {"roles/run.invoker", "roles/run.admin"},
}
#: Members that stand for anybody.
_ANYBODY: Final = frozenset({"allUsers", "allAuthenticatedUsers"})


@dataclass(frozen=True)
class Endpoints:
    """Base URLs of the services, in gcloud's own variables."""

    pubsub: str = "https://pubsub.googleapis.com"
    secret_manager: str = "https://secretmanager.googleapis.com"  # noqa: S105 - an address
    run: str = "https://run.googleapis.com"
    scheduler: str = "https://cloudscheduler.googleapis.com"
    projects: str = "https://cloudresourcemanager.googleapis.com"
    roles: str = "https://iam.googleapis.com"


class Deployment:
    """Everything around the secrets.  Safe to use from several threads."""

    def __init__(self, endpoints: Endpoints, identity: str = "") -> None:
        self._endpoints = endpoints
        self._pubsub = Rest(endpoints.pubsub, identity=identity)
        self._run = Rest(endpoints.run, identity=identity)
        self._scheduler = Rest(endpoints.scheduler, identity=identity)
        self._projects = Rest(endpoints.projects, identity=identity)
        self._roles = Rest(endpoints.roles, identity=identity)
        self._secrets = Rest(endpoints.secret_manager, identity=identity)

    def topic(self, name: str) -> Unseen | None:
        """Return nothing when the topic is there."""
        found = _look(f"the topic {name}", lambda: self._pubsub.get(f"v1/{name}"))
        return found if isinstance(found, Unseen) else None

    def subscriptions(self, topic: str) -> "tuple[Subscription | Unseen, ...] | Unseen":
        """Return the subscriptions of a topic."""
        names = _look(
            f"the subscriptions of {topic}",
            lambda: list(self._pages(f"v1/{topic}/subscriptions", "subscriptions")),
        )
        return names if isinstance(names, Unseen) else tuple(map(self.subscription, names))

    def subscription(self, name: str) -> "Subscription | Unseen":
        """Return one subscription."""
        return _look(
            f"the subscription {name}", lambda: _subscription(self._pubsub.get(f"v1/{name}"))
        )

    def topic_policy(self, name: str) -> "Bindings | Unseen":
        """Return who may do what with a topic."""
        return self._policy(self._pubsub, f"v1/{name}", name)

    def subscription_policy(self, name: str) -> "Bindings | Unseen":
        """Return who may do what with a subscription."""
        return self._policy(self._pubsub, f"v1/{name}", name)

    def service_policy(self, name: str) -> "Bindings | Unseen":
        """Return who may do what with a Cloud Run service."""
        return self._policy(self._run, f"v2/{name}", name)

    def project_policy(self, project: str) -> "Bindings | Unseen":
        """Return who may do what in a project."""

        def read() -> Bindings:
            return _bindings(self._projects.post(f"v1/projects/{project}:getIamPolicy", {}))

        return _look(f"the IAM policy of project {project}", read)

    def project_number(self, project: str) -> "str | Unseen":
        """Return the number of a project."""

        def read() -> str:
            return str(self._projects.get(f"v1/projects/{project}")["projectNumber"])

        return project if project.isdecimal() else _look(f"the number of project {project}", read)

    def service(self, name: str) -> "Service | Unseen":
        """Return a Cloud Run service."""
        return _look(f"the Cloud Run service {name}", lambda: _service(self._run.get(f"v2/{name}")))

    def services(self, parent: str) -> "tuple[Service, ...] | Unseen":
        """Return the Cloud Run services of ``projects/P/locations/R``."""

        def read() -> tuple[Service, ...]:
            pages = self._pages(f"v2/{parent}/services", "services", self._run)
            return tuple(map(_service, pages))

        return _look(f"the Cloud Run services of {parent}", read)

    def job(self, name: str) -> "Job | Unseen":
        """Return a job of Cloud Scheduler."""
        return _look(f"the scheduler job {name}", lambda: _job(self._scheduler.get(f"v1/{name}")))

    def lacks(
        self, account: str, resource: str, wanted: Sequence[str]
    ) -> "tuple[str, ...] | Unseen":
        """Return which permissions on a secret or a topic an account does not have.

        It is asked as the account: only that sees groups, inherited roles and conditions.
        """
        is_topic = "/topics/" in resource
        base = self._endpoints.pubsub if is_topic else self._endpoints.secret_manager
        asked = Rest(base, account)

        def read() -> tuple[str, ...]:
            body = {"permissions": list(wanted)}
            try:
                answer = asked.post(f"v1/{resource}:testIamPermissions", body)
            except AccessDeniedError as error:
                if error.remedy.startswith("gcloud iam"):
                    raise
                return tuple(wanted)
            has = answer.get("permissions", [])
            return tuple(permission for permission in wanted if permission not in has)

        return _look(f"what {account} may do with {resource}", read)

    def may_list(self, account: str, project: str) -> "bool | Unseen":
        """Return whether an account may list the secrets of a project, asked as the account."""
        asked = Rest(self._endpoints.projects, account)
        permission = "secretmanager.secrets.list"

        def read() -> bool:
            path, body = f"v1/projects/{project}:testIamPermissions", {"permissions": [permission]}
            return permission in asked.post(path, body).get("permissions", [])

        return _look(f"what {account} may do in project {project}", read)

    def grants(self, bindings: Bindings, member: str, permission: str) -> "bool | Unseen":
        """Return whether a policy lets a member use a permission."""
        answers = [
            self._role_has(binding.role, permission)
            for binding in bindings
            if not binding.is_conditional and binding.members & (_ANYBODY | {member})
        ]
        blind = next((answer for answer in answers if isinstance(answer, Unseen)), None)
        return True if True in answers else blind or False

    def enlarge_ack_deadline(self, name: str, seconds: int) -> None:
        """Give deliveries more time."""
        self._change_subscription(name, {"ackDeadlineSeconds": seconds}, "ackDeadlineSeconds")

    def set_backoff(self, name: str, shortest: int, longest: int) -> None:
        """Space refused deliveries."""
        policy = {"minimumBackoff": f"{shortest}s", "maximumBackoff": f"{longest}s"}
        self._change_subscription(name, {"retryPolicy": policy}, "retryPolicy")

    def keep_for_ever(self, name: str) -> None:
        """Never remove a subscription for lack of use."""
        self._change_subscription(name, {"expirationPolicy": {}}, "expirationPolicy")

    def resume_job(self, name: str) -> None:
        """Let a paused job of Cloud Scheduler run."""
        self._scheduler.post(f"v1/{name}:resume", {})

    @property
    def ahead(self) -> float | None:
        """Seconds that Secret Manager's clock is ahead of this machine's; None: not known."""
        for rest in (self._secrets, self._pubsub, self._run):
            if rest.ahead is not None:
                return rest.ahead.total_seconds()
        return None

    def _role_has(self, role: str, permission: str) -> "bool | Unseen":
        if role.startswith("roles/"):
            return role in _GRANTS.get(permission, ())

        def read() -> bool:
            return permission in self._roles.get(f"v1/{role}").get("includedPermissions", [])

        found = _look(f"the role {role}", read)
        return False if isinstance(found, Unseen) and found.is_missing else found

    def _change_subscription(self, name: str, fields: Mapping[str, Any], mask: str) -> None:
        body = {"subscription": {"name": name, **fields}, "updateMask": mask}
        self._pubsub.patch(f"v1/{name}", body, mask)

    def _policy(self, rest: Rest, path: str, name: str) -> "Bindings | Unseen":
        def read() -> Bindings:
            return _bindings(rest.get(f"{path}:getIamPolicy"))

        return _look(f"the IAM policy of {name}", read)

    def _pages(self, path: str, key: str, rest: Rest | None = None) -> Iterator[Any]:
        token = ""
        while True:
            query = {"pageToken": token} if token else {}
            page = (rest or self._pubsub).get(path, **query)
            yield from page.get(key, [])
            token = page.get("nextPageToken", "")
            if not token:
                return


def _look(what: str, read: Callable[[], _Read]) -> "_Read | Unseen":
    try:
        return read()
    except RotationError as error:
        missing = isinstance(error, NotFoundError)
        return Unseen(what, str(error.args[0]), error.remedy, missing)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        return Unseen(what, f"the answer is not understood ({type(error).__name__})")


def _bindings(policy: Mapping[str, Any]) -> Bindings:
    return tuple(
        Binding(binding["role"], frozenset(binding.get("members", [])), "condition" in binding)
        for binding in policy.get("bindings", [])
    )


def _subscription(body: Mapping[str, Any]) -> Subscription:
    push = body.get("pushConfig") or {}
    token, retry = push.get("oidcToken") or {}, body.get("retryPolicy")
    dead, expiry = body.get("deadLetterPolicy") or {}, body.get("expirationPolicy")
    ttl = (expiry or {}).get("ttl")
    return Subscription(
        name=body["name"],
        topic=body["topic"],
        endpoint=push.get("pushEndpoint", ""),
        push_account=token.get("serviceAccountEmail", ""),
        audience=token.get("audience", ""),
        filter=body.get("filter", ""),
        ack_deadline=int(body.get("ackDeadlineSeconds", 10)),
        shortest_backoff=_seconds(retry.get("minimumBackoff", "10s")) if retry else None,
        dead_letter_topic=dead.get("deadLetterTopic", ""),
        attempts=int(dead.get("maxDeliveryAttempts", 0)),
        expires_after=_seconds(ttl) / 86400 if ttl else None,
        is_unwrapped="noWrapper" in push,
    )


def _service(body: Mapping[str, Any]) -> Service:
    template = body.get("template") or {}
    containers = template.get("containers") or [{}]
    variables = [variable for one in containers for variable in one.get("env", [])]
    condition = body.get("terminalCondition") or {}
    most = (template.get("scaling") or {}).get("maxInstanceCount")
    is_ready = condition.get("state", "CONDITION_SUCCEEDED") == "CONDITION_SUCCEEDED"
    return Service(
        name=body["name"],
        url=body.get("uri", ""),
        urls=tuple(body.get("urls", [])),
        timeout=_seconds(template.get("timeout", "300s")),
        concurrency=int(template.get("maxInstanceRequestConcurrency", 80)),
        most_instances=None if most is None else int(most),
        account=template.get("serviceAccount", ""),
        environment={
            variable["name"]: variable["value"] for variable in variables if "value" in variable
        },
        mounts=tuple(_mounts(template, variables)),
        trouble="" if is_ready else condition.get("message", "it is not ready"),
    )


def _mounts(template: Mapping[str, Any], variables: Sequence[Any]) -> Iterator[Mount]:
    for variable in variables:
        reference = (variable.get("valueSource") or {}).get("secretKeyRef")
        if reference:
            version = reference.get("version", "latest")
            yield Mount(reference["secret"], version, variable["name"])
    paths = {
        mount["name"]: mount["mountPath"]
        for one in template.get("containers", [])
        for mount in one.get("volumeMounts", [])
    }
    for volume in template.get("volumes", []):
        secret = volume.get("secret")
        if secret:
            for item in secret.get("items") or [{}]:
                path = f"{paths.get(volume['name'], '')}/{item.get('path', secret['secret'])}"
                yield Mount(secret["secret"], item.get("version", "latest"), path)


def _job(body: Mapping[str, Any]) -> Job:
    target, status = body.get("pubsubTarget") or {}, body.get("status") or {}
    last = body.get("lastAttemptTime")
    return Job(
        name=body["name"],
        schedule=body.get("schedule", ""),
        is_enabled=body.get("state", "ENABLED") == "ENABLED",
        topic=target.get("topicName", ""),
        attributes=target.get("attributes", {}),
        last_attempt=datetime.fromisoformat(last).astimezone(UTC) if last else None,
        failure=str(status.get("message") or f"status {status['code']}")
        if status.get("code")
        else "",
    )


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))
