"""Reads what an adoption rests on, in one snapshot; decides and changes nothing."""

from collections.abc import Iterable
from typing import Any

from rotation.issuers.postgresql.adopting import queries
from rotation.issuers.postgresql.adopting.facts import (
    MARK,
    AdminFacts,
    Default,
    Facts,
    Membership,
    Names,
    Privilege,
    Relation,
    RoleFacts,
    RowPolicy,
)
from rotation.issuers.postgresql.login import OWN_NAMES, Connection
from rotation.issuers.postgresql.power import POWER
from rotation.issuers.postgresql.rights import ADMIN_OPTION_SINCE

#: Parameters have privileges of their own from here on.
PARAMETER_SINCE = 150000

_Row = tuple[Any, ...]


def read_facts(connection: Connection, names: Names, path: str) -> Facts:
    """Read everything, in one read-only snapshot."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        connection.execute("SELECT set_config('search_path', '', true)")
        return _Reading(connection, names).facts(path)
    finally:
        connection.rollback()


class _Reading:
    """The answers of one snapshot."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._version = connection.info.server_version
        self._modern = self._version >= ADMIN_OPTION_SINCE
        self._values: dict[str, Any] = {
            "roles": names.all,
            "own": list(OWN_NAMES),
            "login": names.login,
            "owner": names.owner,
        }
        oids: dict[str, int] = dict(
            self._rows(
                "SELECT rolname::text, oid::int8 FROM pg_roles WHERE rolname = ANY (%(roles)s)"
            )
        )
        self._values["login_oid"] = oids.get(names.login, 0)
        self._values["owner_oid"] = oids.get(names.owner, 0)

    def facts(self, path: str) -> Facts:
        """Return everything a plan rests on."""
        roles = {row[0]: RoleFacts(*row) for row in self._rows(queries.ROLES.format(power=POWER))}
        owner = roles.get(self._names.owner)
        mark = MARK.search((owner.comment if owner else None) or "")
        since = mark["since"] if mark else None
        database = str(self._rows("SELECT current_database()::text")[0][0])
        return Facts(
            names=self._names,
            version=self._version,
            database=database,
            admin=self._admin(),
            roles=roles,
            memberships=self._memberships(),
            settings=_nested(
                (row[0], (row[1], row[2]), row[3]) for row in self._rows(queries.SETTINGS)
            ),
            privileges=self._privileges(),
            defaults=tuple(Default(*row) for row in self._rows(queries.DEFAULTS.format())),
            relations=tuple(
                Relation(row[0], row[1], row[2], frozenset(row[3]), row[4])
                for row in self._rows(queries.RELATIONS)
            ),
            policies=tuple(
                RowPolicy(row[0], row[1], tuple(row[2]), *row[3:])
                for row in self._rows(queries.POLICIES)
            ),
            asking=tuple((row[0], row[1]) for row in self._rows(queries.ASKING)),
            since=since,
            old_sessions=self._old_sessions(since),
            path=path,
            **self._owned(database),
            **self._odd(),
        )

    def _rows(self, question: str, **more: object) -> list[_Row]:
        return self._connection.execute(question, {**self._values, **more}).fetchall()

    def _admin(self) -> AdminFacts:
        question = queries.ADMIN.format(set="'SET'" if self._modern else "'MEMBER'")
        name, superuser, createrole, createdb, bypassrls, grants, acts_as = self._rows(question)[0]
        able = (superuser, createrole, createdb, bypassrls)
        return AdminFacts(name, *able, frozenset(grants), frozenset(acts_as))

    def _memberships(self) -> dict[str, dict[str, Membership]]:
        options = {"inherit": "bool_or(r.rolinherit)", "set": "true"}
        if self._modern:
            options = {"inherit": "bool_or(m.inherit_option)", "set": "bool_or(m.set_option)"}
        found = self._rows(queries.MEMBERSHIPS.format(**options))
        return _nested((row[0], row[1], Membership(*row[2:])) for row in found)

    def _privileges(self) -> dict[str, dict[str, Privilege]]:
        parameters = queries.PARAMETERS if self._version >= PARAMETER_SINCE else ""
        found = self._rows(queries.PRIVILEGES.format(parameters=parameters))
        return _nested((row[0], row[1], Privilege(*row[2:])) for row in found)

    def _owned(self, database: str) -> dict[str, Any]:
        here, owned = ("", database), self._rows(queries.OWNED)
        return {
            "owned": sum(count for place, owns, count in owned if owns and place in here),
            "elsewhere": tuple(dict.fromkeys(place for place, *_ in owned if place not in here)),
        }

    def _odd(self) -> dict[str, Any]:
        found = dict(zip(queries.ODD_NAMES, self._rows(queries.ODD)[0], strict=True))
        return {
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in found.items()
            },
            "shared_schemas": frozenset(found["shared_schemas"]),
        }

    def _old_sessions(self, since: str | None) -> int:
        return int(self._rows(queries.SESSIONS, since=since)[0][0])


def _nested(triples: Iterable[tuple[str, Any, Any]]) -> dict[str, dict[Any, Any]]:
    found: dict[str, dict[Any, Any]] = {}
    for first, second, value in triples:
        found.setdefault(first, {})[second] = value
    return found
