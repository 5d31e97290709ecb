"""Preflight checks of the objects: they belong to the owner, so that both slots can change them."""

from collections.abc import Iterator

from rotation.issuers.postgresql import rights
from rotation.issuers.postgresql.survey import Survey
from rotation.kit.findings import bad, fine, warn
from rotation.model.plugin import Finding

OWNED = """
SELECT r.rolname::text, coalesce(d.datname::text, 'the cluster'), count(*)
  FROM pg_shdepend AS s JOIN pg_roles AS r ON r.oid = s.refobjid
  LEFT JOIN pg_database AS d ON d.oid = coalesce(nullif(s.dbid, 0),
      CASE s.classid WHEN 'pg_database'::regclass THEN s.objid END)
 WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o' AND r.rolname = ANY (%s)
   AND s.classid <> 'pg_default_acl'::regclass
 GROUP BY 1, 2 ORDER BY 1, 2
"""
STRANGERS = """
SELECT r.rolname::text, count(*) FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_roles AS r ON r.oid = c.relowner
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT r.rolsuper
   AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND r.rolname <> ALL (%s)
 GROUP BY 1 ORDER BY 1
"""


def ownership(survey: Survey) -> Iterator[Finding]:
    """Whether every object belongs to the owner role."""
    owner = rights.quoted(survey.settings.owner)
    found = survey.rows(OWNED, list(survey.settings.slots))
    for slot, database, count in found:
        yield bad(
            "object-owner",
            f"{slot} owns {count} objects in {database}; its sibling cannot alter them",
            f"in {database}: REASSIGN OWNED BY {rights.quoted(slot)} TO {owner}",
        )
    known = [survey.settings.owner, *survey.settings.slots]
    strangers = survey.rows(STRANGERS, known)
    for role, count in strangers:
        yield warn(
            "object-owner",
            f"{role} owns {count} tables, views or sequences of {survey.settings.database}",
            f"if they are the application's: REASSIGN OWNED BY {rights.quoted(role)} TO {owner}",
        )
    if not (found or strangers):
        yield fine("object-owner", f"no object belongs to anybody but {survey.settings.owner}")


def default_privileges(survey: Survey) -> Iterator[Finding]:
    """Whether default privileges are set for the owner: a slot's do not apply to its sibling."""
    found = survey.rows(
        """SELECT r.rolname::text, p.defaclobjtype::text FROM pg_default_acl AS p
             JOIN pg_roles AS r ON r.oid = p.defaclrole WHERE r.rolname = ANY (%s) ORDER BY 1, 2""",
        list(survey.settings.slots),
    )
    for slot, kind in found:
        yield bad(
            "default-privileges",
            f"default privileges (kind {kind}) are set for {slot}, who will create nothing",
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {rights.quoted(survey.settings.owner)} ...;"
            f" and revoke those FOR ROLE {rights.quoted(slot)}",
        )
    if not found:
        yield fine("default-privileges", "no default privileges are set for a slot")
