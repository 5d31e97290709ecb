"""What nobody foresaw is raised through the whole function; its frames show no password either.

The real application runs in this process, against a real stack, and fails at its crash points.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from rotation import wiring
from rotation.app import Application
from rotation.config import Settings
from rotation.engine.crashpoints import CrashPoint
from rotation.engine.parts import Plugins
from rotation.google import journal
from rotation.kit.credentials import credential
from rotation.local import embedded
from rotation.local.demo.leaks import Place, find
from rotation.ports.secrets import SecretStore
from tests.drill.rendering import rendered
from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import Scene, opened, options
from tests.support.stack.target import Target


class UnforeseenError(Exception):
    """A fault of the program."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with opened(options(), Evidence()) as running:
        yield running


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Every password this process makes."""
    made: dict[str, str] = {}
    real = credential.new_password

    def recorded() -> str:
        made[f"password {len(made)}"] = password = real()
        return password

    monkeypatch.setattr(credential, "new_password", recorded)
    return made


@pytest.fixture
def opened_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close at the end what an application opens and keeps for as long as its process lives."""
    with ExitStack() as parts:
        make_store, make_plugins = wiring.make_store, wiring.make_plugins

        def store(settings: Settings, identity: str) -> Any:
            return parts.enter_context(closing(make_store(settings, identity)))

        def plugins(of: SecretStore, project: str) -> Plugins:
            made = make_plugins(of, project)
            parts.enter_context(closing(made.issuers))
            return made

        monkeypatch.setattr(wiring, "make_store", store)
        monkeypatch.setattr(wiring, "make_plugins", plugins)
        yield


@pytest.fixture
def failing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, opened_parts: None
) -> Callable[[CrashPoint], Application]:
    """Make an application that fails at one crash point."""
    monkeypatch.setattr(journal, "install_json_logging", lambda: None)

    def make(point: CrashPoint) -> Application:
        def reach(reached: CrashPoint) -> None:
            if reached is point:
                raise UnforeseenError(point.value)

        environment = scene.stack.function_environment()
        clock = embedded.clock(environment)
        callers = embedded.callers(environment)
        return wiring.make_application(environment, clock=clock, reach=reach, callers=callers)

    return make


def delivery(target: Target, **attributes: str) -> bytes:
    now = target.scene.stack.services.clock.now().isoformat()
    message = {"attributes": attributes, "messageId": "by-hand", "publishTime": now}
    name = target.scene.stack.options.emergency_subscription_name
    return json.dumps({"message": message, "subscription": name}).encode()


@pytest.mark.parametrize(
    "point",
    [
        CrashPoint.CLAIMED,
        CrashPoint.MINTED,
        CrashPoint.VERIFIED,
        CrashPoint.ADDING,
        CrashPoint.ADDED,
        CrashPoint.PUBLISHED,
        CrashPoint.REVOKED,
    ],
)
def test_no_frame_from_the_request_to_the_effect_shows_a_password(
    scene: Scene,
    failing: Callable[[CrashPoint], Application],
    passwords: dict[str, str],
    point: CrashPoint,
) -> None:
    target = Target(scene).start()
    passwords["the one in force"] = target.payload(1)["password"]
    asked = {"eventType": "ROTATION_REQUEST", "secretId": target.name, "mode": "emergency"}
    authorization = f"Bearer {scene.stack.push_token()}"
    with pytest.raises(UnforeseenError) as caught:
        failing(point).handle("application/json", delivery(target, **asked), authorization)
    text = rendered(caught.value)
    assert "rotation/app.py" in text
    assert "rotation/engine/worker.py" in text
    assert len(passwords) == 1 + (point is not CrashPoint.CLAIMED)
    assert find([Place("the exception", text.encode(), "")], passwords) == []
