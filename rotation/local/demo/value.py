"""The demo of the issuer `value`: signers and readers go on while a key is rotated.

Signers use the version ``current``; readers take ``current`` and ``previous`` and choose by key id.
Both read the secret as applications do, and nothing else knows the key.

Rules of this module:
  1. A signature that a reader refuses while nothing was meant to fail is a failed claim.
  2. Keys stay in memory; what was written anywhere is searched for them at the end.
"""

import hmac
import json
import threading
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import httpx

from rotation.local.demo import leaks
from rotation.local.demo.consumers import Consumers
from rotation.local.demo.director import Director, Stopwatch
from rotation.local.demo.leaks import Place
from rotation.local.demo.narrator import Narrator
from rotation.local.demo.result import Result
from rotation.local.demo.world import World, make_value_world, stack_options
from rotation.local.stack import Stack
from rotation.model.errors import RotationError

_TEXT: Final = b"order 17 is paid"
_PAUSE: Final = 0.02


@dataclass(frozen=True)
class _Key:
    id: str
    key: bytes

    def __repr__(self) -> str:
        return f"<key {self.id}>"

    def sign(self) -> bytes:
        return hmac.digest(self.key, _TEXT, "sha256")


class Traffic:
    """A signer and a reader, in a thread of their own; a context manager."""

    def __init__(self, world: World) -> None:
        self._base = f"{world.stack.services.consumer_rest}/v1/{world.secret}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="traffic", daemon=True)
        self._known: dict[str, _Key] = {}
        self.signed_by: set[str] = set()
        self.checked = self.refused = self.failed_reads = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def accepts(self, key: _Key) -> bool:
        """Whether the reader takes what this key signs."""
        known = self._known.get(key.id)
        return known is not None and hmac.compare_digest(known.sign(), key.sign())

    def _work(self) -> None:
        with httpx.Client(trust_env=False, timeout=5) as http:
            while not self._stop.wait(_PAUSE):
                # The reader looks after the signer: it knows what the signer has just learned.
                signer = self._read(http, "current")
                readable = (self._read(http, alias) for alias in ("current", "previous"))
                self._known = {key.id: key for key in readable if key}
                if signer is None:
                    self.failed_reads += 1
                    continue
                self.signed_by.add(signer.id)
                self.checked += 1
                self.refused += not self.accepts(signer)

    def _read(self, http: httpx.Client, alias: str) -> _Key | None:
        try:
            answer = http.get(f"{self._base}/versions/{alias}:access")
        except httpx.HTTPError:
            return None
        if not answer.is_success:
            return None
        return key_of(json.loads(b64decode(answer.json()["payload"]["data"])))


@dataclass(frozen=True, kw_only=True)
class ValueSummary(Result):
    """The whole result."""

    #: Signatures that readers checked, and refused.
    checked: int
    refused: int

    def lines(self) -> list[str]:
        """Return the table, line by line."""
        return [
            f"versions    {self.versions_text}",
            f"signatures  {self.checked} checked, {self.refused} refused",
        ]


def run_value_demo(narrator: Narrator, policy_key: str, data_dir: Path | None) -> ValueSummary:
    """Run every scene; return what was found.

    Raises:
        RotationError: The stack could not be started.
    """
    watch = Stopwatch()
    with ExitStack() as parts:
        narrator.scene("the embedded stack starts")
        stack = parts.enter_context(Stack(replace(stack_options(), data_dir=data_dir)))
        http = parts.enter_context(httpx.Client(trust_env=False, timeout=30))
        world = make_value_world(stack, http, policy_key)
        director = Director(world, Consumers(stack.folder), narrator, policy_key)
        traffic = Traffic(world)
        try:
            _first_key(director)
            parts.enter_context(traffic)
            _killed_in_the_middle(director, traffic, stack.folder / "killed")
            _emergency(director, traffic)
        except (RotationError, httpx.HTTPError) as error:
            # What a service says is not for the screen: nobody knows what it quotes.
            why = str(error) if isinstance(error, RotationError) else type(error).__name__
            director.claim("the demo goes on", why, held=False)
        _search(director)
        return ValueSummary(
            claims=tuple(director.findings.claims),
            versions=world.versions(),
            checked=traffic.checked,
            refused=traffic.refused,
            seconds=round(watch.seconds, 1),
        )


def key_of(payload: Mapping[str, Any]) -> _Key:
    """Return the key in a payload."""
    text = str(payload["key"])
    return _Key(str(payload["key_id"]), urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _first_key(director: Director) -> None:
    director.scene("the first key")
    world = director.world
    director.publish(eventType="SECRET_ROTATE", secretId=world.secret)
    director.await_phase("settled")
    states = world.versions()
    director.claim("the first rotation makes the first key", held=states == {1: "ENABLED"})


def _killed_in_the_middle(director: Director, traffic: Traffic, marker: Path) -> None:
    director.scene("a rotation whose worker is killed after it has added the version")
    world, function = director.world, director.world.stack.function
    function.kill()
    function.start(ROTATION_CRASH_AT="added:kill", ROTATION_CRASH_MARKER=str(marker))
    director.publish(**world.request(mode="routine", reason="demo", requested_by="demo"))
    director.wait("the kill", marker.exists)
    director.await_phase("soaking")
    old, new = _keys(world, 1, 2)
    director.claim(
        "a redelivery takes over what the dead worker left: one new version",
        held=set(world.versions()) == {1, 2} and world.current() == 2,  # noqa: PLR2004
    )
    director.wait("a signature with the new key", lambda: new.id in traffic.signed_by)
    director.wait("both keys at the reader", lambda: traffic.accepts(old) and traffic.accepts(new))
    director.claim("readers take both keys during the overlap", held=True)
    director.settle(brief=True)
    states = world.versions()
    director.claim(
        "the previous key is gone with its version, by age",
        world.evidence(),
        held=states == {1: "DESTROYED", 2: "ENABLED"} and "retired by age" in world.evidence(),
    )
    director.wait("the end of the old key at the reader", lambda: not traffic.accepts(old))
    _claim_unnoticed(director, traffic)


def _emergency(director: Director, traffic: Traffic) -> None:
    director.scene("a key has leaked")
    world, watch = director.world, Stopwatch()
    director.publish(**world.request(mode="emergency", reason="leaked", requested_by="demo"))
    director.await_phase("destroying")
    leaked, new = _keys(world, 2, 3)
    director.wait("the refusal of the leaked key", lambda: not traffic.accepts(leaked))
    took = watch.seconds
    director.claim(
        "what the leaked key signs is refused, and the new key is used",
        f"after {took:.2f} s",
        held=new.id in traffic.signed_by and world.versions()[2] == "DISABLED",
    )
    director.settle("destroying", brief=True)
    _claim_unnoticed(director, traffic)


def _keys(world: World, *versions: int) -> list[_Key]:
    world.versions()
    return [key_of(world.payloads[number]) for number in versions]


def _claim_unnoticed(director: Director, traffic: Traffic) -> None:
    director.claim(
        "nobody noticed",
        f"{traffic.checked} signatures; {traffic.refused} refused, {traffic.failed_reads} failed"
        " reads of the key in force",
        held=traffic.checked > 0 and not traffic.refused and not traffic.failed_reads,
    )


def _search(director: Director) -> None:
    director.scene("searching everything that was written")
    world = director.world
    world.versions()
    keys = {f"version {number}'s": payload["key"] for number, payload in world.payloads.items()}
    places = [
        Place("the function's log", world.stack.function.log.read_bytes(), world.secret),
        Place("labels and annotations", json.dumps(world.described()).encode(), world.secret),
        Place("every event", "\n".join(world.events()).encode(), world.secret),
    ]
    detail, held = leaks.judge(places, keys)
    director.claim(
        f"none of {len(keys)} keys was written anywhere", detail, held=held and len(keys) > 1
    )
