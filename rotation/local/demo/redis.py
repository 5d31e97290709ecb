"""The demo of the issuer `redis`: a real server, and a consumer whose requests never fail.

The consumer reads the version ``current`` as applications do, renews its connection when the
version changes, and tries a request again when its connection was ended, as clients of Redis do.

Rules of this module:
  1. A request that is not served in time is a failed claim.
  2. Passwords stay in memory; what was written anywhere is searched for them at the end.
"""

import json
import threading
import time
from base64 import b64decode
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import httpx
import redis

from rotation.local.demo import leaks
from rotation.local.demo.consumers import Consumers
from rotation.local.demo.director import WAITS, Director, Stopwatch
from rotation.local.demo.leaks import Place
from rotation.local.demo.narrator import Narrator
from rotation.local.demo.result import Result
from rotation.local.demo.world import REDIS_USER, World, make_redis_world, stack_options
from rotation.local.redis import RedisServer
from rotation.local.stack import Stack
from rotation.model.errors import RotationError

_PAUSE: Final = 0.02
#: Seconds until a request that was not served counts as failed.
_PATIENCE: Final = 3.0


class Traffic:
    """A consumer in a thread of its own; a context manager."""

    def __init__(self, world: World, server: RedisServer) -> None:
        self._url = f"{world.stack.services.consumer_rest}/v1/{world.secret}/versions/current"
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="traffic", daemon=True)
        self._client: redis.Redis | None = None
        #: ``key_id`` of the password that the last request was served with.
        self.serving = ""
        self.served = self.failed = self.reconnects = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._drop()

    def _work(self) -> None:
        with httpx.Client(trust_env=False, timeout=5) as http:
            while not self._stop.wait(_PAUSE):
                deadline = time.monotonic() + _PATIENCE
                while not self._is_served(http):
                    self.reconnects += 1
                    if time.monotonic() > deadline:
                        self.failed += 1
                        break

    def _is_served(self, http: httpx.Client) -> bool:
        try:
            answer = http.get(f"{self._url}:access").raise_for_status()
            payload = json.loads(b64decode(answer.json()["payload"]["data"]))
            if self._client is None or payload["key_id"] != self.serving:
                self._drop()
                self._client = self._server.log_in(payload["username"], payload["password"])
            self._client.set("order:17", self.served)
            self.serving, self.served = payload["key_id"], self.served + 1
        except (httpx.HTTPError, redis.RedisError):
            self._drop()
            return False
        return True

    def _drop(self) -> None:
        if self._client is not None:
            with suppress(redis.RedisError):
                self._client.close()
            self._client = None


@dataclass(frozen=True, kw_only=True)
class RedisSummary(Result):
    """The whole result."""

    served: int
    failed: int
    #: How often a connection was ended and the request tried again.
    reconnects: int

    def lines(self) -> list[str]:
        """Return the table, line by line."""
        return [
            f"versions    {self.versions_text}",
            f"requests    {self.served} served, {self.failed} failed",
            f"reconnects  {self.reconnects}",
        ]


@dataclass(frozen=True)
class _Stage:
    """What every scene needs."""

    director: Director
    server: RedisServer
    traffic: Traffic

    def works(self, version: int) -> bool:
        """Whether the server takes a version's password."""
        self.director.world.versions()
        payload = self.director.world.payloads[version]
        try:
            self.server.log_in(payload["username"], payload["password"]).close()
        except redis.AuthenticationError:
            return False
        return True

    def claim(self, text: str, detail: str = "", *, held: bool) -> None:
        """Judge one claim."""
        self.director.claim(text, detail, held=held)

    def claim_unnoticed(self) -> None:
        """Claim that every request so far was served."""
        did = self.traffic
        detail = f"{did.served} requests, {did.failed} failed; {did.reconnects} tried again"
        self.claim("nobody noticed", detail, held=did.served > 0 and not did.failed)

    def await_serving(self, version: int) -> None:
        """Wait until the consumer uses a version."""
        world = self.director.world
        world.versions()
        key_id = world.payloads[version]["key_id"]
        self.director.wait(
            f"the consumer's move to version {version}", lambda: self.traffic.serving == key_id
        )


def run_redis_demo(narrator: Narrator, policy_key: str, data_dir: Path | None) -> RedisSummary:
    """Run every scene; return what was found.

    Raises:
        RotationError: The stack could not be started.
    """
    watch = Stopwatch()
    with ExitStack() as parts:
        narrator.scene("the embedded stack starts")
        stack = parts.enter_context(Stack(replace(stack_options(), data_dir=data_dir)))
        server = parts.enter_context(RedisServer(stack.folder / "valkey"))
        http = parts.enter_context(httpx.Client(trust_env=False, timeout=30))
        world = make_redis_world(stack, http, policy_key, server)
        narrator.line(f"{server.version()}, Secret Manager, Pub/Sub, scheduler, the function")
        director = Director(world, Consumers(stack.folder), narrator, policy_key)
        stage = _Stage(director, server, Traffic(world, server))
        try:
            _first_password(stage)
            parts.enter_context(stage.traffic)
            _killed_in_the_middle(stage, stack.folder / "killed")
            _retired(stage)
            _restarted(stage)
            _emergency(stage)
        except (RotationError, httpx.HTTPError, redis.RedisError) as error:
            # What a service says is not for the screen: nobody knows what it quotes.
            why = str(error) if isinstance(error, RotationError) else type(error).__name__
            director.claim("the demo goes on", why, held=False)
        _search(stage)
        return RedisSummary(
            claims=tuple(director.findings.claims),
            versions=world.versions(),
            served=stage.traffic.served,
            failed=stage.traffic.failed,
            reconnects=stage.traffic.reconnects,
            seconds=round(watch.seconds, 1),
        )


def _first_password(stage: _Stage) -> None:
    director = stage.director
    director.scene("the first password")
    world = director.world
    director.publish(eventType="SECRET_ROTATE", secretId=world.secret)
    director.await_phase("settled")
    stage.claim(
        "the first rotation gives the user its first password",
        held=world.versions() == {1: "ENABLED"} and stage.works(1),
    )


def _killed_in_the_middle(stage: _Stage, marker: Path) -> None:
    director = stage.director
    director.scene("a rotation whose worker is killed after it has set the password")
    world, function = director.world, director.world.stack.function
    stage.await_serving(1)
    function.kill()
    function.start(ROTATION_CRASH_AT="minted:kill", ROTATION_CRASH_MARKER=str(marker))
    director.publish(**world.request(mode="routine", reason="demo", requested_by="demo"))
    director.wait("the kill", marker.exists)
    director.await_phase("soaking")
    stage.claim(
        "a redelivery goes on where the dead worker was: one new version",
        held=set(world.versions()) == {1, 2} and world.current() == 2,  # noqa: PLR2004
    )
    stage.await_serving(2)
    stage.claim("both passwords work during the overlap", held=stage.works(1) and stage.works(2))
    known = stage.server.password_count(REDIS_USER)
    stage.claim(
        "the password that the dead worker had set is gone",
        f"the user has {known}, and one mark that no password fits",
        held=known == 2,  # noqa: PLR2004
    )
    stage.claim_unnoticed()


def _retired(stage: _Stage) -> None:
    director, server = stage.director, stage.server
    director.scene("the old password is retired")
    world = director.world
    old, new = world.payloads[1], world.payloads[2]
    with server.log_in(old["username"], old["password"]) as straggler:
        straggler.ping()
        director.move_clock(WAITS["soaking"])
        director.await_phase("observing")
        stage.claim("once suspended, the old password is refused", held=not stage.works(1))
        stage.claim("a session that used it lives on", held=_answers(straggler))
        with server.log_in() as admin:
            admin.flushall()
        director.line("somebody flushes all data")
        with server.log_in(new["username"], new["password"]) as late:
            late.ping()
            director.settle("observing", brief=True)
            stage.claim(
                "revoking ends that session, and none that began after the suspension",
                held=not _answers(straggler) and _answers(late),
            )
    states = world.versions()
    stage.claim(
        "the old version is destroyed, by age",
        held=states == {1: "DESTROYED", 2: "ENABLED"} and "retired by age" in world.evidence(),
    )
    stage.claim_unnoticed()


def _restarted(stage: _Stage) -> None:
    stage.director.scene("the server is killed and starts again")
    stage.server.restart()
    stage.claim(
        "it has the new password, and not the old one", held=stage.works(2) and not stage.works(1)
    )


def _emergency(stage: _Stage) -> None:
    director = stage.director
    director.scene("a password has leaked")
    world, watch = director.world, Stopwatch()
    leaked = world.payloads[2]
    with stage.server.log_in(leaked["username"], leaked["password"]) as thief:
        thief.ping()
        director.publish(**world.request(mode="emergency", reason="leaked", requested_by="demo"))
        director.await_phase("destroying")
        took = watch.seconds
        stage.claim(
            "the leaked password is refused, and the thief's session is ended",
            f"after {took:.2f} s",
            held=not stage.works(2) and not _answers(thief),
        )
    stage.await_serving(3)
    director.settle("destroying", brief=True)
    stage.claim_unnoticed()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _search(stage: _Stage) -> None:
    director = stage.director
    director.scene("searching everything that was written")
    world = director.world
    world.versions()
    passwords = {
        f"version {number}'s": payload["password"] for number, payload in world.payloads.items()
    }
    passwords |= world.further
    places = [
        Place("the server's log", stage.server.log.read_bytes(), "Ready to accept connections"),
        Place("its file of users", stage.server.aclfile.read_bytes(), f"user {REDIS_USER} "),
        Place("its slow log", stage.server.slow_log(), "SETUSER"),
        Place("the function's log", world.stack.function.log.read_bytes(), world.secret),
        Place("labels and annotations", json.dumps(world.described()).encode(), world.secret),
        Place("every event", "\n".join(world.events()).encode(), world.secret),
    ]
    detail, held = leaks.judge(places, passwords)
    director.claim(
        f"none of {len(passwords)} passwords was written anywhere",
        detail,
        held=held and len(passwords) > 1,
    )
