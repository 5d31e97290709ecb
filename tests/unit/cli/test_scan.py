"""Scanning folders of every format, and what the exit codes and reports say."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft4Validator

from rotation.cli.main import rotation
from tests.unit.pins.test_golden import GOLDEN

SCHEMA = Path(__file__).parent / "schemas" / "sarif-2.1.0-rtm.5.json"

FILES = {
    "run/service.yaml": """\
apiVersion: serving.knative.dev/v1
kind: Service
spec:
  template:
    spec:
      containers:
        - env:
            - name: DB
              valueFrom: {secretKeyRef: {name: orders, key: latest}}
            - name: API
              valueFrom: {secretKeyRef: {name: api-key, key: "7"}}
      volumes:
        - name: tls
          secret: {secretName: tls-key}
""",
    "k8s/es.yaml": """\
apiVersion: external-secrets.io/v1
kind: ExternalSecret
spec:
  data:
    - remoteRef:
        key: orders
    - remoteRef: {key: "api-key", version: "7"}
    - remoteRef: {key: "api-key"}
""",
    "k8s/templates/es.yaml": """\
apiVersion: external-secrets.io/v1
kind: ExternalSecret
spec:
  data:
    - remoteRef: {key: orders, version: {{ .Values.version }}}
""",
    "infra/main.tf": """\
data "google_secret_manager_secret_version" "orders" {
  secret = "orders"
}
resource "google_cloud_run_v2_service" "shop" {
  template {
    containers {
      env {
        name = "DB"
        value_source {
          secret_key_ref {
            secret  = "projects/acme/secrets/orders"
            version = "current"
          }
        }
      }
    }
  }
}
""",
    "infra/prod.tfvars": "orders_version = 7 # rotation:secret=acme/orders\n",
    "deploy.sh": "gcloud run deploy --set-secrets=DB=orders:latest,API=api-key:7,T=$TOKEN:$V\n",
    "app/main.go": 'const name = "projects/acme/secrets/orders/versions/latest"\n'
    'var other = fmt.Sprintf("projects/%s/secrets/%s/versions/%d", p, s, v)\n',
    "app/main.py": 'f"projects/{project}/secrets/{}/versions/latest".format(name)\n',
    "secrets.lock.json": '{"secrets": {"projects/acme/secrets/orders": 7}}\n',
    "values.yaml": 'versions: [1, 2] # {"$rotation": "acme/orders"}\n',
}
EXPECTED = {
    ("app/main.go", 1, "projects/acme/secrets/orders", "reference", "latest"),
    ("app/main.go", 2, "projects/%s/secrets/%s", "reference", "indirect"),
    ("app/main.py", 1, "projects/{project}/secrets/{}", "reference", "latest"),
    ("deploy.sh", 1, "orders", "gcloud", "latest"),
    ("deploy.sh", 1, "api-key", "gcloud", "pinned"),
    ("deploy.sh", 1, "$TOKEN", "gcloud", "indirect"),
    ("infra/main.tf", 2, "orders", "terraform", "unpinned"),
    ("infra/main.tf", 12, "projects/acme/secrets/orders", "cloud-run", "alias"),
    ("infra/prod.tfvars", 1, "projects/acme/secrets/orders", "marker", "pinned"),
    ("k8s/es.yaml", 6, "orders", "external-secret", "unpinned"),
    ("k8s/es.yaml", 7, "api-key", "external-secret", "pinned"),
    ("k8s/es.yaml", 8, "api-key", "external-secret", "unpinned"),
    ("k8s/templates/es.yaml", 5, "orders", "external-secret", "indirect"),
    ("run/service.yaml", 9, "orders", "cloud-run", "latest"),
    ("run/service.yaml", 11, "api-key", "cloud-run", "pinned"),
    ("run/service.yaml", 14, "tls-key", "cloud-run", "unpinned"),
    ("secrets.lock.json", 1, "projects/acme/secrets/orders", "pins-file", "pinned"),
    ("values.yaml", 1, "projects/acme/secrets/orders", "marker", "unclear"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def scan(*arguments: str | Path) -> Result:
    return CliRunner().invoke(
        rotation, ["--project", "acme", "scan", *map(str, arguments)], standalone_mode=True
    )


def uses(*arguments: str | Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(scan(*arguments, "--json").stdout)["uses"]
    return found


def test_every_use_of_every_format_is_found(tree: Path) -> None:
    found = uses(tree)
    keys = ("path", "line", "secret", "kind", "state")
    assert {tuple(result[key] for key in keys) for result in found} == EXPECTED
    assert len(found) == len(EXPECTED)
    assert all(bool(result["fix"]) is (result["state"] != "pinned") for result in found)


def test_people_get_one_line_each_with_what_mends_it(tree: Path) -> None:
    lines = scan(tree).stdout.splitlines()
    assert len(lines) == len(EXPECTED) + 1
    assert (
        "app/main.go:1: projects/acme/secrets/orders (reference) takes the latest version;"
        f" run: rotation pin {tree}/app/main.go --secret projects/acme/secrets/orders"
    ) in lines
    assert lines[-1] == (
        "18 uses in 10 files: 5 pinned, 1 alias, 4 latest, 4 unpinned, 3 indirect, 1 unclear"
    )


def test_the_commands_that_are_proposed_do_mend_it(tree: Path) -> None:
    for _ in range(20):
        fixes = [use["fix"] for use in uses(tree) if (use["fix"] or "").startswith("run: ")]
        if not fixes:
            break
        words = fixes[0].removeprefix("run: rotation ").split()
        result = CliRunner().invoke(rotation, [*words, "--version", "8"])
        assert result.exit_code == 0, result.output
    left = {use["state"] for use in uses(tree)}
    assert left == {"pinned", "indirect", "unclear", "unpinned", "latest"}
    by_hand = {use["secret"] for use in uses(tree) if use["state"] in {"unpinned", "latest"}}
    assert by_hand == {"tls-key", "projects/{project}/secrets/{}"}


@pytest.mark.parametrize(
    ("only", "fail_on", "code"),
    [
        ("infra/prod.tfvars", None, 0),
        ("infra/main.tf", None, 1),
        ("infra/main.tf", "none", 0),
        ("app/main.go", "unpinned,alias", 0),
        ("app/main.go", "latest", 1),
        ("k8s/templates", None, 0),
        ("k8s/templates", "indirect", 1),
        ("values.yaml", None, 1),
    ],
)
def test_exit_codes_follow_fail_on(tree: Path, only: str, fail_on: str | None, code: int) -> None:
    options = ["--fail-on", fail_on] if fail_on else []
    assert scan(tree / only, *options).exit_code == code


@pytest.mark.parametrize(
    "arguments",
    [["nowhere"], [".", "--fail-on", "sometimes"], [".", "--fail-on", ""], [".", "--format", "x"]],
)
def test_wrong_use_is_told_apart(arguments: list[str]) -> None:
    assert scan(*arguments).exit_code == 2


def test_what_cannot_be_read_is_no_clean_bill(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        if path.name == "deploy.sh":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything
    result = scan(tree, "--fail-on", "none")
    assert result.exit_code == 2
    assert f"not read: {tree}/deploy.sh: Permission denied" in result.stderr
    assert scan(tree).exit_code == 1


def test_tools_links_and_documentation_are_passed_over(tree: Path, tmp_path: Path) -> None:
    text = 'x = "projects/acme/secrets/hidden/versions/latest"\n'
    for folder in (".git", "node_modules/a", "vendor", ".terraform"):
        (tree / folder).mkdir(parents=True)
        (tree / folder / "x.py").write_text(text)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "x.py").write_text(text)
    (tree / "linked").symlink_to(outside)
    (tree / "linked.py").symlink_to(outside / "x.py")
    (tree / "loop").symlink_to(tree)
    os.mkfifo(tree / "secret-pipe")
    (tree / "README.md").write_text(text)
    (tree / "big.py").write_text(text + "#" * 1024 * 1024)
    (tree / "binary.py").write_bytes(text.encode() + b"\0")
    (tree / "latin.py").write_bytes(text.encode() + b"# \xff")
    (tree / "skipped.py").write_text(text)
    assert len(uses(tree, "--exclude", "skip*")) == len(EXPECTED)
    assert len(uses(tree)) == len(EXPECTED) + 1


def test_strange_names_of_files_are_no_trouble(tmp_path: Path) -> None:
    text = b'x: "projects/acme/secrets/orders/versions/latest"\n'
    for name in (b"a b'c.yaml", b"new\nline.yaml", b"\xff.yaml", "größe#1.yaml".encode()):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(text)
    result = scan(tmp_path)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 5
    assert len(uses(tmp_path)) == 4
    locations = [
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for result in sarif(tmp_path)["runs"][0]["results"]
    ]
    assert sorted(locations) == [
        *("%FF.yaml", "a%20b%27c.yaml", "gr%C3%B6%C3%9Fe%231.yaml", "new%0Aline.yaml")
    ]


def sarif(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(scan(*arguments, "--format", "sarif").stdout)
    Draft4Validator(json.loads(SCHEMA.read_text())).validate(found)
    return found


def test_the_sarif_log_is_one_by_the_schema(tree: Path) -> None:
    (run,) = sarif(tree)["runs"]
    results = run["results"]
    assert len(results) == len([use for use in EXPECTED if use[4] != "pinned"])
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in results)
    first = next(result for result in results if "main.go" in json.dumps(result))
    assert first["ruleId"] == "secret-version-latest"
    assert first["level"] == "error"
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "app/main.go", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 1, "startColumn": 53},
    }
    levels = {result["ruleId"]: result["level"] for result in results}
    assert levels["secret-version-indirect"] == "note"
    assert {
        result["level"] for result in sarif(tree, "--fail-on", "none")["runs"][0]["results"]
    } == {"note"}


def test_results_of_sarif_keep_their_identity_when_lines_move(tree: Path) -> None:
    def identities() -> list[str]:
        results = sarif(tree)["runs"][0]["results"]
        return [result["partialFingerprints"]["secretUse/v1"] for result in results]

    before = identities()
    path = tree / "deploy.sh"
    path.write_text("#!/bin/sh\n\n" + path.read_text())
    assert identities() == before
    assert len(set(before)) == len(before)


def test_an_invalid_log_would_be_seen(tree: Path) -> None:
    log = sarif(tree)
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert list(Draft4Validator(json.loads(SCHEMA.read_text())).iter_errors(log))


def test_a_folder_without_secrets_is_well(tmp_path: Path) -> None:
    result = scan(tmp_path)
    assert (result.exit_code, result.stdout) == (0, "no use of a secret was found\n")
    assert sarif(tmp_path)["runs"][0]["results"] == []


def test_all_golden_files_are_scanned(tmp_path: Path) -> None:
    found = uses(GOLDEN)
    cases = {result["path"].split("/")[0] for result in found}
    assert len(cases) > 100
    assert {result["kind"] for result in found} == {
        *("cloud-run", "external-secret", "gcloud", "github-actions", "marker", "pins-file"),
        *("reference", "terraform"),
    }
