import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from secretmanager_support import World

NAME = "projects/123456789012/secrets/app"
STALE = (
    "ERROR: (gcloud.secrets.update) FAILED_PRECONDITION: The etag provided in the request does not "
    "match the resource's current etag. Please retry the whole read-modify-write with exponential "
    "backoff."
)

pytestmark = [
    pytest.mark.gcloud,
    pytest.mark.skipif(not shutil.which("gcloud"), reason="needs the gcloud command"),
]

Gcloud = Callable[..., str]


@pytest.fixture
def gcloud(world: World, tmp_path: Path) -> Gcloud:
    environment = {
        **os.environ,
        "CLOUDSDK_CONFIG": str(tmp_path / "config"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": "demo-project",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER": f"{world.background.served.rest_url}/",
    }

    def run(*arguments: str, stdin: str = "", ok: bool = True) -> str:
        finished = subprocess.run(
            ["gcloud", "secrets", *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (finished.returncode == 0) is ok, finished.stderr
        return (finished.stdout if ok else finished.stderr).strip()

    return run


def test_gcloud_creates_describes_and_lists(gcloud: Gcloud, world: World) -> None:
    gcloud(
        "create", "app", "--replication-policy=automatic", "--labels=team=db",
        "--topics=projects/demo-project/topics/rotation",
        "--next-rotation-time=2040-01-01T00:00:00Z", "--rotation-period=2592000s",
    )  # fmt: skip
    assert world.broker.event_types == ("TOPIC_CONFIGURED", "SECRET_CREATE")
    described = gcloud("describe", "app", "--format=value(name,rotation.rotationPeriod,labels)")
    assert described.split("\t") == [NAME, "2592000s", "team=db"]
    assert gcloud("list", "--format=value(name)") == "app"
    refusal = gcloud("create", "app", "--replication-policy=automatic", ok=False)
    assert f"Secret [{NAME}] already exists." in refusal


def test_gcloud_adds_accesses_disables_and_destroys_versions(gcloud: Gcloud) -> None:
    gcloud("create", "app", "--replication-policy=automatic")
    gcloud("versions", "add", "app", "--data-file=-", stdin="one")
    assert gcloud("versions", "access", "1", "--secret=app") == "one"
    gcloud("versions", "disable", "1", "--secret=app")
    refusal = gcloud("versions", "access", "latest", "--secret=app", ok=False)
    state = f"FAILED_PRECONDITION: Secret Version [{NAME}/versions/1] is in DISABLED state."
    assert state in refusal
    gcloud("versions", "enable", "1", "--secret=app")
    listed = gcloud("versions", "list", "app", "--format=value(name,state)")
    assert listed.split() == ["1", "enabled"]
    gcloud("versions", "destroy", "1", "--secret=app")
    refusal = gcloud("versions", "destroy", "1", "--secret=app", ok=False)
    assert "SecretVersion.state is already DESTROYED" in refusal
    refusal = gcloud("versions", "access", "9", "--secret=app", ok=False)
    assert f"NOT_FOUND: Secret Version [{NAME}/versions/9] not found." in refusal


def test_gcloud_updates_labels_under_an_etag(gcloud: Gcloud, world: World) -> None:
    gcloud("create", "app", "--replication-policy=automatic", "--labels=team=db")
    gcloud("update", "app", "--update-labels=step=claimed")
    refusal = gcloud("update", "app", "--update-labels=step=stale", '--etag="stale"', ok=False)
    assert STALE in refusal
    etag = gcloud("describe", "app", "--format=value(etag)")
    gcloud("update", "app", "--update-labels=step=done", f"--etag={etag}")
    labels = gcloud("describe", "app", "--format=value(labels)")
    assert set(labels.split(";")) == {"step=done", "team=db"}


def test_gcloud_moves_aliases_and_keeps_everything_else(gcloud: Gcloud) -> None:
    gcloud("create", "app", "--replication-policy=automatic", "--labels=team=db")
    gcloud("versions", "add", "app", "--data-file=-", stdin="one")
    gcloud("update", "app", "--update-version-aliases=current=1")
    assert gcloud("versions", "access", "current", "--secret=app") == "one"
    described = gcloud("describe", "app", "--format=value(labels,versionAliases)")
    assert described.split("\t") == ["team=db", "current=1"]
    refusal = gcloud("update", "app", "--update-version-aliases=current=2", ok=False)
    assert "Aliases cannot be assigned to versions that don't exist" in refusal


def test_gcloud_deletes_under_an_etag_and_changes_policies(gcloud: Gcloud) -> None:
    gcloud("create", "app", "--replication-policy=automatic")
    member = "--member=user:a@example.com"
    gcloud("add-iam-policy-binding", "app", member, "--role=roles/secretmanager.secretAccessor")
    assert "user:a@example.com" in gcloud("get-iam-policy", "app")
    refusal = gcloud("delete", "app", '--etag="stale"', ok=False)
    assert "FAILED_PRECONDITION" in refusal
    gcloud("delete", "app")
    assert f"NOT_FOUND: Secret [{NAME}] not found." in gcloud("describe", "app", ok=False)
