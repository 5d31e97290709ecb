"""What people have today: one login that owns its tables, in a database of its own."""

import threading
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from rotation.adopt.run import run
from rotation.issuers.postgresql import PostgreSQL, PostgreSQLSettings
from rotation.kit.credentials.credential import PayloadShape
from rotation.local.postgres import PostgresServer
from rotation.model.adoption import AdoptionRequest, IssuerPlan, Step
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.ports.adoption import Adopter
from rotation.ports.issuer import IssuerEnvironment

ROTATOR = Payload.of({"username": "rotator", "password": "p" * 40})
PASSWORD = "hunter2hunter2"
_numbers = count(1)
OBJECTS = """
CREATE SCHEMA {login};
CREATE SCHEMA more;
CREATE TABLE {login}."Odd table" (id serial PRIMARY KEY, t text);
CREATE TABLE public.item (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int REFERENCES {login}."Odd table");
CREATE TABLE more.part (id int, n int) PARTITION BY RANGE (id);
CREATE TABLE more.part_1 PARTITION OF more.part FOR VALUES FROM (0) TO (1000000);
CREATE VIEW public.first AS SELECT * FROM public.item;
CREATE VIEW public.second AS SELECT * FROM public.first;
CREATE VIEW public.early AS SELECT 1 AS x;
CREATE VIEW public.behind AS SELECT 1 AS x;
CREATE OR REPLACE VIEW public.early AS SELECT x FROM public.behind;
CREATE MATERIALIZED VIEW public.counted AS SELECT count(*) FROM public.second;
CREATE TYPE public.mood AS ENUM ('fine');
CREATE DOMAIN public.small AS int CHECK (value < 10);
CREATE FUNCTION public.answer() RETURNS int LANGUAGE sql AS 'SELECT 42';
CREATE FUNCTION public.trusted() RETURNS bigint LANGUAGE sql SECURITY DEFINER
    AS 'SELECT count(*) FROM public.second';
CREATE SEQUENCE more.ticket;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO {reader};
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
"""


@dataclass
class Legacy:
    """One database as it was before anybody thought of rotation."""

    server: PostgresServer
    login: str
    superuser: bool = True
    database: str = ""
    payload: Payload = field(default_factory=lambda: Payload(b"-"))

    def __post_init__(self) -> None:
        number = next(_numbers)
        self.database = f"legacy{number}"
        self.login = f"{self.login}{number}"
        self.reader, self.group, self.dba = (f"{n}{number}" for n in ("reader", "group", "dba"))
        names = {
            "login": self.login,
            "reader": self.reader,
            "group": self.group,
            "dba": self.dba,
            "database": self.database,
        }
        statements = [
            "CREATE ROLE {reader}",
            "CREATE ROLE {group}",
            f"CREATE ROLE {{login}} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 50",
            "GRANT {group} TO {login}",
            "ALTER ROLE {login} SET statement_timeout = '30s'",
            "CREATE DATABASE {database} OWNER {login}",
            f"CREATE ROLE {{dba}} LOGIN CREATEROLE CREATEDB PASSWORD '{PASSWORD}'",
        ]
        if self.server.binaries.major >= 16:
            statements.append(
                "GRANT {login}, {group}, pg_read_all_stats, pg_signal_backend TO {dba}"
                " WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
            )
        self.run("postgres", statements, names)
        foreign = [
            "CREATE TABLE public.reference (id int)",
            "GRANT SELECT ON public.reference TO {login}",
            "CREATE TABLE public.guarded (id int)",
            "ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY mine ON public.guarded TO {login} USING (true)",
            "GRANT ALL ON public.guarded TO {login}",
        ]
        foreign += [f"ALTER TABLE public.{t} OWNER TO {{dba}}" for t in ("reference", "guarded")]
        self.run(self.database, foreign, names)
        with closing(self.log_in()) as session:
            composed = {key: sql.Identifier(value) for key, value in names.items()}
            session.execute(sql.SQL(OBJECTS).format(**composed))
        url = f"postgresql://{quote(self.login, safe='')}:{PASSWORD}@127.0.0.1:{self.server.port}"
        self.payload = Payload(f"{url}/{self.database}".encode())

    def run(self, database: str, statements: list[str], names: dict[str, str]) -> None:
        composed = {key: sql.Identifier(value) for key, value in names.items()}
        with closing(self.server.connect(database)) as connection:
            for statement in statements:
                connection.execute(sql.SQL(statement).format(**composed))

    def log_in(self, **options: Any) -> psycopg.Connection:
        return self.server.connect(self.database, user=self.login, password=PASSWORD, **options)

    def request(self, payload: Payload | None = None, **more: Any) -> AdoptionRequest:
        user, password = ("postgres", self.server.superuser_password())
        if not self.superuser:
            user, password = self.dba, PASSWORD
        return AdoptionRequest(
            **{
                "payload": payload or self.payload,
                "connection": Password(
                    f"postgresql://{user}:{password}@127.0.0.1:{self.server.port}/{self.database}"
                ),
                "settings": {"tls": "disable"},
                "admin": "projects/acme/secrets/rotator",
                "rotator": ROTATOR,
                "rotator_user": "rotator",
                **more,
            }
        )

    def adopter(self, **more: Any) -> Adopter:
        return PostgreSQL.adopting(self.request(**more))

    def adopt(self, **more: Any) -> IssuerPlan:
        with closing(self.adopter(**more)) as adopter:
            run(lambda: adopter.plan().steps, adopter.apply)
            return adopter.plan()

    def issuer(self, plan: IssuerPlan) -> PostgreSQL:
        settings = dict(plan.settings)
        settings["slots"] = tuple(settings["slots"])
        settings["payload"] = PayloadShape(**settings.get("payload", {}))
        environment = IssuerEnvironment(lambda _: ROTATOR, lambda: "")
        return PostgreSQL(PostgreSQLSettings(**settings), environment)


class Load:
    """An application that reads, writes and changes its schema; it keeps what failed."""

    def __init__(self, legacy: Legacy, *, renews: bool) -> None:
        self.legacy, self.renews = legacy, renews
        self.failures: list[str] = []
        self.done = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        session = self.legacy.log_in()
        odd = sql.Identifier(self.legacy.login, "Odd table")
        for number in count():
            if self._stop.is_set():
                break
            if self.renews and number % 5 == 4:
                session.close()
                session = self.legacy.log_in()
            table = sql.Identifier(f"t_{'new' if self.renews else 'old'}_{number % 3}")
            for statement in (
                "INSERT INTO \"Odd table\" (t) VALUES ('x')",
                sql.SQL("INSERT INTO public.item (n) SELECT max(id) FROM {}").format(odd),
                "SELECT count(*) FROM public.second",
                "SELECT public.trusted(), public.answer()",
                "SELECT nextval('more.ticket'), (SELECT count(*) FROM public.reference)",
                "INSERT INTO more.part VALUES (1, 1)",
                "TRUNCATE more.part_1",
                "INSERT INTO public.guarded VALUES (1)",
                "REFRESH MATERIALIZED VIEW public.counted",
                f"ALTER TABLE public.item ALTER COLUMN n SET STATISTICS {number % 90 + 1}",
                sql.SQL("CREATE TABLE public.{} (id int)").format(table),
                sql.SQL("ALTER TABLE public.{} ADD COLUMN more int").format(table),
                sql.SQL("INSERT INTO public.{} VALUES (1, 2)").format(table),
                sql.SQL("DROP TABLE public.{}").format(table),
            ):
                try:
                    session.execute(statement)
                    self.done += 1
                except psycopg.Error as error:
                    self.failures.append(f"{statement}: {error}")
        session.close()


def state(legacy: Legacy) -> list[Any]:
    """Everything an adoption changes, as the catalogues show it."""
    questions = (
        (
            "SELECT relname, relowner::regrole, relacl::text FROM pg_class"
            " WHERE relnamespace >= 2200 AND relkind <> 'i' AND relname !~ '^pg_' ORDER BY 1"
        ),
        "SELECT proname, proowner::regrole FROM pg_proc WHERE oid > 16384 ORDER BY 1",
        "SELECT nspname, nspowner::regrole FROM pg_namespace WHERE oid > 16384 ORDER BY 1",
        (
            "SELECT defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype,"
            " defaclacl::text FROM pg_default_acl ORDER BY 1, 2, 3"
        ),
        "SELECT setrole::regrole, setconfig FROM pg_db_role_setting ORDER BY 1",
        "SELECT polname, polroles::regrole[]::text FROM pg_policy",
        "SELECT roleid::regrole, member::regrole, admin_option FROM pg_auth_members ORDER BY 1, 2",
    )
    with closing(legacy.server.connect(legacy.database)) as connection:
        return [connection.execute(question).fetchall() for question in questions]


def owed(steps: tuple[Step, ...]) -> list[str]:
    return [step.name for step in steps if not step.done]
