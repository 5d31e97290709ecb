"""A password that a person set on a real Valkey is rotated, looked at and given back, over HTTP."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from rotation.local.redis import RedisServer
from rotation.local.stack import Stack, StackOptions

pytestmark = pytest.mark.slow
PASSWORD = "by hand"


@dataclass
class Scene:
    stack: Stack
    server: RedisServer

    def run(self, *words: str, status: int = 0) -> Any:
        ran = subprocess.run(
            [sys.executable, "-m", "rotation", *words, "--json"],
            env={"PATH": os.defpath, **self.stack.environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == status, ran.stdout + ran.stderr
        assert PASSWORD not in ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    def works(self, password: str) -> bool:
        try:
            self.server.log_in("app", password).close()
        except redis.AuthenticationError:
            return False
        return True

    def await_phase(self, *phases: str) -> None:
        deadline = time.monotonic() + 60
        while self.run("status", "cache")["secrets"][0]["phase"] not in phases:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Stack(StackOptions()) as stack, RedisServer(stack.folder / "valkey") as server:
        server.set_user("app", PASSWORD, "~* &* +@all -@admin -@dangerous")
        rotator = stack.create_secret("rotator", {}, server.create_rotator())
        target = {
            "kind": "redis",
            "nodes": [server.address],
            "users": ["app"],
            "admin": rotator,
            "tls": "disable",
            "secrets": [f"projects/{stack.options.project}/secrets/cache"],
        }
        stack.allow({"cache": target})
        issuer = {"kind": "redis", "target": "cache", "user": "app"}
        policy = {"issuer": issuer, "soak": "10m", "retire": {"observe": "4m"}}
        body = {
            "topics": [{"name": stack.topic}],
            "annotations": {"rotation.policy": json.dumps(policy)},
        }
        stack.create_secret("cache", body, {"username": "app", "password": PASSWORD})
        stack.let_function("rotationReader", ["rotator"])
        stack.let_function("rotationFunction", ["cache"])
        yield Scene(stack, server)


def test_a_password_set_by_hand_is_rotated_and_given_back(scene: Scene) -> None:
    plan = scene.run("plan", "cache")["issuer"]
    assert plan == {
        "kind": "redis",
        "location": f"{scene.server.address}/app",
        "cannot": ["see use"],
    }
    scene.run("rotate", "cache", "--reason", "test", "--yes")
    scene.await_phase("soaking")
    assert scene.works(PASSWORD)
    found = scene.run("doctor", "cache", status=1)["findings"]
    assert [finding["check"] for finding in found] == ["schedule"], "nothing of the issuer's"
    scene.run("revert", "cache", "--yes")
    scene.await_phase("settled")
    assert scene.works(PASSWORD)
    assert scene.server.password_count("app") == 1
