"""Emergencies, rotations and reverts of many secrets, as a person runs them."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotation.google.secret_manager import SecretManager
from rotation.local.stack import Stack, StackOptions
from rotation.local.stack.sample import create_many
from rotation.model.names import SecretName

PATIENCE = 60.0
ASKING = ("--reason", "leaked", "--yes", "--no-sessions")


class Bench:
    """A stack with secrets; every test has a label of its own."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        endpoint = stack.services.secret_manager_grpc
        self.store = SecretManager(stack.options.project, endpoint=endpoint)

    def label(self, ids: list[str], value: str) -> str:
        """Give secrets a label that only they have; return the filter for it."""
        for secret_id in ids:
            secret = self.store.get(SecretName(self.stack.options.project, secret_id))
            labels = {**secret.labels, "test": value}
            self.store.update(
                secret, labels=labels, annotations=secret.annotations, aliases=secret.aliases
            )
        return f"labels.test={value}"

    def command(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            **self.stack.environment(),
            "XDG_STATE_HOME": str(self.folder),
        }
        options: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **more,
        }
        command = [sys.executable, "-m", "rotation", *arguments]
        return subprocess.Popen(command, env=environment, text=True, **options)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.command(*arguments)
        out, err = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in out + err
        return process.returncode, out, err

    def versions(self, ids: list[str]) -> dict[str, int | None]:
        """Return the version in force of each; a number beyond 2 tells of a second rotation."""
        found = {}
        for secret_id in ids:
            secret = self.store.get(SecretName(self.stack.options.project, secret_id))
            found[secret_id] = secret.aliases.get("current")
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Stack(StackOptions()) as stack:
        create_many(stack, [f"many-{number:02}" for number in range(40)])
        made = Bench(stack, tmp_path_factory.mktemp("state"))
        yield made
        made.store.close()


def ids(first: int, count: int) -> list[str]:
    return [f"many-{number:02}" for number in range(first, first + count)]


def asked_twice(logbook: Path) -> list[str]:
    lines = [json.loads(line) for line in logbook.read_text().splitlines()]
    asked = [line["asked"] for line in lines if "asked" in line]
    return [name for name in asked if asked.count(name) > 1]


def test_an_emergency_over_a_filter_replaces_each_credential_once(
    bench: Bench, tmp_path: Path
) -> None:
    wanted = ids(0, 6)
    matching = bench.label(wanted, "all")
    file = tmp_path / "receipt.json"
    code, out, err = bench.run("emergency", "--filter", matching, *ASKING, "--receipt", str(file))
    assert (code, out.count("is revoked")) == (0, 6)
    assert "6 of 6 done: 6 revoked" in out
    assert "databases   1: 127.0.0.1:" in err
    receipt = json.loads(file.read_text())
    assert receipt["schema"] == "rotation.fleet-receipt/1"
    assert (receipt["done"], receipt["failed"], receipt["left"]) == (6, 0, 0)
    assert receipt["time_to_revoke"]["count"] == 6
    assert len({entry["request_id"] for entry in receipt["secrets"]}) == 6
    assert set(bench.versions(wanted).values()) == {2}
    again = bench.run("emergency", "--resume", "--json")
    assert again[0] == 0
    assert json.loads(again[1])["done"] == 6
    assert set(bench.versions(wanted).values()) == {2}


def test_killed_in_the_middle_it_goes_on_and_nothing_happens_twice(bench: Bench) -> None:
    wanted = ids(6, 10)
    matching = bench.label(wanted, "killed")
    before = set((bench.folder / "rotation").glob("*.jsonl"))
    process = bench.command("emergency", "--filter", matching, *ASKING, "--together", "2")
    ends = time.monotonic() + PATIENCE
    logbook, ended = None, 0
    while ended < 2:
        assert time.monotonic() < ends
        new = set((bench.folder / "rotation").glob("*.jsonl")) - before
        logbook = next(iter(new), None)
        ended = logbook.read_text().count('{"ended"') if logbook else 0
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert logbook is not None
    with logbook.open("a") as file:
        file.write('{"ended":"half a li')  # as a crash leaves it
    code, out, _ = bench.run("emergency", "--resume", str(logbook))
    assert code == 0
    assert "10 of 10 done: 10 revoked" in out
    assert set(bench.versions(wanted).values()) == {2}
    assert len(asked_twice(logbook)) <= 2  # those whose publication nobody can know of


def test_ctrl_c_says_how_to_go_on(bench: Bench) -> None:
    wanted = ids(16, 8)
    matching = bench.label(wanted, "interrupted")
    process = bench.command(
        "emergency", "--filter", matching, *ASKING, "--together", "1", "--quota", "60"
    )
    assert process.stdout is not None
    while "is revoked" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    last = err.splitlines()[-1]
    assert last.startswith("rotation: interrupted; ")
    assert "go on with: rotation emergency --resume " in last
    code, out, _ = bench.run(*last.partition("go on with: rotation ")[2].split())
    assert code == 0
    assert "8 of 8 done" in out
    assert set(bench.versions(wanted).values()) == {2}


def test_a_lost_network_is_waited_for(bench: Bench) -> None:
    wanted = ids(24, 4)
    matching = bench.label(wanted, "network")
    controls = bench.stack.controls
    process = bench.command("emergency", "--filter", matching, *ASKING, "--together", "1")
    assert process.stdout is not None
    while "is revoked" not in process.stdout.readline():
        assert process.poll() is None
    failure = controls.set_failure("unavailable", "ListSecrets")
    time.sleep(1)
    controls.clear_failures(failure)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "4 of 4 done" in out


def test_failures_in_a_row_stop_it_and_keep_going_does_not(bench: Bench) -> None:
    wanted = ids(28, 6)
    matching = bench.label(wanted, "broken")
    for name in wanted:
        secret = bench.store.get(SecretName(bench.stack.options.project, name))
        policy = json.loads(secret.annotations["rotation.policy"])
        policy["issuer"]["probes"] = ["SELECT 1 FROM nothing_of_this_name"]
        annotations = {**secret.annotations, "rotation.policy": json.dumps(policy)}
        bench.store.update(
            secret, labels=secret.labels, annotations=annotations, aliases=secret.aliases
        )
    asking = ("--filter", matching, *ASKING, "--together", "1")
    code, out, _ = bench.run("emergency", *asking, "--stop-after", "2", "--json")
    receipt = json.loads(out)
    assert (code, receipt["stopped"], receipt["failed"]) == (1, "2 failures in a row", 2)
    assert receipt["left"] == 4
    code, out, _ = bench.run("emergency", "--resume", "--keep-going", "--json")
    receipt = json.loads(out)
    assert (code, receipt["stopped"]) == (1, None)
    assert receipt["outcomes"] == {"blocked": 6}


def test_rotate_and_revert_take_a_filter_too(bench: Bench) -> None:
    wanted = ids(34, 4)
    matching = bench.label(wanted, "both")
    code, out, _ = bench.run("rotate", "--filter", matching, "--yes")
    assert (code, "4 of 4 done: 4 rotated" in out) == (0, True)
    assert set(bench.versions(wanted).values()) == {2}
    code, out, _ = bench.run("revert", "--filter", matching, "--yes")
    assert (code, "4 of 4 done: 4 reverted" in out) == (0, True)
    assert set(bench.versions(wanted).values()) == {1}
    code, _, err = bench.run("revert", "--filter", matching, "--yes")
    assert code == 1
    assert "none of the secrets can be asked" in err


def test_what_matches_and_takes_no_part_is_told_apart(bench: Bench) -> None:
    matching = bench.label([*ids(38, 1), "orders-rotator"], "apart")
    code, out, _ = bench.run("emergency", "--filter", matching, *ASKING, "--preview", "--json")
    shown = json.loads(out)
    assert code == 0
    assert [name.rpartition("/")[2] for name in shown["secrets"]] == ids(38, 1)
    assert [entry["why"] for entry in shown["left_out"]] == ["not managed: it has no policy"]
    assert bench.versions(ids(38, 1)) == {"many-38": None}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--filter", "labels.test=nobody"), 1, "matches labels.test=nobody"),
        (("--filter", "labels.test~x"), 2, "write it like labels.db=orders"),
        (("many-39", "--filter", "labels.a=b"), 2, "not both"),
        (("--resume", "/nowhere/file"), 2, "/nowhere/file: No such file"),
        (("--filter", "labels.a=b", "--receipt", "/nowhere/r"), 1, "cannot be written"),
    ],
)
def test_a_mistake_is_one_line(
    bench: Bench, arguments: tuple[str, ...], code: int, message: str
) -> None:
    got, out, err = bench.run("emergency", *arguments, *ASKING)
    assert (got, out) == (code, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_without_a_terminal_nothing_is_asked_unless_it_is_told_yes(bench: Bench) -> None:
    matching = bench.label(ids(39, 1), "yes")
    code, _, err = bench.run("emergency", "--filter", matching, "--reason", "x", "--no-sessions")
    assert code == 2
    assert "no terminal; for many secrets pass --yes" in err
    assert bench.versions(ids(39, 1)) == {"many-39": None}


@pytest.mark.parametrize(("typed", "code"), [("2", 1), ("1", 0)])
def test_a_person_types_the_number_of_secrets(bench: Bench, typed: str, code: int) -> None:
    matching = bench.label(ids(39, 1), "typed")
    ours, theirs = pty.openpty()
    process = bench.command(
        "emergency", "--filter", matching, "--reason", "x", "--no-sessions", stdin=theirs
    )
    os.write(ours, f"{typed}\n".encode())
    out, err = process.communicate(timeout=PATIENCE)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code
    assert "Type 1, the number of secrets, to go on" in err
    assert ("1 of 1 done" in out) == (code == 0)
