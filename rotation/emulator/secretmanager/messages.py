"""The protobuf classes of Secret Manager v1, and conversions of their times.

It decides nothing.

1. These are the classes inside the public client library, so what is served is exactly what
   clients speak.
2. A message that has been stored is never changed in place: writers copy, change, replace.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from google.cloud.location import locations_pb2
from google.cloud.secretmanager_v1.types import resources, service
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.protobuf import duration_pb2, empty_pb2, timestamp_pb2

#: A protobuf message, or its class; fields are known at run time only.
Message: TypeAlias = Any

Secret: Final[Message] = resources.Secret.pb()
SecretVersion: Final[Message] = resources.SecretVersion.pb()
SecretPayload: Final[Message] = resources.SecretPayload.pb()

CreateSecretRequest: Final[Message] = service.CreateSecretRequest.pb()
GetSecretRequest: Final[Message] = service.GetSecretRequest.pb()
UpdateSecretRequest: Final[Message] = service.UpdateSecretRequest.pb()
DeleteSecretRequest: Final[Message] = service.DeleteSecretRequest.pb()
ListSecretsRequest: Final[Message] = service.ListSecretsRequest.pb()
ListSecretsResponse: Final[Message] = service.ListSecretsResponse.pb()
AddSecretVersionRequest: Final[Message] = service.AddSecretVersionRequest.pb()
GetSecretVersionRequest: Final[Message] = service.GetSecretVersionRequest.pb()
ListSecretVersionsRequest: Final[Message] = service.ListSecretVersionsRequest.pb()
ListSecretVersionsResponse: Final[Message] = service.ListSecretVersionsResponse.pb()
AccessSecretVersionRequest: Final[Message] = service.AccessSecretVersionRequest.pb()
AccessSecretVersionResponse: Final[Message] = service.AccessSecretVersionResponse.pb()
EnableSecretVersionRequest: Final[Message] = service.EnableSecretVersionRequest.pb()
DisableSecretVersionRequest: Final[Message] = service.DisableSecretVersionRequest.pb()
DestroySecretVersionRequest: Final[Message] = service.DestroySecretVersionRequest.pb()
EnableManagedRotationRequest: Final[Message] = service.EnableManagedRotationRequest.pb()
RotateSecretRequest: Final[Message] = service.RotateSecretRequest.pb()

Policy: Final[Message] = policy_pb2.Policy
GetIamPolicyRequest: Final[Message] = iam_policy_pb2.GetIamPolicyRequest
SetIamPolicyRequest: Final[Message] = iam_policy_pb2.SetIamPolicyRequest
TestIamPermissionsRequest: Final[Message] = iam_policy_pb2.TestIamPermissionsRequest
TestIamPermissionsResponse: Final[Message] = iam_policy_pb2.TestIamPermissionsResponse

Location: Final[Message] = locations_pb2.Location
GetLocationRequest: Final[Message] = locations_pb2.GetLocationRequest
ListLocationsRequest: Final[Message] = locations_pb2.ListLocationsRequest
ListLocationsResponse: Final[Message] = locations_pb2.ListLocationsResponse

Empty: Final[Message] = empty_pb2.Empty

ENABLED: Final[int] = int(resources.SecretVersion.State.ENABLED)
DISABLED: Final[int] = int(resources.SecretVersion.State.DISABLED)
DESTROYED: Final[int] = int(resources.SecretVersion.State.DESTROYED)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS: Final = 1_000_000_000


def copy_of(message: Message) -> Message:
    """Return a copy that may be changed."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def timestamp(moment: datetime) -> Message:
    """Return the moment as a protobuf Timestamp."""
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def moment_of(stamp: Message) -> datetime:
    """Return a Timestamp as a datetime, rounded down to whole microseconds."""
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)


def duration(seconds: int) -> Message:
    """Return whole seconds as a protobuf Duration."""
    return duration_pb2.Duration(seconds=seconds)


def nanoseconds(message: Message) -> int:
    """Return a Timestamp (since 1970) or a Duration in nanoseconds, exactly."""
    return int(message.seconds) * _NANOS + int(message.nanos)


def later(stamp: Message, nanos: int) -> Message:
    """Return the Timestamp so many nanoseconds after another one."""
    seconds, rest = divmod(nanoseconds(stamp) + nanos, _NANOS)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=rest)
