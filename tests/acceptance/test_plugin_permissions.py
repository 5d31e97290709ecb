"""For each plugin: the permissions it uses equal those its spec declares.

Each runs with an identity of its own, with exactly what it declares, on services that enforce IAM.
What neither Secret Manager nor Pub/Sub sees (a service that is called, metrics, a database) is not
recorded here.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from rotation import registry, wiring
from rotation.gates._reach import SecretHeader
from rotation.google.secret_manager import SecretManager
from rotation.local.redis import RedisServer
from rotation.model.errors import AccessDeniedError
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.permission import On, Permission
from rotation.model.plugin import Spec
from rotation.model.rollout import Answer, Look
from rotation.participants.git import GitParticipant
from rotation.participants.git.settings import Auth, GitSettings
from rotation.ports.issuer import IssuerEnvironment
from tests.acceptance.granting import Granting, account
from tests.contract.gates.subjects import SPEAKERS, report, watch
from tests.contract.participants.host_worlds import site_world
from tests.contract.participants.subject import CONTENT, MOVE, PATH
from tests.support.hosting.sites import SECRET as TOKEN
from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import PROJECT, PROJECT_NUMBER, Scene, opened, options
from tests.support.stack.target import Target
from tests.support.web import serve_web

pytestmark = pytest.mark.slow

SPECS = registry.specs()
#: Services whose use is recorded.
RECORDED = ("secretmanager.", "pubsub.")
TOKEN_SECRET = f"projects/{PROJECT}/secrets/token"
BY_NUMBER = SecretName(str(PROJECT_NUMBER), "orders-db")


def recorded(spec: Spec) -> list[Permission]:
    """Return what a plugin uses by itself; what rides in the engine's writes is the engine's."""
    return [
        permission
        for permission in spec.permissions
        if permission.name.startswith(RECORDED) and permission.on is not On.MANAGED_SECRET
    ]


class Alone:
    """One plugin on one scene, with its own identity and exactly its own rights."""

    def __init__(self, scene: Scene, kind: str, spec: Spec) -> None:
        self.scene = scene
        self.caller = account(f"{kind}-{spec.name}")
        self.granting = Granting(scene)
        self.role = f"{kind}_{spec.name}"
        self.needs = recorded(spec)
        self.store = SecretManager(
            PROJECT,
            endpoint=scene.stack.services.secret_manager_grpc,
            identity=self.caller,
        )
        self.environment = wiring.rollout_environment(self.store, PROJECT)
        for number, need in enumerate(self.needs):
            self.granting.create(f"{self.role}_{number}", [need.name])

    def read_from(self, secret: str) -> None:
        """Grant what is declared: on the secret that is read, and on the project."""
        places = {On.READ_SECRET: secret, On.PROJECT: f"projects/{PROJECT}"}
        for number, need in enumerate(self.needs):
            self.granting.bind(self.caller, f"{self.role}_{number}", places[need.on])

    def take_away(self, number: int) -> None:
        self.granting.change(f"{self.role}_{number}", [])

    def give_back(self, number: int) -> None:
        self.granting.change(f"{self.role}_{number}", [self.needs[number].name])

    def used(self) -> set[str]:
        return {finding for found in self.granting.used(self.caller).values() for finding in found}


@pytest.fixture(scope="module")
def enforced(evidence: Evidence) -> Iterator[Scene]:
    with opened(options(), evidence) as running:
        secret = {"replication": {"automatic": {}}}
        parent = f"projects/{PROJECT}"
        running.client.create_secret(parent=parent, secret_id="token", secret=secret)
        running.client.add_secret_version(parent=TOKEN_SECRET, payload={"data": TOKEN.encode()})
        running.controls.enforce_iam()
        yield running


def drive_postgresql(alone: Alone) -> Callable[[], bool]:
    target = Target(alone.scene)
    alone.read_from(target.admin)
    plugin = registry.issuers()["postgresql"]
    both = {**alone.scene.targets[target.id], **target.issuer(), "slots": target.slots}
    beside = {"kind", "target", "secrets"}
    settings = plugin.spec.settings(**{k: v for k, v in both.items() if k not in beside})

    def run() -> bool:
        reader = alone.environment.participants
        assert reader is not None
        made = plugin(
            settings, IssuerEnvironment(lambda name: Payload(reader.read_secret(name)), lambda: "")
        )
        try:
            made.connect()
            return bool(made.preflight(None))
        finally:
            made.close()

    return run


def drive_redis(alone: Alone) -> Callable[[], bool]:
    server = RedisServer(alone.scene.stack.folder / "valkey").__enter__()
    admin = alone.scene.stack.create_secret("redis-rotator", {}, server.create_rotator())
    alone.read_from(admin)
    reader = alone.environment.participants
    assert reader is not None
    environment = IssuerEnvironment(lambda name: Payload(reader.read_secret(name)), lambda: "")
    plugin = registry.issuers()["redis"]
    settings = plugin.spec.settings(nodes=(server.address,), user="app", admin=admin, tls="disable")

    def run() -> bool:
        plugin(settings, environment).connect()
        return True

    run.close = server.kill  # type: ignore[attr-defined]
    return run


def drive_git(alone: Alone) -> Callable[[], bool]:
    alone.read_from(TOKEN_SECRET)
    world = site_world("http")()
    site = world.__enter__()
    site.push("main", {PATH: CONTENT.replace(b"acme-prod/", f"{PROJECT}/".encode())}, "Ours")
    settings = GitSettings(
        host=site.site.kind,
        url=site.site.repository.url,
        path=PATH,
        auth=Auth(token=f"{TOKEN_SECRET}/versions/latest"),
    )

    def run() -> bool:
        environment = replace(
            wiring.rollout_environment(alone.store, PROJECT).participants, access_token=lambda: ""
        )
        vote = GitParticipant(settings, environment).prepare(replace(MOVE, secret=BY_NUMBER))
        return vote.answer is Answer.DONE

    run.close = lambda: world.__exit__(None, None, None)  # type: ignore[attr-defined]
    return run


def drive_speaker(name: str) -> Callable[[Alone], Callable[[], bool]]:
    def drive(alone: Alone) -> Callable[[], bool]:
        alone.read_from(TOKEN_SECRET)
        serving = serve_web()
        web = serving.__enter__()
        well = SPEAKERS[name].well
        if name == "consumers":
            well = report({"version": 7}, name=f"projects/{PROJECT}/secrets/orders-db")
        web.says(body=well)

        def run() -> bool:
            gate = SPEAKERS[name].gate(
                web.url,
                wiring.rollout_environment(alone.store, PROJECT).gates,
                header=SecretHeader("X-Api-Key", TOKEN_SECRET),
            )
            return gate.check(watch(secret=BY_NUMBER)).look is Look.PASS

        run.close = lambda: serving.__exit__(None, None, None)  # type: ignore[attr-defined]
        return run

    return drive


def drive_sessions(alone: Alone) -> Callable[[], bool]:
    alone.read_from(TOKEN_SECRET)
    plugin = registry.gates()["sessions"]
    environment = alone.environment.gates
    assert environment is not None

    def run() -> bool:
        return plugin(plugin.spec.settings(), environment).check(watch()).look is Look.WAIT

    return run


def drive_alias(alone: Alone) -> Callable[[], bool]:
    alone.read_from(TOKEN_SECRET)
    plugin: Any = registry.participants()["alias"]
    return lambda: bool(plugin(plugin.spec.settings()).commit({}, MOVE.change))


#: How each plugin is made to use what it declares.
DRIVERS: dict[str, Callable[[Alone], Callable[[], bool]]] = {
    "issuer postgresql": drive_postgresql,
    "issuer redis": drive_redis,
    "participant git": drive_git,
    "participant alias": drive_alias,
    "gate sessions": drive_sessions,
    **{f"gate {name}": drive_speaker(name) for name in SPEAKERS},
}


DRIVEN = [(kind, spec) for kind, spec in SPECS if f"{kind} {spec.name}" in DRIVERS]


@pytest.mark.parametrize(("kind", "spec"), DRIVEN, ids=[f"{k} {s.name}" for k, s in DRIVEN])
def test_a_plugin_uses_what_it_declares_and_cannot_do_without(
    enforced: Scene, kind: str, spec: Spec
) -> None:
    alone = Alone(enforced, kind, spec)
    enforced.controls.reset_used_permissions()
    run = DRIVERS[f"{kind} {spec.name}"](alone)
    try:
        assert run()
        assert alone.granting.denied(alone.caller) == set()
        assert alone.used() == {permission.name for permission in alone.needs}
        for number, need in enumerate(alone.needs):
            alone.take_away(number)
            enforced.controls.reset_used_permissions()
            assert not succeeds(run), need.name
            assert alone.granting.denied(alone.caller) == {need.name}
            alone.give_back(number)
    finally:
        getattr(run, "close", lambda: None)()
        alone.store.close()


def succeeds(run: Callable[[], bool]) -> bool:
    try:
        return run()
    except AccessDeniedError:
        return False


def test_every_plugin_that_declares_something_to_record_is_driven() -> None:
    driven = {name for name in DRIVERS if name in {f"{kind} {spec.name}" for kind, spec in SPECS}}
    assert driven >= {f"{kind} {spec.name}" for kind, spec in SPECS if recorded(spec)}
