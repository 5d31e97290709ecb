"""Preflight checks that log in as a consumer does: how, and what the session becomes."""

from collections.abc import Iterator
from contextlib import closing

from rotation.issuers.postgresql import rights
from rotation.issuers.postgresql.login import VERIFY, Connection, log_in
from rotation.issuers.postgresql.survey import Survey
from rotation.kit.findings import bad, fine, is_dead, untested, warn
from rotation.model.errors import CredentialRefusedError, PermanentError
from rotation.model.password import Password
from rotation.model.plugin import Finding


def set_role(survey: Survey) -> Iterator[Finding]:
    """Whether a session is the owner, at login and after what poolers send between clients."""
    if survey.login is None:
        yield untested("set-role")
        return
    user, owner = survey.login[0], survey.settings.owner
    with closing(_consumer(survey)) as session:
        if (identity := _identity(session)) != owner:
            remedy = rights.join_owner(survey.settings, user, survey.version)
            yield bad("set-role", f"a session of {user} is {identity}, not {owner}", remedy)
            return
        yield fine("set-role", f"a session of {user} is {owner}")
        session.execute("DISCARD ALL")
        if (identity := _identity(session)) != owner:
            yield warn(
                "set-role",
                f"after DISCARD ALL a session of {user} is {identity}, not {owner}",
                "install the newest minor release, or let poolers reset with"
                " 'DISCARD ALL; RESET ROLE'",
            )
        else:
            yield fine("set-role", "DISCARD ALL keeps the owner")


def scram(survey: Survey) -> Iterator[Finding]:
    """Whether ``pg_hba.conf`` lets nothing weaker than SCRAM through."""
    if survey.login is None:
        yield untested("scram")
        return
    try:
        _consumer(survey).close()
    except PermanentError as error:
        if error.reason != "not-scram":
            raise
        yield bad(
            "scram",
            "the server logs consumers in without SCRAM",
            "use scram-sha-256 in pg_hba.conf, then SELECT pg_reload_conf()",
        )
    else:
        yield fine("scram", "logins use SCRAM")


def _consumer(survey: Survey) -> Connection:
    user, password = survey.login or ("", Password(""))
    settings = survey.settings
    try:
        return log_in(settings, settings.primary, user, password, VERIFY)
    except CredentialRefusedError as refused:
        raise is_dead(refused) from None


def _identity(session: Connection) -> str:
    row = session.execute("SELECT current_user::text").fetchone()
    return str(row[0]) if row else ""
