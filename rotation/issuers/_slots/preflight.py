"""Everything a rotation needs of a system with two slots, checked one by one and named.

What can be tried is tried: a version number says less than a login.

Rules of this module:
  1. Each check yields at least one finding, with the exact remedy where something is wrong.
  2. The checks run in the order the system gives them; none depends on another's outcome.
  3. A check changes nothing that lasts; what it left open is given up before the next.
  4. A check that cannot be made is a finding, not a failure of the others.
"""

from collections.abc import Callable, Iterable
from typing import Any

from rotation.issuers._slots.admin import Admin
from rotation.issuers._slots.observer import Observer
from rotation.issuers._slots.target import Connection, Preflight, Survey, Target
from rotation.kit.findings import failed, fine
from rotation.model.errors import RotationError
from rotation.model.payload import Payload
from rotation.model.plugin import Finding


def examine(
    target: Target[Connection],
    admin: Admin[Connection],
    observer: Observer[Connection],
    current: Payload | None,
    token: int | None,
    secret: str,
) -> tuple[Finding, ...]:
    """Run every check; return the findings in order."""
    try:
        login = target.login_of(current) if current else None
        with admin.primary(target.ping) as (connection, _):
            found = [fine("rotator-login", f"logged in to {target.nodes[0]}")]
            preflight = Preflight(connection, admin.on, observer.observe, login, token, secret)
            survey = target.survey(preflight)
            for name, check in survey.checks:
                found += _run(target, name, check, survey)
            return tuple(found)
    except RotationError as error:
        return (failed("rotator-login", error),)


def _run(
    target: Target[Any], name: str, check: Callable[[Survey], Iterable[Finding]], survey: Survey
) -> tuple[Finding, ...]:
    connection = survey.preflight.connection
    try:
        with target.translating(f"check {name}"):
            return tuple(check(survey))
    except RotationError as error:
        return (failed(name, error),)
    finally:
        if not target.is_closed(connection):
            target.reset(connection)
