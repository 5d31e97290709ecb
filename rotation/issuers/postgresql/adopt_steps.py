"""Facts to steps: the statements that take one login to two slots under an owner role.

The order is what keeps an application running.  Its sessions go on as the login; so the login is a
member of the owner, with everything inherited, before the first object moves.  The owner has all
the login has before anything runs as the owner: privileges first, then schemas, tables before the
views that read them, functions last.  Only then do new sessions become the owner.

Rules of this module:
  1. Pure: facts in, statements out.  Each statement may be run again.
  2. Nothing is taken from the login but what only old sessions used, and that at the very end.
  3. A relation moves in a transaction of its own, so that one lock is held, and for an instant.
  4. An administrator who is no superuser borrows membership inside the transaction that needs it.
"""

from collections.abc import Iterable, Iterator, Mapping

from psycopg import sql

from rotation.issuers.postgresql.adopt_facts import (
    MARK,
    Default,
    Facts,
    Membership,
    Relation,
    RoleFacts,
)
from rotation.issuers.postgresql.rights import ADMIN_OPTION_SINCE, quoted
from rotation.model.adoption import Step

Transaction = tuple[str, ...]

#: Stored as they are written; quoted as one text they would be a list of one.
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
SHARED_KINDS = ("TABLES", "SEQUENCES", "ROUTINES", "TYPES", "SCHEMAS")
#: Large objects have default privileges from here on.
LARGE_OBJECTS_SINCE = 180000
SEEING, ENDING = "pg_read_all_stats", "pg_signal_backend"


def steps(facts: Facts, verifier: str) -> tuple[Step, ...]:
    """Return every step in order, done or not."""
    makers = (
        _owner_role,
        _owner_rights,
        _join,
        _share,
        _defaults,
        _containers,
        _relations,
        _rest,
        _search_path,
        _second,
    )
    return (
        *(make(facts) for make in makers),
        _rotator(facts, verifier),
        _become(facts),
        _mark(facts),
        _leftovers(facts),
    )


def _owner_role(f: Facts) -> Step:
    owner, login = f.role(f.names.owner), f.role(f.names.login)
    traits = _traits(login) if login else []
    name = quoted(f.names.owner)
    lacking = [each for each in traits if owner is None or each not in _traits(owner)]
    statements: list[str] = []
    if owner is None:
        statements.append(" ".join([f"CREATE ROLE {name} NOLOGIN", *traits]))
    elif lacking:
        statements.append(" ".join([f"ALTER ROLE {name}", *lacking]))
    return Step(
        "owner-role",
        f"create the role {f.names.owner}, which nobody can log in as",
        "It will own every object, so that both slots can use and change all of them.",
        done=not statements,
        transactions=_one(statements),
    )


def _owner_rights(f: Facts) -> Step:
    owner = f.names.owner
    transactions = list(_one(_memberships(f, owner)))
    transactions += _one(_privileges(f, owner))
    transactions += [_lend(f, (each,)) for each in _foreign_defaults(f, owner)]
    transactions += _row_policies(f, (owner,))
    return Step(
        "owner-rights",
        f"give {owner} what {f.names.login} was given by others",
        "Sessions that become the owner must be able to do all they can do today:"
        " memberships, privileges, default privileges and row-level policies.",
        done=not transactions,
        transactions=tuple(transactions),
    )


def _join(f: Facts) -> Step:
    return Step(
        "join-owner",
        f"make {f.names.login} a member of {f.names.owner}",
        "Sessions that are open now keep every right on objects that move to the owner.",
        done=_is_member(f, f.names.login),
        transactions=((_membership(f, f.names.owner, f.names.login),),),
    )


def _share(f: Facts) -> Step:
    statements = [
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(f.names.login)} GRANT ALL ON {kind}"
        f" TO {quoted(f.names.owner)}"
        for kind in _kinds(f)
    ]
    shared = {
        each.what.rpartition(" ON ")[2]
        for each in _shared(f)
        if each.verb == "GRANT" and not each.where
    }
    return Step(
        "share-new-objects",
        f"let {f.names.owner} use what open sessions of {f.names.login} still create",
        "During the change some sessions are the login and some the owner; neither may miss"
        " what the other makes.",
        done=_is_over(f) or shared.issuperset(_kinds(f)),
        transactions=(_lend(f, statements),),
    )


def _defaults(f: Facts) -> Step:
    have = {
        (each.verb, each.where, each.what, each.grantable, _self(each))
        for each in f.defaults
        if each.creator == f.names.owner
    }
    statements = [
        _default(each, f.names.owner)
        for each in _own_defaults(f)
        if (each.verb, each.where, each.what, each.grantable, _self(each)) not in have
    ]
    return Step(
        "default-privileges",
        f"give objects that {f.names.owner} creates the default privileges"
        f" of those of {f.names.login}",
        "Others keep seeing new tables, whoever of the two creates them.",
        done=_is_over(f) or not statements,
        transactions=(_lend(f, statements),) if statements else (),
    )


def _containers(f: Facts) -> Step:
    owner = quoted(f.names.owner)
    moves = [f"ALTER SCHEMA {schema} OWNER TO {owner}" for schema in f.schemas]
    if f.owns_database:
        moves.insert(0, f"ALTER DATABASE {quoted(f.database)} OWNER TO {owner}")
    return Step(
        "schemas",
        f"hand database and schemas of {f.names.login} to {f.names.owner} ({len(moves)} to move)",
        "Before what is in them: foreign keys and views act with their owner's rights on schemas.",
        done=not f.owns_database and (_is_over(f) or f.shared_schemas.issuperset(f.schemas)),
        transactions=tuple(_lend(f, (move,)) for move in moves),
    )


def _relations(f: Facts) -> Step:
    return Step(
        "tables",
        f"hand tables, sequences and views to {f.names.owner} ({len(f.relations)} to move)",
        "One at a time, tables before the views that read them; each waits at most half a second"
        " for its lock, gives way to the application, and is tried again.",
        done=_is_over(f) or all(each.shared for each in f.relations),
        transactions=tuple(_lend(f, group) for group in _groups(f)),
    )


def _rest(f: Facts) -> Step:
    return Step(
        "other-objects",
        f"hand functions, types and everything else to {f.names.owner}",
        "REASSIGN OWNED finds what has no statement of its own here.",
        done=_is_over(f) or not f.others,
        transactions=(_reassign(f),),
    )


def _search_path(f: Facts) -> Step:
    statements = [_setting(f.names.login, *each) for each in _fixed_path(f)]
    return Step(
        "search-path",
        f"write the search path of {f.names.login} out",
        'A schema is named after the login, and "$user" would no longer find it once sessions'
        " become the owner.",
        done=not statements,
        transactions=_one(statements),
    )


def _fixed_path(f: Facts) -> list[tuple[str, str, str]]:
    """Return the setting that stands for a search path with the name of the login in it."""
    if not (f.own_schemas and "$user" in f.path):
        return []
    scope = f.database if (f.database, "search_path") in _settings(f, f.names.login) else ""
    return [(scope, "search_path", _path_without_user(f))]


def _second(f: Facts) -> Step:
    login, second = f.role(f.names.login), f.role(f.names.second)
    statements: list[str] = []
    name = quoted(f.names.second)
    wanted = [*_traits(login), f"CONNECTION LIMIT {login.limit}"] if login else []
    if login and not login.inherits:
        wanted.append("NOINHERIT")
    if second is None:
        statements.append(" ".join([f"CREATE ROLE {name} LOGIN", *wanted]))
    elif login and (other := [t for t in _all_traits(login) if t not in _all_traits(second)]):
        statements.append(" ".join([f"ALTER ROLE {name}", *other]))
    if not _is_member(f, f.names.second):
        statements.append(_membership(f, f.names.owner, f.names.second))
    statements += _memberships(f, f.names.second)
    statements += _copied_settings(f)
    if not f.becomes(f.names.second):
        statements.append(_become_statement(f, f.names.second))
    transactions = list(_one(statements))
    transactions += _one(_privileges(f, f.names.second))
    transactions += [_lend(f, (each,)) for each in _foreign_defaults(f, f.names.second)]
    transactions += _row_policies(f, (f.names.owner, f.names.second))
    return Step(
        "second-slot",
        f"create {f.names.second} as a twin of {f.names.login}, without a password",
        "A rotation sets a password on the slot that nobody uses; consumers must not notice which"
        " one they are on: memberships, settings, limits and privileges are the same.",
        done=not transactions,
        transactions=tuple(transactions),
    )


def _rotator(f: Facts, verifier: str) -> Step:
    name = quoted(f.names.rotator)
    rotator = f.role(f.names.rotator)
    statements = []
    if rotator is None:
        secret = sql.Literal(verifier).as_string()
        statements.append(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD {secret}")
    elif not rotator.createrole:
        statements.append(f"ALTER ROLE {name} CREATEROLE")
    held = f.memberships.get(f.names.rotator, {})
    statements += [f"GRANT {role} TO {name}" for role in (SEEING, ENDING) if role not in held]
    if f.version >= ADMIN_OPTION_SINCE:
        slots = (f.names.login, f.names.second)
        statements += [
            f"GRANT {quoted(slot)} TO {name} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
            for slot in slots
            if not (slot in held and held[slot].admin)
        ]
    connect = f"GRANT CONNECT ON DATABASE {quoted(f.database)} TO {{}}"
    if not f.public_connect and connect not in f.privileges.get(f.names.rotator, {}):
        statements += _lend(f, (connect.replace("{}", name),))
    return Step(
        "rotator",
        f"give {f.names.rotator} the rights of a rotator",
        "It changes passwords of the slots and sees and ends their sessions; it can become"
        " neither of them, and is no superuser.",
        done=not statements,
        transactions=_one(statements),
    )


def _become(f: Facts) -> Step:
    return Step(
        "become-owner",
        f"let new sessions of {f.names.login} become {f.names.owner}",
        "What they create belongs to the owner. Sessions that are open stay as they are.",
        done=f.becomes(f.names.login),
        transactions=((_become_statement(f, f.names.login),),),
    )


def _mark(f: Facts) -> Step:
    owner = f.role(f.names.owner)
    foreign = MARK.sub("", (owner.comment or "") if owner else "")
    text = sql.Literal(f"{foreign} [logins become this role since ".lstrip()).as_string()
    block = (
        f"DO $rotation$ BEGIN EXECUTE format('COMMENT ON ROLE %I IS %L',"
        f" {sql.Literal(f.names.owner).as_string()}, {text} || clock_timestamp()::text || ']');"
        " END $rotation$"
    )
    return Step(
        "mark",
        f"note in the comment of {f.names.owner} since when",
        "Sessions that are older are still the login; the last step looks for them.",
        done=f.since is not None,
        transactions=((block,),),
    )


def _leftovers(f: Facts) -> Step:
    login = f.names.login
    # What old sessions may still need is taken away once there are none.
    contraries = [_default(each, login, contrary=True) for each in _login_defaults(f)]
    if not f.since and not _shared(f):
        contraries = [
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(login)} REVOKE ALL ON {kind}"
            f" FROM {quoted(f.names.owner)}"
            for kind in _kinds(f)
        ] + contraries
    waits = ""
    if f.since and f.old_sessions + f.prepared:
        waits = (
            f"{f.old_sessions + f.prepared} sessions of {login} are older than the change and"
            f" create objects of their own; they end when the application is restarted or its pool"
            f" renews them, at the latest with the first rotation. Run adopt again then"
        )
    moves = [_lend(f, group) for group in _groups(f)] if f.since else []
    if f.since and f.schemas:
        owner = quoted(f.names.owner)
        moves.insert(0, _lend(f, [f"ALTER SCHEMA {each} OWNER TO {owner}" for each in f.schemas]))
    if f.owned or not f.since:
        moves.append(_reassign(f))
    tidies = [_lend(f, contraries)] if contraries and not waits else []
    return Step(
        "leftovers",
        f"hand over what open sessions of {login} created meanwhile",
        f"Objects of {login} can be used by all but changed only by itself; afterwards its default"
        " privileges are not needed any more.",
        done=f.since is not None and not (f.owned or _login_defaults(f) or waits),
        transactions=(*moves, *tidies),
        waits=waits,
    )


def _kinds(f: Facts) -> tuple[str, ...]:
    return (*SHARED_KINDS, *(["LARGE OBJECTS"] if f.version >= LARGE_OBJECTS_SINCE else []))


def _is_over(f: Facts) -> bool:
    """Whether new sessions are the owner: what is left of the login is the last step's."""
    return f.becomes(f.names.login) and f.since is not None


def _is_member(f: Facts, slot: str) -> bool:
    found = f.memberships.get(slot, {}).get(f.names.owner)
    return found is not None and found.set and found.inherit


def _membership(f: Facts, group: str, role: str) -> str:
    options = " WITH INHERIT TRUE, SET TRUE" if f.version >= ADMIN_OPTION_SINCE else ""
    return f"GRANT {quoted(group)} TO {quoted(role)}{options}"


def _memberships(f: Facts, role: str) -> list[str]:
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


def _privileges(f: Facts, role: str) -> list[str]:
    return [text.replace("{}", quoted(role)) for text in missing_privileges(f, role)]


def foreign_defaults(f: Facts, role: str) -> list[Default]:
    """Return what other creators' default privileges give the login and not ``role``."""

    def key(each: Default) -> tuple[str, str, str]:
        return each.creator, each.where, each.what

    have = {key(each) for each in f.defaults if each.grantee == role and each.verb == "GRANT"}
    return [
        each
        for each in f.defaults
        if each.grantee == f.names.login
        and each.creator not in (f.names.login, f.names.owner)
        and each.verb == "GRANT"
        and key(each) not in have
    ]


def _foreign_defaults(f: Facts, role: str) -> list[str]:
    return [_spell_default(each, each.creator, role) for each in foreign_defaults(f, role)]


def _row_policies(f: Facts, roles: Iterable[str]) -> list[Transaction]:
    transactions = []
    for each in f.policies:
        lacking = [role for role in roles if role not in each.roles]
        if f.names.login in each.roles and lacking:
            named = ", ".join(map(quoted, [*each.roles, *lacking]))
            statement = f"ALTER POLICY {quoted(each.name)} ON {each.table} TO {named}"
            transactions.append(_lend(f, (statement,)))
    return transactions


def _login_defaults(f: Facts) -> list[Default]:
    return [each for each in f.defaults if each.creator == f.names.login]


def _shared(f: Facts) -> list[Default]:
    return [each for each in _login_defaults(f) if each.grantee == f.names.owner]


def _own_defaults(f: Facts) -> list[Default]:
    return [each for each in _login_defaults(f) if each.grantee != f.names.owner]


def _self(each: Default) -> str:
    """Return the grantee; its own creator is one and the same, whoever that is."""
    return "" if each.grantee == each.creator else each.grantee or "public"


def _default(each: Default, creator: str, *, contrary: bool = False) -> str:
    grantee = creator if each.grantee == each.creator else each.grantee
    verb = each.verb
    if contrary:
        verb = "REVOKE" if verb == "GRANT" else "GRANT"
    return _spell_default(each, creator, grantee, verb)


def _spell_default(each: Default, creator: str, grantee: str, verb: str = "") -> str:
    verb = verb or each.verb
    who = quoted(grantee) if grantee else "PUBLIC"
    option = " WITH GRANT OPTION" if each.grantable and verb == "GRANT" else ""
    direction = "TO" if verb == "GRANT" else "FROM"
    return (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(creator)}{each.where}"
        f" {verb} {each.what} {direction} {who}{option}"
    )


def _groups(f: Facts) -> Iterator[Transaction]:
    """Yield the moves of relations: what a view reads before the view; knots at once."""
    rest = {each.oid: each for each in f.relations}
    owner = quoted(f.names.owner)
    while rest:
        ready = [each for each in rest.values() if not (each.needs & rest.keys())]
        if not ready:
            yield tuple(_move(each, owner) for each in rest.values())
            return
        for each in ready:
            yield (_move(each, owner),)
            del rest[each.oid]


def _move(relation: Relation, owner: str) -> str:
    return f"ALTER {relation.kind} IF EXISTS {relation.name} OWNER TO {owner}"


def _reassign(f: Facts) -> Transaction:
    login, owner = quoted(f.names.login), quoted(f.names.owner)
    return _lend(f, (f"REASSIGN OWNED BY {login} TO {owner}",))


def _lend(f: Facts, statements: Iterable[str]) -> Transaction:
    """Let an administrator who is no superuser act as both roles, for one transaction."""
    core = tuple(statements)
    roles = [
        role
        for role in (f.names.login, f.names.owner)
        if not f.admin.superuser and role not in f.admin.acts_as
    ]
    if not roles:
        return _open(f, core)
    admin = quoted(f.admin.name)
    before = tuple(_membership(f, role, f.admin.name) for role in roles)
    after = tuple(f"REVOKE {quoted(role)} FROM {admin}" for role in roles)
    return before + _open(f, core) + after


def _open(f: Facts, core: Transaction) -> Transaction:
    """Let the owner make objects in schemas where the login may not any more, while they move."""
    if not any(each.startswith(("ALTER TABLE", "ALTER VIEW", "REASSIGN")) for each in core):
        return core
    owner = quoted(f.names.owner)
    if f.admin.superuser or not f.closed_schemas:
        return core
    before = tuple(f"GRANT CREATE ON SCHEMA {each} TO {owner}" for each in f.closed_schemas)
    after = tuple(f"REVOKE CREATE ON SCHEMA {each} FROM {owner}" for each in f.closed_schemas)
    return before + core + after


def _one(statements: list[str]) -> tuple[Transaction, ...]:
    return (tuple(statements),) if statements else ()


def _traits(role: RoleFacts) -> list[str]:
    """Return the attributes that count for the current user, where the role has them."""
    flags = (
        (role.createdb, "CREATEDB"),
        (role.createrole, "CREATEROLE"),
        (role.bypassrls, "BYPASSRLS"),
    )
    return [name for has, name in flags if has]


def _all_traits(role: RoleFacts) -> list[str]:
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


def _copied_settings(f: Facts) -> list[str]:
    have = _settings(f, f.names.second)
    wanted = {**_settings(f, f.names.login)}
    wanted |= {(scope, name): value for scope, name, value in _fixed_path(f)}
    return [
        _setting(f.names.second, database, name, value)
        for (database, name), value in wanted.items()
        if name != "role" and have.get((database, name)) != value
    ]


def _setting(role: str, database: str, name: str, value: str) -> str:
    where = f" IN DATABASE {quoted(database)}" if database else ""
    parameter = ".".join(map(quoted, name.split(".")))
    spelled = value if name in LISTS and value else sql.Literal(value).as_string()
    return f"ALTER ROLE {quoted(role)}{where} SET {parameter} = {spelled}"


def _become_statement(f: Facts, role: str) -> str:
    return f"ALTER ROLE {quoted(role)} SET role = {sql.Literal(f.names.owner).as_string()}"


def _path_without_user(f: Facts) -> str:
    own = quoted(f.names.login) if f.names.login in f.own_schemas else ""
    parts = [part.strip() for part in f.path.split(",")]
    named = (own if part in ('"$user"', "$user") else part for part in parts)
    return ", ".join(part for part in named if part)
