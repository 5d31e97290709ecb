import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from rotation import registry
from rotation.policies.policy import decode_policy
from rotation.policies.schema import policy_schema
from tests.deploy import provider_schema
from tests.deploy.terraform import MODULE, ROOT, Terraform, TerraformError
from tests.deploy.world import variables
from tests.support.stack.targets import divided

FILES = sorted(MODULE.rglob("*.tf"))
EXAMPLES = {
    "one-secret": {"project": "acme-prod"},
    "fifty-secrets": {"project": "acme-prod", "image": "r/rotation@sha256:" + "b" * 64},
}
#: Not arguments of the provider but of Terraform.
META = {
    "count",
    "for_each",
    "provider",
    "depends_on",
    "lifecycle",
    "__is_block__",
    "__comments__",
    "__inline_comments__",
}
needs_terraform = pytest.mark.skipif(
    not shutil.which("terraform"), reason="there is no terraform binary on this machine"
)


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    return Terraform(tmp_path_factory.mktemp("terraform"))


def parsed(file: Path) -> dict[str, Any]:
    with file.open() as text:
        return hcl2.load(text)


def bare(name: str) -> str:
    return name.strip('"')


def blocks(kind: str) -> Iterator[dict[str, Any]]:
    for file in sorted(MODULE.glob("*.tf")):
        yield from parsed(file).get(kind, [])


def faults(body: Any, schema: Any, where: str) -> Iterator[str]:
    given = {bare(key) for key in body} - META
    for dynamic in body.get("dynamic", []):
        for name, inner in dynamic.items():
            if bare(name) in META:
                continue
            given.add(bare(name))
            block = schema["blocks"].get(bare(name))
            for content in (
                inner["content"] if isinstance(inner["content"], list) else [inner["content"]]
            ):
                yield from (
                    faults(content, block, f"{where}.{bare(name)}")
                    if block
                    else [f"{where}: {name}"]
                )
    given.discard("dynamic")
    known = {
        name for name, attribute in schema["attributes"].items() if attribute.get("given", True)
    }
    yield from (f"{where}: no argument {name}" for name in given - known - {*schema["blocks"]})
    required = {
        name
        for part in ("attributes", "blocks")
        for name, described in schema[part].items()
        if described["required"]
    }
    yield from (f"{where}: {name} is missing" for name in required - given)
    for name, block in schema["blocks"].items():
        for inner in body.get(name, []):
            yield from faults(inner, block, f"{where}.{name}")


def every_fault() -> Iterator[str]:
    schema = {
        kind: described
        for kinds in provider_schema.kept().values()
        for kind, described in kinds.items()
    }
    for part in ("resource", "data"):
        for block in blocks(part):
            for kind, named in block.items():
                if bare(kind) in META:
                    continue
                for name, body in named.items():
                    if bare(name) not in META:
                        yield from faults(body, schema[bare(kind)], f"{bare(kind)}.{bare(name)}")


def test_every_argument_is_the_providers_and_none_is_missing() -> None:
    assert list(every_fault()) == []


def test_an_unknown_or_missing_argument_would_be_found() -> None:
    schema = provider_schema.kept()["google"]["google_pubsub_topic"]
    assert list(faults({"name": "x", "colour": "red"}, schema, "t")) == ["t: no argument colour"]
    assert list(faults({}, schema, "t")) == ["t: name is missing"]


@pytest.mark.slow
@pytest.mark.node
def test_the_kept_schema_is_the_providers_own(tmp_path: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("npm, which brings the providers' schemas, is not on this machine")
    assert (
        provider_schema.written(provider_schema.fetch(tmp_path)) == provider_schema.KEPT.read_text()
    )


@needs_terraform
def test_terraform_formats_it_the_same_way() -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", MODULE],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stdout


@needs_terraform
def test_terraform_finds_it_valid(terraform: Terraform) -> None:
    terraform.run("validate")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(MODULE)))
def test_it_can_be_read_without_terraform(file: Path) -> None:
    assert parsed(file) is not None


@needs_terraform
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"project": "123"}, "is a project id"),
        ({"region": "europe-west1-b"}, "not a zone"),
        ({"image": "rotation:latest"}, "by its digest"),
        ({"concurrency": 0}, "from 1 to 80"),
        ({"environment": {"ROTATION_CRASH_AT": "x"}}, "takes only"),
        ({"secrets": {"a b": {"policy": '{"issuer": {"kind": "x"}}'}}}, "letters, digits"),
        (
            {"secrets": {"a": {"policy": '{"issuer": {"kind": "x"}, "sok": "1h"}'}}},
            "policy is JSON",
        ),
        ({"secrets": {"a": {"policy": "soak: 1h"}}}, "policy is JSON"),
        (
            {"secrets": {"a": {"policy": '{"issuer": {"kind": "x"}}', "rotation_period": "60s"}}},
            "at least 3600s",
        ),
        (
            {
                "secrets": {
                    "a": {"policy": '{"issuer": {"kind": "x"}}', "labels": {"rotation_phase": "x"}}
                }
            },
            "belong to the function",
        ),
        ({"network": {"network": "n", "subnetwork": "s"}}, "needs an image"),
        ({"first_rotation": "tomorrow"}, "is a time such as"),
        ({"runbooks_url": "http://x/"}, "begins with https"),
        ({"keys_version": "latest"}, "the number of one version"),
    ],
)
def test_a_wrong_variable_is_refused_with_its_remedy(
    terraform: Terraform, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(TerraformError) as refused:
        terraform.plan(**(variables("from source") | wrong))
    assert message in re.sub(r"\s*[│|]?\s+", " ", str(refused.value))


@needs_terraform
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_plans_and_its_policies_can_be_read(tmp_path: Path, name: str) -> None:
    planned = Terraform(tmp_path, f"deploy/terraform/examples/{name}").plan(**EXAMPLES[name])
    secrets = [
        resource["values"]
        for resource in planned
        if resource["type"] == "google_secret_manager_secret"
        and resource["values"]["secret_id"] != "rotation-keys"
    ]
    assert len(secrets) == {"one-secret": 1, "fifty-secrets": 50}[name]
    kinds = registry.kinds(registry.issuers(), registry.participants(), registry.gates())
    for secret in secrets:
        policy = json.loads(secret["annotations"]["rotation.policy"])
        on_target, own = divided(policy["issuer"]["kind"], policy["issuer"])
        named = {"target": "database"} if on_target else {}
        text = json.dumps({**policy, "issuer": {**named, **own}})
        decode_policy(text, kinds.looking())
    times = [secret["rotation"][0]["next_rotation_time"] for secret in secrets]
    assert len(set(times)) == len(times), "they do not all rotate at one moment"


def test_the_policys_keys_are_those_of_the_schema() -> None:
    kinds = registry.kinds(registry.issuers(), registry.participants(), registry.gates())
    known = set(policy_schema(kinds)["properties"])
    text = (MODULE / "variables.tf").read_text()
    written = re.search(r"policy\)\), \[\]\), (\[.*?\])\)\)", text)
    assert known <= set(json.loads(written[1])) <= known | {"approval"}


def test_the_variables_that_may_be_set_are_those_the_function_reads() -> None:
    text = (MODULE / "variables.tf").read_text()
    allowed = set(re.findall(r'^ +"(ROTATION_\w+)",$', text, re.MULTILINE))
    read = set(re.findall(r'"(ROTATION_\w+)"', (ROOT / "rotation/config.py").read_text()))
    set_by_module = {  # and the release, for doctor to read
        "ROTATION_PROJECT",
        "ROTATION_TOPIC",
        "ROTATION_KEYS",
        "ROTATION_PUSH_AUDIENCE",
        "ROTATION_PUSH_ACCOUNT",
        "ROTATION_PUSH_SIGNATURE",
        "ROTATION_EMERGENCY_SUBSCRIPTION",
    }
    assert allowed | set_by_module <= read
    not_the_functions = {
        "ROTATION_EMERGENCY_TOPIC",
        "ROTATION_REGION",
        "ROTATION_SERVICE",
        "ROTATION_SWEEP_JOB",
        "ROTATION_FUNCTION_URL",
    }
    assert read - allowed - set_by_module == not_the_functions


def test_what_google_and_the_function_move_is_left_alone() -> None:
    text = (MODULE / "secrets.tf").read_text()
    ignored = re.search(r"ignore_changes = \[(.*?)\]\n  \}", text, re.DOTALL)[1]
    assert "rotation[0].next_rotation_time" in ignored
    assert "version_aliases" in ignored
    assert "rotation_period" not in ignored
    assert "annotations" not in ignored


def test_every_alert_names_its_runbook_and_counts_a_metric_that_exists() -> None:
    metrics = {path.stem for path in (ROOT / "deploy/monitoring/metrics").glob("*.json")}
    alerts = {
        path.stem: json.loads(path.read_text())
        for path in (ROOT / "deploy/monitoring/alerts").glob("*.json")
    }
    assert set(alerts) == {
        "overdue",
        "blocked",
        "failing",
        "dead-letter",
        "drift",
        "emergency",
        "too-old",
    }
    for name, alert in alerts.items():
        assert f"deploy/docs/runbooks/{name}.md" in alert["documentation"]["content"]
        used = re.findall(r"user/rotation-([a-z-]+)", json.dumps(alert))
        assert set(used) <= metrics
        assert used or name == "dead-letter"
    used = set(
        re.findall(
            r"user/rotation-([a-z-]+)", (ROOT / "deploy/monitoring/dashboard.json").read_text()
        )
    )
    assert used <= metrics


def table(kind: str) -> Iterator[tuple[str, str]]:
    for block in blocks(kind):
        for name, body in block.items():
            if bare(name) not in META:
                yield bare(name), bare(str(body["description"]))


@pytest.mark.parametrize("kind", ["variable", "output"])
def test_the_readme_lists_every_input_and_output_with_its_words(kind: str) -> None:
    text = (MODULE / "README.md").read_text()
    for name, description in table(kind):
        assert f"| `{name}` |" in text, name
        assert description.replace('\\"', '"').replace("|", "\\|") in text, name
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert set(rows) == {name for of in ("variable", "output") for name, _ in table(of)}
