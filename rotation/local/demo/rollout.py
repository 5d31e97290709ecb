"""The second act: a staged rollout with pins in Git, one that works and one that goes back.

Two processes of a small web application are pinned to a version by files in a real repository:
the canary and everyone else.

Rules of this module:
  1. What goes wrong is a thing that happens: the second login has kept a setting of an old release,
     which a login does not notice and the application does.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx

import rotation
from rotation.local.demo.director import Director
from rotation.local.demo.world import World
from rotation.local.git import Reader, Repository, serving
from rotation.local.postgres.server import free_port
from rotation.local.stack.targets import Allowed, postgresql_target
from rotation.model.names import SecretName
from rotation.pins import Pin, find

SHOP: Final = "shop"
SLOTS: Final = ("shop_a", "shop_b")
STAGES: Final = ("canary", "everyone")
STAGE_SOAK: Final = timedelta(minutes=10)
_SLACK: Final = timedelta(seconds=2)
_REPOSITORY: Final = "deploy-repo"


@dataclass(frozen=True)
class App:
    """One process of the application."""

    stage: str
    port: int

    @property
    def health(self) -> str:
        """Where it says whether it is well."""
        return f"http://127.0.0.1:{self.port}/healthz"

    @property
    def path(self) -> str:
        """The file that pins it."""
        return pin_path(self.stage)


class Act:
    """What the scenes of this act look at."""

    def __init__(self, director: Director, world: World, repository: Repository, url: str) -> None:
        self.director = director
        self.world = world
        self.repository = repository
        self.apps = [App(stage, free_port()) for stage in STAGES]
        self.url = url
        self._git = Reader(url)

    def pins(self) -> dict[str, int]:
        """Return the version that each file of the base names."""
        pin = Pin(SecretName.parse(self.world.secret), locate="resource")
        contents = {app.stage: self._git.read(app.path) for app in self.apps}
        return {
            stage: int(find(content, pin_path(stage), pin)[0].value)
            for stage, content in contents.items()
        }

    def activity(self, stage: str) -> dict[str, Any]:
        """Ask one process what it did."""
        port = next(app.port for app in self.apps if app.stage == stage)
        answer: dict[str, Any] = self.world.http.get(f"http://127.0.0.1:{port}/").json()
        return answer

    def is_well(self, stage: str) -> bool:
        """Ask one process for its health."""
        app = next(candidate for candidate in self.apps if candidate.stage == stage)
        return self.world.http.get(app.health).is_success

    def await_on(self, stage: str, version: int) -> None:
        """Wait until a process uses a version."""
        self.director.wait(
            f"{stage} moving to version {version}",
            lambda: self.activity(stage)["versions"] == [version],
        )
        self.director.line(f"{stage} reads its pin and uses version {version}")

    def is_watched(self) -> bool:
        """Whether the rollout waits: then the stage's time has begun."""
        labels: dict[str, str] = self.world.described()["labels"]
        return {"rotation_stage", "rotation_wake_at"} <= labels.keys()

    def is_settled(self) -> bool:
        """Whether no rotation is in flight."""
        labels: dict[str, str] = self.world.described()["labels"]
        return "rotation_phase" not in labels

    def failed(self, *stages: str) -> int:
        """Return how many queries have failed so far."""
        return sum(self.activity(stage)["failed"] for stage in stages)


def staged_rollout(director: Director, folder: Path) -> None:
    """Roll a credential out in stages, and have one go back by itself."""
    director.scene("the second act: two stages, pinned in Git")
    with _set_up(director, folder) as act:
        _good(act)
        director.scene("the canary fails")
        _bad(act)
        director.keep_for_search(f"the Git repository of {SHOP}", act.repository.everything())
        act.world.versions()
        director.remember_passwords(
            {
                f"{SHOP} version {n}'s": payload["password"]
                for n, payload in act.world.payloads.items()
            }
        )


def _good(act: Act) -> None:
    director, before = act.director, act.failed(*STAGES)
    director.publish(eventType="SECRET_ROTATE", secretId=act.world.secret)
    director.await_phase("rolling-out")
    director.wait("the canary's commit", lambda: act.pins()["canary"] == 2)  # noqa: PLR2004
    act.await_on("canary", 2)
    director.claim(
        "the next version reaches the canary, and nobody else",
        f"pins: {_spelled(act.pins())}; current: {act.world.current()}",
        held=act.pins() == {"canary": 2, "everyone": 1} and act.world.current() == 1,
    )
    director.wait("the watch of the canary", act.is_watched)
    director.move_clock(STAGE_SOAK + _SLACK)
    director.await_phase("soaking")
    act.await_on("everyone", 2)
    director.claim(
        "everyone follows when the canary has proved itself",
        f"pins: {_spelled(act.pins())}; current: {act.world.current()}",
        held=act.pins() == {"canary": 2, "everyone": 2} and act.world.current() == 2,  # noqa: PLR2004
    )
    act.world.versions()
    director.settle(brief=True)
    queries = sum(act.activity(stage)["queries"] for stage in STAGES)
    failed = act.failed(*STAGES) - before
    director.claim(
        "nobody noticed the staged rollout",
        f"{queries} queries of both processes, {failed} failed",
        held=failed == 0,
    )


def _bad(act: Act) -> None:
    director, world = act.director, act.world
    idle = next(slot for slot in SLOTS if slot != world.payloads[2]["username"])
    with world.stack.postgres.connect(SHOP) as connection:
        connection.execute(f"ALTER ROLE {idle} IN DATABASE {SHOP} SET search_path = old_release")
    director.line(f"{idle} has kept a setting of an old release: logins work, queries do not")
    everyone = act.activity("everyone")
    director.publish(eventType="SECRET_ROTATE", secretId=world.secret)
    director.await_phase("rolling-out")
    director.wait("the canary's failing", lambda: not act.is_well("canary"))
    director.line("the canary uses version 3 and answers its health check with 500")
    world.versions()
    # The gate may have noticed it with its first look already.
    director.wait("the watch, or the way back", lambda: act.is_watched() or act.is_settled())
    if not act.is_settled():
        director.move_clock(STAGE_SOAK / 4 + _SLACK)
    director.wait("the way back", act.is_settled)
    director.wait("the canary's recovery", lambda: act.is_well("canary"))
    messages = act.repository.messages()
    director.claim(
        "the pin's old value is restored by a commit",
        f"pins: {_spelled(act.pins())}; newest commit: {messages[0]}",
        held=act.pins() == {"canary": 2, "everyone": 2}
        and act.activity("canary")["versions"] == [2],
    )
    _claim_left_alone(act, everyone)
    described = world.described()
    receipt = json.loads(described["annotations"]["rotation.receipt"])
    director.claim(
        "the secret waits for a person, and its receipt says why",
        f"{described['labels'].get('rotation_blocked')}: {receipt['why']}",
        held=described["labels"].get("rotation_blocked") == "reverted"
        and receipt["outcome"] == "reverted"
        and "canary/http" in receipt["why"],
    )


def _claim_left_alone(act: Act, before: dict[str, Any]) -> None:
    director, world, after = act.director, act.world, act.activity("everyone")
    failed, queries = after["failed"] - before["failed"], after["queries"] - before["queries"]
    director.claim(
        "the second stage noticed nothing",
        f"{queries} queries, {failed} failed; current: {world.current()}",
        held=failed == 0 and queries > 0 and world.current() == 2,  # noqa: PLR2004
    )
    newest = max(world.versions())
    same = world.payloads.get(newest, {}).get("password") == world.payloads[2]["password"]
    director.claim(
        "consumers of latest have the previous credential",
        f"version {newest} carries it: {'yes' if same else 'no'}",
        held=newest > 3 and same,  # noqa: PLR2004
    )


@contextmanager
def _set_up(director: Director, folder: Path) -> Iterator[Act]:
    """Make database, secret, repository and application; end what runs."""
    world, parts = _world(director), ExitStack()
    with parts:
        files = {pin_path(stage): _pin_file(world.secret, 1) for stage in STAGES}
        repository = Repository(folder / "deploy.git", files, int(world.now().timestamp()))
        act = Act(director, world, repository, parts.enter_context(serving(repository)))
        world.stack.allow(_targets(act))
        director.line("a Git repository with the pins of two processes: canary, everyone")
        director.publish(eventType="SECRET_ROTATE", secretId=world.secret)
        director.await_phase("settled")
        world.versions()
        log = parts.enter_context((folder / "webapp.log").open("ab"))
        for app in act.apps:
            parts.callback(_end, _start(act, app, log))
        for app in act.apps:
            director.wait(f"{app.stage} being well", lambda app=app: _answers(act, app))  # type: ignore[misc]
        _give_rollout(act)
        yield act


def _world(director: Director) -> World:
    stack, http = director.world.stack, director.world.http
    admin = stack.create_database(SHOP, f"{SHOP}_owner", SLOTS, f"{SHOP}_rotator")
    with stack.postgres.connect(SHOP) as connection:
        connection.execute(f"SET ROLE {SHOP}_owner")
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, total numeric NOT NULL)")
        connection.execute("INSERT INTO orders SELECT n, n * 2 FROM generate_series(1, 200) n")
    stack.create_secret(f"{SHOP}-rotator", {}, admin)
    issuer = {
        "kind": "postgresql",
        "target": f"{SHOP}-db",
        "slots": list(SLOTS),
        "owner": f"{SHOP}_owner",
    }
    policy = {"issuer": issuer, "soak": "1h", "retire": {"observe": "1h", "destroy_after": "12h"}}
    body = {
        "topics": [{"name": stack.topic}],
        "annotations": {director.policy_key: json.dumps(policy)},
    }
    director.remember_passwords({f"{SHOP} rotator's": admin["password"]})
    return World(stack, http, stack.create_secret(SHOP, body))


def _targets(act: Act) -> Allowed:
    """Return what the deployment lets this secret's policy touch."""
    stack, secrets = act.world.stack, [act.world.secret]
    database = postgresql_target(
        stack.postgres,
        SHOP,
        owner=f"{SHOP}_owner",
        roles=SLOTS,
        admin=str(SecretName(stack.options.project, f"{SHOP}-rotator")),
        secrets=secrets,
    )
    repository = {
        "kind": "git",
        "host": "git",
        "url": act.url,
        "paths": [app.path for app in act.apps],
        "secrets": secrets,
    }
    health = {
        _health_target(app): {"kind": "http", "url": app.health, "secrets": secrets}
        for app in act.apps
    }
    return {f"{SHOP}-db": database, _REPOSITORY: repository, **health}


def _health_target(app: App) -> str:
    return f"{app.stage}-health"


def _give_rollout(act: Act) -> None:
    """Add the rollout to the policy of the secret."""
    director, world = act.director, act.world
    described = world.described()
    annotations = dict(described["annotations"])
    policy = json.loads(annotations[director.policy_key])
    policy["rollout"] = [_stage(app) for app in act.apps]
    annotations[director.policy_key] = json.dumps(policy)
    url = f"{world.stack.services.consumer_rest}/v1/{world.secret}"
    body = {"annotations": annotations, "etag": described["etag"]}
    answer = world.http.patch(url, params={"updateMask": "annotations"}, json=body)
    answer.raise_for_status()
    director.line("the policy: canary, watched for 10 minutes by its health; then everyone")


def _stage(app: App) -> dict[str, Any]:
    pin = {"kind": "git", "target": _REPOSITORY, "path": app.path, "locate": "resource"}
    gate = {"kind": "http", "target": _health_target(app), "probes": 5}
    first = app.stage == STAGES[0]
    return {
        "stage": app.stage,
        "participants": [pin] if first else [pin, {"kind": "alias"}],
        "gates": [gate],
        "soak": "10m" if first else "0s",
    }


def _start(act: Act, app: App, log: Any) -> "subprocess.Popen[bytes]":  # noqa: ANN401 - a file
    arguments = {
        "name": app.stage,
        "repository": act.url,
        "path": app.path,
        "secret": act.world.secret,
        "endpoint": act.world.stack.services.consumer_grpc,
        "port": str(app.port),
    }
    options = [part for name, text in arguments.items() for part in (f"--{name}", text)]
    return subprocess.Popen(
        [sys.executable, "-m", "rotation.local.demo.webapp", *options],
        env={
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "HOME": str(act.world.stack.folder),
            "PYTHONPATH": str(Path(rotation.__file__).parent.parent),
        },
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _answers(act: Act, app: App) -> bool:
    try:
        return act.world.http.get(app.health).is_success
    except httpx.TransportError:
        return False


def pin_path(stage: str) -> str:
    """Return the file that pins a stage."""
    return f"{stage}/secrets.lock.json"


def _pin_file(secret: str, version: int) -> str:
    return json.dumps({"secrets": {secret: version}}, indent=2) + "\n"


def _spelled(pins: dict[str, int]) -> str:
    return ", ".join(f"{stage} {version}" for stage, version in pins.items())
