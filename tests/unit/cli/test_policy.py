"""The policy commands against the embedded service."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rotation.cli.commands.policy import policy
from rotation.cli.views.policy_file import to_json
from rotation.google.secret_manager import SecretManager
from rotation.model.errors import AccessDeniedError, NotFoundError, PermanentError, TemporaryError
from rotation.model.names import SecretName
from rotation.model.secret import Secret
from rotation.model.target import TargetSettings
from rotation.policies.choosing import Asking
from rotation.policies.policy import FaultyPolicyError, Kinds
from rotation.policies.targets import decode_targets
from tests.support.secret_manager import PROJECT, Embedded, embedded_secret_manager


@dataclass(frozen=True)
class Database:
    host: str
    slots: tuple[str, str]
    port: int = 5432


@dataclass(frozen=True)
class Alias:
    pass


@dataclass
class Context:
    store: Any
    json: bool = False
    kinds: Kinds = field(default_factory=lambda: Kinds({"database": Database}, {"alias": Alias}))

    def secret_name(self, text: str) -> SecretName:
        return SecretName.parse(text) if "/" in text else SecretName(PROJECT, text)


GOOD = """\
issuer:
  kind: database
  host: db          # the primary
  slots: [a, b]
soak: 2h
"""
FAULTY = "issuer: {kind: database, hots: db, slots: [a, b]}\nsoak: 5\n"


@pytest.fixture(scope="module")
def service() -> Iterator[Embedded]:
    with embedded_secret_manager() as embedded:
        yield embedded


@pytest.fixture
def embedded(service: Embedded) -> Iterator[Embedded]:
    yield service
    service.controls.clear_failures()
    for secret in service.client.list_secrets(parent=f"projects/{PROJECT}"):
        service.client.delete_secret(name=secret.name)


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD)
    return str(path)


@pytest.fixture
def faulty(tmp_path: Path) -> str:
    path = tmp_path / "faulty.yaml"
    path.write_text(FAULTY)
    return str(path)


def run(store: object, *arguments: str, text: str | None = None, as_json: bool = False) -> Result:
    context = Context(store, as_json)
    result = CliRunner().invoke(policy, arguments, obj=context, input=text)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def stored(embedded: Embedded, name: SecretName) -> object:
    return json.loads(embedded.store.get(name).annotations["rotation.policy"])


# validate


def test_a_good_file_is_valid(good: str) -> None:
    result = run(None, "validate", good)
    assert result.exit_code == 0
    assert result.output == "the policy is valid; one rotation takes 15h\n"


def test_a_faulty_file_names_every_fault(faulty: str) -> None:
    result = run(None, "validate", faulty)
    assert result.exit_code == 1
    assert "issuer: unknown key 'hots'; did you mean 'host'?" in result.output
    assert "issuer: the key 'host' is missing" in result.output
    assert "soak: expected a duration" in result.output


def test_validation_prints_one_json_object(good: str, faulty: str) -> None:
    found = json.loads(run(None, "validate", good, "--json").output)
    assert found["valid"] is True
    assert found["effective"]["retire"] == {"observe": "1h", "destroy_after": "12h"}
    refused = run(None, "validate", faulty, as_json=True)
    assert refused.exit_code == 1
    assert {"path": "issuer", "message": "the key 'host' is missing"} in json.loads(refused.output)[
        "faults"
    ]


def test_a_policy_is_read_from_standard_input_as_json_too() -> None:
    document = {"issuer": {"kind": "database", "host": "db", "slots": ["a", "b"]}}
    assert run(None, "validate", "-", text=json.dumps(document, indent="\t")).exit_code == 0


def test_a_period_that_is_too_short_is_a_fault(good: str) -> None:
    assert run(None, "validate", good, "--period", "15h").exit_code == 1
    assert run(None, "validate", good, "--period", "16h").exit_code == 0


@pytest.mark.parametrize("arguments", [["--period", "soon"], ["--colour"]])
def test_wrong_use_is_told_apart(good: str, arguments: list[str]) -> None:
    assert run(None, "validate", good, *arguments).exit_code == 2


def test_a_missing_file_is_wrong_use() -> None:
    assert run(None, "validate", "/nonexistent/policy.yaml").exit_code == 2


def test_a_file_that_is_no_text_is_faulty(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    result = run(None, "validate", str(path))
    assert result.exit_code == 1
    assert "not UTF-8" in result.output


# YAML


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("soak: 1h\nsoak: 2h\n", "line 2, column 1: the key 'soak' appears twice"),
        ("issuer:\n  host: a\n  host: b\n", "line 3, column 3: the key 'host' appears twice"),
        ("1: x\n", "line 1, column 1: a key must be text"),
        ("on: x\n", "line 1, column 1: a key must be text"),
        ("? [a]\n: x\n", "line 1, column 3: a key must be text"),
        ("a: &x 1\nb: *x\n", "line 2, column 4: anchors and aliases are not read"),
        ("&x [*x]\n", "anchors and aliases are not read"),
        ("a: [1\n", "line 2, column 1"),
        ("a: !!python/object:os.system x\n", "line 1, column 4"),
        ("a: !!binary aGk=\n", "tags are not read"),
        ("a: .nan\n", "JSON cannot say"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1"),
        ("a: \x07\n", "characters that no text file has"),
        ("[" * 5000, "JSON cannot say"),
    ],
)
def test_yaml_says_only_what_json_can(text: str, fault: str) -> None:
    with pytest.raises(FaultyPolicyError) as caught:
        to_json(text)
    assert fault in str(caught.value)


def test_a_date_is_text() -> None:
    assert json.loads(to_json("name: 2026-11-22\n")) == {"name": "2026-11-22"}


# apply


def test_applying_stores_the_document_and_keeps_everything_else(
    embedded: Embedded, good: str
) -> None:
    name = embedded.create(labels={"team": "db"}, annotations={"terraform.x": "y"})
    embedded.client.add_secret_version(parent=str(name), payload={"data": b"x"})
    before = embedded.store.get(name)
    embedded.store.update(
        before, labels=before.labels, annotations=before.annotations, aliases={"mine": 1}
    )
    result = run(embedded.store, "apply", "app", good)
    assert result.exit_code == 0
    assert "+soak: 2h" in result.output
    assert result.output.endswith("/secrets/app: policy changed\n")
    after = embedded.store.get(name)
    assert after.labels == {"team": "db"}
    assert after.aliases == {"mine": 1}
    assert after.annotations["terraform.x"] == "y"
    assert stored(embedded, name) == {
        "issuer": {"kind": "database", "host": "db", "slots": ["a", "b"]},
        "soak": "2h",
    }


def test_applying_the_same_again_writes_nothing(embedded: Embedded, good: str) -> None:
    name = embedded.create()
    run(embedded.store, "apply", "app", good)
    etag = embedded.store.get(name).etag
    result = run(embedded.store, "apply", "app", good)
    assert result.exit_code == 0
    assert result.output.endswith("policy unchanged\n")
    assert embedded.store.get(name).etag == etag


def test_applying_shows_what_changes(embedded: Embedded, good: str) -> None:
    embedded.create()
    run(embedded.store, "apply", "app", good)
    result = run(embedded.store, "apply", "app", "-", "--json", text=GOOD.replace("2h", "3h"))
    answer = json.loads(result.output)
    assert answer["result"] == "changed"
    assert "-soak: 2h" in answer["diff"]
    assert "+soak: 3h" in answer["diff"]


def test_a_dry_run_shows_and_writes_nothing(embedded: Embedded, good: str) -> None:
    name = embedded.create()
    result = run(embedded.store, "apply", "app", good, "--dry-run")
    assert "would change" in result.output
    assert not embedded.store.get(name).annotations


def test_a_faulty_policy_is_never_stored(embedded: Embedded, faulty: str) -> None:
    name = embedded.create()
    result = run(embedded.store, "apply", "app", faulty)
    assert result.exit_code == 1
    assert "unknown key 'hots'" in result.output
    assert not embedded.store.get(name).annotations


def test_a_policy_longer_than_the_rotation_period_is_not_stored(
    embedded: Embedded, good: str
) -> None:
    name = embedded.create_rotating("short", timedelta(hours=15))
    result = run(embedded.store, "apply", "short", good)
    assert result.exit_code == 1
    assert "rotates every 15h" in result.output
    assert not embedded.store.get(name).annotations


def adopted(embedded: Embedded, *more: str, text: str = GOOD) -> Result:
    return run(embedded.store, "apply", "app", "-", "--keep", "--current=1", *more, text=text)


def test_what_an_adoption_asks_for_is_one_write_that_keeps_everything_else(
    embedded: Embedded,
) -> None:
    name = embedded.create(labels={"team": "db"}, annotations={"terraform.x": "y"})
    embedded.client.add_secret_version(parent=str(name), payload={"data": b"x"})
    before = embedded.store.get(name)
    embedded.store.update(
        before, labels=before.labels, annotations=before.annotations, aliases={"mine": 1}
    )
    assert adopted(embedded, "--label=db=orders").exit_code == 0
    after = embedded.store.get(name)
    assert after.labels == {"team": "db", "db": "orders"}
    assert after.aliases == {"mine": 1, "current": 1}
    assert after.annotations["terraform.x"] == "y"
    assert stored(embedded, name)
    assert adopted(embedded, "--label=db=orders").output.endswith("policy unchanged\n")
    assert embedded.store.get(name).etag == after.etag


def test_what_an_adoption_asked_for_takes_nothing_back_later(embedded: Embedded) -> None:
    name = embedded.create()
    for _ in range(2):
        embedded.client.add_secret_version(parent=str(name), payload={"data": b"x"})
    assert adopted(embedded).exit_code == 0
    run(embedded.store, "apply", "app", "-", text=GOOD.replace("2h", "3h"))
    before = embedded.store.get(name)
    record = {**before.annotations, "rotation.record": "in flight"}
    labels = {"rotation_phase": "soaking"}
    embedded.store.update(before, labels=labels, annotations=record, aliases={"current": 2})
    settled = embedded.store.get(name)
    assert adopted(embedded).exit_code == 0
    assert embedded.store.get(name) == settled
    assert embedded.store.get(name).aliases == {"current": 2}


@pytest.mark.parametrize("label", ["rotation_phase=settled", "rotation_token=1", "db", "=x"])
def test_labels_of_a_rotation_are_not_set_by_hand(embedded: Embedded, label: str) -> None:
    name = embedded.create()
    assert adopted(embedded, f"--label={label}").exit_code == 2
    assert embedded.store.get(name).labels == {}


def test_a_secret_whose_id_begins_with_a_dash_is_no_option(embedded: Embedded) -> None:
    name = embedded.create("-dry-run")
    result = run(embedded.store, "apply", "--keep", "--", str(name), "-", text=GOOD)
    assert result.exit_code == 0
    assert stored(embedded, name)


class Meddled(SecretManager):
    """Somebody else labels the secret just before each of the first writes."""

    def __init__(self, embedded: Embedded, times: int) -> None:
        super().__init__(PROJECT, endpoint=embedded.endpoint)
        self._times = times

    def update(self, secret: Secret, **maps: Any) -> Secret:
        if self._times:
            self._times -= 1
            labels = {**secret.labels, f"other{self._times}": "x"}
            annotations, aliases = secret.annotations, secret.aliases
            super().update(secret, labels=labels, annotations=annotations, aliases=aliases)
        return super().update(secret, **maps)


def test_a_write_of_somebody_else_in_between_is_kept(embedded: Embedded, good: str) -> None:
    name = embedded.create()
    store = Meddled(embedded, times=2)
    assert run(store, "apply", "app", good).exit_code == 0
    store.close()
    assert embedded.store.get(name).labels == {"other1": "x", "other0": "x"}
    assert stored(embedded, name)


def test_a_secret_that_keeps_changing_is_given_up(
    embedded: Embedded, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotation.cli.commands.policy._WAIT", 0)
    embedded.create()
    store = Meddled(embedded, times=99)
    with pytest.raises(TemporaryError, match="keeps changing"):
        run(store, "apply", "app", good)
    store.close()


def test_annotations_leave_room_for_a_rotation(embedded: Embedded, good: str) -> None:
    name = embedded.create(annotations={"notes": "x" * 10_240})
    with pytest.raises(PermanentError, match="shorten the policy"):
        run(embedded.store, "apply", "app", good)
    assert "rotation.policy" not in embedded.store.get(name).annotations


def test_a_rotation_in_flight_is_pointed_out(embedded: Embedded, good: str) -> None:
    embedded.create(labels={"rotation_phase": "soaking"})
    result = run(embedded.store, "apply", "app", good)
    assert result.exit_code == 0
    assert "a rotation is in flight" in result.stderr


def test_a_missing_secret_and_a_missing_permission_are_raised(
    embedded: Embedded, good: str
) -> None:
    with pytest.raises(NotFoundError):
        run(embedded.store, "apply", "missing", good)
    embedded.create()
    embedded.controls.set_failure("denied", permission="secretmanager.secrets.update")
    with pytest.raises(AccessDeniedError, match="a custom role"):
        run(embedded.store, "apply", "app", good)


# show


def test_a_stored_policy_is_shown_with_a_verdict(embedded: Embedded, good: str) -> None:
    embedded.create_rotating("app", timedelta(days=30))
    run(embedded.store, "apply", "app", good)
    result = run(embedded.store, "show", "app")
    assert result.exit_code == 0
    assert "soak: 2h" in result.output
    assert result.output.endswith("one rotation takes 15h of every 30d\n")
    answer = json.loads(run(embedded.store, "show", "app", "--json").output)
    assert answer["policy"]["soak"] == "2h"
    assert answer["effective"]["retire"]["observe"] == "1h"
    assert (answer["valid"], answer["length"], answer["period"]) == (True, "15h", "30d")


def test_a_secret_without_a_policy_says_what_to_do(embedded: Embedded) -> None:
    embedded.create()
    result = run(embedded.store, "show", f"projects/{PROJECT}/secrets/app")
    assert result.exit_code == 1
    assert "rotation policy apply app FILE" in result.output


@pytest.mark.parametrize(
    ("annotation", "fault"),
    [("{not json", "not JSON: line 1, column 2"), ('{"soak": "1h"}', "'issuer' is missing")],
)
def test_a_faulty_stored_policy_is_shown_with_its_faults(
    embedded: Embedded, annotation: str, fault: str
) -> None:
    embedded.create(annotations={"rotation.policy": annotation})
    result = run(embedded.store, "show", "app")
    assert result.exit_code == 1
    assert fault in result.output


def test_a_faulty_stored_policy_can_be_replaced(embedded: Embedded, good: str) -> None:
    name = embedded.create(annotations={"rotation.policy": "{not json"})
    assert run(embedded.store, "apply", "app", good).exit_code == 0
    assert stored(embedded, name)


# schema


def test_the_schema_names_the_known_kinds() -> None:
    result = run(None, "schema")
    assert result.exit_code == 0
    rendered = json.loads(result.output)
    kinds = [choice["title"] for choice in rendered["properties"]["issuer"]["oneOf"]]
    assert kinds == ["database"]


# targets


@dataclass(frozen=True, kw_only=True)
class ServerTarget(TargetSettings):
    host: str


@dataclass(frozen=True, kw_only=True)
class Server(ServerTarget):
    slots: tuple[str, str]


ON_TARGET = "issuer: {kind: server, target: db, slots: [a, b]}\nsoak: 1m\n"


def on_targets(*secrets: str, **demands: str) -> Kinds:
    server = {"kind": "server", "host": "db", "secrets": list(secrets), "demands": demands}
    kinds = {"server": Server, "alias": Alias}
    # Secret Manager answers with the project's number, whatever was asked.
    targets = decode_targets({"targets": {"db": server}}, kinds, lambda _project: "1")
    return Kinds({"server": Server}, {"alias": Alias}, asking=Asking(targets))


def run_on(kinds: Kinds, store: object, *arguments: str, as_json: bool = False) -> Result:
    context = Context(store, as_json, kinds)
    result = CliRunner().invoke(policy, arguments, obj=context, input=ON_TARGET)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_secret_that_is_named_counts_when_a_file_is_checked() -> None:
    kinds = on_targets(f"projects/{PROJECT}/secrets/app")
    without = run_on(kinds, None, "validate", "-")
    assert without.exit_code == 0
    assert "--secret SECRET looks whether that secret may use them" in without.output
    assert run_on(kinds, None, "validate", "-", "--secret", "app").exit_code == 0
    other = run_on(kinds, None, "validate", "-", "--secret", "other")
    assert other.exit_code == 1
    assert "targets.db.secrets does not name it" in other.output


def test_policy_that_is_not_allowed_is_never_stored(embedded: Embedded) -> None:
    name = embedded.create()
    result = run_on(
        on_targets(f"projects/{PROJECT}/secrets/x"), embedded.store, "apply", "app", "-"
    )
    assert result.exit_code == 1
    assert "targets.db.secrets does not name it" in result.output
    assert "rotation.policy" not in embedded.store.get(name).annotations


def test_word_that_is_not_the_policys_names_its_line(embedded: Embedded) -> None:
    embedded.create()
    kinds = on_targets(f"projects/{PROJECT}/secrets/app", soak="2h", max_age="90d")
    late = "targets.db.demands.max_age wants a rotation every 90d, and it has no period"
    expected = [
        "  soak: 2h, demanded by targets.db.demands.soak",
        "  max_age: 90d, demanded by targets.db.demands.max_age",
        f"  {late}; the sweep rotates it then",
    ]
    applied = run_on(kinds, embedded.store, "apply", "app", "-")
    assert applied.output.splitlines()[-3:] == expected
    shown = run_on(kinds, embedded.store, "show", "app")
    assert shown.exit_code == 0
    assert shown.output.splitlines()[-3:] == expected
    found = json.loads(run_on(kinds, embedded.store, "show", "app", as_json=True).output)
    assert found["policy"]["soak"] == "1m"
    assert found["effective"]["soak"] == "2h"
    assert found["max_age"] == "90d"
    assert found["demanded"]["soak"] == "targets.db.demands.soak"
    validated = run_on(kinds, None, "validate", "-", "--secret", "app")
    assert validated.output.splitlines()[1:] == expected[:2]
    rarely = run_on(kinds, None, "validate", "-", "--secret", "app", "--period", "120d")
    assert rarely.exit_code == 0
    assert "wants a rotation every 90d, and its schedule is every 120d" in rarely.output


def test_schedule_that_is_frequent_enough_is_not_mentioned(embedded: Embedded) -> None:
    embedded.create_rotating("app", timedelta(days=30))
    kinds = on_targets(f"projects/{PROJECT}/secrets/app", max_age="90d")
    assert "wants a rotation" not in run_on(kinds, embedded.store, "apply", "app", "-").output
    rarely = on_targets(f"projects/{PROJECT}/secrets/app", max_age="20d")
    output = run_on(rarely, embedded.store, "show", "app").output
    assert "wants a rotation every 20d, and its schedule is every 30d" in output
