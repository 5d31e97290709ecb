"""IAM policies, locations and managed rotation: what exists beside secrets and versions.

1. Policies of secrets are kept with the secrets; `rotation.emulator.iam` judges what they grant.
2. A policy has an ETag of its own; changing it is not an event and leaves the secret's ETag alone.
3. Managed rotation is for Cloud SQL on regional secrets and is not embedded: it is refused.
"""

from dataclasses import replace
from typing import Final

import grpc

from rotation.emulator.iam.policies import NO_POLICY, check_etag
from rotation.emulator.secretmanager.etags import etag_at
from rotation.emulator.secretmanager.history import View
from rotation.emulator.secretmanager.messages import (
    ListLocationsResponse,
    Location,
    Message,
    Policy,
    TestIamPermissionsResponse,
    copy_of,
)
from rotation.emulator.secretmanager.names import BAD_ARGUMENT
from rotation.emulator.secretmanager.store import Store
from rotation.emulator.status import StatusError, invalid, not_found

_LOCATIONS: Final = ("europe-west1", "europe-west4", "us-central1", "us-east1")


def get_iam_policy(store: Store, request: Message, view: View) -> Message:
    """Read a secret's policy."""
    record = store.read(store.names.secret(request.resource), view)
    return record.policy or Policy(etag=NO_POLICY)


def set_iam_policy(store: Store, request: Message, _view: View) -> Message:
    """Replace a secret's policy, under the policy's ETag if one was sent."""
    record = store.find(store.names.secret(request.resource))
    present = record.policy or Policy(etag=NO_POLICY)
    check_etag(request.policy, present)
    policy = copy_of(request.policy)
    policy.etag = etag_at(store.moment()).encode()
    store.write(replace(record, policy=policy), None)
    return policy


def granted_permissions(store: Store, request: Message, _view: View) -> Message:
    """Answer every permission asked for; the dispatcher removes those the caller does not have."""
    store.find(store.names.secret(request.resource))
    return TestIamPermissionsResponse(permissions=request.permissions)


def policy_on(store: Store, resource: str) -> Message | None:
    """Return the policy of the secret that a name, of it or of a version, is about."""
    try:
        key = store.names.secret(resource.partition("/versions/")[0])
    except StatusError:
        return None
    record = store.records.get(key)
    return record.policy if record else None


def list_locations(store: Store, request: Message, _view: View) -> Message:
    """List the locations of a project."""
    parent = store.names.parent(request.name)
    return ListLocationsResponse(
        locations=[_location(f"{parent}/locations/{location}") for location in _LOCATIONS]
    )


def get_location(store: Store, request: Message, _view: View) -> Message:
    """Describe one location."""
    parent = store.names.parent(request.name)
    if not parent.location:
        raise invalid(BAD_ARGUMENT)
    if parent.location not in _LOCATIONS:
        raise not_found(f"Location [{parent}] not found.")
    return _location(str(parent))


def _location(name: str) -> Message:
    return Location(name=name, location_id=name.rpartition("/")[2])


def refuse_managed_rotation(store: Store, request: Message, _view: View) -> Message:
    """Refuse what only Cloud SQL credentials can do."""
    store.find(store.names.secret(request.parent))
    raise StatusError(
        grpc.StatusCode.UNIMPLEMENTED,
        "Managed rotation of Cloud SQL credentials is not part of the embedded Secret Manager.",
    )
