"""What no application's role may: a credential of such a role would be more than the application's.

The question is about the role and about whatever it can become: SET ROLE reaches every role that it
is a member of, at any depth and whatever the options, since an ADMIN option grants the others.
"""

from typing import Final

#: Predefined roles that reach further than one application, and that some have for good reason.
BROAD: Final = {
    "pg_read_all_data": "may read every table, the password verifiers of all roles among them",
    "pg_write_all_data": "may write every table",
    "pg_signal_backend": "may end the sessions of others, the rotator's among them",
}
#: What a role ``r`` may, as the end of a sentence; empty: nothing of the kind.  The predefined
#: roles listed run programs, read or write files of the server, or make it connect somewhere; or
#: clouds hand out by them what a superuser may.
POWER: Final = """coalesce(CASE
           WHEN r.rolsuper THEN 'is a superuser'
           WHEN r.rolreplication THEN 'is a replication role'
           WHEN r.rolcreaterole THEN 'may create roles (CREATEROLE)'
           WHEN r.rolbypassrls THEN 'is not bound by row-level security (BYPASSRLS)'
           ELSE (SELECT 'is a member of ' || min(g.rolname::text) FROM pg_roles AS g
                  WHERE (g.rolname IN ('pg_execute_server_program', 'pg_read_server_files',
                             'pg_write_server_files', 'pg_create_subscription',
                             'cloudsqlsuperuser', 'alloydbsuperuser', 'rds_superuser',
                             'rds_replication', 'azure_pg_admin')
                         OR g.rolsuper OR g.rolreplication OR g.rolcreaterole OR g.rolbypassrls)
                    AND g.oid <> r.oid AND pg_has_role(r.oid, g.oid, 'MEMBER'))
       END, '')"""
