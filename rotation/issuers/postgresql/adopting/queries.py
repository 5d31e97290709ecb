"""The questions an adoption asks of the catalogues; what the answers mean is in `facts`.

Statements that belong to a role are read with ``{}`` in its place, so that what one role has can be
compared with what another one has, and given to it.

Rules of this module:
  1. The search path is empty: every name comes back qualified and quoted.
  2. Roles are looked up by comparing names; a cast would fold their case.
  3. Temporary tables are nobody's: they end with their session.
  4. Names come from the snapshot: what a cast makes of an object that is gone is a number.
"""

ROLES = """
SELECT r.rolname::text, r.rolcanlogin, {power}, r.rolinherit, r.rolcreatedb,
       r.rolcreaterole, r.rolbypassrls, r.rolconnlimit,
       coalesce(r.rolvaliduntil <> 'infinity', false), shobj_description(r.oid, 'pg_authid'),
       (SELECT count(*) FROM pg_stat_activity AS a WHERE a.usename = r.rolname
           AND coalesce(a.application_name, '') <> ALL (%(own)s::text[])),
       EXISTS (SELECT FROM pg_shdepend AS s WHERE s.refclassid = 'pg_authid'::regclass
           AND s.refobjid = r.oid AND s.deptype = 'o')
  FROM pg_roles AS r WHERE r.rolname = ANY (%(roles)s)
"""
MEMBERSHIPS = """
SELECT r.rolname::text, g.rolname::text, bool_or(m.admin_option), {inherit}, {set}
  FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member
  JOIN pg_roles AS g ON g.oid = m.roleid
 WHERE r.rolname = ANY (%(roles)s) GROUP BY 1, 2 ORDER BY 1, 2
"""
SETTINGS = """
SELECT r.rolname::text, coalesce(d.datname::text, ''), split_part(item, '=', 1),
       substr(item, strpos(item, '=') + 1)
  FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
  LEFT JOIN pg_database AS d ON d.oid = s.setdatabase CROSS JOIN unnest(s.setconfig) AS item
 WHERE r.rolname = ANY (%(roles)s) ORDER BY 1, 2, 3
"""
PRIVILEGES = """
WITH things AS (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END
               || quote_ident(n.nspname) || '.' || quote_ident(relname) AS thing,
           relowner AS owner, relacl AS acl, '' AS part
      FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
    UNION ALL SELECT 'TABLE ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname),
                     c.relowner, a.attacl, ' (' || quote_ident(a.attname) || ')'
      FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
      JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE a.attacl IS NOT NULL
    UNION ALL SELECT 'SCHEMA ' || quote_ident(nspname), nspowner, nspacl, '' FROM pg_namespace
    UNION ALL SELECT 'ROUTINE ' || oid::regprocedure, proowner, proacl, '' FROM pg_proc
    UNION ALL SELECT 'TYPE ' || oid::regtype, typowner, typacl, '' FROM pg_type
    UNION ALL SELECT 'DATABASE ' || quote_ident(datname), datdba, datacl, '' FROM pg_database
    UNION ALL SELECT 'LANGUAGE ' || quote_ident(lanname), lanowner, lanacl, '' FROM pg_language
    UNION ALL SELECT 'FOREIGN SERVER ' || quote_ident(srvname), srvowner, srvacl, ''
      FROM pg_foreign_server
    UNION ALL SELECT 'FOREIGN DATA WRAPPER ' || quote_ident(fdwname), fdwowner, fdwacl, ''
      FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'TABLESPACE ' || quote_ident(spcname), spcowner, spcacl, '' FROM pg_tablespace
    UNION ALL SELECT 'LARGE OBJECT ' || oid, lomowner, lomacl, '' FROM pg_largeobject_metadata
    {parameters}
)
SELECT r.rolname::text,
       format('GRANT %%s%%s ON %%s TO {{}}%%s', a.privilege_type, things.part, things.thing,
              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END),
       pg_has_role(things.owner, 'USAGE'), o.rolname::text
  FROM things CROSS JOIN aclexplode(things.acl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
  JOIN pg_roles AS o ON o.oid = things.owner
 WHERE things.acl IS NOT NULL AND things.owner <> a.grantee AND r.rolname = ANY (%(roles)s)
   AND things.owner <> %(login_oid)s
 ORDER BY 1, 2
"""
PARAMETERS = """
    UNION ALL SELECT 'PARAMETER ' || quote_ident(parname), 10, paracl, '' FROM pg_parameter_acl
"""
#: What somebody's default privileges say, apart from what every role's say: creator, whether it is
#: about what the creator itself gets, statement with {} for the creator, its contrary.
DEFAULTS = """
WITH entries AS (
    SELECT p.defaclrole AS creator, p.defaclobjtype AS kind, n.nspname AS schema,
           p.defaclacl AS acl,
           CASE WHEN n.oid IS NULL THEN acldefault(
               CASE p.defaclobjtype WHEN 'S' THEN 's'::"char" ELSE p.defaclobjtype END,
               p.defaclrole) END AS usual
      FROM pg_default_acl AS p LEFT JOIN pg_namespace AS n ON n.oid = p.defaclnamespace
), differences AS (
    SELECT e.creator, e.kind, e.schema, a.grantee, a.privilege_type, a.is_grantable, 'GRANT' AS verb
      FROM entries AS e CROSS JOIN aclexplode(e.acl) AS a
     WHERE NOT EXISTS (SELECT FROM aclexplode(e.usual) AS u WHERE (u.grantee, u.privilege_type,
           u.is_grantable) = (a.grantee, a.privilege_type, a.is_grantable))
    UNION ALL
    SELECT e.creator, e.kind, e.schema, u.grantee, u.privilege_type, false, 'REVOKE'
      FROM entries AS e CROSS JOIN aclexplode(e.usual) AS u
     WHERE NOT EXISTS (SELECT FROM aclexplode(e.acl) AS a WHERE (a.grantee, a.privilege_type)
           = (u.grantee, u.privilege_type))
)
SELECT c.rolname::text, coalesce(g.rolname::text, ''), d.verb,
       CASE WHEN d.schema IS NULL THEN '' ELSE ' IN SCHEMA ' || quote_ident(d.schema) END,
       d.privilege_type || ' ON ' || CASE d.kind WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
           WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS'
           ELSE 'LARGE OBJECTS' END,
       d.is_grantable, pg_has_role(c.oid, 'USAGE')
  FROM differences AS d JOIN pg_roles AS c ON c.oid = d.creator
  LEFT JOIN pg_roles AS g ON g.oid = d.grantee
 WHERE c.rolname = ANY (%(roles)s) OR g.rolname = ANY (%(roles)s)
 ORDER BY 1, 4, 5, 3, 2
"""
#: Relations of the login, and what each one's rules read or write.
RELATIONS = """
SELECT c.oid::int8, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
           WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
       array(SELECT DISTINCT d.refobjid::int8 FROM pg_rewrite AS w JOIN pg_depend AS d
               ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
              AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
            WHERE w.ev_class = c.oid),
       EXISTS (SELECT FROM aclexplode(c.relacl) AS a WHERE a.grantee = %(owner_oid)s)
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relowner = %(login_oid)s AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
   AND c.relpersistence <> 't'
   AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend AS d
       WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjsubid > 0
         AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
 ORDER BY c.oid
"""
#: Databases in which the login owns something; empty: shared by all of them.
OWNED = """
SELECT CASE WHEN s.dbid <> 0 THEN (SELECT datname::text FROM pg_database WHERE oid = s.dbid)
            WHEN s.classid = 'pg_database'::regclass
            THEN (SELECT datname::text FROM pg_database WHERE oid = s.objid)
            ELSE '' END, s.deptype = 'o', count(*)
  FROM pg_shdepend AS s LEFT JOIN pg_class AS c
    ON s.classid = 'pg_class'::regclass AND c.oid = s.objid
   AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
 WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = %(login_oid)s
   AND s.deptype IN ('o', 'a', 'r') AND s.classid <> 'pg_default_acl'::regclass
   AND coalesce(c.relpersistence, 'p') <> 't'
   AND NOT (s.classid = 'pg_database'::regclass AND s.deptype <> 'o')
 GROUP BY 1, 2 ORDER BY 1
"""
POLICIES = """
SELECT p.polname::text, p.polrelid::regclass::text,
       array(SELECT rolname::text FROM pg_roles WHERE oid = ANY (p.polroles) ORDER BY 1),
       pg_has_role(c.relowner, 'USAGE'),
       coalesce(pg_get_expr(p.polqual, p.polrelid), '')
           || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
           ~ '\\m(CURRENT_USER|SESSION_USER|CURRENT_ROLE|USER)\\M'
  FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid ORDER BY 2, 1
"""
#: Things that ask who the user is: kind and name.
ASKING = """
SELECT 'function', p.oid::regprocedure::text FROM pg_proc AS p
  JOIN pg_namespace AS n ON n.oid = p.pronamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND p.prosrc ~* '\\m(current_user|session_user|current_role)\\M'
   AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass
                      AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT 'default of', a.adrelid::regclass || '.' || quote_ident(t.attname) FROM pg_attrdef AS a
  JOIN pg_attribute AS t ON t.attrelid = a.adrelid AND t.attnum = a.adnum
 WHERE pg_get_expr(a.adbin, a.adrelid) ~ '\\m(CURRENT_USER|SESSION_USER|CURRENT_ROLE)\\M'
UNION ALL
SELECT 'view', c.oid::regclass::text FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND pg_get_viewdef(c.oid) ~ '\\m(CURRENT_USER|SESSION_USER|CURRENT_ROLE)\\M'
 ORDER BY 1, 2
"""
#: The fields of `Facts` that the columns of `ODD` are, in order.
ODD_NAMES = (
    *("prepared", "subscriptions", "unmapped", "members", "definers", "schemas", "shared_schemas"),
    *("owns_database", "own_schemas", "closed_schemas", "standby", "version_text"),
    *("public_connect", "others"),
)
ODD = """
SELECT (SELECT count(*) FROM pg_prepared_xacts WHERE owner = %(login)s),
       (SELECT count(*) FROM pg_subscription WHERE subowner = %(login_oid)s),
       array(SELECT u.srvname::text FROM pg_user_mappings AS u WHERE u.usename = %(login)s
               AND NOT EXISTS (SELECT FROM pg_user_mappings AS o
                   WHERE o.srvid = u.srvid AND o.usename = %(owner)s) ORDER BY 1),
       array(SELECT r.rolname::text FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member
              WHERE m.roleid = %(login_oid)s AND r.rolname <> ALL (%(roles)s) ORDER BY 1),
       array(SELECT p.oid::regprocedure::text FROM pg_proc AS p
              WHERE p.prosecdef AND p.proowner = %(login_oid)s ORDER BY 1),
       array(SELECT quote_ident(nspname) FROM pg_namespace
              WHERE nspowner = %(login_oid)s AND nspname !~ '^pg_' ORDER BY 1),
       array(SELECT quote_ident(nspname) FROM pg_namespace
              WHERE nspowner = %(login_oid)s AND nspname !~ '^pg_' AND EXISTS (
                  SELECT FROM aclexplode(nspacl) AS a WHERE a.grantee = %(owner_oid)s)),
       (SELECT datdba = %(login_oid)s FROM pg_database WHERE datname = current_database()),
       array(SELECT nspname::text FROM pg_namespace WHERE nspname IN (%(login)s, %(owner)s)),
       array(SELECT quote_ident(n.nspname) FROM pg_namespace AS n
              WHERE n.nspowner <> %(login_oid)s AND n.nspname !~ '^pg_' AND EXISTS (
                  SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid
                     AND c.relowner = %(login_oid)s)
                AND NOT has_schema_privilege(%(login_oid)s::oid, n.oid, 'CREATE') ORDER BY 1),
       pg_is_in_recovery(), current_setting('server_version'),
       has_database_privilege('public', current_database(), 'CONNECT'),
       (SELECT count(*) FROM pg_shdepend AS s
         WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = %(login_oid)s
           AND s.deptype = 'o' AND s.classid NOT IN ('pg_class'::regclass, 'pg_database'::regclass,
               'pg_namespace'::regclass, 'pg_default_acl'::regclass)
           AND s.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))
"""
SESSIONS = """
SELECT count(*) FROM pg_stat_activity
 WHERE usename = %(login)s AND datname = current_database()
   AND coalesce(application_name, '') <> ALL (%(own)s::text[])
   AND (%(since)s::timestamptz IS NULL OR backend_start IS NULL OR backend_start < %(since)s)
"""
ADMIN = """
SELECT current_user::text, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolbypassrls,
       array(SELECT g.rolname::text FROM pg_roles AS g
              WHERE pg_has_role(r.oid, g.oid, 'MEMBER WITH ADMIN OPTION')),
       array(SELECT g.rolname::text FROM pg_roles AS g WHERE g.rolname = ANY (%(roles)s)
                AND pg_has_role(r.oid, g.oid, 'USAGE') AND pg_has_role(r.oid, g.oid, {set}))
  FROM pg_roles AS r WHERE r.rolname = current_user
"""
