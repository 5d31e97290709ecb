"""Preflight checks of the roles: owner, slots, what the rotator may do with them, who else does."""

from collections.abc import Iterator

from psycopg import sql

from rotation.issuers._slots.guards import other_manager
from rotation.issuers._slots.marker import foreign_text, read
from rotation.issuers.postgresql import rights
from rotation.issuers.postgresql.fence import set_login
from rotation.issuers.postgresql.survey import Survey, bad, fine, warn
from rotation.model.plugin import Finding

ROLES = """
SELECT rolname::text, rolsuper OR rolreplication, shobj_description(oid, 'pg_authid')
  FROM pg_roles WHERE rolname = ANY (%s)
"""


def owner(survey: Survey) -> Iterator[Finding]:
    """Whether the owner role exists and cannot be logged in to."""
    name = survey.settings.owner
    found = survey.rows("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", name)
    if not found:
        yield bad("owner", f"{name} does not exist", rights.create_owner(survey.settings))
    elif found[0][0]:
        yield warn(
            "owner",
            f"{name} may log in; its password would outlive every rotation",
            f"ALTER ROLE {rights.quoted(name)} NOLOGIN PASSWORD NULL",
        )
    else:
        yield fine("owner", f"{name} cannot log in")


def change_right(survey: Survey) -> Iterator[Finding]:
    """Whether the rotator may change both slots: tried, and rolled back."""
    remedy = rights.change_slots(survey.settings, survey.rotator, survey.version)
    existing = {name for name, *_ in survey.rows(ROLES, list(survey.settings.slots))}
    for slot in survey.settings.slots:
        if slot not in existing:
            yield warn(
                "change-right",
                f"{slot} does not exist; the next rotation into it creates it if it may",
                rights.create_slot(survey.settings, slot, survey.rotator, survey.version),
            )
            continue
        comment = sql.SQL("COMMENT ON ROLE {} IS NULL").format(sql.Identifier(slot))
        state = survey.refusal([set_login(slot, allowed=False), comment])
        if state:
            yield bad("change-right", f"{survey.rotator} may not change {slot} ({state})", remedy)
        else:
            yield fine("change-right", f"{survey.rotator} may change {slot}")


def expiry(survey: Survey) -> Iterator[Finding]:
    """Whether a password ends by itself, which no rotation would renew."""
    found = survey.rows(
        """SELECT rolname::text, rolvaliduntil::text FROM pg_roles
            WHERE rolname = ANY (%s) AND isfinite(rolvaliduntil) ORDER BY 1""",
        list(survey.settings.slots),
    )
    for slot, until in found:
        yield bad(
            "password-expiry",
            f"logins of {slot} are refused from {until} on, whatever its password",
            f"ALTER ROLE {rights.quoted(slot)} VALID UNTIL 'infinity'",
        )
    if not found:
        yield fine("password-expiry", "no password ends by itself")


def membership(survey: Survey) -> Iterator[Finding]:
    """Whether both slots are members of the owner, with the SET option where there is one."""
    name = survey.settings.owner
    members = dict(
        survey.rows(
            """SELECT r.rolname::text, bool_or(coalesce((to_jsonb(m) ->> 'set_option')::bool, true))
                 FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member
                 JOIN pg_roles AS g ON g.oid = m.roleid
                WHERE g.rolname = %s GROUP BY 1""",
            name,
        )
    )
    for slot in survey.settings.slots:
        remedy = rights.join_owner(survey.settings, slot, survey.version)
        if members.get(slot):
            yield fine("owner-membership", f"{slot} may become {name}")
        elif slot in members:
            yield bad("owner-membership", f"{slot} is in {name} without the SET option", remedy)
        else:
            yield bad("owner-membership", f"{slot} is not a member of {name}", remedy)


def fence_marker(survey: Survey) -> Iterator[Finding]:
    """Whether the comments are free or ours, and not ahead of the secret."""
    for slot, _, comment in survey.rows(ROLES, list(survey.settings.slots)):
        mark = read(comment)
        if mark and survey.token is not None and mark.token > survey.token:
            yield bad(
                "fence-marker",
                f"{slot} has seen token {mark.token}, the secret only {survey.token}",
                "another secret or deployment rotates this role, or the secret was made anew: find"
                " out which; then raise the label rotation_token of the secret above it",
            )
        elif mark:
            yield fine("fence-marker", f"{slot} holds token {mark.token}, version {mark.version}")
        elif foreign_text(comment):
            yield fine("fence-marker", f"the comment of {slot} is somebody's, and is kept")
        else:
            yield fine("fence-marker", f"the comment of {slot} is empty")


def other_managers(survey: Survey) -> Iterator[Finding]:
    """Whether somebody else sets these passwords, too."""
    found = False
    for slot, is_powerful, comment in survey.rows(ROLES, list(survey.settings.slots)):
        if is_powerful:
            found = True
            yield bad("other-manager", f"{slot} is a superuser or replication role", "use another")
        if manager := other_manager(comment):
            found = True
            yield bad("other-manager", f"{manager} manages {slot}", f"end that for {slot}")
    if survey.scalar("SELECT count(*) FROM pg_roles WHERE rolname = 'streaming_replica'"):
        found = True
        yield warn(
            "other-manager",
            "CloudNativePG runs this cluster and re-applies passwords of roles it manages",
            "leave both slots out of spec.managed.roles and of the bootstrap owner",
        )
    broad = survey.rows(
        """SELECT r.rolname::text FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member
             JOIN pg_roles AS g ON g.oid = m.roleid
            WHERE g.rolname IN ('cloudsqlsuperuser', 'alloydbsuperuser')
              AND r.rolname = ANY (%s)""",
        list(survey.settings.slots),
    )
    for (slot,) in broad:
        found = True
        yield warn(
            "other-manager",
            f"{slot} was made through the cloud's own API, which can set its password, too",
            f"create slots with SQL; REVOKE cloudsqlsuperuser FROM {rights.quoted(slot)}",
        )
    if not found:
        yield fine("other-manager", "nobody else is known to manage the slots")


def end_right(survey: Survey) -> Iterator[Finding]:
    """Whether the rotator may end sessions of a revoked slot."""
    if survey.scalar("SELECT pg_has_role(current_user, 'pg_signal_backend', 'USAGE')"):
        yield fine("end-sessions", f"{survey.rotator} may end sessions")
    else:
        yield bad(
            "end-sessions",
            f"{survey.rotator} may not end sessions: a revoked credential would live on in them",
            rights.end_sessions(survey.rotator),
        )
