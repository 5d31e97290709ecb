"""What cannot be planted: facts in, slugs out; and every slug has a reason."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from rotation import doctor
from rotation.doctor import check_installation, check_parts, check_secret
from rotation.doctor.examining import judge_installation
from rotation.doctor.facts import Installation, Reply, SecretFacts
from rotation.doctor.findings import Severity
from rotation.doctor.why import WHY
from rotation.engine.snapshot import Snapshot
from rotation.model.deployment import Service, Subscription, Unseen
from rotation.model.errors import BadPluginError
from rotation.model.names import SecretName
from rotation.model.phase import Mode, Phase
from rotation.model.policy import ParticipantChoice, PluginChoice, Policy, Stage
from rotation.model.rotation import Receipt, Record, State
from rotation.model.secret import Schedule, Secret, VersionState
from rotation.policies.explaining import TargetUse, WidePattern
from rotation.policies.policy import FaultyPolicyError
from rotation.policies.typed import Fault

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOPIC = "projects/acme/topics/rotation"
DAY = timedelta(days=1)
NAME = SecretName("123", "orders")
RECEIPT = Receipt(
    id="r1",
    outcome="rotated",
    mode=Mode.ROUTINE,
    started_at=NOW - DAY,
    settled_at=NOW - DAY,
    current=2,
    last=2,
)
SECRET = Secret(
    name=NAME,
    etag='"1"',
    create_time=NOW - 90 * DAY,
    aliases={"current": 2},
    topics=("projects/123/topics/rotation",),
    schedule=Schedule(NOW + DAY, 30 * DAY),
)
SNAPSHOT = Snapshot(
    SECRET,
    NOW,
    policy=Policy(
        issuer=PluginChoice("postgresql", None),
        rollout=(Stage("all", (ParticipantChoice("alias", None),)),),
    ),
    state=State(receipt=RECEIPT, current=2, aliases={"current": 2}),
    current=2,
)
SOUND = SecretFacts(
    snapshot=SNAPSHOT,
    project="acme",
    versions={2: VersionState.ENABLED},
    our_topic=TOPIC,
    topics={"projects/123/topics/rotation": None},
)
RECORD = Record(
    id="r2", mode=Mode.ROUTINE, started_at=NOW - DAY, message_id="1", base=2, previous=2
)
IN_FLIGHT = State(phase=Phase.PREPARING, record=RECORD, receipt=RECEIPT, current=2)


def sound(**changed: Any) -> SecretFacts:
    return replace(SOUND, snapshot=structs.replace(SNAPSHOT, **changed))


def slugs(facts: SecretFacts) -> set[str]:
    checks = (*check_secret.CHECKS, *check_parts.CHECKS)
    return {found.check for check in checks for found in check(facts)}


def test_a_sound_secret_has_no_finding() -> None:
    assert slugs(SOUND) == set()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            sound(secret=structs.replace(SECRET, schedule=Schedule(NOW - DAY, 30 * DAY))),
            {"overdue"},
        ),
        (
            sound(
                state=State(
                    receipt=structs.replace(RECEIPT, published_at=NOW - 60 * DAY), current=2
                )
            ),
            {"age"},
        ),
        (sound(state=structs.replace(IN_FLIGHT, lease_until=NOW - DAY)), {"stuck"}),
        (sound(state=structs.replace(IN_FLIGHT, wake_at=NOW - DAY)), {"stuck"}),
        (sound(state=structs.replace(IN_FLIGHT, lease_until=NOW - DAY, wake_at=NOW)), set()),
        (sound(secret=structs.replace(SECRET, aliases={"current": 1})), {"alias"}),
        (sound(secret=structs.replace(SECRET, managed_rotation=True)), {"managed-rotation"}),
        (replace(SOUND, versions={2: VersionState.DESTROYED}), {"current-version"}),
        (
            replace(SOUND, versions={2: Unseen("version 2", "no such version", is_missing=True)}),
            {"alias"},
        ),
        (replace(SOUND, versions={2: Unseen("version 2", "denied")}), {"not-seen"}),
        (replace(SOUND, issuer_unseen=Unseen("the database", "refused")), {"not-seen"}),
        (
            replace(SOUND, replies=(Reply("participant", "all/git", "the request is closed"),)),
            {"participant"},
        ),
        (replace(SOUND, replies=Unseen("participants", "denied")), {"not-seen"}),
        (
            replace(SOUND, publishes={SECRET.topics[0]: Unseen("rights", "denied")}),
            {"not-seen"},
        ),
        (replace(SOUND, topics={TOPIC: Unseen("the topic", "denied")}), {"not-seen"}),
    ],
)
def test_what_is_wrong_with_a_secret_is_named(facts: SecretFacts, expected: set[str]) -> None:
    assert slugs(facts) == expected


SERVICE = Service(
    name="projects/acme/locations/europe-west1/services/rotation",
    url="https://rotation.example",
    timeout=540,
    concurrency=8,
    most_instances=10,
    account="rotation@acme.iam.gserviceaccount.com",
    environment={
        "ROTATION_VERSION": "1",
        "ROTATION_PROJECT": "acme",
        "ROTATION_TOPIC": TOPIC,
        "ROTATION_KEYS": "/keys/keys.json",
    },
)
PUSH = Subscription(
    name="projects/acme/subscriptions/rotation-function",
    topic=TOPIC,
    endpoint="https://rotation.example/",
    push_account="rotation-push@acme.iam.gserviceaccount.com",
    filter='"SECRET_ROTATE" "ROTATION_"',
    ack_deadline=600,
    shortest_backoff=10,
    dead_letter_topic=f"{TOPIC}-dead",
    attempts=20,
)
WELL = Installation(
    now=NOW,
    project="acme",
    topic=TOPIC,
    region="europe-west1",
    subscriptions=(PUSH,),
    dead_letters={f"{TOPIC}-dead": (PUSH,)},
    service=SERVICE,
    version="1",
)


def test_a_sound_installation_has_no_finding() -> None:
    assert judge_installation(WELL) == ()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(WELL, ahead=120.0), "clock"),
        (replace(WELL, ahead=-120.0), "clock"),
        (replace(WELL, firings=(NOW,) * 201), "quota"),
        (replace(WELL, topic=""), "rotation-topic"),
        (replace(WELL, topic_fault=Unseen("the topic", "gone", is_missing=True)), "rotation-topic"),
        (replace(WELL, topic_fault=Unseen("the topic", "denied")), "not-seen"),
        (
            replace(WELL, subscriptions=(replace(PUSH, is_unwrapped=True),)),
            "subscription-unwrapped",
        ),
        (replace(WELL, subscriptions=Unseen("the subscriptions", "denied")), "not-seen"),
        (replace(WELL, services=Unseen("the services", "denied")), "not-seen"),
        (replace(WELL, job=Unseen("the job", "denied")), "not-seen"),
        (replace(WELL, invokes={"a@b": Unseen("the policy", "denied")}), "not-seen"),
        (replace(WELL, publishes=Unseen("rights", "denied")), "not-seen"),
        (replace(WELL, lists=Unseen("rights", "denied")), "not-seen"),
        (replace(WELL, plugins=(BadPluginError("x.py: exposes no GATE"),)), "plugin"),
    ],
)
def test_what_is_wrong_with_the_installation_is_named(facts: Installation, expected: str) -> None:
    found = judge_installation(facts)
    assert expected in {finding.check for finding in found}
    assert all(
        finding.severity is Severity.UNSEEN for finding in found if finding.check == "not-seen"
    )


SHOP = SecretName("acme", "shop")
WIDE = WidePattern("targets.db.secrets[0]", "projects/acme/secrets/*")
USED = TargetUse("db", frozenset({"acme"}), (SHOP,), unknown=False, wide=())


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(WELL, has_targets=False), {"targets"}),
        (replace(WELL, targets=(USED,)), set()),
        (replace(WELL, targets=(replace(USED, users=()),)), {"target-unused"}),
        (replace(WELL, targets=(replace(USED, users=(), unknown=True),)), set()),
        (replace(WELL, targets=(replace(USED, wide=((WIDE, SHOP),)),)), {"target-wide"}),
        (replace(WELL, targets=(replace(USED, users=(), projects=frozenset({"b"})),)), set()),
    ],
    ids=["no document", "used", "unused", "nobody knows", "wide", "another project's"],
)
def test_what_is_wrong_with_targets_is_named(facts: Installation, expected: set[str]) -> None:
    assert {finding.check for finding in judge_installation(facts)} == expected


AGED = replace(
    SNAPSHOT.sound_policy(), max_age=90 * DAY, demanded={"max_age": "targets.db.demands.max_age"}
)


def test_age_that_a_target_demands_is_looked_at() -> None:
    rarely = structs.replace(SECRET, schedule=Schedule(NOW + DAY, 120 * DAY))
    assert slugs(sound(policy=AGED)) == set()
    assert slugs(sound(policy=AGED, secret=rarely)) == {"max-age"}
    old = structs.replace(RECEIPT, in_force_since=NOW - 91 * DAY)
    assert "too-old" in slugs(sound(policy=AGED, state=State(receipt=old, current=2)))


def test_policy_that_is_not_allowed_is_explained() -> None:
    fault = FaultyPolicyError([Fault("issuer.target", "no", "targets.db.secrets")])
    facts = sound(policy=None, policy_fault=fault)
    assert [found.remedy for found in check_secret.policy(facts)] == [
        f"rotation targets explain {SECRET.name.secret_id}"
    ]


def test_200_rotations_in_a_minute_fit_the_quota() -> None:
    assert judge_installation(replace(WELL, firings=(NOW,) * 200)) == ()


def test_a_check_that_fails_is_a_finding_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_facts: Installation) -> None:
        raise ZeroDivisionError

    checks = (broken, *check_installation.CHECKS)
    monkeypatch.setattr(check_installation, "CHECKS", checks)
    found = judge_installation(replace(WELL, ahead=120.0))
    assert [finding.check for finding in found] == ["not-seen", "clock"]
    assert "ZeroDivisionError" in found[0].message


def test_every_slug_has_a_reason_and_no_reason_is_left_over() -> None:
    source = "".join(
        path.read_text()
        for path in Path(doctor.__file__).parent.glob("*.py")
        if path.name != "why.py"
    )
    assert [slug for slug in WHY if f'"{slug}"' not in source] == []
    used = set(re.findall(r'_(?:bad|warn)\(\s*(?:facts,\s*)?"([a-z-]+)"', source))
    assert used - WHY.keys() == set()
