import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.deploy import resources
from tests.deploy.terraform import Terraform
from tests.deploy.world import SCENARIOS, TARGETS, Script, variables

#: What may stay: Google keeps a deleted role for a week; agents and APIs are the project's; keys
#: go with `rotation-keys`.  `rotation-targets` goes.
STAYS = {"api", "agent", "role", "secret", "version"}
pytestmark = pytest.mark.slow
needs_terraform = pytest.mark.skipif(
    not shutil.which("terraform"), reason="there is no terraform binary on this machine"
)


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    return Terraform(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> str:
    return request.param


def deployed(folder: Path, scenario: str) -> Script:
    script = Script(folder, scenario)
    done = script.run("deploy.sh")
    assert done.returncode == 0, done.stderr
    return script


@needs_terraform
def test_terraform_and_the_script_make_the_same_things(
    terraform: Terraform, tmp_path: Path, scenario: str
) -> None:
    script = resources.from_gcloud(deployed(tmp_path, scenario).state)
    module = resources.from_plan(terraform.plan(**variables(scenario)))
    assert script == module
    assert len(module) > 45


def test_the_function_tells_the_release_it_runs(tmp_path: Path, scenario: str) -> None:
    made = resources.from_gcloud(deployed(tmp_path, scenario).state)
    environment = made["service rotation"]["environment"]
    assert environment["ROTATION_VERSION"] == version("rotation")


@needs_terraform
@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("file", "written", "planted"),
    [
        ("subscription.tf", "ack_deadline_seconds       = 600", "ack_deadline_seconds       = 60"),
        ("subscription.tf", "max_delivery_attempts = 20", "max_delivery_attempts = 5"),
        ("subscription.tf", "audience              = local.audience", ""),
        ("function.tf", "timeout_seconds = 540", "timeout_seconds = 300"),
        ("topics.tf", 'role    = "roles/pubsub.publisher"', 'role    = "roles/pubsub.editor"'),
        ("sweep.tf", "*/5 * * * *", "0 * * * *"),
        ("../monitoring/alerts/drift.json", "CRITICAL", "WARNING"),
        ("../generated/iam.json", "secretmanager.versions.add", "secretmanager.versions.list"),
    ],
)
def test_a_planted_difference_is_found(
    tmp_path: Path, file: str, written: str, planted: str
) -> None:
    script = resources.from_gcloud(deployed(tmp_path, "from source").state)
    terraform = Terraform(tmp_path / "changed")
    path = terraform.folder / file
    assert written in path.read_text()
    path.write_text(path.read_text().replace(written, planted))
    assert resources.from_plan(terraform.plan(**variables("from source"))) != script


def test_the_script_may_be_run_again(tmp_path: Path, scenario: str) -> None:
    script = deployed(tmp_path, scenario)
    before = script.state
    done = script.run("deploy.sh")
    assert done.returncode == 0, done.stderr
    assert resources.from_gcloud(script.state) == resources.from_gcloud(before)


def files(script: Script) -> str:
    found: str = script.state["service"]["rotation"]["files"]["/secrets/targets/targets.json"]
    return found


def test_a_new_version_of_the_targets_document_is_made_only_for_a_changed_one(
    tmp_path: Path,
) -> None:
    script = deployed(tmp_path, "from source")
    assert files(script) == "rotation-targets:1"
    (tmp_path / "targets.yaml").write_text(json.dumps(TARGETS, indent=3))
    assert script.run("deploy.sh").returncode == 0
    assert files(script) == "rotation-targets:1", "the same, in other words"
    changed = json.loads(json.dumps(TARGETS).replace("10.0.0.5", "10.0.0.6"))
    (tmp_path / "targets.yaml").write_text(json.dumps(changed))
    assert script.run("deploy.sh").returncode == 0
    assert files(script) == "rotation-targets:2"
    assert script.state["version"]["rotation-targets/2"] == changed
    done = script.run("deploy.sh", TARGETS_FILE="", DOCTORS="user:d@example.com")
    assert done.returncode == 0, done.stderr
    assert files(script) == "rotation-targets:2", "what is in force stays"
    doctor = "secret/orders-rotator projects/acme-prod/roles/rotationReader user:d@example.com"
    assert doctor in script.state["binding"]


def test_nobody_but_the_function_is_given_anything_on_the_targets_document(
    tmp_path: Path,
) -> None:
    script = deployed(tmp_path, "everything chosen")
    on_it = [name for name in script.state["binding"] if "rotation-targets" in name]
    function = "serviceAccount:rotation@acme-prod.iam.gserviceaccount.com"
    assert on_it == [f"secret/rotation-targets projects/acme-prod/roles/rotationReader {function}"]


def test_removal_leaves_nothing_behind(tmp_path: Path, scenario: str) -> None:
    script = deployed(tmp_path, scenario)
    for _ in range(2):
        done = script.run("remove.sh")
        assert done.returncode == 0, done.stderr
    left = {kind: names for kind, names in script.state.items() if names and kind not in STAYS}
    assert set(left.pop("binding", {})) == {
        (
            "secret/orders roles/secretmanager.secretAccessor "
            "serviceAccount:orders@acme-prod.iam.gserviceaccount.com"
        )
    }, "what consumers read stays theirs"
    assert left == {}
    assert set(script.state["secret"]) == {"orders", "orders-rotator", "rotation-keys", "shop"}
    assert set(script.state["version"]) == {"rotation-keys/1"}
    assert all(role["deleted"] for role in script.state["role"].values())
    assert all(secret["topics"] == [] for secret in script.state["secret"].values())


def test_secrets_are_deleted_only_when_named(tmp_path: Path) -> None:
    script = deployed(tmp_path, "from source")
    done = script.run("remove.sh", DELETE_SECRETS="orders")
    assert done.returncode == 0, done.stderr
    assert set(script.state["secret"]) == {"orders-rotator", "rotation-keys", "shop"}


def test_roles_deleted_by_a_removal_come_back(tmp_path: Path) -> None:
    script = deployed(tmp_path, "from source")
    before = resources.from_gcloud(script.state)
    assert script.run("remove.sh", DELETE_SECRETS="orders shop").returncode == 0
    assert script.run("deploy.sh").returncode == 0
    assert resources.from_gcloud(script.state) == before
