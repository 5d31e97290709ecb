"""A sound installation to plant misconfigurations in, and to make sound again."""

import contextlib
import io
import json
import shlex
import subprocess
from typing import Any

import httpx
import pytest

from rotation.cli.main import main
from rotation.emulator.cloud_run import JOB, REGION, SERVICE
from rotation.local.stack import Stack
from tests.deploy.test_gcloud_script import TREE, gcloud_tree, unknown_in

PROJECT = "projects/demo-project"
TOPIC = f"{PROJECT}/topics/rotation"
DEAD = f"{PROJECT}/topics/rotation-dead"
SUBSCRIPTION = f"{PROJECT}/subscriptions/rotation-function"
READER = f"{PROJECT}/subscriptions/rotation-dead"
SECRET = f"{PROJECT}/secrets/orders"
ADMIN = f"{PROJECT}/secrets/orders-rotator"
#: Of the sample's secret.
TARGET = "orders-db"
PLACE = f"{PROJECT}/locations/{REGION}"
FUNCTION = f"{PLACE}/services/{SERVICE}"
SWEEP = f"{PLACE}/jobs/{JOB}"
AGENT = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
PUBLISHER = "serviceAccount:service-123456789012@gcp-sa-secretmanager.iam.gserviceaccount.com"
ACCOUNT = "serviceAccount:rotation@demo-project.iam.gserviceaccount.com"

_POLICIES = (TOPIC, DEAD, SUBSCRIPTION)
_FIELDS = (
    "labels",
    "annotations",
    "versionAliases",
    "topics",
    "rotation",
    "versionDestroyTtl",
    "expireTime",
)

Json = dict[str, Any]


def unknown(remedy: str) -> list[str]:
    """Return what gcloud's own list does not know of a remedy; nothing where there is no list."""
    words = shlex.split(remedy) if remedy.startswith("gcloud ") else []
    if not words or not TREE.is_file():
        return []
    fault = unknown_in(words[1:], gcloud_tree())
    return [fault] if fault else []


class Patient:
    """A stack with one rotated secret, its REST APIs, and its doctor."""

    def __init__(self, stack: Stack, environment: pytest.MonkeyPatch) -> None:
        self.stack = stack
        self.environment = environment
        self._http = httpx.Client(trust_env=False)
        for name, text in stack.environment().items():
            environment.setenv(name, text)

    def run(self, *command: str) -> tuple[int, str]:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            code = main(command)
        return code, output.getvalue()

    def look(self, *more: str) -> list[Json]:
        """Return the findings of the doctor."""
        self.code, output = self.run("doctor", "--json", *more)
        found: list[Json] = json.loads(output)["findings"]
        assert [fault for finding in found for fault in unknown(finding["remedy"] or "")] == []
        return found

    def ask(self, method: str, name: str, body: Any = None, **query: str) -> Json:
        """Call the REST API that serves a resource."""
        services = self.stack.services
        is_run, is_job = "/services" in name, "/jobs" in name
        is_pubsub = "/topics/" in name or "/subscriptions/" in name
        base = (
            services.deployment_rest
            if is_run or is_job
            else services.pubsub_rest
            if is_pubsub
            else services.secret_manager_rest
        )
        url = f"{base}/{'v2' if is_run else 'v1'}/{name}"
        answer = self._http.request(method, url, json=body, params=query)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def bind(self, name: str, *bindings: tuple[str, str]) -> None:
        """Replace the IAM policy of a resource."""
        policy = {"bindings": [{"role": role, "members": [who]} for role, who in bindings]}
        self.ask("POST", f"{name}:setIamPolicy", {"policy": policy})

    def subscription(self, *, name: str = SUBSCRIPTION, **changes: Any) -> None:
        """Create the subscription anew, with other fields."""
        body = {**self.known[SUBSCRIPTION], **changes, "name": name}
        with contextlib.suppress(AssertionError):
            self.ask("DELETE", name)
        self.ask("PUT", name, {key: value for key, value in body.items() if value is not None})

    def patch_subscription(self, mask: str, **changes: Any) -> None:
        body = {"subscription": {"name": SUBSCRIPTION, **changes}, "updateMask": mask}
        self.ask("PATCH", SUBSCRIPTION, body)

    def push(self, **changes: Any) -> None:
        config = {**self.known[SUBSCRIPTION]["pushConfig"], **changes}
        self.ask("POST", f"{SUBSCRIPTION}:modifyPushConfig", {"pushConfig": config})

    def template(self, **changes: Any) -> None:
        self.ask("PATCH", FUNCTION, {"template": changes})

    def variable(self, name: str, text: str | None) -> None:
        """Change an environment variable of the function."""
        (container,) = self.known[FUNCTION]["template"]["containers"]
        kept = [variable for variable in container["env"] if variable["name"] != name]
        more = [] if text is None else [{"name": name, "value": text}]
        self.template(containers=[{"env": [*kept, *more]}])

    def secret(self, mask: str, **changes: Any) -> None:
        """Change fields of the secret; maps as a whole."""
        self.ask("PATCH", SECRET, changes, updateMask=mask)

    def annotate(self, **more: str) -> None:
        kept = self.known[SECRET]["annotations"]
        self.secret("annotations", annotations={**kept, **more})

    def policy(self, **changes: Any) -> None:
        stored = json.loads(self.known[SECRET]["annotations"]["rotation.policy"])
        self.annotate(**{"rotation.policy": json.dumps({**stored, **changes})})

    def target(self, name: str = TARGET, **changes: Any) -> None:
        """Change what commands may touch; the function has read the document before."""
        self.stack.targets.put({name: {**self.targets.get(name, {}), **changes}})

    def label(self, **more: str) -> None:
        kept = self.known[SECRET].get("labels", {})
        self.secret("labels", labels={**kept, **more})

    def sql(self, *statements: str, database: str = "orders") -> None:
        """Run statements as the superuser."""
        with self.stack.postgres.connect(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def gcloud(self, command: str) -> None:
        """Run a remedy as it was printed."""
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr

    def remember(self) -> None:
        """Take what is there for sound."""
        names = (SUBSCRIPTION, READER, FUNCTION, SWEEP, SECRET)
        self.known = {name: self.ask("GET", name) for name in names}
        self.policies = {policy: self.ask("GET", f"{policy}:getIamPolicy") for policy in _POLICIES}
        for resource in (SECRET, ADMIN, FUNCTION):
            self.policies[resource] = self.ask("GET", f"{resource}:getIamPolicy")
        self.targets = json.loads(self.stack.targets.path.read_text())["targets"]
        self.policies[PROJECT] = self.ask("POST", f"{PROJECT}:getIamPolicy", {})

    def mend(self) -> None:
        """Make everything as it was remembered; SQL is for who planted it."""
        for name in (TOPIC, DEAD):
            with contextlib.suppress(AssertionError):
                self.ask("PUT", name, {})
        for name in (SUBSCRIPTION, READER):
            with contextlib.suppress(AssertionError):
                self.ask("DELETE", name)
            self.ask("PUT", name, self.known[name])
        for name in (FUNCTION, SWEEP):
            self.ask("POST", name.rpartition("/")[0], self.known[name])
        self.stack.targets.write(self.targets)
        stored = self.known[SECRET]
        body = {key: stored.get(key) for key in _FIELDS if stored.get(key) is not None}
        self.ask("PATCH", SECRET, body, updateMask=",".join(_FIELDS))
        for name, policy in self.policies.items():
            bindings = {"bindings": policy.get("bindings", [])}
            self.ask("POST", f"{name}:setIamPolicy", {"policy": bindings})

    def close(self) -> None:
        self._http.close()
