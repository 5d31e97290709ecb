import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pubsub_support import Endpoint, PubSub

pytestmark = [
    pytest.mark.gcloud,
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed"),
]


class Gcloud:
    def __init__(self, rest_url: str, home: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "CLOUDSDK_CONFIG": str(home / "gcloud"),
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_PROJECT": "demo-1",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": rest_url,
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["gcloud", "pubsub", *words, "--format=json"],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def __call__(self, *words: str) -> object:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")


@pytest.fixture
def gcloud(our_pubsub: PubSub, tmp_path: Path) -> Gcloud:
    return Gcloud(our_pubsub.rest_url, tmp_path)


def test_gcloud_creates_publishes_pushes_and_pulls(
    gcloud: Gcloud, our_pubsub: PubSub, endpoint: Endpoint
) -> None:
    path = endpoint.path()
    gcloud("topics", "create", "from-gcloud")
    gcloud("subscriptions", "create", "pulled", "--topic=from-gcloud")
    gcloud(
        "subscriptions",
        "create",
        "pushed",
        "--topic=from-gcloud",
        f"--push-endpoint={endpoint.url(path)}",
        '--message-filter=attributes.eventType="SECRET_ROTATE"',
        "--ack-deadline=600",
        "--min-retry-delay=10s",
        "--max-retry-delay=600s",
    )
    gcloud("topics", "publish", "from-gcloud", "--attribute=eventType=SECRET_UPDATE")
    wanted = "eventType=SECRET_ROTATE,secretId=projects/1/secrets/app,mode=emergency"
    gcloud("topics", "publish", "from-gcloud", f"--attribute={wanted}")
    message = endpoint.next(path).message
    assert message["attributes"] == dict(pair.split("=") for pair in wanted.split(","))
    assert endpoint.count(path) == 0
    pulled = gcloud("subscriptions", "pull", "pulled", "--auto-ack", "--limit=10")
    assert [one["message"]["attributes"]["eventType"] for one in pulled] == [
        "SECRET_UPDATE",
        "SECRET_ROTATE",
    ]


def test_gcloud_updates_describes_and_deletes(gcloud: Gcloud, our_pubsub: PubSub) -> None:
    topic, dead = our_pubsub.topic(), our_pubsub.topic()
    name = our_pubsub.subscribe(topic)
    gcloud("subscriptions", "update", name, "--ack-deadline=60", f"--dead-letter-topic={dead}")
    shown = gcloud("subscriptions", "describe", name)
    assert (shown["ackDeadlineSeconds"], shown["deadLetterPolicy"]["deadLetterTopic"]) == (60, dead)
    assert name in [one["name"] for one in gcloud("subscriptions", "list")]
    gcloud("subscriptions", "delete", name)
    refused = gcloud.run("subscriptions", "describe", name)
    assert refused.returncode == 1
    assert "NOT_FOUND" in refused.stderr
    assert "Resource not found (resource=" in refused.stderr
