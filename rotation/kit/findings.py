"""How checks say what they found; decides nothing."""

from rotation.model.errors import CredentialRefusedError, PermanentError, RotationError
from rotation.model.plugin import Finding, Severity


def fine(check: str, message: str) -> Finding:
    """Say that all is well."""
    return Finding(check, Severity.OK, message)


def warn(check: str, message: str, remedy: str = "") -> Finding:
    """Say what a person should look at."""
    return Finding(check, Severity.WARNING, message, remedy)


def untested(check: str) -> Finding:
    """Say that it takes a credential in force to tell."""
    return Finding(check, Severity.UNTESTED, "not tested: no credential is in force yet")


def bad(check: str, message: str, remedy: str = "") -> Finding:
    """Say what keeps a rotation from working."""
    return Finding(check, Severity.ERROR, message, remedy)


def failed(check: str, error: RotationError) -> Finding:
    """Say that a check met an error of its own."""
    return bad(check, error.args[0], error.remedy)


def is_dead(refused: CredentialRefusedError) -> PermanentError:
    """Return what a check raises when a server refuses the credential in force."""
    return PermanentError(
        f"the credential in force is dead: {refused}",
        remedy="rotate in emergency mode",
        reason="credential-refused",
    )
