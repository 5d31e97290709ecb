"""Proves, before anything ends, that what stays is there and works: a record proves nothing.

A record may be an old one that somebody copied back, or, without keys, anybody's.

Rules of this module:
  1. What stays is read, belongs to another handle than what ends, is no version that ends, is what
     consumers are pointed to, and logs in.  Reads and logins of the same tick count.
  2. A version that is destroyed is disabled already, or its credential is refused.
  3. Whoever finds otherwise changes nothing and blocks (``not-proven``, ``previous-works``).
  4. An emergency revokes what leaked even where the next version is in doubt, since it was used
     before it was published; it never revokes the handle of the next version itself, and it
     destroys nothing without proof: it leaves the version as it is, and goes on.
"""

from rotation.engine.run import Run
from rotation.model.errors import (
    CredentialRefusedError,
    PermanentError,
    VersionUnavailableError,
)
from rotation.model.payload import Payload
from rotation.model.secret import VersionState, VersionStatus


class UnprovenError(PermanentError):
    """What should stay is not proven; nothing was changed.  A person looks."""

    reason = "not-proven"


def check_what_stays(run: Run) -> None:
    """Make sure that what ends is not what stays; for *next*, whose payload was read.

    Raises:
        PermanentError: The record would end the version, or the credential, that stays.
    """
    run.check_pointer()
    record = run.state.in_flight
    ending = {record.previous, *record.previous_copies}
    if record.next in ending:
        raise _unproven(f"version {record.next} would end, and is the one that stays")
    if run.issuer.identify(run.working) == record.previous_handle:
        raise _unproven(
            f"{record.previous_handle} would end, and version {record.next}, which stays, uses it"
        )


def check_login(run: Run) -> None:
    """Make sure that *next* logs in, unless this tick has proved it.

    Raises:
        UnprovenError: It does not.
    """
    payload = run.working
    if run.proven is payload:
        return
    try:
        run.issuer.verify(payload)
    except CredentialRefusedError as error:
        raise _unproven(f"version {run.state.in_flight.next} does not log in: {error}") from None
    run.proven = payload


def check_previous_login(run: Run) -> None:
    """Make sure that *previous*, to which consumers went back, logs in before *next* ends.

    Raises:
        UnprovenError: It does not.
    """
    if run.payload is None:
        return  # there is none
    try:
        run.issuer.verify(run.payload)
    except CredentialRefusedError as error:
        previous = run.state.in_flight.previous
        raise _unproven(f"version {previous} does not log in: {error}") from None


def check_before_destroying(run: Run) -> None:
    """Read *next*, and prove all of it.

    Raises:
        PermanentError: Something is not as the record says.
    """
    run.check_pointer()
    record = run.state.in_flight
    if run.payload is None:
        try:
            run.payload = run.store.access(run.secret.name, record.next or 0).payload
        except VersionUnavailableError as error:
            raise _unproven(f"version {record.next} cannot be read: {error.args[0]}") from None
    check_what_stays(run)
    check_login(run)


def check_dead(run: Run, status: VersionStatus) -> None:
    """Make sure that a version about to be destroyed opens nothing any more.

    Raises:
        PermanentError: It is enabled, and its credential works.
    """
    if status.state is not VersionState.ENABLED:
        return
    payload = run.store.access(run.secret.name, status.number).payload
    if not _is_refused(run, payload):
        raise PermanentError(
            f"version {status.number} is recorded as revoked, and its credential works",
            remedy="find out who uses it, or who enabled it; disable the version, then unblock",
            reason="previous-works",
        )


def _is_refused(run: Run, payload: Payload) -> bool:
    try:
        run.issuer.verify(payload)
    except CredentialRefusedError:
        return True
    except PermanentError:
        return False  # it logs in, and has other rights
    return False


def _unproven(what: str) -> UnprovenError:
    return UnprovenError(
        f"nothing was ended: {what}",
        remedy="look at the versions and aliases; make that version work again, then unblock",
    )
