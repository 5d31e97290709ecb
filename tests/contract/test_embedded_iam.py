"""IAM of the embedded Secret Manager and Pub/Sub, by Google's clients, REST and gcloud."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.api_core.exceptions import Aborted, FailedPrecondition, NotFound, PermissionDenied
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from rotation.emulator.background import serve_in_background
from rotation.emulator.secretmanager.controls import Controls
from rotation.google.clients import embedded_channel
from rotation.local.stack.options import StackOptions
from rotation.local.stack.services import Services, services

PROJECT = "projects/demo-project"
NUMBER = "projects/123456789012"
ROBOT = "robot@demo-project.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{ROBOT}"
TOPIC = f"{PROJECT}/topics/wake-ups"
SUBSCRIPTION = f"{PROJECT}/subscriptions/pulled"


class World:
    def __init__(self, running: Services) -> None:
        self.running = running
        self.controls = Controls(running.secret_manager_rest)
        self.secrets, self.publisher, self.subscriber = self.clients("")
        self.secret = self.secrets.create_secret(
            parent=PROJECT, secret_id="orders", secret={"replication": {"automatic": {}}}
        ).name
        self.secrets.add_secret_version(parent=self.secret, payload={"data": b"hello"})
        self.publisher.create_topic(name=TOPIC)
        self.subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)

    def clients(
        self, who: str
    ) -> tuple[SecretManagerServiceClient, PublisherClient, SubscriberClient]:
        channel = embedded_channel(self.running.secret_manager_grpc, who)
        pubsub = embedded_channel(self.running.pubsub_grpc, who)
        return (
            SecretManagerServiceClient(
                transport=SecretManagerServiceGrpcTransport(channel=channel)
            ),
            PublisherClient(transport=PublisherGrpcTransport(channel=pubsub)),
            SubscriberClient(transport=SubscriberGrpcTransport(channel=pubsub)),
        )

    def rest(self, method: str, path: str, who: str = "", **body: Any) -> httpx.Response:
        base = self.running.pubsub_rest if "/topics/" in path else self.running.secret_manager_rest
        headers = {"Authorization": f"Bearer {who}"} if who else {}
        return httpx.request(
            method, f"{base}/v1/{path}", json=body, headers=headers, trust_env=False
        )

    def bind(self, client: Any, resource: str, role: str) -> None:
        policy = client.get_iam_policy(request={"resource": resource})
        policy.bindings.add(role=role, members=[MEMBER])
        client.set_iam_policy(request={"resource": resource, "policy": policy})

    def bind_project(self, role: str) -> None:
        policy = self.rest("POST", f"{PROJECT}:getIamPolicy").json()
        policy.setdefault("bindings", []).append({"role": role, "members": [MEMBER]})
        assert self.rest("POST", f"{PROJECT}:setIamPolicy", policy=policy).is_success

    def create_role(self, role_id: str, *permissions: str) -> str:
        role = {"title": role_id, "includedPermissions": permissions}
        answer = self.rest("POST", f"{PROJECT}/roles", roleId=role_id, role=role)
        return str(answer.json()["name"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serve_in_background(lambda: services(StackOptions(), tmp_path, "")) as background:
        world = World(background.served)
        world.controls.enforce_iam()
        yield world
        world.controls.close()


def test_whoever_says_nothing_is_the_owner(world: World) -> None:
    assert world.secrets.get_secret(name=world.secret)
    world.publisher.publish(topic=TOPIC, messages=[{"attributes": {"a": "b"}}])


def test_a_caller_without_a_role_is_refused_in_the_services_own_words(world: World) -> None:
    secrets, publisher, subscriber = world.clients(ROBOT)
    with pytest.raises(PermissionDenied) as refused:
        secrets.access_secret_version(name=f"{world.secret}/versions/1")
    assert refused.value.message == (
        "Permission 'secretmanager.versions.access' denied for resource "
        f"'{NUMBER}/secrets/orders/versions/1' (or it may not exist)."
    )
    with pytest.raises(PermissionDenied, match="User not authorized to perform this action"):
        publisher.publish(topic=TOPIC, messages=[{"attributes": {"a": "b"}}])
    with pytest.raises(PermissionDenied):
        subscriber.pull(subscription=SUBSCRIPTION, max_messages=1)


def test_a_refusal_does_not_tell_whether_it_exists(world: World) -> None:
    secrets, publisher, _ = world.clients(ROBOT)
    with pytest.raises(PermissionDenied):
        secrets.get_secret(name=f"{PROJECT}/secrets/nobody")
    with pytest.raises(PermissionDenied):
        publisher.get_topic(topic=f"{PROJECT}/topics/nobody")


def test_a_predefined_role_on_the_resource_lets_in_there_and_nowhere_else(world: World) -> None:
    secrets, publisher, subscriber = world.clients(ROBOT)
    world.secrets.create_secret(
        parent=PROJECT, secret_id="other", secret={"replication": {"automatic": {}}}
    )
    world.bind(world.secrets, world.secret, "roles/secretmanager.secretAccessor")
    world.bind(world.publisher, TOPIC, "roles/pubsub.publisher")
    world.bind(world.subscriber, SUBSCRIPTION, "roles/pubsub.subscriber")
    assert secrets.access_secret_version(name=f"{world.secret}/versions/1")
    publisher.publish(topic=TOPIC, messages=[{"attributes": {"a": "b"}}])
    subscriber.pull(subscription=SUBSCRIPTION, max_messages=1)
    with pytest.raises(PermissionDenied):
        secrets.get_secret(name=world.secret)
    with pytest.raises(PermissionDenied):
        secrets.access_secret_version(name=f"{PROJECT}/secrets/other/versions/1")


def test_a_custom_role_grants_what_it_includes(world: World) -> None:
    secrets, *_ = world.clients(ROBOT)
    role = world.create_role("looker", "secretmanager.secrets.get")
    world.bind(world.secrets, world.secret, role)
    assert secrets.get_secret(name=world.secret)
    world.rest("PATCH", role, includedPermissions=["secretmanager.secrets.list"])
    with pytest.raises(PermissionDenied):
        secrets.get_secret(name=world.secret)


def test_a_role_on_the_project_counts_for_everything_in_it(world: World) -> None:
    secrets, publisher, _ = world.clients(ROBOT)
    world.bind_project(world.create_role("all", "secretmanager.secrets.list", "pubsub.topics.get"))
    assert [secret.name for secret in secrets.list_secrets(parent=NUMBER)] == [world.secret]
    assert publisher.get_topic(topic=TOPIC).name == TOPIC


def test_a_binding_with_a_condition_grants_nothing(world: World) -> None:
    policy = world.secrets.get_iam_policy(request={"resource": world.secret})
    role = "roles/secretmanager.viewer"
    policy.bindings.add(role=role, members=[MEMBER], condition={"expression": "false"})
    world.secrets.set_iam_policy(request={"resource": world.secret, "policy": policy})
    with pytest.raises(PermissionDenied):
        world.clients(ROBOT)[0].get_secret(name=world.secret)


def test_every_permission_asked_for_is_answered_truthfully(world: World) -> None:
    secrets, publisher, _ = world.clients(ROBOT)
    asked = ["secretmanager.versions.access", "secretmanager.versions.add"]
    ask = {"resource": world.secret, "permissions": asked}
    assert list(secrets.test_iam_permissions(request=ask).permissions) == []
    world.bind(world.secrets, world.secret, "roles/secretmanager.secretAccessor")
    assert list(secrets.test_iam_permissions(request=ask).permissions) == asked[:1]
    assert list(world.secrets.test_iam_permissions(request=ask).permissions) == asked
    on_topic = {"resource": TOPIC, "permissions": ["pubsub.topics.publish", "pubsub.topics.get"]}
    assert list(publisher.test_iam_permissions(request=on_topic).permissions) == []
    world.bind(world.publisher, TOPIC, "roles/pubsub.publisher")
    granted = publisher.test_iam_permissions(request=on_topic).permissions
    assert list(granted) == ["pubsub.topics.publish"]
    with pytest.raises(NotFound):
        publisher.test_iam_permissions(request={**on_topic, "resource": f"{PROJECT}/topics/none"})


def test_rest_and_grpc_tell_and_refuse_the_same(world: World) -> None:
    permissions = ["pubsub.topics.publish"]
    path = f"{TOPIC}:testIamPermissions"
    assert world.rest("POST", path, ROBOT, permissions=permissions).json() == {}
    world.bind(world.publisher, TOPIC, "roles/pubsub.publisher")
    assert world.rest("POST", path, ROBOT, permissions=permissions).json() == {
        "permissions": permissions
    }
    assert world.rest("GET", f"{TOPIC}:getIamPolicy").json()["bindings"] == [
        {"role": "roles/pubsub.publisher", "members": [MEMBER]}
    ]
    refused = world.rest("GET", world.secret, ROBOT)
    assert refused.status_code == 403
    assert refused.json()["error"]["status"] == "PERMISSION_DENIED"


def test_a_policy_that_somebody_else_changed_is_not_overwritten(world: World) -> None:
    old = world.publisher.get_iam_policy(request={"resource": TOPIC})
    world.bind(world.publisher, TOPIC, "roles/pubsub.publisher")
    changed = world.publisher.get_iam_policy(request={"resource": TOPIC})
    world.publisher.set_iam_policy(request={"resource": TOPIC, "policy": changed})
    old.etag = changed.etag
    with pytest.raises(Aborted, match="concurrent policy changes"):
        world.publisher.set_iam_policy(request={"resource": TOPIC, "policy": old})


def test_a_topic_that_is_gone_takes_its_policy_with_it(world: World) -> None:
    world.bind(world.publisher, TOPIC, "roles/pubsub.publisher")
    world.publisher.delete_topic(topic=TOPIC)
    world.publisher.create_topic(name=TOPIC)
    assert list(world.publisher.get_iam_policy(request={"resource": TOPIC}).bindings) == []


def test_secret_manager_publishes_with_the_rights_of_its_service_agent(world: World) -> None:
    wanted = {"replication": {"automatic": {}}, "topics": [{"name": TOPIC}]}
    with pytest.raises(FailedPrecondition):
        world.secrets.create_secret(parent=PROJECT, secret_id="announced", secret=wanted)
    agent = f"serviceAccount:{StackOptions().secret_manager_agent}"
    policy = world.publisher.get_iam_policy(request={"resource": TOPIC})
    policy.bindings.add(role="roles/pubsub.publisher", members=[agent])
    world.publisher.set_iam_policy(request={"resource": TOPIC, "policy": policy})
    assert world.secrets.create_secret(parent=PROJECT, secret_id="announced", secret=wanted)


def test_what_each_caller_used_is_remembered(world: World) -> None:
    world.controls.enforce_iam(enforced=False)
    world.controls.reset_used_permissions()
    secrets, publisher, _ = world.clients(ROBOT)
    secrets.get_secret(name=world.secret)
    publisher.publish(topic=TOPIC, messages=[{"attributes": {"a": "b"}}])
    used = {
        "pubsub.topics.publish": [TOPIC],
        "secretmanager.secrets.get": [f"{PROJECT}/secrets/orders"],
    }
    assert world.controls.used_permissions() == {ROBOT: used}
    world.controls.enforce_iam()
    with pytest.raises(PermissionDenied):
        secrets.list_secrets(parent=PROJECT)
    assert world.controls.reset_used_permissions() == {ROBOT: used}
    assert world.controls.used_permissions() == {}


def test_policies_and_roles_outlive_the_services(tmp_path: Path) -> None:
    options = StackOptions(data_dir=tmp_path)
    with serve_in_background(lambda: services(options, tmp_path, "")) as background:
        world = World(background.served)
        world.bind_project(world.create_role("looker", "secretmanager.secrets.get"))
        world.controls.close()
    with serve_in_background(lambda: services(options, tmp_path, "")) as background:
        channel = embedded_channel(background.served.secret_manager_grpc, ROBOT)
        client = SecretManagerServiceClient(
            transport=SecretManagerServiceGrpcTransport(channel=channel)
        )
        with Controls(background.served.secret_manager_rest) as controls:
            controls.enforce_iam()
        assert client.get_secret(name=f"{PROJECT}/secrets/orders")


@pytest.mark.gcloud
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")
def test_gcloud_creates_roles_and_binds_them(world: World, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": "demo-project",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"{world.running.pubsub_rest}/",
        **{
            f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}": f"{world.running.secret_manager_rest}/"
            for api in ("SECRETMANAGER", "IAM", "CLOUDRESOURCEMANAGER")
        },
    }

    def gcloud(*words: str) -> Any:
        done = subprocess.run(
            ["gcloud", *words, "--format=json"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    role_file = tmp_path / "role.yaml"
    role_file.write_text(
        "title: Looker\nstage: GA\nincludedPermissions:\n- secretmanager.secrets.get\n"
    )
    role = gcloud("iam", "roles", "create", "looker", f"--file={role_file}",
                  "--project=demo-project")["name"]  # fmt: skip
    gcloud("secrets", "add-iam-policy-binding", "orders", f"--member={MEMBER}", f"--role={role}")
    publisher = "--role=roles/pubsub.publisher"
    gcloud(
        "pubsub", "topics", "add-iam-policy-binding", "wake-ups", f"--member={MEMBER}", publisher
    )
    gcloud("pubsub", "subscriptions", "add-iam-policy-binding", "pulled", f"--member={MEMBER}",
           "--role=roles/pubsub.subscriber")  # fmt: skip
    gcloud("projects", "add-iam-policy-binding", "demo-project", f"--member={MEMBER}",
           "--role=roles/pubsub.viewer", "--condition=None")  # fmt: skip
    secrets, topics, subscriber = world.clients(ROBOT)
    assert secrets.get_secret(name=world.secret)
    topics.publish(topic=TOPIC, messages=[{"attributes": {"a": "b"}}])
    assert [topic.name for topic in topics.list_topics(project=PROJECT)] == [TOPIC]
    subscriber.pull(subscription=SUBSCRIPTION, max_messages=1)
