"""Each misconfiguration of one secret is planted for real, and found with its remedy."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rotation.doctor import effort
from tests.deploy.test_gcloud_script import gcloud_tree
from tests.doctor.patient import (
    ACCOUNT,
    ADMIN,
    PLACE,
    PROJECT,
    PUBLISHER,
    SECRET,
    TOPIC,
    Patient,
    unknown,
)

Plant = Callable[[Patient], Any]
OTHER = f"{PROJECT}/topics/other"
ROLES = f"{PROJECT}/roles"
BLOCK = {"reason": "slot-in-use", "message": "somebody is on it", "since": "2026-01-01T00:00:00Z"}


def two_topics(patient: Patient) -> None:
    with contextlib.suppress(AssertionError):  # it is there already
        patient.ask("PUT", OTHER, {})
    patient.bind(OTHER, ("roles/pubsub.publisher", PUBLISHER))
    patient.secret("topics", topics=[{"name": TOPIC}, {"name": OTHER}])


def topic_gone(patient: Patient) -> None:
    two_topics(patient)
    patient.ask("DELETE", OTHER)


def gate(patient: Patient) -> None:
    patient.target("health", kind="http", url="https://127.0.0.1:9/", secrets=[SECRET])
    looks = [{"kind": "http", "target": "health", "max_error_rate": 0.01}]
    patient.policy(rollout=[{"stage": "all", "participants": [{"kind": "alias"}], "gates": looks}])


PLANTED: dict[str, tuple[Plant, set[str], str]] = {
    "faulty policy": (
        lambda p: p.annotate(**{"rotation.policy": "{}"}),
        {"policy"},
        "rotation policy apply orders",
    ),
    "soak does not fit the period": (
        lambda p: p.policy(soak="40d"),
        {"policy"},
        "rotation policy apply orders",
    ),
    "no schedule": (
        lambda p: p.secret("rotation", rotation=None),
        {"schedule"},
        "--rotation-period=2592000s",
    ),
    "a schedule that fires once": (
        lambda p: p.secret(
            "rotation",
            rotation={"nextRotationTime": p.known[SECRET]["rotation"]["nextRotationTime"]},
        ),
        {"schedule"},
        "--rotation-period=2592000s",
    ),
    "no topic": (
        lambda p: p.secret("rotation,topics", rotation=None, topics=[]),
        {"schedule", "topic"},
        f"--add-topics={TOPIC}",
    ),
    "a topic of others": (two_topics, {"foreign-topic"}, f"--remove-topics={OTHER}"),
    "a topic that is gone": (
        topic_gone,
        {"foreign-topic", "topic-missing"},
        f"gcloud pubsub topics create {OTHER}",
    ),
    "no alias": (
        lambda p: p.secret("versionAliases", versionAliases={}),
        {"alias"},
        "--update-version-aliases=current=1",
    ),
    "blocked": (
        lambda p: (
            p.annotate(**{"rotation.blocked": json.dumps(BLOCK)}),
            p.label(rotation_blocked="slot-in-use"),
        ),
        {"blocked"},
        "rotation unblock orders",
    ),
    "unreadable state": (
        lambda p: p.label(rotation_phase="soaking"),
        {"state"},
        "",
    ),
    "no room for labels": (
        lambda p: p.label(**{f"theirs_{number}": "x" for number in range(60)}),
        {"room"},
        "--remove-labels=theirs_0",
    ),
    "no room for annotations": (
        lambda p: p.annotate(theirs="x" * 12_500),
        {"room"},
        "--remove-annotations=theirs",
    ),
    "somebody else's label": (
        lambda p: p.label(**{"managed-by": "external-secrets"}),
        {"other-manager"},
        "--remove-labels=managed-by",
    ),
    "a long delayed destruction": (
        lambda p: p.secret("versionDestroyTtl", versionDestroyTtl="2592000s"),
        {"destroy-ttl"},
        "--version-destroy-ttl=86400s",
    ),
    "an end of its own": (
        lambda p: p.secret("expireTime", expireTime="2099-01-01T00:00:00Z"),
        {"expires"},
        "--remove-expiration",
    ),
    "the function may not write": (
        lambda p: p.bind(SECRET, (f"{ROLES}/rotationReader", ACCOUNT)),
        {"rights"},
        "rotationFunction",
    ),
    "the function may not read the rotator's login": (
        lambda p: p.bind(ADMIN),
        {"rights"},
        "rotationReader",
    ),
    "a gate that cannot see": (gate, {"gate"}, "rotation plan orders"),
    "a server that does not answer": (
        lambda p: p.target(port=9, connect_timeout=1),
        {"issuer-rotator-login"},
        "",
    ),
    "a replica that does not answer": (
        lambda p: p.target(replicas=["127.0.0.1:9"], connect_timeout=1),
        {"issuer-replicas", "issuer-observer"},
        "",
    ),
    "a service on latest": (
        lambda p: p.ask(
            "POST",
            f"{PLACE}/services",
            {
                "name": f"{PLACE}/services/shop",
                "template": {
                    "containers": [
                        {
                            "env": [
                                {
                                    "name": "DB",
                                    "valueSource": {
                                        "secretKeyRef": {"secret": "orders", "version": "latest"}
                                    },
                                }
                            ]
                        }
                    ]
                },
            },
        ),
        {"consumer"},
        (
            "gcloud run services update shop --project=demo-project --region=europe-west1"
            " --update-secrets=DB=orders:current"
        ),
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_it_is_found_with_its_remedy(patient: Patient, case: str) -> None:
    plant, expected, remedy = PLANTED[case]
    plant(patient)
    found = patient.look()
    if case == "a service on latest":
        patient.ask("DELETE", f"{PLACE}/services/shop")
    assert {finding["check"] for finding in found} == expected
    assert patient.code == 1
    assert any(remedy in (finding["remedy"] or "") for finding in found)


def test_a_disabled_version_in_force_is_found(patient: Patient) -> None:
    patient.ask("POST", f"{SECRET}/versions/1:disable", {})
    found = patient.look()
    patient.ask("POST", f"{SECRET}/versions/1:enable", {})
    assert {finding["check"] for finding in found} == {"current-version"}
    assert "versions enable 1 --secret=orders" in found[0]["remedy"]


def test_a_rotators_login_that_cannot_be_read_is_found(patient: Patient) -> None:
    patient.ask("POST", f"{ADMIN}/versions/1:disable", {})
    found = patient.look()
    patient.ask("POST", f"{ADMIN}/versions/1:enable", {})
    assert {finding["check"] for finding in found} == {"issuer-rotator-login"}


def test_a_use_of_latest_in_a_tree_is_found(patient: Patient, tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(f'client.access("{SECRET}/versions/latest")\n')
    found = patient.look("--tree", str(tmp_path))
    assert {finding["check"] for finding in found} == {"consumer"}
    assert "app.py:1" in found[0]["message"]


def test_a_missing_alias_is_put_back(patient: Patient) -> None:
    patient.secret("versionAliases", versionAliases={})
    code, output = patient.run("doctor", "orders", "--fix", "--yes")
    assert code == 0
    assert "alias current added for version 1" in output
    assert patient.ask("GET", SECRET)["versionAliases"] == {"current": "1"}


def test_warnings_may_be_let_pass(patient: Patient) -> None:
    patient.label(**{"managed-by": "external-secrets"})
    patient.look("--fail-on", "error")
    assert patient.code == 0


def test_a_filter_narrows_what_is_looked_at(patient: Patient) -> None:
    patient.annotate(**{"rotation.policy": "{}"})
    assert patient.look("--filter", "labels.db=nothing") == []
    assert {finding["check"] for finding in patient.look("--filter", "name:orders")} == {"policy"}


def test_a_filter_beside_names_is_refused(patient: Patient) -> None:
    code, _ = patient.run("doctor", "orders", "--filter", "name:orders")
    assert code == 2


def test_of_many_secrets_a_sample_is_looked_at_and_the_cost_is_shown_first(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(effort, "MOST", 1)
    body = {"replication": {"automatic": {}}, "annotations": {"rotation.policy": "{}"}}
    patient.ask("POST", f"{PROJECT}/secrets", body, secretId="another")
    try:
        outputs = {more: patient.run("doctor", "--json", *more)[1] for more in ((), ("--all",))}
    finally:
        patient.ask("DELETE", f"{PROJECT}/secrets/another")
    reports = {more: json.loads(text) for more, text in outputs.items()}
    assert {more: (looked["secrets"], looked["of"]) for more, looked in reports.items()} == {
        (): (1, 2),
        ("--all",): (2, 2),
    }
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("2 secrets: looking at 1 of them")
    assert second.startswith("2 secrets: about 8 reads")


def test_what_gcloud_does_not_know_is_found_in_a_remedy() -> None:
    gcloud_tree()  # skips, with the reason, where the SDK with its list of commands is not there
    assert unknown("gcloud secrets describe orders") == []
    assert unknown("gcloud secrets mend orders")
    assert unknown("gcloud secrets describe orders --loudly")


def test_everything_but_remedies_fits_80_columns(patient: Patient) -> None:
    patient.policy(soak="40d")
    patient.bind(SECRET)
    patient.bind(TOPIC)
    _, output = patient.run("doctor")
    commands = ("    gcloud ", "    rotation ")
    lines = [line for line in output.splitlines() if not line.startswith(commands)]
    assert "orders" in lines
    assert [line for line in lines if len(line) > 80 and " " in line.strip()] == []
