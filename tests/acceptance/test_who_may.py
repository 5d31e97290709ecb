"""Who may what: rows of the table in ``deploy/docs/security.md``, tried where IAM is enforced.

Each caller has the generated roles of its row and nothing else.  What must not happen is looked for
in what is stored, and in the calls that the function made.
"""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from rotation.cli.main import main
from rotation.emulator.signing import TokenSigner
from rotation.machine.requests import OLDEST
from tests.acceptance.granting import ROLES, Granting, account
from tests.support.push import checked_by_cloud_run
from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import PROJECT, Scene, opened, options
from tests.support.stack.target import Target

pytestmark = pytest.mark.slow

FUNCTION, REQUESTER = account("rotation"), account("requester")
LEAD, VIEWER, DOCTOR = account("lead"), account("viewer"), account("doctor")
PRIVILEGED = ("emergency", "revert", "retire", "unblock")


@pytest.fixture(scope="module")
def enforced(evidence: Evidence) -> Iterator[Scene]:
    identity = {"ROTATION_EMBEDDED_IDENTITY": FUNCTION}
    with opened(options(function_environment=identity), evidence) as running:
        granting = Granting(running)
        for role_id, permissions in ROLES.items():
            granting.create(role_id, permissions)
        project, routine = f"projects/{PROJECT}", running.stack.topic
        urgent = running.stack.options.emergency_topic_name
        agent = running.stack.options.secret_manager_agent
        for caller in (REQUESTER, LEAD, VIEWER):
            granting.bind(caller, "rotationViewer", project)
        granting.bind(DOCTOR, "rotationDoctor", project)
        granting.bind(FUNCTION, "rotationSweep", project)
        granting.bind(FUNCTION, "rotationPublisher", routine)
        granting.bind(agent, "roles/pubsub.publisher", routine)
        granting.bind(REQUESTER, "rotationRequester", routine)
        granting.bind(LEAD, "rotationEmergencyRequester", urgent)
        running.controls.enforce_iam()
        yield running


@pytest.fixture
def granting(enforced: Scene) -> Granting:
    enforced.controls.reset_used_permissions()
    return Granting(enforced)


@pytest.fixture
def target(enforced: Scene, granting: Granting) -> Iterator[Target]:
    target = Target(enforced)
    granting.bind(FUNCTION, "rotationFunction", target.name)
    granting.bind(FUNCTION, "rotationReader", target.admin)
    target.fire()
    target.await_phase("settled", 1)
    target.fire()
    target.await_phase("soaking", 2)
    yield target
    target.delete()
    enforced.await_resting()


def publish(scene: Scene, caller: str, topic: str, **attributes: str) -> int:
    """Publish over REST, as whoever has a token of the caller."""
    url = f"{scene.stack.services.pubsub_rest}/v1/{topic}:publish"
    body = {"messages": [{"attributes": attributes}]}
    headers = {"authorization": f"Bearer {caller}"}
    return httpx.post(url, json=body, headers=headers, trust_env=False).status_code


def request(target: Target, mode: str, **more: str) -> dict[str, str]:
    return {"eventType": "ROTATION_REQUEST", "secretId": target.name, "mode": mode, **more}


def stored(target: Target) -> Any:
    return target.labels, target.annotations, target.states


@pytest.mark.parametrize("mode", PRIVILEGED)
@pytest.mark.parametrize("event", ["ROTATION_REQUEST", "SECRET_ROTATE"])
def test_a_requester_can_ask_for_nothing_privileged(
    enforced: Scene, target: Target, mode: str, event: str
) -> None:
    before = stored(target)
    enforced.reset()
    attributes = {**request(target, mode, request_id=f"{event}-{mode}"), "eventType": event}
    assert publish(enforced, REQUESTER, enforced.stack.topic, **attributes) == 200
    assert enforced.calls() == {}, "refused and acknowledged without a call"
    assert stored(target) == before
    (line,) = enforced.log(f"{event}-{mode}")
    assert (line["severity"], line["error"]) == ("ERROR", "request-not-privileged")
    urgent = enforced.stack.options.emergency_topic_name
    assert publish(enforced, REQUESTER, urgent, **attributes) == 403


def test_a_requester_can_say_only_whom_it_claims_to_be(
    enforced: Scene, target: Target, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, text in enforced.stack.environment().items():
        monkeypatch.setenv(name, text)
    attributes = request(target, "pause", requested_by="the-ceo", reason="because")
    assert publish(enforced, REQUESTER, enforced.stack.topic, **attributes) == 200
    enforced.await_resting()
    main(["status", target.id])
    assert "paused by the-ceo (claimed)" in capsys.readouterr().out


def test_a_requester_reaches_no_secret_that_is_not_served_here(
    enforced: Scene, granting: Granting
) -> None:
    foreign = "projects/another-project/secrets/app"
    attributes = {"eventType": "ROTATION_REQUEST", "secretId": foreign, "mode": "routine"}
    assert publish(enforced, REQUESTER, enforced.stack.topic, **attributes) == 200
    enforced.await_resting()
    (line,) = enforced.log(foreign)[-1:]
    assert line["severity"] in {"ERROR", "WARNING"}
    assert foreign not in granting.used(FUNCTION)


def test_who_looks_asks_for_nothing_and_reads_no_payload(enforced: Scene, target: Target) -> None:
    before = stored(target)
    topics = (enforced.stack.topic, enforced.stack.options.emergency_topic_name)
    for caller in (VIEWER, DOCTOR):
        for topic in topics:
            assert publish(enforced, caller, topic, **request(target, "routine")) == 403
    base = f"{enforced.stack.services.secret_manager_rest}/v1/{target.name}"
    for caller in (VIEWER, DOCTOR, REQUESTER, LEAD):
        headers = {"authorization": f"Bearer {caller}"}
        read = httpx.get(f"{base}/versions/1:access", headers=headers, trust_env=False)
        assert read.status_code == 403
        change = httpx.patch(
            base,
            params={"updateMask": "annotations"},
            json={"annotations": {"rotation.policy": "{}"}},
            headers=headers,
            trust_env=False,
        )
        assert change.status_code == 403
    assert stored(target) == before


def test_the_one_who_may_ask_for_emergencies_can(enforced: Scene, target: Target) -> None:
    urgent = enforced.stack.options.emergency_topic_name
    assert publish(enforced, LEAD, enforced.stack.topic, **request(target, "routine")) == 403
    assert publish(enforced, LEAD, urgent, **request(target, "emergency", request_id="E1")) == 200
    enforced.await_resting()
    assert target.states[1] in {"DISABLED", "DESTROYED"}


def test_a_copy_of_an_old_emergency_does_nothing(enforced: Scene, target: Target) -> None:
    urgent = enforced.stack.options.emergency_topic_name
    begun = enforced.stack.services.clock.now()
    attributes = request(target, "emergency", request_id="E2")
    assert publish(enforced, LEAD, urgent, **attributes) == 200
    enforced.await_resting()
    target.settle()
    before = stored(target)
    # The message itself once more, as a subscription that is set back delivers it; and its id anew.
    assert enforced.deliver("first", at=begun, **attributes) == 204
    assert enforced.deliver("again", **attributes) == 204
    assert stored(target) == before
    # One that was never served is not served for ever.
    enforced.reset()
    old = enforced.stack.services.clock.now() - OLDEST - timedelta(minutes=1)
    unserved = request(target, "emergency", request_id="E3")
    assert enforced.deliver("E3", at=old, **unserved) == 204
    assert enforced.calls() == {}
    assert enforced.log("E3")[-1]["error"] == "request-too-old"
    # Whoever has it and no rights gets nowhere.
    assert publish(enforced, VIEWER, urgent, **attributes) == 403
    body = json.dumps({"message": {"attributes": attributes, "messageId": "m"}}).encode()
    assert enforced.post(body, authorization="") == 401


def unsigned(scene: Scene) -> str:
    body = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    return f"{body}.{scene.stack.push_token().split('.')[1]}."


STRANGERS = {
    "no token": lambda _: "",
    "nonsense": lambda _: "abc",
    "not signed": unsigned,
    "signed by somebody else": lambda scene: TokenSigner().sign(
        scene.stack.options.push_account, scene.stack.options.push_audience
    ),
    "as if Cloud Run had checked it": lambda scene: checked_by_cloud_run(
        scene.stack.options.push_audience, scene.stack.options.push_account
    ),
    "of another account": lambda scene: scene.call(
        lambda running: running.broker.signer.token(
            REQUESTER, scene.stack.options.push_audience
        )
    ),
    "for another service": lambda scene: scene.call(
        lambda running: running.broker.signer.token(
            scene.stack.options.push_account, "https://else.example"
        )
    ),
    "expired": lambda scene: scene.call(
        lambda running: running.broker.signer.sign(
            scene.stack.options.push_account, scene.stack.options.push_audience, issued=1e9
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_to_the_function_causes_no_call(
    enforced: Scene, target: Target, stranger: str
) -> None:
    before = stored(target)
    enforced.reset()
    token = STRANGERS[stranger](enforced)
    for mode in ("routine", *PRIVILEGED):
        message = {"attributes": request(target, mode), "messageId": f"x-{mode}"}
        name = enforced.stack.options.emergency_subscription_name
        body = json.dumps({"message": message, "subscription": name}).encode()
        authorization = f"Bearer {token}" if token else ""
        assert enforced.post(body, authorization=authorization) in {401, 403}
    assert enforced.calls() == {}
    assert stored(target) == before
