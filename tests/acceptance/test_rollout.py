"""A rollout in two stages, pinned in a real Git repository: watched, sent back, killed anywhere.

A consumer logs in with alias ``current`` all the time; not one login may fail.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from rotation.cli.main import main
from rotation.local.git import Repository, serving
from tests.acceptance.prober import probing
from tests.support.stack.scene import wait_until
from tests.support.stack.target import Target

pytestmark = pytest.mark.slow

STAGES = ("canary", "everyone")
NOW = 1_800_000_000


class Health:
    """The canary's health, as a gate asks for it."""

    def __init__(self) -> None:
        self.status = 200

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805
                handler.send_response(self.status)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(handler, *_: object) -> None:  # noqa: N805
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/healthz"


@dataclass
class Rollout:
    target: Target
    repository: Repository
    health: Health

    def pins(self) -> tuple[int, int]:
        """Return the versions in the two files of the base."""
        repo = self.repository.repo
        tree = repo[repo[repo.refs[b"refs/heads/main"]].tree]
        found = []
        for stage in STAGES:
            folder = repo[tree[stage.encode()][1]]
            text = repo[folder[b"secrets.lock.json"][1]].data
            found.append(json.loads(text)["secrets"][self.target.name])
        return found[0], found[1]

    def branches(self) -> set[str]:
        return {ref.decode() for ref in self.repository.repo.refs.allkeys() if b"heads" in ref}

    def roll_out(self) -> None:
        """Fire, and let the rollout wait for the canary."""
        self.target.fire()
        wait_until(lambda: self.pins() == (2, 1), "the canary has the next version")
        wait_until(lambda: "rotation_wake_at" in self.target.labels, "the canary is watched")


@pytest.fixture
def health() -> Iterator[Health]:
    health = Health()
    Thread(target=health.server.serve_forever, daemon=True).start()
    yield health
    health.server.shutdown()
    health.server.server_close()


@pytest.fixture
def rollout(target: Target, health: Health, tmp_path: Path) -> Iterator[Rollout]:
    pinned = json.dumps({"secrets": {target.name: 1}}, indent=2) + "\n"
    files = {f"{stage}/secrets.lock.json": pinned for stage in STAGES}
    repository = Repository(tmp_path / "deploy.git", files, NOW)
    with serving(repository) as url:
        target.scene.allow(_targets(target, url, health.url))
        target.set_policy(rollout=[_stage(stage) for stage in STAGES])
        yield Rollout(target, repository, health)


def _targets(target: Target, url: str, health: str) -> dict[str, dict[str, Any]]:
    repository = {"kind": "git", "host": "git", "url": url, "paths": ["*/secrets.lock.json"]}
    targets = {"deploy-repo": repository, "canary-health": {"kind": "http", "url": health}}
    return {name: {**own, "secrets": [target.name]} for name, own in targets.items()}


def _stage(stage: str) -> dict[str, Any]:
    pin = {
        "kind": "git",
        "target": "deploy-repo",
        "path": f"{stage}/secrets.lock.json",
        "locate": "resource",
    }
    if stage == "canary":
        gate = {"kind": "http", "target": "canary-health"}
        return {"stage": stage, "participants": [pin], "gates": [gate], "soak": "10m"}
    return {"stage": stage, "participants": [pin, {"kind": "alias"}]}


@pytest.mark.parametrize("point", ["voted", "handed", "watched", "added", "committed"])
def test_rollout_killed_once_goes_on_stage_by_stage(rollout: Rollout, point: str) -> None:
    target = rollout.target
    with target.scene.interrupted_at(point) as marker, probing(target, rereads=True) as prober:
        target.fire()
        wait_until(marker.exists, "the function is killed")
        target.settle(prober.beat)
    assert rollout.pins() == (2, 2), target.receipt
    target.assert_settled(current=2, previous=1)
    assert target.states == {1: "DESTROYED", 2: "ENABLED"}
    assert rollout.branches() == {"refs/heads/main"}


@pytest.mark.parametrize("point", ["", "reverted", "withdrawn", "aborted"])
def test_failing_canary_is_sent_back_and_killed_on_the_way(rollout: Rollout, point: str) -> None:
    target = rollout.target
    rollout.roll_out()
    rollout.health.status = 500
    with target.scene.interrupted_at(point or "destroyed") as marker, probing(target) as prober:
        target.settle(prober.beat)
        assert marker.exists() == bool(point)
    assert rollout.pins() == (1, 1)
    assert target.aliases["current"] == 1
    assert target.receipt["outcome"] == "reverted"
    assert "status 500" in target.receipt["why"]
    assert target.labels["rotation_blocked"] == "reverted"
    assert target.refused(target.payload(2))
    assert target.works(target.payload(1))
    assert target.latest() == target.payload(1)
    assert rollout.branches() == {"refs/heads/main"}


def test_pin_that_has_drifted_stops_the_rotation_before_anything_moves(rollout: Rollout) -> None:
    target = rollout.target
    target.set_policy(rollout=[_elsewhere(stage) for stage in target.policy["rollout"]])
    target.fire()
    target.await_blocked("reverted")
    assert rollout.pins() == (1, 1)
    assert "everyone/git refuses" in target.receipt["why"]
    assert target.works(target.payload(1))
    assert target.latest() == target.payload(1)


def _elsewhere(stage: dict[str, Any]) -> dict[str, Any]:
    first, *others = stage["participants"]
    if stage["stage"] == "canary":
        return stage
    return {**stage, "participants": [{**first, "path": "nowhere/secrets.lock.json"}, *others]}


def test_plan_and_status_and_watch_show_the_stages(
    rollout: Rollout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = rollout.target
    for key, value in target.scene.stack.environment().items():
        monkeypatch.setenv(key, value)
    assert main(["plan", target.id]) == 0
    planned = capsys.readouterr().out
    assert "stage canary, watched for 10m" in planned
    assert f'+    "{target.name}": 2' in planned
    assert "gate canary/http: passes now" in planned
    assert rollout.pins() == (1, 1)
    assert main(["rotate", target.id]) == 0
    assert "stage canary gets version 2; the others follow" in capsys.readouterr().out
    wait_until(lambda: "rotation_wake_at" in target.labels, "the canary is watched")
    assert main(["status", target.id]) == 0
    assert "rolling-out to canary, stage 1 of 2 until" in capsys.readouterr().out
    rollout.health.status = 503
    assert main(["plan", target.id, "--json"]) == 1
    body = json.loads(capsys.readouterr().out)
    assert body["stages"][0]["gates"][0]["verdict"] == "fail"
    rollout.health.status = 200
    target.settle()
    assert main(["watch", target.id, "--until-settled"]) == 0
    assert f"{target.id}: settled; version 2" in capsys.readouterr().out


def test_plan_of_a_secret_without_stages_is_one_line_of_aliases(
    target: Target, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in target.scene.stack.environment().items():
        monkeypatch.setenv(key, value)
    assert main(["plan", target.id]) == 0
    assert "version 1 -> version 2" in capsys.readouterr().out
