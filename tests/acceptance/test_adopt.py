"""``rotation adopt`` on a whole embedded stack: from what people have to a rotated secret."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.google.secret_manager import SecretManager
from rotation.google.setup import Setup
from rotation.issuers.postgresql.shapes import find
from rotation.local.stack import Stack, StackOptions
from rotation.model.errors import VersionUnavailableError
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from tests.support.legacy import PASSWORD, Legacy, Load, state


class Bench:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        endpoint = stack.services.secret_manager_grpc
        self.store = SecretManager(stack.options.project, endpoint=endpoint)
        self.setup = Setup(endpoint)

    def name(self, short: str) -> SecretName:
        return SecretName(self.stack.options.project, short)

    def legacy(self, payload: bytes | None = None) -> Legacy:
        """A database and a secret that consumers read as it is."""
        found = Legacy(self.stack.postgres, "app")
        self.setup.create(self.name(found.database))
        self.store.add_version(self.name(found.database), Payload(payload or b"-"))
        if payload is None:
            self.store.add_version(self.name(found.database), found.payload)
        return found

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "rotation", *arguments],
            env={**os.environ, **self.stack.environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=120)
        for text in (out, err):
            assert "Traceback" not in text
            assert PASSWORD not in text
            assert "SCRAM-SHA-256$4096" not in text
        return process.returncode, out, err

    def adopt(self, legacy: Legacy, *more: str) -> tuple[int, str, str]:
        return self.run("adopt", legacy.database, "--tls", "disable", *more)

    def allow(self, legacy: Legacy) -> None:
        """Have the deployment allow what adopt says that it lacks."""
        lacking = json.loads(self.adopt(legacy, "--json")[1])["targets"]
        assert list(lacking) == [legacy.database]
        self.stack.allow(lacking)
        assert json.loads(self.adopt(legacy, "--json")[1])["targets"] == {}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    times: dict[str, Any] = {"lease": timedelta(seconds=10), "budget": timedelta(seconds=8)}
    with Stack(StackOptions(**times, ack_deadline=timedelta(seconds=10))) as stack:
        made = Bench(stack)
        yield made
        made.store.close()
        made.setup.close()


def run_file(bench: Bench, path: Path, database: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        **bench.stack.environment(),
        "PGDATABASE": database,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = ["sh", str(path)] if path.suffix == ".sh" else ["psql", "-q", "-f", str(path)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def outcome(answer: tuple[int, str, str]) -> tuple[int, str]:
    body: dict[str, Any] = json.loads(answer[1])
    return answer[0], body["outcome"]


def test_an_adopted_secret_rotates_in_the_shape_its_consumers_read(bench: Bench) -> None:
    legacy = bench.legacy()
    before = state(legacy)
    assert outcome(bench.adopt(legacy, "--json")) == (0, "planned")
    assert state(legacy) == before
    with Load(legacy, renews=True) as load:
        code, out, err = bench.adopt(legacy, "--apply", "--yes", "--label", "db=legacy")
        assert (code, err) == (0, ""), out
        assert "the targets document needs, before anything rotates:" in out
        bench.allow(legacy)
        code, out, err = bench.run("rotate", legacy.database)
        assert (code, err) == (0, ""), out
    assert load.failures == []
    secret = bench.store.get(bench.name(legacy.database))
    assert secret.labels["db"] == "legacy"
    assert secret.topics == (bench.stack.topic,)
    assert secret.aliases["current"] == 3
    found = find(bench.store.access(bench.name(legacy.database), "latest").payload.reveal())
    assert found is not None
    assert (found.shape, found.user) == ("url", f"{legacy.login}_b")
    with closing(
        legacy.server.connect(legacy.database, user=found.user, password=found.password.reveal())
    ) as session:
        session.execute("ALTER TABLE public.item ADD COLUMN later int")
    code, out, err = bench.adopt(legacy)
    assert (code, out) == (1, "")
    assert "is being rotated" in err


def test_an_adopted_secret_has_nothing_to_do(bench: Bench) -> None:
    legacy = bench.legacy()
    assert outcome(bench.adopt(legacy, "--apply", "--yes", "--json")) == (0, "adopted")
    assert outcome(bench.adopt(legacy, "--json")) == (0, "nothing-to-do")
    bench.allow(legacy)
    code, out, _ = bench.run("plan", legacy.database, "--json")
    assert code == 0, out


@pytest.mark.slow
def test_killed_anywhere_it_goes_on(bench: Bench) -> None:
    legacy = bench.legacy()
    dice = random.Random(7)  # noqa: S311 - no secret
    with Load(legacy, renews=True) as load:
        for _ in range(12):
            with bench.start(
                "adopt", legacy.database, "--tls", "disable", "--apply", "--yes"
            ) as run:
                time.sleep(0.6 + dice.random() * 0.6)
                run.send_signal(dice.choice((signal.SIGKILL, signal.SIGINT)))
                run.communicate()
        assert outcome(bench.adopt(legacy, "--apply", "--yes", "--json"))[0] == 0
    assert load.failures == []
    bench.adopt(legacy, "--apply", "--yes")
    assert outcome(bench.adopt(legacy, "--json")) == (0, "nothing-to-do")


def test_the_written_files_lead_to_the_same(bench: Bench, tmp_path: Path) -> None:
    missing = [tool for tool in ("psql", "gcloud") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not here")
    applied, written = bench.legacy(), bench.legacy()
    assert bench.adopt(applied, "--apply", "--yes")[0] == 0
    folder = tmp_path / "steps"
    assert outcome(bench.adopt(written, "--out", str(folder), "--json")) == (0, "written")
    bench.stack.allow(json.loads((folder / "targets.json").read_text())["targets"])
    for path in sorted(folder.glob("[0-9]*")):
        assert path.stat().st_mode & 0o077 == 0
        done = run_file(bench, path, written.database)
        assert done.returncode == 0, (path.name, done.stderr)
    assert not (folder / "rotator.json").exists()
    assert outcome(bench.adopt(written, "--json")) == (0, "nothing-to-do")
    numbers = (applied.database.removeprefix("legacy"), written.database.removeprefix("legacy"))

    def plain(legacy: Legacy, number: str) -> list[str]:
        rows = [row for part in state(legacy)[:4] for row in part]
        return [str(row).replace(f"app{number}", "app").replace(number, "N") for row in rows]

    assert len(plain(applied, numbers[0])) == len(plain(written, numbers[1]))
    assert bench.run("rotate", written.database)[0] == 0


def test_the_files_of_the_secret_take_nothing_from_others_nor_from_us(
    bench: Bench, tmp_path: Path
) -> None:
    missing = [tool for tool in ("psql", "gcloud") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not here")
    legacy = bench.legacy()
    name = bench.name(legacy.database)
    foreign = {"terraform.x": "y", "quoted": "a,b~c='d\"$(e)"}
    bench.store.update(
        bench.store.get(name), labels={"team": "db"}, annotations=foreign, aliases={"mine": 2}
    )
    folder = tmp_path / "steps"
    assert bench.adopt(legacy, "--out", str(folder), "--label", "db=legacy")[0] == 0
    bench.stack.allow(json.loads((folder / "targets.json").read_text())["targets"])
    paths = sorted(folder.glob("[0-9]*"))
    for path in paths:
        done = run_file(bench, path, legacy.database)
        assert done.returncode == 0, (path.name, done.stderr)
    assert bench.run("rotate", legacy.database)[0] == 0
    before = bench.store.get(name)
    assert before.annotations.items() > foreign.items()
    assert before.labels.items() > {"team": "db", "db": "legacy"}.items()
    assert before.aliases == {"mine": 2, "current": 3, "previous": 2}
    assert "rotation.record" in before.annotations
    [again] = [path for path in paths if "policy" in path.name]
    done = run_file(bench, again, legacy.database)
    assert done.returncode == 0, done.stderr
    after = bench.store.get(name)
    assert (after.annotations, after.labels, after.aliases) == (
        before.annotations,
        before.labels,
        before.aliases,
    )


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--owner", "x\n\\! touch {0}\n"), "U+000A"),
        (("--second", "x\r\\! touch {0}\r"), "U+000D"),
        (("--host", "10.0.0.5\u202e"), "U+202E"),
        (("--rotator", "x\u2028\\! touch {0}"), "U+2028"),
    ],
)
def test_a_name_that_does_not_show_is_never_written(
    bench: Bench, tmp_path: Path, more: tuple[str, ...], says: str
) -> None:
    legacy, folder = bench.legacy(), tmp_path / "steps"
    flag, text = more
    code, out, _ = bench.adopt(legacy, flag, text.format(tmp_path / "x"), "--out", str(folder))
    assert code == 1
    assert says in out
    assert all(line.isprintable() for line in out.splitlines())
    assert not folder.exists()


def test_a_policy_that_does_not_show_is_never_written(bench: Bench, tmp_path: Path) -> None:
    legacy, folder = bench.legacy(), tmp_path / "steps"
    name = bench.name(legacy.database)
    slots = [legacy.login, "b\n\\! touch x\n"]
    policy = json.dumps({"issuer": {"kind": "postgresql", "slots": slots}})
    secret = bench.store.get(name)
    bench.store.update(secret, labels={}, annotations={"rotation.policy": policy}, aliases={})
    code, out, _ = bench.adopt(legacy, "--out", str(folder))
    assert code == 1
    assert "U+000A" in out
    assert not folder.exists()


HOSTILE = ["$(touch {0})", "`touch {0}`", "'; touch {0} #", '"; touch {0} #', "x\ntouch {0}\n",
           "--help", "-x"]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_person_chooses_is_a_word_of_a_command(
    bench: Bench, tmp_path: Path, text: str
) -> None:
    legacy, folder = bench.legacy(), tmp_path / "steps"
    chosen = text.format(tmp_path / "x")
    options = [f"--topic={chosen}", f"--label=db={chosen}", f"--rotator=r{chosen}".split("\n")[0]]
    code, out, err = bench.adopt(legacy, *options, "--out", str(folder))
    assert code == 0, (out, err)
    record = tmp_path / "bin"
    record.mkdir()
    for tool in ("gcloud", "rotation", "psql"):
        (record / tool).write_text(
            f"#!{sys.executable}\nimport json, sys\n"
            f"open({str(tmp_path / 'words')!r}, 'a').write(json.dumps(sys.argv) + '\\n')\n"
        )
        (record / tool).chmod(0o755)
    environment = {**os.environ, "PATH": f"{record}:{os.environ['PATH']}"}
    for path in sorted(folder.glob("*.sh")):
        subprocess.run(["sh", path], env=environment, check=True, timeout=60)
    assert not (tmp_path / "x").exists()
    words = [json.loads(line) for line in (tmp_path / "words").read_text().splitlines()]
    topic = f"projects/{bench.stack.options.project}/topics/{chosen}"
    named = [command for command in words if any(topic in word for word in command)]
    assert len(named) == 2
    [policy] = [command for command in words if command[1:3] == ["policy", "apply"]]
    assert f"--label=db={chosen}" in policy
    assert policy[-3] == "--"


@pytest.mark.parametrize(
    ("payload", "more", "says"),
    [
        (b"just some words here", (), "is not understood"),
        (b"\xff\xfe", (), "is not understood"),
        (b'{"username": "a"}', (), "lacks username or password"),
    ],
)
def test_a_payload_that_is_not_understood_is_refused_in_one_line(
    bench: Bench, payload: bytes, more: tuple[str, ...], says: str
) -> None:
    legacy = bench.legacy(payload)
    code, out, err = bench.adopt(legacy, *more)
    assert (code, out) == (1, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_a_version_in_force_that_is_disabled_is_refused(bench: Bench) -> None:
    legacy = bench.legacy()
    name = bench.name(legacy.database)
    bench.store.disable(name, 2, bench.store.version(name, 2).etag)
    with pytest.raises(VersionUnavailableError):
        bench.store.access(name, "latest")
    code, out, err = bench.adopt(legacy)
    assert (code, out) == (1, "")
    assert "DISABLED" in err or "disabled" in err
