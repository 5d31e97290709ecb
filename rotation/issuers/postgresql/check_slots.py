"""Preflight checks that compare the slots: a consumer must not notice which one it is on.

Privileges belong to the owner; what only one slot has, a consumer loses at the next rotation.
"""

from collections.abc import Iterator

from rotation.issuers.postgresql import rights
from rotation.issuers.postgresql.survey import Survey, bad, fine, warn
from rotation.model.plugin import Finding

#: Aspect, thing, and the statement that gives the thing to {slot}; one query for one slot.
TRAITS = """
WITH slot AS (SELECT * FROM pg_roles WHERE rolname = %(slot)s),
grants AS (
    SELECT 'TABLE' AS kind, oid::regclass::text AS name, relacl AS acl FROM pg_class
    UNION ALL SELECT 'SCHEMA', quote_ident(nspname), nspacl FROM pg_namespace
    UNION ALL SELECT 'ROUTINE', oid::regprocedure::text, proacl FROM pg_proc
    UNION ALL SELECT 'TYPE', oid::regtype::text, typacl FROM pg_type
    UNION ALL SELECT 'DATABASE', quote_ident(datname), datacl FROM pg_database
    UNION ALL SELECT 'COLUMN', attrelid::regclass || '.' || quote_ident(attname), attacl
      FROM pg_attribute
)
SELECT 'membership', g.rolname::text, format('GRANT %%I TO {slot}', g.rolname)
  FROM slot JOIN pg_auth_members AS m ON m.member = slot.oid JOIN pg_roles AS g ON g.oid = m.roleid
UNION
SELECT 'setting', coalesce(d.datname || ': ', '') || item,
       format('ALTER ROLE {slot}%%s SET %%s = %%s',
              coalesce(' IN DATABASE ' || quote_ident(d.datname), ''), split_part(item, '=', 1),
              -- Lists are stored as they are written; quoted, they would be a list of one.
              CASE WHEN split_part(item, '=', 1) ~ '^(search_path|temp_tablespaces|.*_libraries)$'
                   THEN substr(item, strpos(item, '=') + 1)
                   ELSE quote_literal(substr(item, strpos(item, '=') + 1)) END)
  FROM slot JOIN pg_db_role_setting AS s ON s.setrole = slot.oid
  LEFT JOIN pg_database AS d ON d.oid = s.setdatabase CROSS JOIN unnest(s.setconfig) AS item
UNION
SELECT 'attribute', trait, 'ALTER ROLE {slot} ' || trait
  FROM slot, LATERAL (VALUES
    ('CONNECTION LIMIT ' || rolconnlimit),
    (CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END),
    (CASE WHEN rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END),
    (CASE WHEN rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END),
    (CASE WHEN rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END)) AS traits (trait)
UNION
SELECT 'privilege', format('%%s on %%s %%s', a.privilege_type, grants.kind, grants.name),
       CASE grants.kind WHEN 'COLUMN' THEN 'grant the column privilege to {owner}'
       ELSE format('GRANT %%s ON %%s %%s TO {owner}',
                   a.privilege_type, grants.kind, grants.name) END
  FROM grants CROSS JOIN aclexplode(grants.acl) AS a JOIN slot ON slot.oid = a.grantee
 WHERE grants.acl IS NOT NULL
UNION
SELECT 'default privilege',
       format('%%s on new %%s of %%I', a.privilege_type, p.defaclobjtype, o.rolname),
       'ALTER DEFAULT PRIVILEGES: grant to {owner} instead'
  FROM pg_default_acl AS p CROSS JOIN aclexplode(p.defaclacl) AS a
  JOIN slot ON slot.oid = a.grantee JOIN pg_roles AS o ON o.oid = p.defaclrole
 WHERE a.grantee <> p.defaclrole
UNION
SELECT 'row-level policy', format('%%I on %%s', p.polname, p.polrelid::regclass),
       format('ALTER POLICY %%I ON %%s TO {owner}', p.polname, p.polrelid::regclass)
  FROM pg_policy AS p JOIN slot ON slot.oid = ANY (p.polroles)
"""
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


def parity(survey: Survey) -> Iterator[Finding]:
    """Whether both slots have the same of everything."""
    settings = survey.settings
    first, second = (_traits(survey, slot) for slot in settings.slots)
    if not (first and second):
        yield warn("slot-parity", "not compared: a slot does not exist yet")
        return
    missing = [
        (lacking, *trait)
        for lacking, has, other in (
            (settings.slots[1], first, second),
            (settings.slots[0], second, first),
        )
        for trait in has
        if trait not in other
    ]
    for slot, aspect, thing in missing:
        held = (first if slot == settings.slots[1] else second)[aspect, thing]
        remedy = held.replace("{slot}", rights.quoted(slot))
        remedy = remedy.replace("{owner}", rights.quoted(settings.owner))
        yield bad("slot-parity", f"{slot} lacks the {aspect} {thing} of its sibling", remedy)
    if not missing:
        yield fine("slot-parity", "both slots have the same memberships, settings and privileges")


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


def _traits(survey: Survey, slot: str) -> dict[tuple[str, str], str]:
    rows = survey.connection.execute(TRAITS, {"slot": slot}).fetchall()
    return {(aspect, thing): remedy for aspect, thing, remedy in rows}
