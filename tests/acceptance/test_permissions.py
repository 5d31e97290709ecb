"""Every part runs with exactly the generated roles: none missing, none unused.

The function is a process with an identity of its own on a stack that enforces IAM.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from rotation.cli.main import main
from rotation.emulator.cloud_run import REGION, SERVICE
from tests.acceptance.granting import ROLES, Granting, account
from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import PROJECT, Scene, opened, options
from tests.support.stack.target import Target

pytestmark = pytest.mark.slow

FUNCTION, VIEWER, REQUESTER = account("rotation"), account("viewer"), account("requester")
LEAD, AUTHOR = account("lead"), account("author")
DOCTOR, PUSH = account("doctor"), account("rotation-push")
ENGINE_ROLES = ("rotationFunction", "rotationReader", "rotationSweep", "rotationPublisher")
PEOPLES_ROLES = (
    *("rotationInvoker", "rotationViewer", "rotationDoctor", "rotationRequester"),
    *("rotationEmergencyRequester", "rotationPolicyAuthor"),
)
#: Acting as the function is asked of IAM Credentials, which is not embedded: there the address of
#: an account is its token.
NOT_EMBEDDED = {"rotationDoctorAccount": ["iam.serviceAccounts.getAccessToken"]}
#: Without a managed secret nothing tells the project's number, and it is asked for.
ONLY_AT_FIRST = {"resourcemanager.projects.get"}
#: Where the policy of a resource grants what is asked, that of the project need not be seen.
BESIDE = "resourcemanager.projects.getIamPolicy"
EACH = [(role, permission) for role in ENGINE_ROLES for permission in ROLES[role]]


@pytest.fixture(scope="module")
def enforced(evidence: Evidence) -> Iterator[Scene]:
    identity = {"ROTATION_EMBEDDED_IDENTITY": FUNCTION}
    with opened(options(function_environment=identity), evidence) as running:
        granting = Granting(running)
        for role_id in (*ENGINE_ROLES, *PEOPLES_ROLES):
            granting.create(role_id, ROLES[role_id])
        granting.bind(FUNCTION, "rotationSweep", f"projects/{PROJECT}")
        granting.bind(FUNCTION, "rotationPublisher", running.stack.topic)
        granting.bind(VIEWER, "rotationViewer", f"projects/{PROJECT}")
        granting.bind(DOCTOR, "rotationDoctor", f"projects/{PROJECT}")
        granting.bind(REQUESTER, "rotationViewer", f"projects/{PROJECT}")
        granting.bind(REQUESTER, "rotationRequester", running.stack.topic)
        urgent = running.stack.options.emergency_topic_name
        granting.bind(LEAD, "rotationViewer", f"projects/{PROJECT}")
        granting.bind(LEAD, "rotationEmergencyRequester", urgent)
        granting.bind(
            running.stack.options.secret_manager_agent, "roles/pubsub.publisher",
            running.stack.topic,
        )  # fmt: skip
        running.controls.enforce_iam()
        yield running


@pytest.fixture
def granting(enforced: Scene) -> Iterator[Granting]:
    granting = Granting(enforced)
    enforced.controls.reset_used_permissions()
    yield granting
    for role_id in (*ENGINE_ROLES, "rotationDoctor"):
        granting.change(role_id, ROLES[role_id])


@contextmanager
def managing(granting: Granting) -> Iterator[Target]:
    target = Target(granting.scene)
    granting.bind(FUNCTION, "rotationFunction", target.name)
    granting.bind(FUNCTION, "rotationReader", target.admin)
    yield target
    target.delete()
    target.scene.await_resting()


@pytest.fixture
def managed(granting: Granting) -> Iterator[Target]:
    with managing(granting) as target:
        yield target


def pass_time(target: Target, until: str) -> None:
    """Let time pass until the secret is in a phase, or nothing happens any more."""
    for _ in range(12):
        if target.phase == until:
            return
        target.skip_wait()
        target.scene.sweep()
        target.scene.await_resting()


def live(target: Target) -> None:
    """See every kind of call: two rotations, the second sent back after the old one's end began."""
    for _ in range(2):
        target.fire()
        target.scene.await_resting()
        pass_time(target, "settled")
    target.fire()
    target.scene.await_resting()
    pass_time(target, "observing")
    target.ask("revert")
    target.scene.await_resting()
    pass_time(target, "settled")


def went_through(target: Target) -> bool:
    return target.phase == "settled" and not target.block and target.states.get(1) == "DESTROYED"


def test_the_function_uses_exactly_what_its_roles_grant(
    managed: Target, granting: Granting
) -> None:
    live(managed)
    assert granting.denied(FUNCTION) == set()
    assert went_through(managed), (managed.phase, managed.states, managed.log()[-3:])
    used = granting.used(FUNCTION)
    assert used == {
        managed.name: set(ROLES["rotationFunction"]),
        managed.admin: set(ROLES["rotationReader"]),
        f"projects/{PROJECT}": set(ROLES["rotationSweep"]),
        managed.scene.stack.topic: set(ROLES["rotationPublisher"]),
    }


@pytest.mark.parametrize(("role", "permission"), EACH, ids=[name for _, name in EACH])
def test_without_any_one_permission_it_fails(
    managed: Target, granting: Granting, role: str, permission: str
) -> None:
    granting.change(role, [granted for granted in ROLES[role] if granted != permission])
    live(managed)
    assert granting.denied(FUNCTION) == {permission}
    assert not went_through(managed)


def test_looking_needs_exactly_the_viewers_role(
    managed: Target, granting: Granting, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_caller(managed.scene, VIEWER, monkeypatch)
    assert main(["status"]) == 0
    assert main(["status", managed.id]) in (0, 1)
    assert main(["plan", managed.id]) in (0, 1)
    assert granting.denied(VIEWER) == set()
    used = {finding for found in granting.used(VIEWER).values() for finding in found}
    assert used == set(ROLES["rotationViewer"])


def used_by(granting: Granting, caller: str) -> set[str]:
    return {finding for found in granting.used(caller).values() for finding in found}


def test_asking_needs_exactly_the_requesters_role(
    managed: Target, granting: Granting, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_caller(managed.scene, REQUESTER, monkeypatch)
    assert main(["status"]) == 0
    assert main(["rotate", managed.id, "--no-wait", "--reason", "a test"]) == 0
    assert granting.denied(REQUESTER) == set()
    assert used_by(granting, REQUESTER) == {*ROLES["rotationViewer"], *ROLES["rotationRequester"]}
    as_caller(managed.scene, VIEWER, monkeypatch)
    assert main(["rotate", managed.id, "--no-wait", "--reason", "a test"]) == 3


def test_an_emergency_needs_exactly_its_requesters_role(
    managed: Target, granting: Granting, monkeypatch: pytest.MonkeyPatch
) -> None:
    emergency = ["emergency", managed.id, "--no-wait", "--yes", "--reason", "a test"]
    as_caller(managed.scene, REQUESTER, monkeypatch)
    assert main(emergency) == 3
    as_caller(managed.scene, LEAD, monkeypatch)
    assert main(["status"]) == 0
    assert main(emergency) == 0
    assert granting.denied(LEAD) == set()
    needed = {*ROLES["rotationViewer"], *ROLES["rotationEmergencyRequester"]}
    assert used_by(granting, LEAD) == needed


def test_a_policy_is_written_with_exactly_its_authors_role(
    managed: Target, granting: Granting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    granting.bind(AUTHOR, "rotationPolicyAuthor", managed.name)
    as_caller(managed.scene, AUTHOR, monkeypatch)
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({**managed.policy, "soak": "2h"}))
    assert main(["policy", "apply", managed.id, str(policy)]) == 0
    assert granting.denied(AUTHOR) == set()
    assert used_by(granting, AUTHOR) == set(ROLES["rotationPolicyAuthor"])
    as_caller(managed.scene, REQUESTER, monkeypatch)
    policy.write_text(json.dumps({**managed.policy, "soak": "3h"}))
    assert main(["policy", "apply", managed.id, str(policy)]) == 3


def findings(capsys: pytest.CaptureFixture[str], *secrets: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    main(["doctor", "--json", *secrets])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["findings"]
    return found


def unseen(found: list[dict[str, Any]]) -> list[str]:
    return [finding["message"] for finding in found if finding["severity"] == "unseen"]


def invoker_by_custom_role(scene: Scene) -> None:
    """Let the push call the function by the generated role, as a deployment does."""
    role, member = f"projects/{PROJECT}/roles/rotationInvoker", f"serviceAccount:{PUSH}"
    policy = {"bindings": [{"role": role, "members": [member]}]}
    service = f"projects/{PROJECT}/locations/{REGION}/services/{SERVICE}"
    url = f"{scene.stack.services.deployment_rest}/v2/{service}:setIamPolicy"
    assert httpx.post(url, json={"policy": policy}, trust_env=False).is_success


def test_the_doctor_sees_everything_with_exactly_its_roles(
    granting: Granting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    invoker_by_custom_role(granting.scene)
    as_caller(granting.scene, DOCTOR, monkeypatch)
    assert unseen(findings(capsys)) == []
    with managing(granting) as target:
        treat(target, granting)
        found = [*findings(capsys), *findings(capsys, target.id)]
    assert unseen(found) == []
    assert not [
        finding for finding in found if finding["check"] in {"rights", "invoker", "sweep-rights"}
    ]
    assert granting.denied(DOCTOR) == set()
    used = granting.used(DOCTOR)
    payloads = {
        name for name, permissions in used.items() if "secretmanager.versions.access" in permissions
    }
    assert payloads == {target.name, target.admin}
    asked = {permission for permissions in used.values() for permission in permissions}
    assert asked == {*ROLES["rotationDoctor"], *ROLES["rotationReader"]}
    assert {name: ROLES[name] for name in NOT_EMBEDDED} == NOT_EMBEDDED


def test_what_the_doctor_may_not_see_it_says(
    managed: Target,
    granting: Granting,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    invoker_by_custom_role(granting.scene)
    as_caller(granting.scene, DOCTOR, monkeypatch)
    treat(managed, granting)
    needed_to_begin = {"secretmanager.secrets.get", "secretmanager.secrets.list"}
    for permission in {*ROLES["rotationDoctor"]} - ONLY_AT_FIRST - needed_to_begin:
        kept = [role for role in ROLES["rotationDoctor"] if role != permission]
        granting.change("rotationDoctor", kept)
        found = findings(capsys)
        assert unseen(found) or permission == BESIDE, permission
        assert permission in granting.denied(DOCTOR), permission


def treat(target: Target, granting: Granting) -> None:
    """Rotate a secret for the first time, and let the doctor log in with it."""
    granting.bind(DOCTOR, "rotationReader", target.name)
    granting.bind(DOCTOR, "rotationReader", target.admin)
    target.fire()
    granting.scene.await_resting()


def as_caller(scene: Scene, caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, Any] = scene.stack.environment()
    for name, text in {**environment, "ROTATION_EMBEDDED_IDENTITY": caller}.items():
        monkeypatch.setenv(name, text)
