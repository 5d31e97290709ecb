"""Facts to steps: the statements that take one login to two slots under an owner role.

The order is what keeps an application running.  Its sessions go on as the login; so the login is a
member of the owner, with everything inherited, before the first object moves.  The owner has all
the login has before anything runs as the owner: privileges first, then schemas, tables before the
views that read them, functions last.  Only then do new sessions become the owner.

Rules of this module:
  1. Pure: facts in, steps out.  What a statement says is in `statements`.
  2. Nothing is taken from the login but what only old sessions used, and that at the very end.
  3. A relation moves in a transaction of its own, so that one lock is held, and for an instant.
"""

from psycopg import sql

from rotation.issuers.postgresql.adopting.facts import MARK, Facts
from rotation.issuers.postgresql.adopting.statements import (
    all_traits,
    become_statement,
    copied_settings,
    default_statement,
    fixed_path,
    foreign_default_statements,
    granted_to,
    grantee_key,
    groups,
    is_member,
    is_over,
    kinds_of_defaults,
    lend,
    login_defaults,
    membership,
    memberships,
    one,
    own_defaults,
    privileges,
    reassign,
    row_policies,
    setting,
    shared_defaults,
    traits,
)
from rotation.issuers.postgresql.rights import ADMIN_OPTION_SINCE, quoted
from rotation.model.adoption import Step

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
    wanted = traits(login) if login else []
    name = quoted(f.names.owner)
    lacking = [trait for trait in wanted if owner is None or trait not in traits(owner)]
    statements: list[str] = []
    if owner is None:
        statements.append(" ".join([f"CREATE ROLE {name} NOLOGIN", *wanted]))
    elif lacking:
        statements.append(" ".join([f"ALTER ROLE {name}", *lacking]))
    return Step(
        "owner-role",
        f"create the role {f.names.owner}, which nobody can log in as",
        "It will own every object, so that both slots can use and change all of them.",
        done=not statements,
        transactions=one(statements),
    )


def _owner_rights(f: Facts) -> Step:
    owner = f.names.owner
    transactions = list(one(memberships(f, owner)))
    transactions += one(privileges(f, owner))
    transactions += [lend(f, (statement,)) for statement in foreign_default_statements(f, owner)]
    transactions += row_policies(f, (owner,))
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
        done=is_member(f, f.names.login),
        transactions=((membership(f, f.names.owner, f.names.login),),),
    )


def _share(f: Facts) -> Step:
    statements = [
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(f.names.login)} GRANT ALL ON {kind}"
        f" TO {quoted(f.names.owner)}"
        for kind in kinds_of_defaults(f)
    ]
    shared = {
        default.what.rpartition(" ON ")[2]
        for default in shared_defaults(f)
        if default.verb == "GRANT" and not default.where
    }
    return Step(
        "share-new-objects",
        f"let {f.names.owner} use what open sessions of {f.names.login} still create",
        "During the change some sessions are the login and some the owner; neither may miss"
        " what the other makes.",
        done=is_over(f) or shared.issuperset(kinds_of_defaults(f)),
        transactions=(lend(f, statements),),
    )


def _defaults(f: Facts) -> Step:
    have = {
        (default.verb, default.where, default.what, default.grantable, grantee_key(default))
        for default in f.defaults
        if default.creator == f.names.owner
    }
    statements = [
        default_statement(default, f.names.owner)
        for default in own_defaults(f)
        if (default.verb, default.where, default.what, default.grantable, grantee_key(default))
        not in have
    ]
    return Step(
        "default-privileges",
        f"give objects that {f.names.owner} creates the default privileges"
        f" of those of {f.names.login}",
        "Others keep seeing new tables, whoever of the two creates them.",
        done=is_over(f) or not statements,
        transactions=(lend(f, statements),) if statements else (),
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
        done=not f.owns_database and (is_over(f) or f.shared_schemas.issuperset(f.schemas)),
        transactions=tuple(lend(f, (move,)) for move in moves),
    )


def _relations(f: Facts) -> Step:
    return Step(
        "tables",
        f"hand tables, sequences and views to {f.names.owner} ({len(f.relations)} to move)",
        "One at a time, tables before the views that read them; each waits at most half a second"
        " for its lock, gives way to the application, and is tried again.",
        done=is_over(f) or all(relation.shared for relation in f.relations),
        transactions=tuple(lend(f, group) for group in groups(f)),
    )


def _rest(f: Facts) -> Step:
    return Step(
        "other-objects",
        f"hand functions, types and everything else to {f.names.owner}",
        "REASSIGN OWNED finds what has no statement of its own here.",
        done=is_over(f) or not f.others,
        transactions=(reassign(f),),
    )


def _search_path(f: Facts) -> Step:
    statements = [setting(f.names.login, *fixed) for fixed in fixed_path(f)]
    return Step(
        "search-path",
        f"write the search path of {f.names.login} out",
        'A schema is named after the login, and "$user" would no longer find it once sessions'
        " become the owner.",
        done=not statements,
        transactions=one(statements),
    )


def _second(f: Facts) -> Step:
    login, second = f.role(f.names.login), f.role(f.names.second)
    statements: list[str] = []
    name = quoted(f.names.second)
    wanted = [*traits(login), f"CONNECTION LIMIT {login.limit}"] if login else []
    if login and not login.inherits:
        wanted.append("NOINHERIT")
    if second is None:
        statements.append(" ".join([f"CREATE ROLE {name} LOGIN", *wanted]))
    elif login and (other := [t for t in all_traits(login) if t not in all_traits(second)]):
        statements.append(" ".join([f"ALTER ROLE {name}", *other]))
    if not is_member(f, f.names.second):
        statements.append(membership(f, f.names.owner, f.names.second))
    statements += memberships(f, f.names.second)
    statements += copied_settings(f)
    if not f.becomes(f.names.second):
        statements.append(become_statement(f, f.names.second))
    transactions = list(one(statements))
    transactions += one(privileges(f, f.names.second))
    transactions += [
        lend(f, (statement,)) for statement in foreign_default_statements(f, f.names.second)
    ]
    transactions += row_policies(f, (f.names.owner, f.names.second))
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
        statements += lend(f, (granted_to(f.names.rotator, connect),))
    return Step(
        "rotator",
        f"give {f.names.rotator} the rights of a rotator",
        "It changes passwords of the slots and sees and ends their sessions; it can become"
        " neither of them, and is not a superuser.",
        done=not statements,
        transactions=one(statements),
    )


def _become(f: Facts) -> Step:
    return Step(
        "become-owner",
        f"let new sessions of {f.names.login} become {f.names.owner}",
        "What they create belongs to the owner. Sessions that are open stay as they are.",
        done=f.becomes(f.names.login),
        transactions=((become_statement(f, f.names.login),),),
    )


def _mark(f: Facts) -> Step:
    owner = f.role(f.names.owner)
    foreign = MARK.sub("", (owner.comment or "") if owner else "")
    text = sql.Literal(f"{foreign} [logins become this role since ".lstrip()).as_string()
    block = (
        "BEGIN EXECUTE format('COMMENT ON ROLE %I IS %L',"
        f" {sql.Literal(f.names.owner).as_string()}, {text} || clock_timestamp()::text || ']'); END"
    )
    return Step(
        "mark",
        f"note in the comment of {f.names.owner} since when",
        "Sessions that are older are still the login; the last step looks for them.",
        done=f.since is not None,
        # A literal: the end of a dollar quote may stand in the comment that was there.
        transactions=((f"DO {sql.Literal(block).as_string()}",),),
    )


def _leftovers(f: Facts) -> Step:
    login = f.names.login
    # What old sessions may still need is taken away once there are none.
    contraries = [default_statement(default, login, contrary=True) for default in login_defaults(f)]
    if not f.since and not shared_defaults(f):
        contraries = [
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(login)} REVOKE ALL ON {kind}"
            f" FROM {quoted(f.names.owner)}"
            for kind in kinds_of_defaults(f)
        ] + contraries
    waits = ""
    if f.since and f.old_sessions + f.prepared:
        waits = (
            f"{f.old_sessions + f.prepared} sessions of {login} are older than the change and"
            f" create objects of their own; they end when the application is restarted or its pool"
            f" renews them, at the latest with the first rotation. Run adopt again then"
        )
    moves = [lend(f, group) for group in groups(f)] if f.since else []
    if f.since and f.schemas:
        owner = quoted(f.names.owner)
        moves.insert(
            0, lend(f, [f"ALTER SCHEMA {schema} OWNER TO {owner}" for schema in f.schemas])
        )
    if f.owned or not f.since:
        moves.append(reassign(f))
    tidies = [lend(f, contraries)] if contraries and not waits else []
    return Step(
        "leftovers",
        f"hand over what open sessions of {login} created meanwhile",
        f"Objects of {login} can be used by all but changed only by itself; afterwards its default"
        " privileges are not needed any more.",
        done=f.since is not None and not (f.owned or login_defaults(f) or waits),
        transactions=(*moves, *tidies),
        waits=waits,
    )
