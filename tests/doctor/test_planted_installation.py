"""Each misconfiguration of what all secrets share is planted for real, and found alone."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.doctor.patient import (
    ACCOUNT,
    AGENT,
    DEAD,
    FUNCTION,
    PLACE,
    PROJECT,
    PUBLISHER,
    READER,
    SUBSCRIPTION,
    SWEEP,
    TOPIC,
    Patient,
)

Plant = Callable[[Patient], Any]
LONELY = 'attributes.eventType = "SECRET_ROTATE"'
CONSUMER = ("roles/pubsub.subscriber", AGENT)
RUN = f"{PROJECT}/roles"


def second(patient: Patient, name: str) -> None:
    patient.subscription(name=f"{PROJECT}/subscriptions/{name}")
    patient.bind(f"{PROJECT}/subscriptions/{name}", CONSUMER)


def eventarc(patient: Patient) -> None:
    second(patient, "eventarc-europe-west1-rotation-sub-1")
    patient.ask("DELETE", SUBSCRIPTION)


PLANTED: dict[str, tuple[Plant, set[str], str]] = {
    "nothing pushes": (
        lambda p: p.ask("DELETE", SUBSCRIPTION),
        {"subscription"},
        "gcloud pubsub subscriptions create",
    ),
    "two subscriptions": (
        lambda p: second(p, "again"),
        {"subscription-twice"},
        "gcloud pubsub subscriptions delete",
    ),
    "made by Eventarc": (eventarc, {"subscription-eventarc"}, "subscriptions create"),
    "pushes elsewhere": (
        lambda p: p.push(pushEndpoint="http://127.0.0.1:9/"),
        {"subscription-endpoint"},
        "modify-push-config",
    ),
    "no token": (
        lambda p: p.push(oidcToken=None),
        {"subscription-token"},
        "--push-auth-service-account=rotation-push@demo-project",
    ),
    "token for somebody else": (
        lambda p: p.push(
            oidcToken={
                "serviceAccountEmail": "rotation-push@demo-project.iam.gserviceaccount.com",
                "audience": "https://else.example",
            }
        ),
        {"subscription-audience"},
        "--push-auth-token-audience=http",
    ),
    "no filter": (
        lambda p: (p.subscription(filter=None), p.bind(SUBSCRIPTION, CONSUMER)),
        {"subscription-filter"},
        "--message-filter=",
    ),
    "a filter that holds requests back": (
        lambda p: (p.subscription(filter=LONELY), p.bind(SUBSCRIPTION, CONSUMER)),
        {"subscription-filter"},
        "--message-filter=",
    ),
    "short ack deadline": (
        lambda p: p.patch_subscription("ackDeadlineSeconds", ackDeadlineSeconds=10),
        {"subscription-ack-deadline"},
        "--ack-deadline=56",
    ),
    "no retry policy": (
        lambda p: p.patch_subscription("retryPolicy"),
        {"subscription-retry"},
        "--min-retry-delay=10s",
    ),
    "expires": (
        lambda p: p.patch_subscription("expirationPolicy", expirationPolicy={"ttl": "2678400s"}),
        {"subscription-expires"},
        "--expiration-period=never",
    ),
    "no dead letters": (
        lambda p: p.patch_subscription("deadLetterPolicy"),
        {"dead-letter"},
        "--dead-letter-topic=",
    ),
    "gives up early": (
        lambda p: p.patch_subscription(
            "deadLetterPolicy",
            deadLetterPolicy={"deadLetterTopic": DEAD, "maxDeliveryAttempts": 5},
        ),
        {"dead-letter-attempts"},
        "--max-delivery-attempts=20",
    ),
    "dead-letter topic is gone": (
        lambda p: p.ask("DELETE", DEAD),
        {"dead-letter"},
        "gcloud pubsub topics create",
    ),
    "nobody reads dead letters": (
        lambda p: p.ask("DELETE", READER),
        {"dead-letter-reader"},
        "gcloud pubsub subscriptions create",
    ),
    "dead letters may not be published": (
        lambda p: p.bind(DEAD),
        {"dead-letter-publish"},
        "--role=roles/pubsub.publisher",
    ),
    "dead letters may not be taken": (
        lambda p: p.bind(SUBSCRIPTION),
        {"dead-letter-consume"},
        "--role=roles/pubsub.subscriber",
    ),
    "Secret Manager may not publish": (
        lambda p: p.bind(TOPIC, (f"{RUN}/rotationPublisher", ACCOUNT)),
        {"topic-publish"},
        "gcp-sa-secretmanager",
    ),
    "the function may not publish": (
        lambda p: p.bind(TOPIC, ("roles/pubsub.publisher", PUBLISHER)),
        {"publish"},
        "rotationPublisher",
    ),
    "the function may not list": (lambda p: p.bind(PROJECT), {"sweep-rights"}, "rotationSweep"),
    "no function": (lambda p: p.ask("DELETE", FUNCTION), {"function"}, "--region"),
    "function does not serve": (
        lambda p: p.ask(
            "PATCH",
            FUNCTION,
            {"terminalCondition": {"state": "CONDITION_FAILED", "message": "no such image"}},
        ),
        {"function"},
        "gcloud run services describe",
    ),
    "timeout below the budget": (
        lambda p: p.template(timeout="30s"),
        {"function-timeout"},
        "--timeout=",
    ),
    "timeout beyond the ack deadline": (
        lambda p: p.template(timeout="540s"),
        {"function-timeout"},
        "--timeout=46",
    ),
    "lease below the ack deadline": (
        lambda p: p.variable("ROTATION_LEASE_SECONDS", "50"),
        {"function-lease"},
        "ROTATION_LEASE_SECONDS=60",
    ),
    "concurrency": (
        lambda p: p.template(maxInstanceRequestConcurrency=1000),
        {"function-concurrency"},
        "--concurrency=8",
    ),
    "unbounded instances": (
        lambda p: p.template(scaling={"maxInstanceCount": None}),
        {"function-instances"},
        "--max-instances=10",
    ),
    "the project's default account": (
        lambda p: p.template(serviceAccount="123456789012-compute@developer.gserviceaccount.com"),
        {"function-account", "publish", "sweep-rights", "rights"},
        "--service-account=rotation@demo-project",
    ),
    "another topic in the environment": (
        lambda p: p.variable("ROTATION_TOPIC", f"{PROJECT}/topics/other"),
        {"function-environment"},
        "--update-env-vars=ROTATION_TOPIC=",
    ),
    "no keys": (
        lambda p: p.variable("ROTATION_KEYS", None),
        {"function-keys"},
        "rotation keys rotate",
    ),
    "another release": (
        lambda p: p.variable("ROTATION_VERSION", "0.0.1"),
        {"function-version"},
        "rotation[cli]==0.0.1",
    ),
    "no release": (
        lambda p: p.variable("ROTATION_VERSION", None),
        {"function-version"},
        "ROTATION_VERSION=",
    ),
    "push may not invoke": (lambda p: p.bind(FUNCTION), {"invoker"}, "--role=roles/run.invoker"),
    "no sweep": (
        lambda p: p.ask("DELETE", SWEEP),
        {"sweep"},
        "gcloud scheduler jobs create pubsub rotation-sweep",
    ),
    "sweep is paused": (
        lambda p: p.ask("POST", f"{SWEEP}:pause", {}),
        {"sweep-paused"},
        "jobs resume",
    ),
    "sweep goes elsewhere": (
        lambda p: p.ask("PATCH", SWEEP, {"pubsubTarget": {"topicName": DEAD}}),
        {"sweep-topic"},
        f"--topic={TOPIC}",
    ),
    "sweep says nothing": (
        lambda p: p.ask("PATCH", SWEEP, {"pubsubTarget": {"attributes": {"eventType": "x"}}}),
        {"sweep-attributes"},
        "eventType=ROTATION_SWEEP",
    ),
    "sweep fails": (
        lambda p: p.ask("PATCH", SWEEP, {"status": {"code": 5, "message": "no such topic"}}),
        {"sweep-failing"},
        "jobs run",
    ),
    "sweep is late": (
        lambda p: p.ask("PATCH", SWEEP, {"lastAttemptTime": "2026-01-01T00:00:00Z"}),
        {"sweep-late"},
        "jobs run",
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_it_is_found_with_its_remedy(patient: Patient, case: str) -> None:
    plant, expected, remedy = PLANTED[case]
    plant(patient)
    found = patient.look()
    assert {finding["check"] for finding in found} == expected
    assert patient.code == 1
    assert any(remedy in (finding["remedy"] or "") for finding in found)
    for extra in ("again", "eventarc-europe-west1-rotation-sub-1"):
        if extra in str(found) or case == "made by Eventarc":
            _drop(patient, extra)


def _drop(patient: Patient, name: str) -> None:
    import contextlib  # noqa: PLC0415

    with contextlib.suppress(AssertionError):
        patient.ask("DELETE", f"{PROJECT}/subscriptions/{name}")


def test_an_unknown_region_is_something_not_seen(patient: Patient) -> None:
    patient.environment.setenv("ROTATION_REGION", "")
    found = patient.look()
    assert {finding["check"] for finding in found} == {"not-seen"}
    assert {finding["severity"] for finding in found} == {"unseen"}
    assert patient.code == 3


def test_an_api_that_cannot_be_reached_is_something_not_seen(patient: Patient) -> None:
    patient.environment.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN", "http://127.0.0.1:9")
    found = patient.look()
    assert {finding["check"] for finding in found} == {"not-seen"}
    assert "does not answer" in found[0]["message"]
    assert patient.code == 3


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("short ack deadline", "ack deadline set to 56 s"),
        ("no retry policy", "retries after 10 s to 600 s"),
        ("expires", "never expires"),
        ("sweep is paused", "resumed"),
    ],
)
def test_what_is_safe_is_mended(patient: Patient, case: str, message: str) -> None:
    PLANTED[case][0](patient)
    code, output = patient.run("doctor", "--fix", "--yes")
    assert message in output
    assert "nothing to mend" in output
    assert code == 0


def test_nothing_is_mended_unasked(patient: Patient) -> None:
    patient.ask("POST", f"{SWEEP}:pause", {})
    assert patient.look()[0]["fixable"]
    assert patient.ask("GET", SWEEP)["state"] == "PAUSED"
    assert PLACE in SWEEP


def test_a_paused_sweep_does_not_sweep(patient: Patient) -> None:
    patient.ask("POST", f"{SWEEP}:pause", {})
    assert not patient.stack._running.call(lambda running: running.deployment.is_sweeping)
