"""The commands about what the deployment lets be touched, as a person runs them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rotation.cli.main import main
from rotation.cli.views.context import Context
from rotation.cli.views.explaining import name_logins
from rotation.policies.policy import decode_policy
from rotation.policies.targets import parse_document
from tests.support.secret_manager import PROJECT, Embedded, embedded_secret_manager

DATABASE: dict[str, Any] = {
    "kind": "postgresql",
    "host": "10.0.0.5",
    "database": "orders",
    "admin": f"projects/{PROJECT}/secrets/rotator",
    "roles": ["orders_*"],
    "owners": ["orders_owner"],
    "secrets": [f"projects/{PROJECT}/secrets/orders", f"projects/{PROJECT}/secrets/orders-*"],
    "demands": {"soak": "2h", "max_age": "90d"},
}
HEALTH = {
    "kind": "http",
    "url": "https://canary.acme.example/healthz",
    "secrets": [f"projects/{PROJECT}/secrets/*"],
}
BILLING = {**DATABASE, "database": "billing", "secrets": [f"projects/{PROJECT}/secrets/billing"]}
DOCUMENT = {"targets": {"orders-db": DATABASE, "canary": HEALTH, "billing-db": BILLING}}
POLICY: dict[str, Any] = {
    "issuer": {
        "kind": "postgresql",
        "target": "orders-db",
        "slots": ["orders_a", "orders_b"],
        "owner": "orders_owner",
    },
    "rollout": [
        {
            "stage": "all",
            "participants": [{"kind": "alias"}],
            "gates": [{"kind": "http", "target": "canary"}],
        }
    ],
}


@pytest.fixture(scope="module")
def service() -> Iterator[Embedded]:
    with embedded_secret_manager() as embedded:
        yield embedded


@pytest.fixture
def out_of_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give the commands a document, and nothing that answers."""
    file = tmp_path / "targets.json"
    file.write_text(json.dumps(DOCUMENT))
    monkeypatch.setenv("ROTATION_TARGETS", str(file))
    monkeypatch.setenv("ROTATION_PROJECT", PROJECT)
    monkeypatch.setenv("SECRET_MANAGER_ENDPOINT", "127.0.0.1:1")
    return file


@pytest.fixture
def embedded(
    service: Embedded, out_of_reach: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Embedded]:
    del out_of_reach
    monkeypatch.setenv("SECRET_MANAGER_ENDPOINT", service.endpoint)
    yield service
    for secret in service.client.list_secrets(parent=f"projects/{PROJECT}"):
        service.client.delete_secret(name=secret.name)


Shown = pytest.CaptureFixture[str]


def as_json(shown: Shown, *arguments: str) -> tuple[int, Any]:
    code = main(["--json", "targets", *arguments])
    return code, json.loads(shown.readouterr().out)


def written(folder: Path, value: object) -> str:
    file = folder / "written.json"
    file.write_text(json.dumps(value))
    return str(file)


# show


def test_document_in_force_is_shown_as_it_is(out_of_reach: Path, capsys: Shown) -> None:
    assert main(["targets", "show"]) == 0
    assert parse_document(capsys.readouterr().out) == DOCUMENT
    assert as_json(capsys, "show") == (0, json.loads(out_of_reach.read_text()))


def test_one_target_is_shown(out_of_reach: Path, capsys: Shown) -> None:
    del out_of_reach
    assert as_json(capsys, "show", "canary") == (0, {"targets": {"canary": HEALTH}})
    assert main(["targets", "show", "other"]) == 2
    assert "known are: billing-db, canary, orders-db" in capsys.readouterr().err


def test_faulty_document_is_shown_with_its_faults(out_of_reach: Path, capsys: Shown) -> None:
    out_of_reach.write_text(json.dumps({"targets": {"a": {**HEALTH, "ulr": 1}}}))
    assert main(["targets", "show"]) == 1
    shown = capsys.readouterr()
    assert "ulr: 1" in shown.out
    assert "targets.a: unknown key 'ulr'; did you mean 'url'" in shown.err


def test_no_document_says_how_there_is_one(monkeypatch: pytest.MonkeyPatch, capsys: Shown) -> None:
    monkeypatch.delenv("ROTATION_TARGETS", raising=False)
    for words in (["show"], ["explain", "projects/p/secrets/s"]):
        assert main(["targets", *words]) == 2
        assert "ROTATION_TARGETS names no file" in capsys.readouterr().err


# validate


def test_valid_file_says_which_lines_are_wide(tmp_path: Path, capsys: Shown) -> None:
    file = written(tmp_path, DOCUMENT)
    assert main(["targets", "validate", file]) == 0
    wide = f"targets.canary.secrets[0]: projects/{PROJECT}/secrets/*"
    assert capsys.readouterr().out.splitlines() == [
        "the targets document is valid: 3 targets",
        f"wide: {wide} names every secret of the project",
    ]
    _, found = as_json(capsys, "validate", file)
    assert found["valid"] is True
    assert found["wide"] == [
        {"path": "targets.canary.secrets[0]", "pattern": f"projects/{PROJECT}/secrets/*"}
    ]
    assert found["effective"]["orders-db"]["tls"] == "verify-full"


def test_effective_form_reads_the_same(tmp_path: Path, capsys: Shown) -> None:
    _, first = as_json(capsys, "validate", written(tmp_path, DOCUMENT))
    again = written(tmp_path, {"targets": first["effective"]})
    assert as_json(capsys, "validate", again) == (0, first)


def test_every_fault_of_a_file_is_named(tmp_path: Path, capsys: Shown) -> None:
    faulty = {"targets": {"a": {**DATABASE, "tsl": 1}, "b": {"kind": "htpp"}}}
    code, found = as_json(capsys, "validate", written(tmp_path, faulty))
    assert code == 1
    assert found["valid"] is False
    assert found["effective"] is None
    paths = [fault["path"] for fault in found["faults"]]
    assert paths == ["targets.a", "targets.b.kind", "targets.b"]


def test_file_that_is_no_document_is_a_fault(tmp_path: Path, capsys: Shown) -> None:
    for text in (b"\xff\xfe", b"targets: [", b"targets: {}\ntargets: {}\n"):
        file = tmp_path / "odd.yaml"
        file.write_bytes(text)
        code, found = as_json(capsys, "validate", str(file))
        assert code == 1
        assert found["faults"]


# test


def test_allowed_policy_names_its_lines(out_of_reach: Path, tmp_path: Path, capsys: Shown) -> None:
    del out_of_reach
    file = written(tmp_path, POLICY)
    assert main(["targets", "test", "orders-7", file]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"projects/{PROJECT}/secrets/orders-7 may have this policy",
        "  issuer: postgresql, target orders-db: by targets.orders-db.secrets[1]",
        "  rollout[0].participants[0]: alias: touches nothing outside",
        "  rollout[0].gates[0]: http, target canary: by targets.canary.secrets[0]",
        "  soak: 2h, demanded by targets.orders-db.demands.soak",
        "  max_age: 90d, demanded by targets.orders-db.demands.max_age",
    ]


@pytest.mark.parametrize(
    ("secret", "changed", "by"),
    [
        ("other", {}, "targets.orders-db.secrets"),
        ("orders", {"owner": "billing_owner"}, "targets.orders-db.owners"),
        ("orders", {"host": "attacker.example"}, "targets.orders-db.host"),
        ("orders", {"target": "unknown"}, "targets"),
    ],
)
def test_policy_that_is_not_allowed_names_the_line_that_would_be_needed(
    out_of_reach: Path, tmp_path: Path, capsys: Shown, secret: str, changed: Any, by: str
) -> None:
    del out_of_reach
    policy = {**POLICY, "issuer": {**POLICY["issuer"], **changed}}
    code, found = as_json(capsys, "test", secret, written(tmp_path, policy))
    assert (code, found["allowed"]) == (1, False)
    issuer, alias, gate = found["plugins"]
    assert [fault["by"] for fault in issuer["faults"]] == [by]
    assert alias["faults"] == gate["faults"] == []
    assert main(["targets", "test", secret, written(tmp_path, policy)]) == 1
    assert "attacker" not in capsys.readouterr().out


# explain


def test_secret_is_explained_with_its_stored_policy(embedded: Embedded, capsys: Shown) -> None:
    embedded.create("orders", annotations={"rotation.policy": json.dumps(POLICY)})
    assert main(["targets", "explain", "orders"]) == 0
    full = f"projects/{PROJECT}/secrets/orders"
    assert capsys.readouterr().out.splitlines() == [
        f"{full} may use 2 of 3 targets",
        "  orders-db (postgresql): by targets.orders-db.secrets[0]",
        "  canary (http): by targets.canary.secrets[0]",
        f"  billing-db (postgresql): no; it would need {full} under targets.billing-db.secrets",
        "its policy:",
        "  issuer: postgresql, target orders-db: by targets.orders-db.secrets[0]",
        "  rollout[0].participants[0]: alias: touches nothing outside",
        "  rollout[0].gates[0]: http, target canary: by targets.canary.secrets[0]",
        "  soak: 2h, demanded by targets.orders-db.demands.soak",
        "  max_age: 90d, demanded by targets.orders-db.demands.max_age",
    ]


def test_stored_policy_that_is_not_allowed_is_a_no(embedded: Embedded, capsys: Shown) -> None:
    embedded.create("stranger", annotations={"rotation.policy": json.dumps(POLICY)})
    code, found = as_json(capsys, "explain", "stranger")
    assert code == 1
    assert found["plugins"][0]["faults"][0]["by"] == "targets.orders-db.secrets"
    assert found["unread"] is None


def test_secret_without_policy_is_explained(embedded: Embedded, capsys: Shown) -> None:
    embedded.create("plain")
    assert main(["targets", "explain", "plain"]) == 0
    assert capsys.readouterr().out.endswith("it has no policy\n")


def test_policy_out_of_reach_leaves_what_is_known(embedded: Embedded, capsys: Shown) -> None:
    del embedded
    code, found = as_json(capsys, "explain", "not-there")
    assert code == 3
    assert found["targets"][1]["line"] == "targets.canary.secrets[0]"
    assert found["plugins"] is None
    assert "could not be read" in found["unread"]


# schema


def test_schema_is_that_of_the_document(capsys: Shown) -> None:
    assert main(["targets", "schema"]) == 0
    jsonschema.validate(DOCUMENT, json.loads(capsys.readouterr().out))


# what commands name before they connect


def test_what_is_connected_to_is_named_once(out_of_reach: Path, capsys: Shown) -> None:
    del out_of_reach
    context = Context(PROJECT)
    policy = decode_policy(json.dumps(POLICY), context.kinds, context.secret_name("orders"))
    name_logins(context, [policy, None, policy])
    login = f"10.0.0.5:5432 with the login projects/{PROJECT}/secrets/rotator"
    expected = f"connecting to orders-db ({login}); canary (canary.acme.example)\n"
    assert capsys.readouterr().err == expected
    name_logins(context, [None])
    context.json = True
    name_logins(context, [policy])
    assert capsys.readouterr().err == ""
