"""Translates what Google answers into the errors of this product; never calls or waits.

1. An error names the call, the resource, the status and the remedy.  The service's own text is
   quoted only where the request held no payload.
2. Errors stand alone: callers raise them ``from None``, because a gRPC error's debug text repeats
   what the server sent.
3. FAILED_PRECONDITION means many things; the ones told apart here are told apart by the service's
   exact words (<https://docs.cloud.google.com/secret-manager/docs/etags>).
"""

import re
from collections.abc import Mapping
from typing import Final

import grpc
from google.api_core.exceptions import GoogleAPICallError

from rotation.model.errors import (
    AccessDeniedError,
    BadFilterError,
    EtagMismatchError,
    NotFoundError,
    PermanentError,
    RotationError,
    TemporaryError,
    VersionUnavailableError,
)
from rotation.model.names import SecretName

#: A later attempt of the same call may succeed.
PASSING: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DATA_LOSS,
    }
)
#: A write answered like this may have taken effect all the same.
OUTCOME_UNKNOWN: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DATA_LOSS,
    }
)
#: Not done, and nobody's fault that repeating could not mend.
_TEMPORARY: Final = (PASSING | OUTCOME_UNKNOWN) | {
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    # An expired token is renewed by the next attempt.
    grpc.StatusCode.UNAUTHENTICATED,
}
_LONGEST_QUOTE: Final = 500
_PERMISSION: Final = re.compile(r"Permission '([A-Za-z.]+)' denied")
_NOT_ENABLED: Final = re.compile(r"is in (DISABLED|DESTROYED) state")
_GONE: Final = re.compile(r"is already (DESTROYED|scheduled for DESTRUCTION)")
_PREDEFINED_ROLES: Final[Mapping[str, str]] = {
    "secretmanager.versions.access": "roles/secretmanager.secretAccessor",
    "secretmanager.versions.add": "roles/secretmanager.secretVersionAdder",
    "secretmanager.versions.get": "roles/secretmanager.secretVersionManager",
    "secretmanager.versions.list": "roles/secretmanager.secretVersionManager",
    "secretmanager.versions.enable": "roles/secretmanager.secretVersionManager",
    "secretmanager.versions.disable": "roles/secretmanager.secretVersionManager",
    "secretmanager.versions.destroy": "roles/secretmanager.secretVersionManager",
    "secretmanager.secrets.get": "roles/secretmanager.viewer",
    "secretmanager.secrets.list": "roles/secretmanager.viewer",
}


def code_of(error: GoogleAPICallError) -> grpc.StatusCode:
    """Return the canonical status; UNKNOWN when the answer had none."""
    code = error.grpc_status_code
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def translate(
    error: GoogleAPICallError, call: str, subject: SecretName | str, *, quote: bool = True
) -> RotationError:
    """Return our error for one answer.

    Args:
        error: What the client raised.
        call: The method, for example ``GetSecret``.
        subject: The secret, or the project for a list.
        quote: False when the request held a payload; the service's text then stays out.
    """
    code = code_of(error)
    message = str(error.message)
    what = f"{call} {subject}: {code.name}"
    shown = f"{what}: {message[:_LONGEST_QUOTE]}" if quote else what
    match code:
        case grpc.StatusCode.PERMISSION_DENIED:
            return _denied(message, what, shown, subject)
        case grpc.StatusCode.NOT_FOUND:
            return NotFoundError(shown, remedy="check the name and the project")
        case grpc.StatusCode.FAILED_PRECONDITION:
            return _refused(message, shown)
        case grpc.StatusCode.INVALID_ARGUMENT if call == "ListSecrets":
            # Of what a list is asked with, only the filter is not ours.
            return BadFilterError(shown, remedy="write it like labels.db=orders")
        case grpc.StatusCode.ABORTED:
            # Google's general guidance for a stale ETag; Secret Manager does not follow it today.
            return EtagMismatchError(shown)
        case _ if code in _TEMPORARY:
            return TemporaryError(shown)
        case _:
            return PermanentError(shown)


#: What helps where a version cannot be read, by its state; nothing brings a payload back.
_REMEDIES: Final = {
    "DISABLED": "enable the version, or point the alias current to one that works",
    "DESTROYED": "give a rotation in flight up (remove the label rotation_phase), add a version"
    " that works, point the alias current to it, then unblock",
}


def already_gone(error: GoogleAPICallError) -> bool:
    """Return whether a version is destroyed, or its destruction scheduled."""
    return _GONE.search(str(error.message)) is not None


def _refused(message: str, shown: str) -> RotationError:
    if "etag" in message:
        return EtagMismatchError(shown)
    if found := _NOT_ENABLED.search(message):
        return VersionUnavailableError(shown, remedy=_REMEDIES[found[1]])
    return PermanentError(shown)


def _denied(message: str, what: str, shown: str, subject: SecretName | str) -> AccessDeniedError:
    found = _PERMISSION.search(message)
    if found is None:
        return AccessDeniedError(shown, remedy="grant the caller the role, or enable the API")
    permission = found[1]
    return AccessDeniedError(
        f"{what}: the caller lacks {permission}", remedy=_grant(permission, subject)
    )


def _grant(permission: str, subject: SecretName | str) -> str:
    role = _PREDEFINED_ROLES.get(permission, "CUSTOM_ROLE")
    binding = _binding(subject)
    command = f"run: {binding} --member=serviceAccount:CALLER --role={role}"
    if role == "CUSTOM_ROLE":
        # No narrow predefined role holds it: editor would also allow deleting the secret.
        return f"{command}, where CUSTOM_ROLE is a custom role with {permission}"
    return command


def _binding(subject: SecretName | str) -> str:
    if not isinstance(subject, SecretName):
        project = subject.removeprefix("projects/").partition("/")[0]
        return f"gcloud projects add-iam-policy-binding {project}"
    location = f" --location={subject.location}" if subject.location else ""
    secret = f"{subject.secret_id} --project={subject.project}{location}"
    return f"gcloud secrets add-iam-policy-binding {secret}"
