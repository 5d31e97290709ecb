"""Which caller may do what, by the policies on a resource and on its project.

1. The owner may do everything; for anybody else a policy on the resource, or on its project, must
   bind a role that holds the permission.
2. A member is ``user:``, ``serviceAccount:`` or ``group:`` with the caller's address, or
   ``allUsers`` or ``allAuthenticatedUsers``.  Conditions are not embedded: a binding with one
   grants nothing.
3. What a caller was let do is remembered, enforced or not; and so is what it was refused.
4. A project may be named by its id or its number.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import grpc
from google.iam.v1 import policy_pb2
from google.protobuf import json_format

from rotation.emulator.iam.callers import OWNER
from rotation.emulator.iam.roles import ALL, PREDEFINED
from rotation.emulator.status import StatusError

_EVERYBODY: Final = frozenset({"allUsers", "allAuthenticatedUsers"})
_KINDS: Final = ("user", "serviceAccount", "group")
#: The ETag Google answers for a resource that never had a policy (``ACAB`` in JSON).
NO_POLICY: Final = b"\x00\x20\x01"

Policy = Any
#: Resources by permission by caller.
_Notes = dict[str, dict[str, set[str]]]


class Iam:
    """Policies, custom roles and what was used; lives on the event loop of the services.

    Args:
        projects: The projects that exist: number by id.
        path: A file to keep policies and custom roles in; None keeps them in memory.
    """

    def __init__(self, projects: Mapping[str, int] | None = None, path: Path | None = None) -> None:
        #: Whether calls are refused.
        self.enforced = False
        #: Title, description, stage and permissions by the full name of the role.
        self.roles: dict[str, dict[str, Any]] = {}
        self._policies: dict[str, Policy] = {}
        self._ids = {str(number): name for name, number in (projects or {}).items()}
        self._used: _Notes = {}
        self._denied: _Notes = {}
        self._changes = 0
        self._path = path
        if path is not None and path.exists():
            self._load(path)

    def policy(self, resource: str) -> Policy:
        """Return the policy of a project, topic or subscription; an empty one where there is none.

        Secrets keep theirs themselves.
        """
        return self._policies.get(self.named(resource)) or policy_pb2.Policy(etag=NO_POLICY)

    def set_policy(self, resource: str, policy: Policy) -> Policy:
        """Replace a policy, under its ETag if one was sent.

        Raises:
            StatusError: ABORTED: somebody else changed it.
        """
        present = self.policy(resource)
        check_etag(policy, present)
        kept = policy_pb2.Policy()
        kept.CopyFrom(policy)
        self._changes += 1
        kept.etag = f"{self._changes:06d}".encode()
        self._policies[self.named(resource)] = kept
        self.save()
        return kept

    def forget(self, resource: str) -> None:
        """Remove the policy of a resource that is gone."""
        if self._policies.pop(self.named(resource), None) is not None:
            self.save()

    def allows(self, caller: str, permission: str, resource: str, own: Policy | None) -> bool:
        """Judge whether policies let the caller use a permission; ``own`` is the resource's."""
        if caller == OWNER:
            return True
        project = "/".join(resource.split("/")[:2])
        policies = (own, self.policy(project))
        roles = {role for policy in policies if policy for role in _bound(policy, caller)}
        return any(role == ALL or permission in self._grants(role) for role in roles)

    def permit(
        self,
        caller: str,
        permission: str,
        resource: str,
        own: Callable[[], Policy | None],
        refusal: StatusError,
    ) -> None:
        """Let a call through and remember it, or refuse it; ``own`` finds the resource's policy.

        Raises:
            StatusError: ``refusal``: it is enforced, and no policy lets the caller.
        """
        if caller == OWNER or not permission:
            return
        if self.enforced and not self.allows(caller, permission, resource, own()):
            self._note(self._denied, caller, permission, resource)
            raise refusal
        self._note(self._used, caller, permission, resource)

    def _note(self, where: _Notes, caller: str, permission: str, resource: str) -> None:
        where.setdefault(caller, {}).setdefault(permission, set()).add(self.named(resource))

    def used(self) -> dict[str, dict[str, list[str]]]:
        """Return, for each caller, the permissions it used, and on which resources."""
        return _by_caller(self._used)

    def denied(self) -> dict[str, dict[str, list[str]]]:
        """Return, for each caller, the permissions it was refused, and on which resources."""
        return _by_caller(self._denied)

    def forget_used(self) -> None:
        """Forget what was used, and what was refused."""
        self._used.clear()
        self._denied.clear()

    def save(self) -> None:
        """Keep policies and custom roles, where there is a file."""
        if self._path is not None:
            policies = {
                name: json_format.MessageToDict(policy) for name, policy in self._policies.items()
            }
            kept = {"changes": self._changes, "roles": self.roles, "policies": policies}
            beside = self._path.with_suffix(".new")
            beside.write_text(json.dumps(kept), encoding="utf-8")
            beside.replace(self._path)

    def _load(self, path: Path) -> None:
        kept = json.loads(path.read_text(encoding="utf-8"))
        self._changes, self.roles = kept["changes"], kept["roles"]
        for name, policy in kept["policies"].items():
            self._policies[name] = json_format.ParseDict(policy, policy_pb2.Policy())

    def _grants(self, role: str) -> Iterable[str]:
        custom: list[str] = self.roles.get(self.named(role), {}).get("includedPermissions", [])
        return PREDEFINED.get(role, custom)

    def number(self, project: str) -> str | None:
        """Return the number of a project, as a text; None where there is no such project."""
        name = self.named(project).partition("/")[2]
        return next((digits for digits, taken in self._ids.items() if taken == name), None)

    def named(self, resource: str) -> str:
        """Spell a name with the project's id."""
        collection, _, rest = resource.partition("/")
        project, slash, below = rest.partition("/")
        return f"{collection}/{self._ids.get(project, project)}{slash}{below}"


def _by_caller(notes: _Notes) -> dict[str, dict[str, list[str]]]:
    return {
        caller: {name: sorted(found[name]) for name in sorted(found)}
        for caller, found in sorted(notes.items())
    }


def check_etag(asked: Policy, present: Policy) -> None:
    """Refuse a change of a policy that somebody else has changed.

    Raises:
        StatusError: ABORTED.
    """
    if asked.etag and asked.etag != present.etag:
        raise StatusError(
            grpc.StatusCode.ABORTED,
            "There were concurrent policy changes. Please retry the whole read-modify-write with "
            "exponential backoff.",
        )


def _bound(policy: Policy, caller: str) -> Iterable[str]:
    members = _EVERYBODY | {f"{kind}:{caller}" for kind in _KINDS}
    for binding in policy.bindings:
        if not binding.HasField("condition") and members.intersection(binding.members):
            yield binding.role
