"""Facts to statements: what a role lacks that another one has, and the words that give it.

Rules of this module:
  1. Pure: facts in, statements out.  Each statement may be run again.
  2. An administrator who is not a superuser borrows membership inside the transaction that needs
     it.
  3. What a catalogue holds is a name or a value, and is quoted as one: who chose it adds nothing to
     a statement.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from psycopg import sql

from rotation.issuers.postgresql.adopting.facts import (
    Default,
    Facts,
    Membership,
    Relation,
    RoleFacts,
)
from rotation.issuers.postgresql.rights import ADMIN_OPTION_SINCE, quoted

Transaction = tuple[str, ...]

#: Lists of names; quoted as one text they would be a list of one.
LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
#: Those whose names the server folds to lower case unless they are quoted.
_FOLDED = frozenset({"search_path", "temp_tablespaces"})
_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s](?:[^",]*[^",\s])?))\s*(,|\Z)')
SHARED_KINDS = ("TABLES", "SEQUENCES", "ROUTINES", "TYPES", "SCHEMAS")
#: Large objects have default privileges from here on.
LARGE_OBJECTS_SINCE = 180000


def kinds_of_defaults(f: Facts) -> tuple[str, ...]:
    """Return the kinds of objects that default privileges are about."""
    return (*SHARED_KINDS, *(["LARGE OBJECTS"] if f.version >= LARGE_OBJECTS_SINCE else []))


def is_over(f: Facts) -> bool:
    """Whether new sessions are the owner: what is left of the login is the last step's."""
    return f.becomes(f.names.login) and f.since is not None


def is_member(f: Facts, slot: str) -> bool:
    """Whether a slot is a member of the owner with everything that old and new sessions need."""
    found = f.memberships.get(slot, {}).get(f.names.owner)
    return found is not None and found.set and found.inherit


def membership(f: Facts, group: str, role: str) -> str:
    """Return what makes ``role`` a member of ``group``, able to act as it."""
    options = " WITH INHERIT TRUE, SET TRUE" if f.version >= ADMIN_OPTION_SINCE else ""
    return f"GRANT {quoted(group)} TO {quoted(role)}{options}"


def memberships(f: Facts, role: str) -> list[str]:
    """Return what gives ``role`` the memberships of the login."""
    have = f.memberships.get(role, {})
    return [
        f"GRANT {quoted(group)} TO {quoted(role)}{_options(f, wanted)}"
        for group, wanted in f.memberships.get(f.names.login, {}).items()
        if group not in (f.names.owner, role)
        and not (group in have and _covers(have[group], wanted))
    ]


def _options(f: Facts, wanted: Membership) -> str:
    if f.version < ADMIN_OPTION_SINCE:
        return " WITH ADMIN OPTION" if wanted.admin else ""
    flags = {"ADMIN": wanted.admin, "INHERIT": wanted.inherit, "SET": wanted.set}
    listed = [f"{name} {str(value).upper()}" for name, value in flags.items()]
    return f" WITH {', '.join(listed)}"


def _covers(have: Membership, wanted: Membership) -> bool:
    pairs = ((have.admin, wanted.admin), (have.inherit, wanted.inherit), (have.set, wanted.set))
    return all(has or not needs for has, needs in pairs)


def missing_privileges(f: Facts, role: str) -> Mapping[str, bool]:
    """Return what the login was granted and ``role`` was not, and whether it can be granted."""
    have = f.privileges.get(role, {})
    granted = f.privileges.get(f.names.login, {})
    return {
        text: privilege.reachable
        for text, privilege in granted.items()
        if privilege.owner != role and text not in have and f"{text} WITH GRANT OPTION" not in have
    }


def privileges(f: Facts, role: str) -> list[str]:
    """Return what gives ``role`` the privileges of the login."""
    return [granted_to(role, text) for text in missing_privileges(f, role)]


def granted_to(role: str, text: str) -> str:
    """Put a role in the place for it, which is the last one: names before it may hold braces."""
    before, _, after = text.rpartition("{}")
    return f"{before}{quoted(role)}{after}"


def foreign_defaults(f: Facts, role: str) -> list[Default]:
    """Return what other creators' default privileges give the login and not ``role``."""

    def key(default: Default) -> tuple[str, str, str]:
        return default.creator, default.where, default.what

    have = {
        key(default)
        for default in f.defaults
        if default.grantee == role and default.verb == "GRANT"
    }
    return [
        default
        for default in f.defaults
        if default.grantee == f.names.login
        and default.creator not in (f.names.login, f.names.owner)
        and default.verb == "GRANT"
        and key(default) not in have
    ]


def foreign_default_statements(f: Facts, role: str) -> list[str]:
    """Return what gives ``role`` what others give the login by default."""
    return [_spell_default(default, default.creator, role) for default in foreign_defaults(f, role)]


def row_policies(f: Facts, roles: Iterable[str]) -> list[Transaction]:
    """Return what names ``roles`` wherever a row-level policy names the login."""
    transactions = []
    for policy in f.policies:
        lacking = [role for role in roles if role not in policy.roles]
        if f.names.login in policy.roles and lacking:
            named = ", ".join(map(quoted, [*policy.roles, *lacking]))
            statement = f"ALTER POLICY {quoted(policy.name)} ON {policy.table} TO {named}"
            transactions.append(lend(f, (statement,)))
    return transactions


def login_defaults(f: Facts) -> list[Default]:
    """Return the default privileges of what the login creates."""
    return [default for default in f.defaults if default.creator == f.names.login]


def shared_defaults(f: Facts) -> list[Default]:
    """Return those of them that are for the owner."""
    return [default for default in login_defaults(f) if default.grantee == f.names.owner]


def own_defaults(f: Facts) -> list[Default]:
    """Return those of them that were there before."""
    return [default for default in login_defaults(f) if default.grantee != f.names.owner]


def grantee_key(default: Default) -> str:
    """Return the grantee; its own creator is one and the same, whoever that is."""
    return "" if default.grantee == default.creator else default.grantee or "public"


def default_statement(default: Default, creator: str, *, contrary: bool = False) -> str:
    """Return what gives objects of ``creator`` this default privilege, or its contrary."""
    grantee = creator if default.grantee == default.creator else default.grantee
    verb = default.verb
    if contrary:
        verb = "REVOKE" if verb == "GRANT" else "GRANT"
    return _spell_default(default, creator, grantee, verb)


def _spell_default(default: Default, creator: str, grantee: str, verb: str = "") -> str:
    verb = verb or default.verb
    who = quoted(grantee) if grantee else "PUBLIC"
    option = " WITH GRANT OPTION" if default.grantable and verb == "GRANT" else ""
    direction = "TO" if verb == "GRANT" else "FROM"
    return (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(creator)}{default.where}"
        f" {verb} {default.what} {direction} {who}{option}"
    )


def groups(f: Facts) -> Iterator[Transaction]:
    """Yield the moves of relations: what a view reads before the view; knots at once."""
    rest = {relation.oid: relation for relation in f.relations}
    owner = quoted(f.names.owner)
    while rest:
        ready = [relation for relation in rest.values() if not (relation.needs & rest.keys())]
        if not ready:
            yield tuple(_move(relation, owner) for relation in rest.values())
            return
        for relation in ready:
            yield (_move(relation, owner),)
            del rest[relation.oid]


def _move(relation: Relation, owner: str) -> str:
    return f"ALTER {relation.kind} IF EXISTS {relation.name} OWNER TO {owner}"


def reassign(f: Facts) -> Transaction:
    """Return what hands everything else to the owner."""
    login, owner = quoted(f.names.login), quoted(f.names.owner)
    return lend(f, (f"REASSIGN OWNED BY {login} TO {owner}",))


def lend(f: Facts, statements: Iterable[str]) -> Transaction:
    """Let an administrator who is not a superuser act as both roles, for one transaction."""
    core = tuple(statements)
    roles = [
        role
        for role in (f.names.login, f.names.owner)
        if not f.admin.superuser and role not in f.admin.acts_as
    ]
    if not roles:
        return _open(f, core)
    admin = quoted(f.admin.name)
    before = tuple(membership(f, role, f.admin.name) for role in roles)
    after = tuple(f"REVOKE {quoted(role)} FROM {admin}" for role in roles)
    return before + _open(f, core) + after


def _open(f: Facts, core: Transaction) -> Transaction:
    """Let the owner make objects in schemas where the login may not any more, while they move."""
    if not any(
        statement.startswith(("ALTER TABLE", "ALTER VIEW", "REASSIGN")) for statement in core
    ):
        return core
    owner = quoted(f.names.owner)
    if f.admin.superuser or not f.closed_schemas:
        return core
    before = tuple(f"GRANT CREATE ON SCHEMA {schema} TO {owner}" for schema in f.closed_schemas)
    after = tuple(f"REVOKE CREATE ON SCHEMA {schema} FROM {owner}" for schema in f.closed_schemas)
    return before + core + after


def one(statements: list[str]) -> tuple[Transaction, ...]:
    """Return the statements as one transaction; none, if there are none."""
    return (tuple(statements),) if statements else ()


def traits(role: RoleFacts) -> list[str]:
    """Return the attributes that count for the current user, where the role has them.

    A login with others, which give power over roles or rows, is not adopted.
    """
    return ["CREATEDB"] if role.createdb else []


def all_traits(role: RoleFacts) -> list[str]:
    """Return every attribute that a twin must have, written out."""
    flags = (
        (role.createdb, "CREATEDB"),
        (role.createrole, "CREATEROLE"),
        (role.bypassrls, "BYPASSRLS"),
        (role.inherits, "INHERIT"),
    )
    named = [name if has else f"NO{name}" for has, name in flags]
    return [*named, f"CONNECTION LIMIT {role.limit}"]


def _settings(f: Facts, role: str) -> Mapping[tuple[str, str], str]:
    return f.settings.get(role, {})


def copied_settings(f: Facts) -> list[str]:
    """Return what gives the second slot the login's settings."""
    have = _settings(f, f.names.second)
    wanted = {**_settings(f, f.names.login)}
    wanted |= {(scope, name): value for scope, name, value in fixed_path(f)}
    return [
        setting(f.names.second, database, name, value)
        for (database, name), value in wanted.items()
        if name != "role" and not _is_same(name, have.get((database, name)), value)
    ]


def setting(role: str, database: str, name: str, value: str) -> str:
    """Return what sets one parameter of a role."""
    where = f" IN DATABASE {quoted(database)}" if database else ""
    parameter = ".".join(map(quoted, name.split(".")))
    values = list_items(name, value) if name in LISTS else [value]
    spelled = ", ".join(sql.Literal(item).as_string() for item in values)
    return f"ALTER ROLE {quoted(role)}{where} SET {parameter} = {spelled}"


def list_items(name: str, value: str) -> list[str]:
    """Return the names in the value of a list, as the server reads it.

    What the server would not read is one name: it stays a name, whatever it holds.
    """
    items, position = [], 0
    while match := _ITEM.match(value, position):
        inner, bare, comma = match.groups()
        folded = bare.lower() if bare and name in _FOLDED else bare
        items.append(inner.replace('""', '"') if bare is None else folded)
        position = match.end()
        if not comma:
            return items
    return [value]


def _is_same(name: str, value: str | None, wanted: str) -> bool:
    if value is None or name not in LISTS:
        return value == wanted
    return list_items(name, value) == list_items(name, wanted)


def become_statement(f: Facts, role: str) -> str:
    """Return what lets new sessions of a role become the owner."""
    return f"ALTER ROLE {quoted(role)} SET role = {sql.Literal(f.names.owner).as_string()}"


def _path_without_user(f: Facts) -> str:
    own = f.names.login if f.names.login in f.own_schemas else ""
    parts = list_items("search_path", f.path)
    named = (own if part == "$user" else part for part in parts)
    return ", ".join(quoted(part) for part in named if part)


def fixed_path(f: Facts) -> list[tuple[str, str, str]]:
    """Return the setting that stands for a search path with the name of the login in it."""
    if not (f.own_schemas and "$user" in f.path):
        return []
    scope = f.database if (f.database, "search_path") in _settings(f, f.names.login) else ""
    return [(scope, "search_path", _path_without_user(f))]
