"""Errors, told apart by what the caller does next.

Rules of this module:
  1. Every class ends in ``Error`` and says in its docstring who handles it and how.
  2. A message names the thing and the place; ``remedy`` says what to do.  Neither ever holds a
     secret value: whoever raises, composes the text from names, numbers and states only.
  3. ``reason`` is a slug that fits a label value; it is what ``rotation_blocked`` stores.
"""


class RotationError(Exception):
    """Base of all errors this product raises on purpose."""

    #: Slug for labels, logs and metrics.
    reason = "error"

    def __init__(self, message: str, *, remedy: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
        if reason:
            self.reason = reason

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}; {self.remedy}" if self.remedy else message


class TemporaryError(RotationError):
    """The same call may succeed later.  The function nacks, so that Pub/Sub redelivers."""

    reason = "temporary"


class UnknownOutcomeError(TemporaryError):
    """The call may or may not have taken effect.  The caller observes before it tries again."""

    reason = "unknown-outcome"


class LeaseHeldError(TemporaryError):
    """Another worker holds the lease, and this delivery is the one that must survive it."""

    reason = "lease-held"


class PermanentError(RotationError):
    """Repeating cannot help.  The worker stores ``rotation_blocked`` and acknowledges."""

    reason = "permanent"


class PolicyError(PermanentError):
    """The policy cannot be read or contradicts itself.  Cleared by a changed policy."""

    reason = "policy-invalid"


#: Why a sound policy is refused: the targets document does not allow it.
NOT_ALLOWED = "not-allowed"
#: Reasons of blocks that end by themselves, once policy and targets document let the policy be.
POLICY_REASONS = frozenset({PolicyError.reason, NOT_ALLOWED})


class StateError(PermanentError):
    """Stored labels or annotations make no sense.  A person looks; nothing is overwritten."""

    reason = "state-invalid"


class BadNameError(PermanentError):
    """A resource name has the wrong shape."""

    reason = "bad-name"


class BadWakeUpError(PermanentError):
    """A message that can never be understood.  It is logged and acknowledged."""

    reason = "bad-message"


class CallerError(RotationError):
    """Whoever sent a delivery has not proved to be Pub/Sub.  It is answered with ``status``."""

    reason = "caller-refused"

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        #: HTTP status: 401 without a token that counts, 403 with somebody else's.
        self.status = status


class BadPluginError(PermanentError):
    """A plugin cannot be loaded, or breaks a rule.  It is a fault of each policy that names it."""

    reason = "bad-plugin"


class MissingLibraryError(BadPluginError):
    """A library that only this plugin needs is not installed here."""


class BadFilterError(PermanentError):
    """A filter of secrets that Secret Manager cannot read.  A person writes another one."""

    reason = "bad-filter"


class NotFoundError(PermanentError):
    """The secret or version does not exist."""

    reason = "not-found"


class AccessDeniedError(PermanentError):
    """The caller lacks a permission; the message names it."""

    reason = "access-denied"


class VersionUnavailableError(PermanentError):
    """A version that exists but is disabled or destroyed."""

    reason = "version-unavailable"


class SlotInUseError(PermanentError):
    """Somebody has a session on the slot that is to be changed.  A person looks who."""

    reason = "slot-in-use"


class EtagMismatchError(RotationError):
    """Lost a compare-and-set.  The worker reads again and decides again."""

    reason = "etag-mismatch"


class StaleTokenError(RotationError):
    """A newer lease has already acted on the target.  ``newest`` is the newer token."""

    reason = "stale-token"

    def __init__(self, message: str, *, newest: int) -> None:
        super().__init__(message)
        self.newest = newest


class CandidateRejectedError(RotationError):
    """The issuer refused this candidate by rule.  Nothing changed; propose another one."""

    reason = "candidate-rejected"


class CredentialRefusedError(RotationError):
    """A login was answered, and the answer was no: the credential is dead."""

    reason = "credential-refused"


class IllegalTransitionError(RotationError):
    """No row for this phase and event: a programming error, never a late message."""

    reason = "illegal-transition"
