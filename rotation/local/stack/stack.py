"""Start everything, say where it is, and end it all again.

Rules of this module:
  1. What was started is ended, in the opposite order, also when a later part fails to start.
  2. The function starts last: when a stack is entered, everything answers.
"""

import base64
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import httpx

from rotation import registry
from rotation.emulator.background import Background, serve_in_background
from rotation.emulator.cloud_run import REGION
from rotation.emulator.pubsub.forward import ForwardingPublisher
from rotation.emulator.pubsub.rest_api import CERTIFICATES
from rotation.emulator.secretmanager.controls import Controls
from rotation.local.embedded import UNSIGNED
from rotation.local.postgres.rotatable import create_rotatable_database
from rotation.local.postgres.server import PostgresServer
from rotation.local.stack.emulator import create_topics, subscribe
from rotation.local.stack.folder import close_folder, exclusive, kept_port, make_private
from rotation.local.stack.function import FunctionProcess
from rotation.local.stack.keys import key_file
from rotation.local.stack.options import StackOptions
from rotation.local.stack.services import Services, carrying, services
from rotation.local.stack.targets import Allowed, TargetsFile
from rotation.machine.requests import PRIVILEGED
from rotation.model.errors import PermanentError
from rotation.policies.targets import decode_targets, read_document


class StackError(PermanentError):
    """A part of the stack refused what was asked of it."""

    reason = "stack-refused"


class Stack:
    """The embedded stack; a context manager."""

    def __init__(self, options: StackOptions | None = None, *, emulator: str = "") -> None:
        """Set up; nothing starts before the stack is entered.

        Args:
            options: How.
            emulator: ``host:port`` of Google's Pub/Sub emulator to use instead of our own.
        """
        self.options = options or StackOptions()
        self._emulator = emulator
        self._parts = ExitStack()
        self._background: Background[Services] | None = None
        self.folder = Path()

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            self.folder = self._make_folder(parts)
            # Before gRPC's threads exist: starting a process beside them makes it complain.
            self.postgres = parts.enter_context(self._make_postgres())
            if self._emulator:
                create_topics(self._emulator, self.options)
            self._background = parts.enter_context(
                serve_in_background(lambda: services(self.options, self.folder, self._emulator))
            )
            self.controls = parts.enter_context(Controls(self.services.secret_manager_rest))
            self.targets = TargetsFile(self.folder)
            self.targets.begin(self.options.targets(self.postgres, self.options.project))
            self.function = FunctionProcess(
                self.function_environment(),
                self.folder / "function.log",
                workers=self.options.workers,
                threads=self.options.threads,
            )
            if self._emulator:
                subscribe(self._emulator, self.options, self.function.url)
            else:
                self._background.call(
                    lambda running: running.subscribe(self.options, self.function.url)
                )
            self._background.call(self._deploy)
            parts.callback(self.function.stop)
            self.function.start()
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._parts.close()

    def _deploy(self, running: Services) -> None:
        running.grant(self.options)
        variables = {
            **self.function_environment(),
            "THREADS": str(self.options.threads),
            "ROTATION_VERSION": version("rotation"),
        }
        running.deploy(self.options, self.function.url, variables)

    @property
    def services(self) -> Services:
        """The services; touch their objects only through `call`."""
        return self._running.served

    @property
    def topic(self) -> str:
        """Full name of the rotation topic."""
        return self.options.topic_name

    @property
    def _running(self) -> Background[Services]:
        if self._background is None:
            raise LookupError("the stack is not running")
        return self._background

    def advance(self, step: timedelta) -> None:
        """Move the clock of the services and the function forward."""
        self.services.clock.advance(step)

    def allow(self, targets: Allowed) -> None:
        """Let the function touch more: it starts anew with the changed document, as a revision.

        Args:
            targets: By name; one that is there is replaced.
        """
        if self.targets.put(targets):
            self.function.stop()
            self.function.start()

    def follow_targets(self) -> bool:
        """Start the function anew if its document was edited, as a new revision does.

        Returns:
            Whether it was.

        Raises:
            FaultyTargetsError: It is faulty now; the function goes on with the one before.
        """
        if not self.targets.is_edited():
            return False
        plugins = registry.issuers(), registry.participants(), registry.gates()
        decode_targets(read_document(self.targets.path), registry.settings_of_all(*plugins))
        self.function.stop()
        self.function.start()
        return True

    def topic_of(self, attributes: Mapping[str, str]) -> str:
        """Return the topic that a message belongs on."""
        privileged = attributes.get("mode") in {ask.value for ask in PRIVILEGED}
        return self.options.emergency_topic_name if privileged else self.topic

    def publish(self, **attributes: str) -> None:
        """Publish one attribute-only message to the topic that it belongs on."""
        self.publish_to(self.topic_of(attributes), **attributes)

    def publish_to(self, topic: str, **attributes: str) -> None:
        """Publish one attribute-only message to a topic, by its full name."""
        if self._emulator:
            with ForwardingPublisher(self._emulator) as publisher:
                publisher.publish(topic, attributes, None)
        else:
            self._running.call(lambda running: running.broker.publish(topic, attributes, None))

    def push_token(self) -> str:
        """Return the token that pushes to the function carry."""
        account, audience = self.options.push_account, self.options.push_audience
        return self._running.call(lambda running: running.broker.signer.token(account, audience))

    def backlog(self) -> int:
        """Return how many deliveries to the function are still owed."""
        waiting = self._running.call(lambda running: running.broker.backlog())
        return sum(int(waiting[name]["undelivered"]) for name in carrying(self.options))

    def environment(self) -> dict[str, str]:
        """Return the variables that point gcloud, clients, psql and our own commands here."""
        running = self.services
        return {
            "CLOUDSDK_CORE_PROJECT": self.options.project,
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER": f"{running.secret_manager_rest}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"{running.pubsub_rest}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": f"{running.deployment_rest}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER": f"{running.deployment_rest}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER": (
                f"{running.secret_manager_rest}/"
            ),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM": f"{running.secret_manager_rest}/",
            "SECRET_MANAGER_ENDPOINT": running.secret_manager_grpc,
            "PUBSUB_EMULATOR_HOST": running.pubsub_grpc,
            "ROTATION_REGION": REGION,
            "ROTATION_FUNCTION_URL": self.function.url,
            "ROTATION_TOPIC": self.topic,
            "ROTATION_CLOCK_FILE": str(self.folder / "clock"),
            **self._deployed,
            "PGHOST": self.postgres.host,
            "PGPORT": str(self.postgres.port),
            "PGUSER": "postgres",
            "PGPASSWORD": self.postgres.superuser_password(),
            "PGDATABASE": "postgres",
        }

    @property
    def _deployed(self) -> dict[str, str]:
        return {
            "ROTATION_PROJECT": self.options.project,
            "ROTATION_PROJECT_NUMBER": str(self.options.project_number),
            "ROTATION_TARGETS": str(self.targets.path),
            "ROTATION_KEYS": str(key_file(self.folder)),
            "ROTATION_PUSH_AUDIENCE": self.options.push_audience,
        }

    def function_environment(self) -> dict[str, str]:
        """Return the variables the function runs with."""
        running, options = self.services, self.options
        return {
            **self._deployed,
            "ROTATION_TOPIC": self.topic,
            "ROTATION_PUSH_ACCOUNT": options.push_account,
            "ROTATION_EMBEDDED_CERTIFICATES": UNSIGNED
            if self._emulator
            else f"{running.pubsub_rest}{CERTIFICATES}",
            "SECRET_MANAGER_ENDPOINT": running.secret_manager_grpc,
            "PUBSUB_EMULATOR_HOST": running.pubsub_grpc,
            "ROTATION_CLOCK_FILE": str(self.folder / "clock"),
            "ROTATION_LEASE_SECONDS": str(options.lease.total_seconds()),
            "ROTATION_BUDGET_SECONDS": str(options.budget.total_seconds()),
            "ROTATION_SWEEP_SECONDS": str(options.sweep_every.total_seconds()),
            "ROTATION_CHECK_SECONDS": str(options.check_every.total_seconds()),
            **options.function_environment,
        }

    def create_secret(
        self, secret_id: str, body: Mapping[str, Any], payload: Mapping[str, Any] | None = None
    ) -> str:
        """Create a secret, with a first version when there is a payload; return its name.

        Args:
            secret_id: Id of the secret.
            body: Fields of the REST API's Secret, beside replication.
            payload: One JSON object.
        """
        return self.create_secrets([(secret_id, body, payload)])[0]

    def create_secrets(
        self, made: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any] | None]]
    ) -> list[str]:
        """Create several secrets: the arguments of `create_secret` for each; return their names."""
        base = f"{self.services.secret_manager_rest}/v1"
        with httpx.Client(base_url=base, trust_env=False) as client:
            return [self._create(client, *wanted) for wanted in made]

    def let_function(self, role_id: str, secret_ids: Iterable[str]) -> None:
        """Grant the function's account a custom role on secrets."""
        project = f"projects/{self.options.project}"
        binding = {
            "role": f"{project}/roles/{role_id}",
            "members": [f"serviceAccount:{self.options.function_account}"],
        }
        body = {"policy": {"bindings": [binding]}}
        base = f"{self.services.secret_manager_rest}/v1/{project}/secrets"
        with httpx.Client(trust_env=False) as client:
            for secret_id in secret_ids:
                _checked(client.post(f"{base}/{secret_id}:setIamPolicy", json=body))

    def create_database(
        self, database: str, owner: str, slots: tuple[str, str], rotator: str = "rotator"
    ) -> dict[str, Any]:
        """Create a rotatable database; return the payload of the rotator's secret."""
        return create_rotatable_database(self.postgres, database, owner, slots, rotator)

    def _create(
        self,
        client: httpx.Client,
        secret_id: str,
        body: Mapping[str, Any],
        payload: Mapping[str, Any] | None,
    ) -> str:
        parent = f"{client.base_url}projects/{self.options.project}"
        whole = {"replication": {"automatic": {}}, **body}
        answer = client.post(f"{parent}/secrets", params={"secretId": secret_id}, json=whole)
        created = _checked(answer)
        if payload is not None:
            self._add_version(client, str(created["name"]), json.dumps(payload).encode())
        return str(created["name"])

    def _add_version(self, client: httpx.Client, secret: str, data: bytes) -> None:
        body = {"payload": {"data": base64.b64encode(data).decode()}}
        _checked(client.post(f"{client.base_url}{secret}:addVersion", json=body))

    def _make_folder(self, parts: ExitStack) -> Path:
        if self.options.data_dir is not None:
            folder = self.options.data_dir.resolve()
            make_private(folder)
            parts.enter_context(exclusive(folder))
            return folder
        folder = Path(tempfile.mkdtemp(prefix="rotation-"))
        parts.callback(shutil.rmtree, folder, ignore_errors=True)
        close_folder(folder)
        return folder

    def _make_postgres(self) -> PostgresServer:
        return PostgresServer(
            self.folder / "postgres",
            bindir=self.options.bindir,
            tls=self.options.tls,
            settings={"fsync": "off", **self.options.postgres_settings},
            port=kept_port(self.folder),
        )


def _checked(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    if response.is_error:
        raise StackError(body["error"]["message"])
    return body
