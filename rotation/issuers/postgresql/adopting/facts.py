"""What a database looks like to an adoption; nothing is read, decided or changed here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

#: In the comment of the owner role: since when new sessions become it.
MARK = re.compile(r" ?\[logins become this role since (?P<since>[^\]]+)\]")


@dataclass(frozen=True)
class RoleFacts:
    """One role."""

    name: str
    can_login: bool
    #: What it may that no application's role should; empty: nothing.
    power: str
    inherits: bool
    createdb: bool
    createrole: bool
    bypassrls: bool
    limit: int
    expires: bool
    comment: str | None
    #: Sessions on it, ours left out; in every database.
    sessions: int
    owns: bool


@dataclass(frozen=True)
class Membership:
    """Options of one membership."""

    admin: bool
    inherit: bool
    set: bool


@dataclass(frozen=True)
class Privilege:
    """One thing somebody was granted something on."""

    #: Whether the administrator may grant it as it is.
    reachable: bool
    owner: str


@dataclass(frozen=True)
class Default:
    """One default privilege that differs from every role's."""

    creator: str
    #: Empty: everybody.
    grantee: str
    #: GRANT or REVOKE.
    verb: str
    #: `` IN SCHEMA x``, or empty.
    where: str
    what: str
    grantable: bool
    #: Whether the administrator may change it as it is.
    reachable: bool


@dataclass(frozen=True)
class Relation:
    """A table, view or sequence of the login."""

    oid: int
    name: str
    kind: str
    #: Relations its rules read or write.
    needs: frozenset[int]
    #: Made after the owner was given its share: it can wait.
    shared: bool = False


@dataclass(frozen=True)
class RowPolicy:
    """A row-level security policy."""

    name: str
    table: str
    roles: tuple[str, ...]
    reachable: bool
    #: Its condition asks who the user is.
    asks: bool


@dataclass(frozen=True)
class AdminFacts:
    """The administrator who runs the statements."""

    name: str
    superuser: bool
    createrole: bool
    createdb: bool
    bypassrls: bool
    #: Roles it may grant.
    grants: frozenset[str]
    #: Of our roles those it can act as already.
    acts_as: frozenset[str]


@dataclass(frozen=True)
class Names:
    """The roles of one adoption."""

    login: str
    owner: str
    second: str
    rotator: str

    @property
    def all(self) -> list[str]:
        """Every name."""
        return [self.login, self.owner, self.second, self.rotator]


@dataclass(frozen=True)
class Facts:
    """Everything a plan rests on."""

    names: Names
    version: int
    version_text: str
    database: str
    standby: bool
    admin: AdminFacts
    roles: Mapping[str, RoleFacts]
    memberships: Mapping[str, Mapping[str, Membership]]
    #: By role: (database or empty, parameter) -> value.
    settings: Mapping[str, Mapping[tuple[str, str], str]]
    #: By role: statement with {} for the role -> who owns the thing, and whether the administrator
    #: may run it.
    privileges: Mapping[str, Mapping[str, Privilege]]
    defaults: tuple[Default, ...]
    relations: tuple[Relation, ...]
    #: Objects of the login in this database.
    owned: int
    #: Other databases in which the login owns or was granted something.
    elsewhere: tuple[str, ...]
    policies: tuple[RowPolicy, ...]
    asking: tuple[tuple[str, str], ...]
    prepared: int
    subscriptions: int
    #: Foreign servers that the login has a mapping for, and the owner has not.
    unmapped: tuple[str, ...]
    #: Others that are members of the login.
    members: tuple[str, ...]
    definers: tuple[str, ...]
    schemas: tuple[str, ...]
    #: Of these the ones made after the owner was given its share.
    shared_schemas: frozenset[str]
    owns_database: bool
    #: Schemas named like the login or the owner, which ``"$user"`` finds.
    own_schemas: tuple[str, ...]
    #: Schemas in which the login has relations, but may make no more.
    closed_schemas: tuple[str, ...]
    #: Whether everybody may connect to the database.
    public_connect: bool
    #: Objects of the login that are neither relation, schema nor database.
    others: int
    #: When new sessions were seen to become the owner; None: not yet.
    since: str | None
    #: Sessions that are still the login itself.
    old_sessions: int
    #: Search path of a session of the login.
    path: str = field(default="")

    def role(self, name: str) -> RoleFacts | None:
        """Return a role, if it exists."""
        return self.roles.get(name)

    def becomes(self, slot: str) -> bool:
        """Whether new sessions of a slot become the owner."""
        return self.settings.get(slot, {}).get(("", "role")) == self.names.owner
