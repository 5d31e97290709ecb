"""What stands in the way of an adoption, and what a person should know before it starts.

Rules of this module:
  1. Pure: facts in, findings out.  An error stops the adoption before its first step.
  2. What a person may judge better than we can (`JUDGED`) is stopped until it is accepted by name.
  3. What is taken over without a word elsewhere is told here.
"""

from collections.abc import Iterator

from rotation.issuers._slots.guards import other_manager
from rotation.issuers.postgresql.adopting.facts import Facts
from rotation.issuers.postgresql.adopting.statements import foreign_defaults, missing_privileges
from rotation.issuers.postgresql.adopting.steps import ENDING, SEEING
from rotation.issuers.postgresql.check_server import BROKEN_SET_ROLE, OLDEST
from rotation.issuers.postgresql.rights import ADMIN_OPTION_SINCE, quoted
from rotation.kit.findings import bad, fine, warn
from rotation.model.plugin import Finding
from rotation.model.text import first_hidden

#: Findings that ``--accept`` turns into warnings.
JUDGED = frozenset({"row-policies", "members", "identity", "security-definer"})
_SHOWN = 5


def findings(facts: Facts, accepted: frozenset[str]) -> tuple[Finding, ...]:
    """Return every finding, in the order a person would mend things."""
    found: list[Finding] = []
    for check in (_server, _login, _names, _elsewhere, _administrator, _reach, _identity, _others):
        found += check(facts)
    return tuple(
        warn(finding.check, finding.message) if finding.check in accepted & JUDGED else finding
        for finding in found
    )


def _server(f: Facts) -> Iterator[Finding]:
    if f.version < OLDEST:
        yield bad("server-version", f"PostgreSQL {f.version_text} is too old", "upgrade first")
    elif f.version in BROKEN_SET_ROLE:
        message = f"PostgreSQL {f.version_text} ignores ALTER ROLE .. SET role"
        yield bad("server-version", message, "install the next minor release first")
    else:
        yield fine("server-version", f"PostgreSQL {f.version_text}")
    if f.standby:
        yield bad("primary", "the server is a standby", "connect to the primary")


def _login(f: Facts) -> Iterator[Finding]:
    name = f.names.login
    login = f.role(name)
    if login is None:
        yield bad("login", f"the role {name} does not exist", "correct the payload")
        return
    if login.power:
        remedy = "take that from it, or give the application a login of its own first"
        yield bad("login", f"{name} {login.power}", remedy)
    if manager := other_manager(login.comment):
        yield bad("other-manager", f"{manager} manages {name}", "end that first")
    if f.version < ADMIN_OPTION_SINCE and not login.inherits:
        message = f"{name} is NOINHERIT: its sessions would lose objects that move to the owner"
        yield bad("inherit", message, f"ALTER ROLE {quoted(name)} INHERIT, if that is acceptable")
    if login.expires:
        yield warn("valid-until", f"{name} has VALID UNTIL; rotation sets it to infinity")
    current = f.settings.get(name, {})
    for (database, parameter), value in current.items():
        if parameter == "role" and value != f.names.owner:
            message = f"sessions of {name} become {value} already"
            where = f" in {database}" if database else ""
            yield bad("set-role", message + where, f"adopt with --owner {value}, or reset role")


def _names(f: Facts) -> Iterator[Finding]:
    if char := first_hidden(f.names.rotator):
        message = f"the name of the rotator holds the character U+{ord(char):04X}"
        yield bad("rotator", f"{message}, which does not show", "choose another with --rotator")
    owner, second = f.role(f.names.owner), f.role(f.names.second)
    if owner and (owner.can_login or owner.power):
        what = owner.power or "may log in"
        remedy = "choose another with --owner" + ("" if owner.power else ", or make it NOLOGIN")
        yield bad("owner", f"{owner.name} {what}", remedy)
    if second and second.power:
        yield bad("second-slot", f"{second.name} {second.power}", "choose another with --second")
    elif second and not f.becomes(f.names.second) and (second.owns or second.sessions):
        message = f"{second.name} exists, and is used: it owns objects or has sessions"
        yield bad("second-slot", message, "choose another with --second")
    if f.names.owner in f.memberships.get(f.names.owner, {}):
        yield bad("owner", "the owner is a member of itself")


def _elsewhere(f: Facts) -> Iterator[Finding]:
    if f.elsewhere:
        yield bad(
            "other-databases",
            f"{f.names.login} owns or was granted things in other databases, too:"
            f" {_some(f.elsewhere)}",
            "give each database a login of its own first: one secret is one database",
        )


def _administrator(f: Facts) -> Iterator[Finding]:
    admin = f.admin
    if admin.name == f.names.login:
        yield bad("administrator", "the administrator is the login itself", "use another login")
    elif admin.superuser:
        yield fine("administrator", f"{admin.name} is a superuser")
    else:
        if not admin.createrole:
            message = f"{admin.name} may not create roles"
            yield bad("administrator", message, f"ALTER ROLE {quoted(admin.name)} CREATEROLE")
        yield from _attributes(f)
        if f.version >= ADMIN_OPTION_SINCE:
            yield from _admin_options(f)


def _attributes(f: Facts) -> Iterator[Finding]:
    """Yield attributes that only somebody who has them can give, or needs."""
    admin, login = f.admin, f.role(f.names.login)
    name = quoted(admin.name)
    if login and login.createdb and not admin.createdb:
        message = f"{login.name} has CREATEDB, which {admin.name} cannot give to others"
        yield bad("administrator", message, f"ALTER ROLE {name} CREATEDB")
    elif f.owns_database and not admin.createdb:
        message = f"{admin.name} may not hand a database to another owner"
        yield bad("administrator", message, f"ALTER ROLE {name} CREATEDB")


def _admin_options(f: Facts) -> Iterator[Finding]:
    """Yield the roles this administrator would have to grant, and may not."""
    admin, held = f.admin, f.memberships.get(f.names.rotator, {})
    ours = [role for role in (f.names.login, f.names.owner, f.names.second) if f.role(role)]
    if f.role(f.names.rotator) and not f.roles[f.names.rotator].createrole:
        ours.append(f.names.rotator)
    for role in [*ours, *(right for right in (SEEING, ENDING) if right not in held)]:
        if role not in admin.grants:
            yield bad(
                "administrator",
                f"{admin.name} has no ADMIN OPTION on {role}",
                f"GRANT {quoted(role)} TO {quoted(admin.name)} WITH ADMIN OPTION",
            )


def _reach(f: Facts) -> Iterator[Finding]:
    """Yield what the login was given that this administrator cannot give to others."""
    if f.admin.superuser:
        return
    ours = {f.names.login, f.names.owner}
    for role in (f.names.owner, f.names.second):
        for text, reachable in missing_privileges(f, role).items():
            if not reachable:
                statement = text.replace("{}", quoted(role))
                yield bad("privileges", f"{f.admin.name} may not run: {statement}", statement)
        for default in foreign_defaults(f, role):
            if not default.reachable and default.creator not in ours:
                message = f"{f.admin.name} may not change default privileges of {default.creator}"
                yield bad("privileges", message, "connect as a superuser, or as that role")
        have = f.memberships.get(role, {})
        for group in f.memberships.get(f.names.login, {}):
            known = group in ours or group in have or group in f.admin.grants
            if f.version >= ADMIN_OPTION_SINCE and not known:
                statement = f"GRANT {quoted(group)} TO {quoted(role)}"
                yield bad("memberships", f"{f.admin.name} may not run: {statement}", statement)


def _identity(f: Facts) -> Iterator[Finding]:
    """Yield what changes its meaning when the current user becomes the owner."""
    asking = [f"{policy.name} on {policy.table}" for policy in f.policies if policy.asks]
    if asking:
        yield bad(
            "row-policies",
            f"row-level policies ask who the user is, and sessions become {f.names.owner}:"
            f" {_some(asking)}",
            "rewrite them for the owner role or a setting; then --accept row-policies",
        )
    if f.asking:
        yield warn(
            "identity",
            f"these ask for current_user or session_user, which will be {f.names.owner} and the"
            f" slot: {_some(' '.join(words) for words in f.asking)}",
        )
    if f.definers:
        yield warn(
            "security-definer",
            f"these functions will run as {f.names.owner}: {_some(f.definers)}",
        )
    if f.members:
        yield warn(
            "members",
            f"{_some(f.members)} can act as {f.names.login}; what they create as it belongs to it",
        )


def _others(f: Facts) -> Iterator[Finding]:
    if f.subscriptions:
        message = f"{f.names.login} owns {f.subscriptions} subscriptions"
        yield bad("subscriptions", message, "give them to another role first")
    if f.unmapped:
        yield bad(
            "user-mappings",
            f"{f.names.login} has user mappings that {f.names.owner} lacks: {_some(f.unmapped)}",
            f"CREATE ROLE {quoted(f.names.owner)} NOLOGIN; then CREATE USER MAPPING FOR"
            f" {quoted(f.names.owner)} SERVER ... with the same options",
        )
    if f.prepared:
        yield warn("prepared", f"{f.prepared} prepared transactions of {f.names.login} are open")


def _some(items: object) -> str:
    listed = list(items)  # type: ignore[call-overload]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(map(str, listed[:_SHOWN])) + more
