"""Preflight checks of the roles: the owner, who becomes it, who else manages the slots."""

from collections.abc import Iterator

from rotation.issuers._slots.checks import foreign_slots
from rotation.issuers.postgresql import rights
from rotation.issuers.postgresql.power import BROAD
from rotation.issuers.postgresql.survey import Survey
from rotation.kit.findings import bad, fine, warn
from rotation.model.plugin import Finding

REACHED = """
SELECT g.rolname::text FROM pg_roles AS r JOIN pg_roles AS g ON g.oid <> r.oid
 WHERE r.rolname = %s AND g.rolname = ANY (%s) AND NOT r.rolsuper
   AND pg_has_role(r.oid, g.oid, 'MEMBER') ORDER BY 1
"""


def owner(survey: Survey) -> Iterator[Finding]:
    """Whether the owner role exists, has no power over others, and cannot be logged in to."""
    name, found = survey.settings.owner, survey.owner()
    if not found.exists:
        yield bad("owner", f"{name} does not exist", rights.create_owner(survey.settings))
        return
    if found.power:
        remedy = "give the application an owner role of its own, without special rights"
        yield bad("owner", f"{name} {found.power}: every credential would have that", remedy)
    for group in survey.rows(REACHED, name, list(BROAD)):
        message = f"{name} is a member of {group[0]}, which {BROAD[group[0]]}"
        remedy = f"REVOKE {group[0]} FROM {rights.quoted(name)}, if the application can do without"
        yield warn("owner", message, remedy)
    if found.can_login:
        yield warn(
            "owner",
            f"{name} may log in; its password would outlive every rotation",
            f"ALTER ROLE {rights.quoted(name)} NOLOGIN PASSWORD NULL",
        )
    elif not found.power:
        yield fine("owner", f"{name} cannot log in")


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
    become = {slot.name for slot in survey.slots() if slot.becomes_owner or not slot.exists}
    for slot in survey.settings.slots:
        remedy = rights.join_owner(survey.settings, slot, survey.version)
        if members.get(slot) and slot in become:
            yield fine("owner-membership", f"{slot} becomes {name}")
        elif members.get(slot):
            message = f"{slot} may become {name}, but no setting says that it does"
            yield bad("owner-membership", message, remedy)
        elif slot in members:
            yield bad("owner-membership", f"{slot} is in {name} without the SET option", remedy)
        else:
            yield bad("owner-membership", f"{slot} is not a member of {name}", remedy)


def other_managers(survey: Survey) -> Iterator[Finding]:
    """Whether somebody else sets these passwords, too."""
    foreign = list(foreign_slots(survey))
    yield from foreign
    found = bool(foreign)
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
