"""Composes IAM roles: what each part needs itself, and what the plugins that are there need.

Rules of this module:
  1. A permission is in a role because somebody declares it, and the role says who.
  2. A role is for one kind of resource: roles are granted where they are needed, not on the
     project.  What cannot be granted more narrowly is a role of its own.
  3. What plugins need of other services, such as metrics, is one role for each service: it is
     granted only where the setting that calls for it is used.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rotation.google.needs import NEEDS, Part
from rotation.model.permission import On, Permission
from rotation.model.plugin import Spec

#: Services whose permissions the parts themselves use; those of others are optional.
_OWN: Final = ("secretmanager", "pubsub", "run")
#: Names of services, for titles.
_SERVICES: Final = {"cloudsql": "Cloud SQL", "monitoring": "Cloud Monitoring"}


@dataclass(frozen=True)
class Role:
    """One custom role."""

    id: str
    title: str
    description: str
    part: str
    #: On what it is granted: secret, secret-read, project, topic, topic-emergency, service or
    #: account.
    scope: str
    #: Who needs each permission, and what for.
    because: Mapping[str, Sequence[str]]
    #: Granted only where a setting calls for it.
    optional: bool = False

    @property
    def permissions(self) -> list[str]:
        """What it grants, in order."""
        return sorted(self.because)

    def described(self) -> dict[str, Any]:
        """Return the role as data."""
        return {
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "part": self.part,
            "scope": self.scope,
            "optional": self.optional,
            "permissions": self.permissions,
            "because": {name: list(self.because[name]) for name in self.permissions},
        }


@dataclass(frozen=True)
class _Frame:
    """A role before it is known what is in it."""

    id: str
    title: str
    description: str
    part: str
    scope: str
    #: The parts whose needs it holds, and where.
    holds: Mapping[Part, Iterable[On]] = field(default_factory=dict)
    #: The plugins' needs it holds.
    plugins: Iterable[On] = ()


_FRAMES: Final = (
    _Frame(
        "rotationFunction",
        "Rotation: function on a managed secret",
        "What the function needs on each secret that it rotates. Granted on the secret.",
        "function",
        "secret",
        {Part.FUNCTION: (On.MANAGED_SECRET,)},
        (On.MANAGED_SECRET,),
    ),
    _Frame(
        "rotationReader",
        "Rotation: function on a secret that it reads",
        "Reads secrets that plugins need, such as the rotator's login. Granted on the secret.",
        "function",
        "secret-read",
        {Part.DOCTOR: (On.READ_SECRET, On.MANAGED_SECRET)},
        (On.READ_SECRET,),
    ),
    _Frame(
        "rotationSweep",
        "Rotation: sweep",
        "Lists the secrets of the project. It cannot be granted more narrowly.",
        "sweep",
        "project",
        {Part.SWEEP: (On.PROJECT,)},
        (On.PROJECT,),
    ),
    _Frame(
        "rotationPublisher",
        "Rotation: publisher of wake-ups",
        "Publishes to the rotation topic. Granted on the topic.",
        "sweep",
        "topic",
        {Part.FUNCTION: (On.TOPIC,), Part.SWEEP: (On.TOPIC,)},
        (On.TOPIC,),
    ),
    _Frame(
        "rotationInvoker",
        "Rotation: caller of a service",
        "Calls a Cloud Run service: the push calls the function. Granted on the service.",
        "push",
        "service",
        {Part.PUSH: (On.SERVICE,)},
        (On.SERVICE,),
    ),
    _Frame(
        "rotationViewer",
        "Rotation: viewer",
        "Looks at rotations. Granted on the project.",
        "viewer",
        "project",
        {Part.VIEWER: On},
    ),
    _Frame(
        "rotationDoctor",
        "Rotation: doctor",
        "Looks at what rotations rest on, and at no payload. Granted on the project.",
        "doctor",
        "project",
        {Part.DOCTOR: (On.PROJECT,)},
    ),
    _Frame(
        "rotationDoctorAccount",
        "Rotation: doctor as the function",
        "Acts as the function, with all its rights. Granted on the function's service account.",
        "doctor",
        "account",
        {Part.DOCTOR: (On.ACCOUNT,)},
    ),
    _Frame(
        "rotationRequester",
        "Rotation: requester",
        "Asks for routine rotations. Granted on the rotation topic, beside the viewer's role.",
        "requester",
        "topic",
        {Part.REQUESTER: (On.TOPIC,)},
    ),
    _Frame(
        "rotationEmergencyRequester",
        "Rotation: requester of emergencies",
        "Asks for what is privileged. Granted on that topic, beside the viewer's role.",
        "emergency requester",
        "topic-emergency",
        {Part.EMERGENCY_REQUESTER: (On.TOPIC,)},
    ),
    _Frame(
        "rotationPolicyAuthor",
        "Rotation: policy author",
        "Writes the policy of a secret. Granted on the secret, never on the project.",
        "policy author",
        "secret",
        {Part.POLICY_AUTHOR: (On.MANAGED_SECRET,)},
    ),
)


def roles(specs: Mapping[str, Spec]) -> list[Role]:
    """Return every role that is needed, by the plugins ``kind name`` that are there."""
    framed = [_framed(frame, specs) for frame in _FRAMES]
    return [role for role in [*framed, *_optional(specs)] if role.because]


def _framed(frame: _Frame, specs: Mapping[str, Spec]) -> Role:
    because: dict[str, list[str]] = {}
    for part, places in frame.holds.items():
        for need in NEEDS[part]:
            if need.on in places:
                because.setdefault(need.name, []).append(f"the {part.value}: {need.why}")
    for plugin, need in _needs(specs):
        if need.on in frame.plugins and _service(need) in _OWN:
            because.setdefault(need.name, []).append(_reason(plugin, need))
    return Role(frame.id, frame.title, frame.description, frame.part, frame.scope, because)


def _optional(specs: Mapping[str, Spec]) -> Iterator[Role]:
    found: dict[str, dict[str, list[str]]] = {}
    for plugin, need in _needs(specs):
        if _service(need) not in _OWN:
            because = found.setdefault(_service(need), {})
            because.setdefault(need.name, []).append(_reason(plugin, need))
    for service, because in sorted(found.items()):
        title = _SERVICES.get(service, service)
        yield Role(
            f"rotation{service.capitalize()}",
            f"Rotation: function on {title}",
            f"What plugins need of {title}. Only where a policy uses them.",
            "function",
            "project",
            because,
            optional=True,
        )


def _needs(specs: Mapping[str, Spec]) -> Iterator[tuple[str, Permission]]:
    for plugin, spec in specs.items():
        for need in spec.permissions:
            yield plugin, need


def _service(need: Permission) -> str:
    return need.name.partition(".")[0]


def _reason(plugin: str, need: Permission) -> str:
    when = f" (with {need.when})" if need.when else ""
    return f"{plugin}: {need.why}{when}"
