"""Whoever names a table, a role or a setting gains nothing by it.

Neither when the steps are taken, nor when psql and a shell run their files.
"""

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from psycopg import sql

from rotation.adopt import files
from rotation.issuers.postgresql import ISSUER
from rotation.local.postgres import PostgresServer
from rotation.model.adoption import Step
from tests.support.legacy import Legacy, owed

#: What psql, the server and a shell would carry out, if it were not part of a name.
COMMANDS = (
    "\n\\! touch {0}\n",
    "\r\\! touch {0}\r",
    "\n;COPY (SELECT 1) TO PROGRAM 'touch {0}';--",
    "\n$(touch {0})\n`touch {0}`\n",
    "'\n\\! touch {0}\n--",
    '"\n\\! touch {0}\n--',
    "\\g |touch {0}",
    "\n\\i {0}.sql\n\\copy (SELECT 1) TO PROGRAM 'touch {0}'\n",
    ":x :'x' :\"x\" $1 $rotation$ E'\\'",
)


class Traps:
    """A file that a command would make, and a role that a statement would make powerful."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server, self.file = server, folder / "touched"
        (folder / "touched.sql").write_text(f"\\! touch {self.file}\n")
        self.role = "evil"
        with closing(server.connect("postgres")) as connection:
            connection.execute("DROP ROLE IF EXISTS evil")
            connection.execute("CREATE ROLE evil")

    def names(self) -> list[str]:
        return [command.format(self.file) for command in COMMANDS]

    def check(self) -> None:
        assert not self.file.exists()
        with closing(self.server.connect("postgres")) as connection:
            row = connection.execute(
                "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = 'evil'"
            ).fetchone()
        assert row == (False,)


@pytest.fixture
def traps(server: PostgresServer, tmp_path: Path) -> Traps:
    return Traps(server, tmp_path)


def hostile(server: PostgresServer, traps: Traps) -> Legacy:
    """A database whose application has named what it made."""
    legacy = Legacy(server, "app")
    powerful = "ALTER/**/ROLE/**/evil/**/SUPERUSER"
    with closing(legacy.log_in()) as session:
        for number, name in enumerate(traps.names()):
            short = f"{number}{name}"[:63]
            session.execute(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(short)))
        session.execute(f"SELECT set_config('search_path', 'public;{powerful};--', false)")
        session.execute("ALTER ROLE CURRENT_USER SET search_path FROM CURRENT")
    owner = sql.Identifier(f"{legacy.login}_owner")
    comment = f"$rotation$;{powerful.replace('/**/', ' ')};DO $rotation$BEGIN"
    with closing(server.connect(legacy.database)) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(owner))
        connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(owner, sql.Literal(comment)))
        connection.execute("CREATE SCHEMA theirs")
        login = sql.Identifier(legacy.login)
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA theirs TO {}").format(login))
        for name in ("{}", "x{}y{}z", "{} TO evil WITH GRANT OPTION;--"):
            table = sql.Identifier("theirs", name)
            connection.execute(sql.SQL("CREATE TABLE {} (id int)").format(table))
            connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(table, login))
    return legacy


def run_file(traps: Traps, path: Path, database: str) -> subprocess.CompletedProcess[str]:
    server = traps.server
    environment = {
        **os.environ,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "PGPASSWORD": server.superuser_password(),
        "PGDATABASE": database,
    }
    command = ["sh", path] if path.suffix == ".sh" else ["psql", "-X", "-q", "-f", path]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


needs_psql = pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not here")


def test_names_are_names_when_the_steps_are_taken(server: PostgresServer, traps: Traps) -> None:
    legacy = hostile(server, traps)
    assert owed(legacy.adopt().steps) == []
    traps.check()


@needs_psql
def test_names_are_names_in_the_files(server: PostgresServer, traps: Traps, tmp_path: Path) -> None:
    legacy = hostile(server, traps)
    with closing(legacy.adopter()) as adopter:
        steps = adopter.plan().steps
    written = files.write(tmp_path / "steps", files.render(steps, ISSUER.adoption))
    for path in written:
        done = run_file(traps, path, legacy.database)
        assert done.returncode == 0, (path.name, done.stderr)
    traps.check()
    with closing(legacy.adopter()) as adopter:
        assert owed(adopter.plan().steps) == []


@needs_psql
def test_every_line_of_a_comment_is_a_comment(
    server: PostgresServer, traps: Traps, tmp_path: Path
) -> None:
    for number, name in enumerate(traps.names()):
        wording = {"title": f"hand over {name}", "why": f"because {name}", "waits": name}
        steps = (
            Step("statements", done=False, transactions=(("SELECT 1",),), **wording),
            Step("commands", done=False, commands=("true",), **wording),
        )
        rendered = files.render(steps, ISSUER.adoption)
        for path in files.write(tmp_path / str(number), rendered):
            done = run_file(traps, path, "postgres")
            assert (done.returncode, done.stderr) == (0, ""), path.read_text()
    traps.check()


@pytest.mark.parametrize("place", ["owner", "second", "host"])
def test_settings_that_do_not_show_are_in_the_way(
    server: PostgresServer, traps: Traps, place: str
) -> None:
    legacy = Legacy(server, "app")
    settings = {"tls": "disable", place: traps.names()[0]}
    with closing(legacy.adopter(settings=settings)) as adopter:
        blockers = adopter.plan().blockers
    assert any("U+000A" in blocker.message for blocker in blockers)
    assert all(blocker.message.isprintable() for blocker in blockers)


def test_a_rotator_whose_name_does_not_show_is_in_the_way(server: PostgresServer) -> None:
    legacy = Legacy(server, "app")
    with closing(legacy.adopter(rotator=None, rotator_user="rot\u202eator")) as adopter:
        blockers = adopter.plan().blockers
    assert ["U+202E" in blocker.message for blocker in blockers] == [True]


def test_a_login_whose_name_does_not_show_is_in_the_way(server: PostgresServer) -> None:
    legacy = Legacy(server, "app\n\\! touch x\n")
    with closing(legacy.adopter()) as adopter:
        blockers = adopter.plan().blockers
    assert any("U+000A" in blocker.message for blocker in blockers)
