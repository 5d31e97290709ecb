"""A share of the drill, and the drill with something planted that it has to find."""

import base64
import subprocess
from pathlib import Path

import pytest
from psycopg import sql

from rotation.local.demo.world import DATABASE, World
from tests.drill import pooler
from tests.drill.findings import DIRECT, POOLED, by_kind, path_of
from tests.drill.pooler import Pooler
from tests.drill.run import DrillOptions, run_drill
from tests.drill.table import as_json, as_table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # on a machine that is busy with other things
    pytest.mark.skipif(pooler.PROGRAM is None, reason=pooler.MISSING),
]


def quiet(_line: str) -> None:
    """Passing tests say nothing."""


def test_nobody_notices_and_whoever_is_thrown_out_is_back_at_once() -> None:
    findings = run_drill(DrillOptions(rotations=15, emergencies=5, say=quiet))
    assert findings.held, as_table(findings)
    assert (len(findings.routine_seconds), len(findings.emergency_seconds)) == (15, 5)
    assert findings.passwords == 1 + 15 + 5 + len(("rotator", "superuser"))
    for path in (DIRECT, POOLED):
        work = findings.work[path]
        assert min(work.queries, work.logins, work.reads) > 0
        assert len(findings.refusals(path)) == 5
        # In an emergency something has to fail, or nobody was thrown out.
        assert any(kind.startswith(path) for kind in as_json(findings)["on_purpose"])


class Saboteur:
    """Plants a retirement by force, and passwords where none belongs."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None

    def __call__(self, world: World, moment: str) -> None:
        if moment == "rotation 1, soaking":
            password = world.payloads[1]["password"]
            self.force(world)
            self.write(password, world.stack.folder)
            self.child = subprocess.Popen(["/bin/sleep", "60"], env={"PGPASSWORD": password})
        elif self.child is not None:
            # Gone long before the search.
            self.child.kill()
            self.child.wait()

    def force(self, world: World) -> None:
        """End the previous credential while its consumers still hold it, pinned ones for long."""
        slot = world.payloads[1]["username"]
        with world.stack.postgres.connect(DATABASE) as superuser:
            superuser.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(slot)))
            ended = superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [slot]
            ).fetchall()
            assert ended

    def write(self, password: str, folder: Path) -> None:
        with (folder / "consumers.log").open("a") as log:
            log.write(f"postgresql://somebody:{password}@db\n")
        (folder / "stray").write_bytes(base64.b64encode(f"user:{password}".encode()))


def test_consumers_that_are_not_moved_and_written_passwords_are_found() -> None:
    findings = run_drill(DrillOptions(rotations=1, emergencies=0, say=quiet, at=Saboteur()))
    assert not findings.held
    kinds = by_kind(findings.unexpected)
    for path in (DIRECT, POOLED):
        assert any(kind.startswith(f"{path} pinned query") for kind in kinds), kinds
        assert kinds[f"{path} pinned login: refused"] > 0
    assert {story.moment for story in findings.unexpected} == {"rotation 1, soaking"}
    assert findings.leaks == [
        "version 1's password in processes",
        "version 1's password in consumers.log",
        "version 1's password in stray",
    ]
    assert findings.faults == []


def test_an_emergency_that_leaves_the_poolers_clients_alone_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Pooler, "replace", lambda _self, at_end: at_end())
    findings = run_drill(DrillOptions(rotations=0, emergencies=3, say=quiet))
    assert not findings.held
    # PgBouncer remembers the dead credential's failed logins against the slot's next one.
    assert {path_of(story.member) for story in findings.unexpected} == {POOLED}
    assert any("server_login_retry" in story.failure.text for story in findings.unexpected)
