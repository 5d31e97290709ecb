"""`rotation up` as a process: started, used through its file, ended, killed, started again."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from rotation.cli.main import main
from rotation.local.stack.folder import exclusive

PATIENCE = 60.0
COMMAND = [sys.executable, "-m", "rotation"]
#: What points a shell at a stack; none of it may leak in from the caller's.
POINTERS = ("PUBSUB_EMULATOR_HOST", "ROTATION_FUNCTION_URL", "ROTATION_CLOCK_FILE")


class Up:
    """One such process."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.file = folder / "env"
        self.output = folder / "output"
        self.file.unlink(missing_ok=True)
        bare = {name: text for name, text in os.environ.items() if name not in POINTERS}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "up", "--sample", "--env-file", str(self.file), *options],
                env={**bare, **environment, "TMPDIR": str(folder)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(self.file.exists, self.process)

    @property
    def variables(self) -> dict[str, str]:
        lines = self.file.read_text().splitlines()
        pairs = (line.removeprefix("export ").split("=", 1) for line in lines)
        return {name: text.strip("'") for name, text in pairs}

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that PostgreSQL's own user may enter."""
    path = Path(tempfile.mkdtemp(prefix="rotation-up-"))
    path.chmod(0o755)
    yield path
    left = processes_in(path)
    if (path / "data").exists():
        with exclusive(path / "data"):  # a failed test leaves nothing running either
            pass
    assert left == []
    shutil.rmtree(path)


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Up]]:
    """Start `up`; whatever still runs at the end is ended."""
    for name in POINTERS:
        monkeypatch.delenv(name, raising=False)
    started: list[Up] = []

    def begin(*options: str, **environment: str) -> Up:
        started.append(Up(folder, *options, **environment))
        return started[-1]

    yield begin
    for node in started:
        if node.process.poll() is None:
            node.end()


def wait_for(done: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of the processes that name a folder, or live in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            lives = (path / "cwd").readlink()
        except OSError:
            continue
        if str(folder) in command or lives.is_relative_to(folder):
            found.append(command)
    return found


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command in this process, pointed where the file points."""

    def run(up: Up, *arguments: str) -> str:
        for name, text in up.variables.items():
            monkeypatch.setenv(name, text)
        capsys.readouterr()
        assert main(arguments) == 0
        for name in up.variables:
            monkeypatch.delenv(name)
        return capsys.readouterr().out

    return run


def sourced(up: Up, script: str) -> str:
    """Run a line of shell in which the file was read."""
    full = f'. {up.file}; rotation() {{ {sys.executable} -m rotation "$@"; }}; {script}'
    bare = {name: text for name, text in os.environ.items() if name not in POINTERS}
    done = subprocess.run(
        ["/bin/sh", "-ec", full], capture_output=True, text=True, check=False, env=bare
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def check_json(up: Up) -> None:
    """Check that one object was printed, without the password."""
    wait_for(lambda: up.output.read_text().rstrip().endswith("}"), up.process)
    body = json.loads(up.output.read_text())
    assert "PGPASSWORD" not in body
    assert up.variables["PGPASSWORD"] not in up.output.read_text()
    assert body["SECRET_MANAGER_ENDPOINT"] == up.variables["SECRET_MANAGER_ENDPOINT"]
    assert body["env_file"] == str(up.file)


def test_a_newcomer_is_led_from_up_to_a_rotation_and_nothing_is_left(
    start: Callable[..., Up], folder: Path
) -> None:
    up = start()
    assert stat.S_IMODE(up.file.stat().st_mode) == 0o600
    names = {name for name in up.variables if name.startswith("CLOUDSDK_API_ENDPOINT")}
    assert names == {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM",
    }
    lines = sourced(up, "rotation rotate orders; rotation status").splitlines()
    # Between them there may be phases: a slow machine is met on its way.
    settled = lines.index("orders: settled; version 1 (orders_a)")
    assert "orders: version 1 is in force" in lines[:settled]
    wait_for(lambda: "rotation status" in up.output.read_text(), up.process)
    output = up.output.read_text()
    password = up.variables["PGPASSWORD"]
    assert password not in output
    where = output.partition("PGPASSWORD is the text in ")[2].splitlines()[0]
    assert Path(where).read_text().strip() == password
    login = {"host": up.variables["PGHOST"], "port": up.variables["PGPORT"], "user": "postgres"}
    psycopg.connect(dbname="orders", password=password, **login).close()
    targets = Path(up.variables["ROTATION_TARGETS"])
    assert f"what it may touch, read at its start: {targets}" in output
    assert stat.S_IMODE(targets.stat().st_mode) == 0o600
    (allowed,) = json.loads(targets.read_text())["targets"].values()
    assert allowed["roles"] == ["orders_a", "orders_b"]
    assert allowed["secrets"] == ["projects/demo-project/secrets/orders"]
    assert up.end(signal.SIGINT) == 0
    assert "Traceback" not in up.output.read_text()
    assert [path.name for path in folder.iterdir()] == ["output"]


def test_an_edited_targets_document_starts_the_function_anew_and_a_faulty_one_does_not(
    start: Callable[..., Up],
) -> None:
    up = start()
    file = Path(up.variables["ROTATION_TARGETS"])
    sound, pid = file.read_text(), file.with_name("function.pid")
    before = pid.read_text()
    file.write_text(sound.replace('"kind"', '"knid"'))
    wait_for(lambda: "goes on with the targets of before" in up.output.read_text(), up.process)
    assert pid.read_text() == before
    file.write_text(sound.replace('/secrets/orders"\n', '/secrets/billing"\n'))
    wait_for(lambda: "has started anew" in up.output.read_text(), up.process)
    assert pid.read_text() != before
    file.write_text(sound)
    wait_for(lambda: up.output.read_text().count("has started anew") == 2, up.process)
    assert up.end(signal.SIGINT) == 0


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "removed at the end"])
def test_nobody_else_reads_what_a_stack_holds(
    start: Callable[..., Up], folder: Path, *, kept: bool
) -> None:
    options = ("--data-dir", str(folder / "new/data")) if kept else ()
    up = start(*options)
    made = [path for path in folder.rglob("*") if path != up.output]
    assert len(made) > 20
    # A group is let through where PostgreSQL has to be another user, who owns its files alone.
    through = stat.S_IXGRP if os.geteuid() == 0 else 0
    open_to_others = {
        str(path): oct(path.stat().st_mode)
        for path in made
        if not path.is_symlink()
        and path.stat().st_mode & 0o077 & ~(through if path.is_dir() else 0)
    }
    assert open_to_others == {}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.5", ""])
def test_a_page_in_a_browser_reaches_nothing(start: Callable[..., Up], host: str) -> None:
    up = start()
    urls = [text for name, text in up.variables.items() if "OVERRIDES" in name]
    for url in [*urls, up.variables["ROTATION_FUNCTION_URL"]]:
        place = urlsplit(url)
        with closing(HTTPConnection(place.hostname, place.port, timeout=10)) as connection:
            connection.putrequest("GET", "/v1/projects/demo-project/secrets", skip_host=True)
            connection.putheader("Host", host)
            connection.endheaders()
            answer = connection.getresponse()
            assert (answer.status, b"orders" in answer.read()) in ((421, False), (400, False)), url


def test_a_killed_stack_starts_again_where_it_was(
    start: Callable[..., Up],
    folder: Path,
    ask: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = folder / "data"
    up = start("--data-dir", str(data))
    ask(up, "rotate", "orders")
    ask(up, "rotate", "orders")
    port = up.variables["PGPORT"]
    assert main(["up", "--data-dir", str(data)]) == 1
    assert "another stack is running in" in capsys.readouterr().err
    assert up.end(signal.SIGKILL) == -signal.SIGKILL
    assert processes_in(data) != []  # it could not end what it had started
    targets = data / "targets.json"
    edited = targets.read_text().replace('"orders_owner"', '"orders_owner", "somebody_*"')
    targets.write_text(edited)
    up = start("--data-dir", str(data))
    assert targets.read_text() == edited
    assert up.variables["PGPORT"] == port
    assert ask(up, "status").startswith("orders: soaking until ")
    ask(up, "clock", "advance", "10m")
    wait_for(lambda: "orders: observing" in ask(up, "status"), up.process)
    output = ask(up, "emergency", "orders", "--yes", "--reason", "drill")
    assert "version 3 is in force; the credential of version 2 is revoked" in output
    assert up.end() == 0
    assert processes_in(data) == []


def test_another_pubsub_gets_what_it_needs(
    start: Callable[..., Up], folder: Path, ask: Callable[..., str]
) -> None:
    other = start("--json")
    check_json(other)
    address = other.variables["PUBSUB_EMULATOR_HOST"]
    (folder / "second").mkdir(mode=0o755)
    up = Up(folder / "second", "--project", "second-project", PUBSUB_EMULATOR_HOST=address)
    try:
        assert up.variables["PUBSUB_EMULATOR_HOST"] == address
        assert "version 1 is in force" in ask(up, "rotate", "orders")
        assert "PUBSUB_EMULATOR_HOST names" in up.output.read_text()
    finally:
        assert up.end() == 0


def test_a_pubsub_that_is_gone_is_named_and_nothing_is_left(folder: Path) -> None:
    bare = {name: text for name, text in os.environ.items() if name not in POINTERS}
    done = subprocess.run(
        [*COMMAND, "up"],
        env={**bare, "PUBSUB_EMULATOR_HOST": "127.0.0.1:1", "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "the Pub/Sub at 127.0.0.1:1 (PUBSUB_EMULATOR_HOST)" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


def test_a_file_of_somebody_else_is_not_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "env").write_text("PATH=/bin\n")
    assert main(["up", "--env-file", str(folder / "env")]) == 2
    assert "exists and is something else; choose another" in capsys.readouterr().err
    assert (folder / "env").read_text() == "PATH=/bin\n"


def test_a_policy_beyond_the_targets_is_refused_by_the_sample(
    start: Callable[..., Up], folder: Path, ask: Callable[..., str]
) -> None:
    up = start("--data-dir", str(folder / "data"))
    wanted = json.loads(ask(up, "policy", "show", "orders", "--json"))["policy"]
    wanted["issuer"]["slots"][1] = "postgres_b"
    (folder / "policy.json").write_text(json.dumps(wanted))
    with pytest.raises(AssertionError):
        ask(up, "policy", "apply", "orders", str(folder / "policy.json"))
    targets = folder / "data" / "targets.json"
    targets.write_text(targets.read_text().replace('"orders_b"', '"*_b"'))
    assert "changed" in ask(up, "policy", "apply", "orders", str(folder / "policy.json"))


def test_a_sample_of_many_secrets_has_credentials_that_work(start: Callable[..., Up]) -> None:
    up = start("--secrets", "12")
    environment = {**os.environ, **up.variables}
    listed = subprocess.run(
        [*COMMAND, "status", "--filter", "labels.db=orders", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [secret["secret"].rpartition("/")[2] for secret in json.loads(listed.stdout)["secrets"]]
    assert names == [f"orders-{number:02}" for number in range(1, 13)]
    rotated = subprocess.run(
        [*COMMAND, "rotate", "orders-07"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "version 2 is in force; version 1 works until it is retired" in rotated.stdout
