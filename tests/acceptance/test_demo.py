"""The demo as a user runs it, and what it says when something does not hold."""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from rotation.engine import codec
from rotation.local.demo import Claim, DemoOptions, leaks, run_demo
from rotation.local.demo.leaks import Place

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-W", "error", "-m", "rotation", "demo"]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="rotation-test-"))
    made.chmod(0o755)  # PostgreSQL does not run as root, and must reach what is in it
    yield made
    shutil.rmtree(made)


@pytest.fixture
def environment(folder: Path) -> Iterator[dict[str, str]]:
    yield {**os.environ, "TMPDIR": str(folder)}
    assert list(folder.iterdir()) == []


class Saboteur:
    """A narrator that breaks things at chosen moments of the story."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.claims: dict[str, Claim] = {}

    def scene(self, title: str) -> None:
        if title == "killed in the middle":
            victim = next(
                consumer for consumer in consumers_of(psutil.Process()) if consumer.is_running()
            )
            victim.kill()
            victim.wait()

    def line(self, text: str) -> None:
        if text.startswith("the next rotation is scheduled"):
            self.end_sessions()
            with (self.folder / "consumers.log").open("a") as log:
                log.write(self.superuser())

    def claim(self, claim: Claim) -> None:
        self.claims[claim.text] = claim

    def superuser(self) -> str:
        return (self.folder / "postgres" / "superuser").read_text().strip()

    def end_sessions(self) -> None:
        status = (self.folder / "postgres" / "cluster" / "postmaster.pid").read_text()
        with psycopg.connect(
            host="127.0.0.1",
            port=int(status.splitlines()[3]),
            dbname="orders",
            user="postgres",
            password=self.superuser(),
        ) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'consumer-2'"
            ).fetchall()
            assert ended


def consumers_of(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children(recursive=True) if is_consumer(child)]


def is_consumer(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # a backend that ends just now
        return "rotation.local.demo.client" in process.cmdline()
    return False


def wait_for(lines: Iterator[str], wanted: str) -> None:
    assert any(wanted in line for line in lines), wanted


def test_every_claim_holds_and_nothing_stays_behind(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*COMMAND, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    found = json.loads(done.stdout)
    assert [claim for claim in found["claims"] if not claim["held"]] == [], done.stderr
    assert found["held"]
    assert done.returncode == 0
    assert list(found["versions"].values()) == [*["DESTROYED"] * 4, "ENABLED"]
    assert found["routine"]["failed_queries"] == found["routine"]["failed_logins"] == 0
    assert found["routine"]["queries"] > 0
    assert found["emergency"]["failed_queries"] > 0
    assert "all 24 claims held" in done.stderr


def test_the_claims_of_another_issuer_hold_too(environment: dict[str, str]) -> None:
    command = [*COMMAND, "--json", "--issuer", "value"]
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["held"]
    assert found["versions"] == {"1": "DESTROYED", "2": "DESTROYED", "3": "ENABLED"}
    assert found["checked"] > 0
    assert found["refused"] == 0


def test_the_claims_of_redis_hold_too(environment: dict[str, str]) -> None:
    command = [*COMMAND, "--json", "--issuer", "redis"]
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["held"]
    assert len(found["claims"]) == 14
    assert found["versions"] == {"1": "DESTROYED", "2": "DESTROYED", "3": "ENABLED"}
    assert found["served"] > 0
    assert found["failed"] == 0


def test_an_interrupted_demo_ends_every_process(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        wait_for(demo.stdout, "the schedule fires")
        started = psutil.Process(demo.pid).children(recursive=True)
        assert len(consumers_of(psutil.Process(demo.pid))) == 8
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert "interrupted" in errors
    assert psutil.wait_procs(started, timeout=10)[1] == []


def test_a_failed_query_a_dead_consumer_and_a_written_password_are_seen(folder: Path) -> None:
    saboteur = Saboteur(folder)
    summary = run_demo(saboteur, DemoOptions(codec.POLICY, folder))
    assert not summary.held
    failed = {text: claim.detail for text, claim in saboteur.claims.items() if not claim.held}
    assert "failed: 1 queries" in failed.pop("nobody noticed the scheduled rotation")
    assert "ended by itself" in failed.pop("the demo goes on")
    assert failed == {
        "none of 4 passwords was written anywhere": "the superuser's password in the consumers' log"
    }


@pytest.mark.parametrize("before", ["", "x", "xy"])
@pytest.mark.parametrize("encode", ["plain", "hex", "base64"])
def test_a_password_is_found_however_it_is_written(encode: str, before: str) -> None:
    data = f"{before}correct-horse-battery{before}".encode()
    text = {"plain": data, "hex": data.hex().encode(), "base64": base64.b64encode(data)}[encode]
    place = Place("a log", b"..." + text + b"...", "")
    assert leaks.find([place], {"a": "correct-horse-battery"}) == ["a password in a log"]
    assert leaks.find([place], {"a": "correct-house-battery"}) == []


def test_the_environment_of_a_child_is_searched() -> None:
    child = subprocess.Popen(["/bin/sleep", "60"], env={"PGPASSWORD": "correct-horse-battery"})
    try:
        end = time.monotonic() + 10
        while b"correct-horse-battery" not in leaks.processes() and time.monotonic() < end:
            pass
        assert b"correct-horse-battery" in leaks.processes()
    finally:
        child.kill()
        child.wait()


def test_a_place_that_was_not_read_proves_nothing() -> None:
    assert not Place("a log", b"", "orders").is_read
    assert Place("a log", b"... orders ...", "orders").is_read
