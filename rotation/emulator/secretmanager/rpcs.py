"""Every call the embedded Secret Manager serves, as one table.

Both transports, the failures and the counters are driven by it.

1. A call is a row: its name, its messages, what runs it, the permission it needs, where the
   resource stands in the request, and its REST form.
2. Every REST form exists for global and for regional secrets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rotation.emulator.secretmanager import messages as m
from rotation.emulator.secretmanager import policies, secrets, versions
from rotation.emulator.secretmanager.history import View
from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.secretmanager.store import Store

MAIN_SERVICE: Final = "google.cloud.secretmanager.v1.SecretManagerService"
LOCATIONS: Final = "google.cloud.location.Locations"


class Kind(Enum):
    """Which quota a call counts against."""

    READ = "read"
    WRITE = "write"
    ACCESS = "access"


@dataclass(frozen=True)
class Rest:
    """The REST form of a call: ``/v1/COLLECTION[/SUFFIX][:VERB]``."""

    method: str
    #: What the path names, ``project``, ``location``, ``secret`` or ``version``.
    collection: str
    #: What follows the name, such as ``:access`` or ``/versions``.
    suffix: str = ""
    #: The request field the body fills; ``*`` is the request itself, empty: there is no body.
    body: str = ""


@dataclass(frozen=True)
class Rpc:
    """One call."""

    name: str
    request: Message
    response: Message
    run: Callable[[Store, Message, View], Message]
    kind: Kind
    #: Without the leading ``secretmanager.``; empty for calls everybody may make.
    permission: str
    #: The path of the request field that names the resource.
    resource: str
    rest: Rest
    service: str = MAIN_SERVICE

    def resource_of(self, request: Message) -> str:
        """Return the resource name in a request, as sent."""
        value = request
        for step in self.resource.split("."):
            value = getattr(value, step)
        return str(value)


_R, _W, _A = Kind.READ, Kind.WRITE, Kind.ACCESS

_ROWS: Final = (
    Rpc("ListSecrets", m.ListSecretsRequest, m.ListSecretsResponse, secrets.list_secrets,
        _R, "secrets.list", "parent", Rest("GET", "project", "/secrets")),
    Rpc("CreateSecret", m.CreateSecretRequest, m.Secret, secrets.create_secret,
        _W, "secrets.create", "parent", Rest("POST", "project", "/secrets", body="secret")),
    Rpc("GetSecret", m.GetSecretRequest, m.Secret, secrets.get_secret,
        _R, "secrets.get", "name", Rest("GET", "secret")),
    Rpc("UpdateSecret", m.UpdateSecretRequest, m.Secret, secrets.update_secret,
        _W, "secrets.update", "secret.name", Rest("PATCH", "secret", body="secret")),
    Rpc("DeleteSecret", m.DeleteSecretRequest, m.Empty, secrets.delete_secret,
        _W, "secrets.delete", "name", Rest("DELETE", "secret")),
    Rpc("AddSecretVersion", m.AddSecretVersionRequest, m.SecretVersion,
        versions.add_secret_version,
        _W, "versions.add", "parent", Rest("POST", "secret", ":addVersion", body="*")),
    Rpc("ListSecretVersions", m.ListSecretVersionsRequest, m.ListSecretVersionsResponse,
        versions.list_secret_versions,
        _R, "versions.list", "parent", Rest("GET", "secret", "/versions")),
    Rpc("GetSecretVersion", m.GetSecretVersionRequest, m.SecretVersion,
        versions.get_secret_version,
        _R, "versions.get", "name", Rest("GET", "version")),
    Rpc("AccessSecretVersion", m.AccessSecretVersionRequest, m.AccessSecretVersionResponse,
        versions.access_secret_version,
        _A, "versions.access", "name", Rest("GET", "version", ":access")),
    Rpc("EnableSecretVersion", m.EnableSecretVersionRequest, m.SecretVersion,
        versions.enable_secret_version,
        _W, "versions.enable", "name", Rest("POST", "version", ":enable", body="*")),
    Rpc("DisableSecretVersion", m.DisableSecretVersionRequest, m.SecretVersion,
        versions.disable_secret_version,
        _W, "versions.disable", "name", Rest("POST", "version", ":disable", body="*")),
    Rpc("DestroySecretVersion", m.DestroySecretVersionRequest, m.SecretVersion,
        versions.destroy_secret_version,
        _W, "versions.destroy", "name", Rest("POST", "version", ":destroy", body="*")),
    Rpc("GetIamPolicy", m.GetIamPolicyRequest, m.Policy, policies.get_iam_policy,
        _R, "secrets.getIamPolicy", "resource", Rest("GET", "secret", ":getIamPolicy")),
    Rpc("SetIamPolicy", m.SetIamPolicyRequest, m.Policy, policies.set_iam_policy,
        _W, "secrets.setIamPolicy", "resource", Rest("POST", "secret", ":setIamPolicy", body="*")),
    Rpc("TestIamPermissions", m.TestIamPermissionsRequest, m.TestIamPermissionsResponse,
        policies.granted_permissions,
        _R, "", "resource", Rest("POST", "secret", ":testIamPermissions", body="*")),
    Rpc("RotateSecret", m.RotateSecretRequest, m.SecretVersion,
        policies.refuse_managed_rotation,
        _W, "secrets.rotate", "parent", Rest("POST", "secret", ":rotateSecret", body="*")),
    Rpc("EnableManagedRotation", m.EnableManagedRotationRequest, m.SecretVersion,
        policies.refuse_managed_rotation,
        _W, "secrets.enableManagedRotation", "parent",
        Rest("POST", "secret", ":enableManagedRotation", body="*")),
    Rpc("ListLocations", m.ListLocationsRequest, m.ListLocationsResponse,
        policies.list_locations,
        _R, "locations.list", "name", Rest("GET", "project", "/locations"), LOCATIONS),
    Rpc("GetLocation", m.GetLocationRequest, m.Location, policies.get_location,
        _R, "locations.get", "name", Rest("GET", "location"), LOCATIONS),
)  # fmt: skip

#: Every call by its name.
RPCS: Final[Mapping[str, Rpc]] = {rpc.name: rpc for rpc in _ROWS}
