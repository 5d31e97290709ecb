"""The commands that ask and answer, as a person runs them, against the whole embedded stack."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rotation.cli.main import main
from rotation.cli.views.context import Context
from rotation.google.secret_manager import SecretManager
from rotation.local.postgres.server import PostgresServer
from rotation.local.stack import Stack, StackOptions
from rotation.local.stack.targets import Allowed, postgresql_target
from rotation.model.errors import VersionUnavailableError
from rotation.model.names import SecretName
from rotation.model.payload import Payload

PATIENCE = 60.0
#: Secrets that the function may rotate from its start on; for another one it starts anew.
NAMES = """
again aging alone back bad both calm denied eager escape form free late
leak logged lost nowait odd past plain queue stuck tablea tableb topical unknown unlisted virgin
typed05 typed13
"""
WAITS = {"soak": "1h", "retire": {"observe": "30m", "destroy_after": "1h"}}


def allowed(postgres: PostgresServer, project: str, names: Sequence[str]) -> Allowed:
    """Return what lets secrets use the databases of their own names."""
    return {
        name: postgresql_target(
            postgres,
            name,
            owner=f"{name}_owner",
            roles=[f"{name}_a", f"{name}_b"],
            admin=str(SecretName(project, f"{name}-rotator")),
            secrets=[str(SecretName(project, name))],
        )
        for name in names
    }


@dataclass
class Bench:
    stack: Stack
    store: SecretManager
    passwords: list[str] = field(default_factory=list)

    def name(self, short: str) -> SecretName:
        return SecretName(self.stack.options.project, short)

    def create(self, short: str, *, rotator: bool = True, **policy: Any) -> str:
        """Create a database, the rotator's secret, and a managed secret that never rotated."""
        slots = (f"{short}_a", f"{short}_b")
        admin = self.stack.create_database(short, f"{short}_owner", slots, f"{short}_rotator")
        self.stack.create_secret(f"{short}-rotator", {}, admin if rotator else None)
        self.stack.allow(allowed(self.stack.postgres, self.stack.options.project, [short]))
        owner = f"{short}_owner"
        issuer = {"kind": "postgresql", "target": short, "slots": slots, "owner": owner}
        text = json.dumps({"issuer": issuer, **WAITS, **policy})
        first = datetime.now(UTC) + timedelta(days=2)
        rotation = {"nextRotationTime": f"{first:%Y-%m-%dT%H:%M:%SZ}", "rotationPeriod": "864000s"}
        body = {
            "topics": [{"name": self.stack.topic}],
            "rotation": rotation,
            "annotations": {"rotation.policy": text},
        }
        self.stack.create_secret(short, body)
        self.passwords.append(admin["password"])
        return short

    def current(self, short: str) -> Payload:
        payload = self.store.access(self.name(short), "current").payload
        self.passwords.append(payload.fields()["password"])
        return payload

    def annotate(self, short: str, labels: dict[str, str], **annotations: str) -> None:
        secret = self.store.get(self.name(short))
        self.store.update(
            secret,
            labels={**secret.labels, **labels},
            annotations={**secret.annotations, **annotations},
            aliases=secret.aliases,
        )

    def forget(self, short: str) -> None:
        """Take a secret that needs a person out of the way of other tests."""
        secret = self.store.get(self.name(short))
        self.store.update(secret, labels={}, annotations={}, aliases={})


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    times = {"lease": timedelta(seconds=10), "budget": timedelta(seconds=8)}
    targets = partial(allowed, names=NAMES.split())
    options = StackOptions(**times, ack_deadline=timedelta(seconds=10), targets=targets)
    with Stack(options) as stack:
        endpoint = stack.services.secret_manager_grpc
        store = SecretManager(stack.options.project, endpoint=endpoint)
        yield Bench(stack, store)
        store.close()


@pytest.fixture(autouse=True)
def environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in bench.stack.environment().items():
        monkeypatch.setenv(name, text)


@pytest.fixture
def run(bench: Bench, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run one command in this process; nothing that it prints may hold a password."""

    def here(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(arguments)
        shown = capfd.readouterr()
        check(bench, shown.out, shown.err)
        return code, shown.out, shown.err

    return here


def check(bench: Bench, *texts: str) -> None:
    secrets = [*bench.passwords, bench.stack.environment()["PGPASSWORD"]]
    for text in texts:
        assert "Traceback" not in text
        assert not [password for password in secrets if password in text]


def shell(bench: Bench, *arguments: str) -> tuple[int, str, str]:
    """Run one command as a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "rotation", *arguments],
        env={**os.environ, **bench.stack.environment()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    check(bench, result.stdout, result.stderr)
    return result.returncode, result.stdout, result.stderr


def can_log_in(payload: Payload) -> bool:
    login = payload.fields()
    names = {"dbname": "dbname", "user": "username", "password": "password"}
    options = {name: login[key] for name, key in names.items()}
    try:
        psycopg.connect(host=login["host"], port=login["port"], **options).close()
    except psycopg.OperationalError:
        return False
    return True


def await_phase(run: Callable[..., tuple[int, str, str]], short: str, phase: str) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while True:
        found = json.loads(run("status", short, "--json")[1])["secrets"][0]
        if found["phase"] == phase or time.monotonic() > end:
            assert found["phase"] == phase
            return dict(found)
        time.sleep(0.1)


def phase_of(run: Callable[..., tuple[int, str, str]], short: str) -> str:
    return str(json.loads(run("status", short, "--json")[1])["secrets"][0]["phase"])


# rotate and status


def test_rotations_are_asked_for_and_followed(bench: Bench) -> None:
    bench.create("plain")
    code, out, err = shell(bench, "rotate", "plain")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "plain: version 1 is in force"
    first = bench.current("plain")
    code, out, err = shell(bench, "rotate", "plain", "--reason", "drill", "--by", "ada")
    assert (code, err) == (0, "")
    assert "plain: version 2 is in force; version 1 works until it is retired" in out
    assert can_log_in(first)
    assert can_log_in(bench.current("plain"))
    code, out, err = shell(bench, "status", "plain")
    assert (code, err) == (0, "")
    assert out.startswith("plain: soaking until ")
    assert "version 2 (plain_b)" in out
    assert "routine, asked by ada (claimed): drill" in out


def test_status_has_a_json_form_with_every_key(bench: Bench, run: Any) -> None:
    bench.create("form")
    code, out, err = run("--json", "status")
    assert (code, err) == (0, "")
    body = json.loads(out)
    by_name = {entry["secret"].rpartition("/")[2]: entry for entry in body["secrets"]}
    assert "form-rotator" not in by_name
    assert by_name["form"] == {
        "secret": f"projects/{bench.stack.options.project_number}/secrets/form",
        "phase": "settled",
        "current": None,
        "handle": None,
        "waits_until": None,
        "lease_until": None,
        "rotation": None,
        "pending": None,
        "blocked": None,
        "paused": None,
        "kept": None,
        "faults": [],
        "last": None,
        "next_rotation": by_name["form"]["next_rotation"],
        "overdue_since": None,
        "needs_a_person": False,
    }
    assert datetime.fromisoformat(by_name["form"]["next_rotation"]) > datetime.now(UTC)


def test_on_a_terminal_several_secrets_are_a_table(
    bench: Bench, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.create("tablea")
    bench.create("tableb", soek="1m")
    monkeypatch.setattr(Context, "is_terminal", property(lambda _: True))
    monkeypatch.setenv("COLUMNS", "150")
    code, out, err = run("status", "tablea", "tableb")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].split() == ["SECRET", "STANDS", "VERSION", "HANDLE", "LAST", "NEXT"]
    # Those that need a person come first.
    assert lines[1].split()[:5] == ["tableb", "FAULTY", "-", "-", "never"]
    assert lines[2].split()[:5] == ["tablea", "settled", "-", "-", "never"]
    assert lines[3].startswith("tableb: the policy is faulty: - unknown key 'soek'")
    bench.forget("tableb")


def test_without_waiting_the_request_is_published_all_the_same(bench: Bench, run: Any) -> None:
    bench.create("nowait")
    code, out, _ = run("rotate", "nowait", "--no-wait", "--json")
    body = json.loads(out)
    assert (code, body["outcome"]) == (0, "requested")
    found = await_phase(run, "nowait", "settled")
    while not found["last"]:
        found = await_phase(run, "nowait", "settled")
    assert found["last"]["request_id"] == body["request_id"]


def test_a_request_during_a_rotation_waits_its_turn(bench: Bench, run: Any) -> None:
    bench.create("queue")
    run("rotate", "queue")
    run("rotate", "queue")
    code, out, _ = run("rotate", "queue", "--json", "--by", "bob")
    body = json.loads(out)
    assert (code, body["outcome"]) == (0, "queued")
    found = json.loads(run("status", "queue", "--json")[1])["secrets"][0]
    assert found["pending"]["id"] == body["request_id"]
    assert found["pending"]["mode"] == "routine"
    code, out, _ = run("rotate", "queue", "--json")
    assert json.loads(out)["message"].startswith("an earlier request is served")
    assert "pending: routine request of bob" in run("status", "queue")[1]


def test_a_rotation_whose_function_is_gone_is_no_answer_in_time(bench: Bench, run: Any) -> None:
    bench.create("alone")
    bench.stack.function.kill()
    try:
        code, out, _ = run("rotate", "alone", "--timeout", "0.5")
        assert code == 3
        assert "no worker has taken the request up after 0.5 s" in out
    finally:
        bench.stack.function.start()
    run("rotate", "alone")
    assert can_log_in(bench.current("alone"))


# without a targets document in this shell


def test_who_asks_and_looks_needs_no_targets_document(
    bench: Bench, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.create("unlisted")
    monkeypatch.delenv("ROTATION_TARGETS")
    found = json.loads(run("status", "unlisted", "--json")[1])["secrets"][0]
    assert (found["phase"], found["faults"], found["needs_a_person"]) == ("settled", [], False)
    assert run("rotate", "unlisted")[0] == 0
    assert run("pause", "unlisted", "--reason", "drill")[0] == 0
    assert run("resume", "unlisted")[0] == 0
    assert run("emergency", "unlisted", "--reason", "drill")[0] == 0
    asking = ["--filter", "name:unlisted", "--reason", "drill", "--preview"]
    code, out, _ = run("--json", "emergency", *asking)
    unseen = {"the target is not known here: ROTATION_TARGETS is not set": 1}
    assert (code, json.loads(out)["sessions_unseen"]) == (0, unseen)
    assert run("history", "unlisted")[0] == 0
    code, _, err = run("policy", "show", "unlisted")
    assert (code, "targets unlisted: not known here" in err) == (0, True)
    assert can_log_in(bench.current("unlisted"))


def test_who_opens_or_writes_is_told_that_the_document_is_missing(
    bench: Bench, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench.create("unknown")
    file = tmp_path / "policy.json"
    file.write_text(bench.store.get(bench.name("unknown")).annotations["rotation.policy"])
    monkeypatch.delenv("ROTATION_TARGETS")
    code, _, err = run("plan", "unknown")
    assert code == 1
    assert "the policy names unknown" in err
    assert "set ROTATION_TARGETS" in err
    for words in (["validate"], ["apply", "unknown"]):
        code, out, _ = run("policy", *words, str(file))
        assert code == 1
        assert "issuer.target: there is no targets document here" in out
        assert "set ROTATION_TARGETS" in out


# emergency


def test_an_emergency_ends_when_the_old_credential_is_refused(bench: Bench) -> None:
    bench.create("leak")
    main(["rotate", "leak"])
    leaked = bench.current("leak")
    code, out, err = shell(bench, "emergency", "leak", "--reason", "found in a log", "--json")
    assert (code, err) == (0, "")
    body = json.loads(out)
    assert (body["outcome"], body["mode"]) == ("revoked", "emergency")
    assert 0 <= body["seconds"] < PATIENCE
    assert not can_log_in(leaked)
    assert can_log_in(bench.current("leak"))


def test_an_emergency_while_soaking_revokes_both_that_may_have_leaked(
    bench: Bench, run: Any
) -> None:
    bench.create("both")
    run("rotate", "both")
    older = bench.current("both")
    run("rotate", "both")
    newer = bench.current("both")
    code, out, _ = run("emergency", "both", "--reason", "leak")
    assert code == 0
    assert "the credential of version 2 is revoked, " in out.splitlines()[-1]
    assert not can_log_in(older)
    assert not can_log_in(newer)
    assert can_log_in(bench.current("both"))


def test_the_first_emergency_has_nothing_to_revoke(bench: Bench, run: Any) -> None:
    bench.create("virgin")
    code, out, _ = run("emergency", "virgin", "--reason", "drill")
    assert code == 0
    assert "version 1 is in force; there was no previous one" in out


@pytest.mark.parametrize(("typed", "code"), [("typed", 0), ("yes", 1)])
def test_on_a_terminal_the_name_must_be_typed(
    bench: Bench, typed: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = f"typed{code}{len(typed)}"
    bench.create(short)
    master, slave = os.openpty()
    os.write(master, f"{short if typed == 'typed' else typed}\n".encode())
    command = [sys.executable, "-m", "rotation", "emergency", short, "--reason", "drill"]
    environment = {**os.environ, **bench.stack.environment()}
    with os.fdopen(slave, "rb") as terminal, os.fdopen(master, "wb"):
        result = subprocess.run(
            command, stdin=terminal, capture_output=True, env=environment, check=False, timeout=60
        )
    assert result.returncode == code
    assert (f"Type {short} to go on" in result.stderr.decode()) is True
    assert ("nothing was published" in result.stderr.decode()) is bool(code)
    assert ("is in force" in result.stdout.decode()) is not bool(code)


# revert


def test_a_revert_gives_consumers_the_previous_version_again(bench: Bench) -> None:
    bench.create("back")
    main(["rotate", "back"])
    first = bench.current("back")
    main(["rotate", "back"])
    second = bench.current("back")
    code, out, err = shell(bench, "revert", "back", "--reason", "slow queries")
    assert (code, err) == (0, "")
    assert "back: version 1 is in force again; version 2 is disabled" in out
    assert bench.current("back") == first
    assert can_log_in(first)
    assert not can_log_in(second)
    with pytest.raises(VersionUnavailableError):
        bench.store.access(bench.name("back"), 2)
    code, _, err = shell(bench, "revert", "back")
    assert code == 1
    assert "back is settled: there is no rotation to go back from" in err


def test_a_revert_after_the_revocation_is_refused(bench: Bench, run: Any) -> None:
    bench.create("late")
    run("rotate", "late")
    run("emergency", "late", "--reason", "leak")
    code, _, err = run("revert", "late")
    assert code == 1
    assert "the previous credential is revoked; the way back is a new rotation" in err


# blocked


def test_a_block_says_what_to_do_and_is_lifted_after_that(bench: Bench, run: Any) -> None:
    bench.create("stuck", rotator=False)
    code, out, err = shell(bench, "rotate", "stuck")
    assert (code, err) == (1, "")
    assert "stuck: blocked: not-found: " in out
    assert out.endswith("when that is mended: rotation unblock stuck\n")
    code, out, err = run("status", "--json")
    assert (code, err) == (1, "")
    body = json.loads(out)
    stuck = [entry for entry in body["secrets"] if entry["needs_a_person"]]
    assert [entry["blocked"]["reason"] for entry in stuck] == ["not-found"]
    code, out, err = run("rotate", "stuck")
    assert (code, out) == (1, "")
    assert "stuck is blocked: not-found" in err
    admin = {"username": "stuck_rotator", "password": bench.passwords[-1]}
    bench.store.add_version(bench.name("stuck-rotator"), Payload.of(admin))
    code, out, err = shell(bench, "unblock", "stuck")
    assert (code, err) == (0, "")
    assert "stuck: not blocked any more" in out
    main(["rotate", "stuck"])
    assert can_log_in(bench.current("stuck"))


def test_a_block_that_was_not_mended_comes_back(bench: Bench, run: Any) -> None:
    bench.create("again", rotator=False)
    run("rotate", "again")
    code, out, _ = run("unblock", "again", "--json")
    assert (code, json.loads(out)["outcome"]) == (1, "blocked")
    admin = {"username": "again_rotator", "password": bench.passwords[-1]}
    bench.store.add_version(bench.name("again-rotator"), Payload.of(admin))
    assert run("unblock", "again")[0] == 0


def test_what_is_not_blocked_is_left_alone(bench: Bench, run: Any) -> None:
    bench.create("free")
    etag = bench.store.get(bench.name("free")).etag
    code, out, _ = run("unblock", "free")
    assert code == 0
    assert out == "free: not blocked; settled\n"
    assert bench.store.get(bench.name("free")).etag == etag


# what cannot be read


def test_unreadable_state_is_shown_with_its_remedy(bench: Bench, run: Any) -> None:
    bench.create("odd")
    bench.annotate("odd", {"rotation_phase": "soaking"}, **{"rotation.record": "{"})
    code, out, _ = run("status", "odd")
    assert code == 1
    assert out.startswith("odd: unreadable; no version on record\n  faulty: annotation")
    assert "rotation.record cannot be read; restore it, or remove the labels" in out
    for command in (["rotate"], ["revert"], ["unblock"], ["emergency", "--reason", "x"]):
        code, _, err = run(*command, "odd")
        assert code == 1
        assert "annotation rotation.record cannot be read; restore it" in err
    bench.forget("odd")


def test_a_faulty_policy_is_shown_and_stops_a_request(bench: Bench, run: Any) -> None:
    bench.create("bad", soek="5m")
    code, out, _ = run("status", "bad", "--json")
    assert code == 1
    assert "did you mean 'soak'?" in json.loads(out)["secrets"][0]["faults"][0]
    code, _, err = run("rotate", "bad")
    assert code == 1
    assert "unknown key 'soek'; did you mean 'soak'?" in err
    bench.forget("bad")


@pytest.mark.parametrize(
    "command", ["status", "rotate", "revert", "unblock", "emergency", "pause", "resume", "history"]
)
def test_only_managed_secrets_can_be_asked(bench: Bench, run: Any, command: str) -> None:
    options = ["--reason", "x"] if command in {"emergency", "pause"} else []
    code, _, err = run(command, "nosuch", *options)
    assert code == 3
    assert "NOT_FOUND" in err
    name = bench.name("unmanaged")
    if not any(secret.name.secret_id == "unmanaged" for secret in bench.store.list()):
        bench.stack.create_secret("unmanaged", {})
    code, _, err = run(command, str(name), *options)
    assert code == 1
    assert "has no policy, so it is not managed by rotation; give it one: rotation policy" in err


def test_text_of_others_cannot_steer_the_terminal(bench: Bench, run: Any) -> None:
    bench.create("escape")
    run("rotate", "escape")
    run("rotate", "escape", "--reason", "\x1b[2Jgone\nforged: settled")
    out = run("status", "escape")[1]
    assert "\x1b" not in out
    assert "\nforged" not in out


def test_a_missing_permission_is_named_and_exit_code_3(bench: Bench, run: Any) -> None:
    bench.create("denied")
    controls = bench.stack.controls
    controls.set_failure("denied", "GetSecret", permission="secretmanager.secrets.get")
    try:
        code, _, err = run("rotate", "denied")
    finally:
        controls.clear_failures()
    assert code == 3
    assert "the caller lacks secretmanager.secrets.get; run: gcloud" in err


def test_a_topic_that_is_missing_is_named(
    bench: Bench, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.create("lost")
    monkeypatch.setenv("ROTATION_TOPIC", "nowhere")
    code, _, err = run("rotate", "lost")
    assert code == 3
    assert "gcloud pubsub topics create nowhere" in err


def test_without_a_configured_topic_the_secret_knows_it(
    bench: Bench, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.create("topical")
    monkeypatch.delenv("ROTATION_TOPIC")
    assert run("rotate", "topical")[0] == 0
    assert can_log_in(bench.current("topical"))


# pause, resume, retire and history


def test_a_pause_keeps_what_is_asked_until_it_is_resumed(bench: Bench, run: Any) -> None:
    bench.create("calm")
    run("rotate", "calm")
    code, _, err = run("pause", "calm")
    assert code == 2
    assert "say why with --reason" in err
    code, out, _ = run("pause", "calm", "--reason", "incident 7", "--by", "sre")
    assert code == 0
    assert "to go on: rotation resume calm" in out
    code, out, _ = run("rotate", "calm")
    assert code == 0
    assert (
        "paused by sre (claimed): incident 7; the request is kept until: rotation resume calm"
        in out
    )
    code, out, _ = run("status", "calm")
    assert "calm: settled, paused; version 1" in out
    assert "a request is kept" in out
    found = json.loads(run("status", "calm", "--json")[1])["secrets"][0]
    assert found["paused"]["reason"] == "incident 7"
    assert found["kept"]["mode"] == "routine"
    assert run("resume", "calm")[0] == 0
    assert await_phase(run, "calm", "soaking")["current"] == 2
    assert "not paused" in run("resume", "calm")[1]


def test_retirement_is_not_waited_for_and_the_answer_says_why_it_is_held_up(
    bench: Bench, run: Any
) -> None:
    bench.create("eager")
    code, _, err = run("retire", "eager", "--now")
    assert (code, "settled: there is nothing to retire" in err) == (1, True)
    run("rotate", "eager")
    first = bench.current("eager")
    run("rotate", "eager")
    login = first.fields()
    names = {"dbname": "dbname", "user": "username", "password": "password"}
    options = {name: login[key] for name, key in names.items()}
    with psycopg.connect(
        host=login["host"], port=login["port"], application_name="billing", **options
    ):
        code, out, _ = run("retire", "eager", "--now")
        assert code == 1
        assert "not retired: 1 sessions still use the previous credential" in out
    assert can_log_in(first)
    code, _, err = run("retire", "eager")
    assert (code, "add --now" in err) == (2, True)
    code, out, _ = run("retire", "eager", "--now")
    assert code == 0
    assert "the previous credential is revoked; version 2 is in force" in out
    assert not can_log_in(first)


def test_receipts_are_shown_exported_and_verified(bench: Bench, run: Any, tmp_path: Path) -> None:
    bench.create("past", retire={"observe": "30m", "destroy_after": "0s"})
    assert "past: no rotation has ended yet" in run("history", "past")[1]
    run("rotate", "past")
    run("emergency", "past", "--reason", "leak", "--by", "sre", "--yes")
    await_phase(run, "past", "settled")
    code, out, _ = run("history", "past")
    assert code == 0
    assert out.index("past #2") < out.index("past #1")
    assert "time to revoke: " in out
    assert max(map(len, out.splitlines())) <= 80
    assert run("history", "past", "--verify")[0] == 0
    assert json.loads(run("history", "past", "--verify", "--json")[1])["sound"] is True
    code, out, _ = run("history", "past", "--jsonl")
    file = tmp_path / "past.jsonl"
    file.write_text(out)
    assert run("history", "past", "--verify", "--from", str(file))[0] == 0
    public = tmp_path / "public.json"
    public.write_text(run("keys", "show", str(bench.stack.folder / "keys.json"), "--json")[1])
    signed = ("history", "past", "--verify", "--from", str(file), "--keys", str(public))
    code, shown, err = run(*signed)
    assert (code, "who wrote them" in err) == (0, False)
    assert "taken away at the end" in err
    public.write_text('{"schema": "rotation.public-keys/1", "keys": []}')
    code, shown, _ = run(*signed)
    assert (code, "forged" in shown) == (1, True)
    file.write_text(out.replace('"sre"', '"nobody"'))
    code, out, _ = run("history", "past", "--verify", "--from", str(file))
    assert code == 1
    assert "past.jsonl line 1: changed" in out


def test_what_the_function_logs_is_verified_against_the_secret(
    bench: Bench, run: Any, tmp_path: Path
) -> None:
    bench.create("logged")
    run("rotate", "logged")
    lines = [
        line
        for line in bench.stack.function.log.read_text().splitlines()
        if '"event": "receipt"' in line and "/logged" in line
    ]
    assert len(lines) == 1
    file = tmp_path / "log.jsonl"
    file.write_text("".join(f'{{"jsonPayload": {line}}}\n' for line in lines))
    assert run("history", "logged", "--verify", "--from", str(file))[0] == 0


# the clock; last, because it moves for all


def test_moving_the_clock_ends_every_wait(bench: Bench, run: Any) -> None:
    bench.create("aging")
    run("rotate", "aging")
    first = bench.current("aging")
    run("rotate", "aging")
    end = time.monotonic() + PATIENCE
    # A busy machine may need an hour more for a wait that began after the clock had moved.
    while phase_of(run, "aging") != "settled" and time.monotonic() < end:
        code, out, err = run("clock", "advance", "1h")
        assert (code, err) == (0, "")
        assert out.startswith("the clock moved forward by 1h: it is ")
        time.sleep(0.2)  # the sweep looks ten times a second
    found = await_phase(run, "aging", "settled")
    assert found["last"]["outcome"] == "rotated"
    assert found["current"] == 2
    assert not can_log_in(first)
