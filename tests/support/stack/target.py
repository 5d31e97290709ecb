"""One secret under rotation, its database, and what a consumer and a sceptic can see of them."""

import json
from contextlib import closing
from datetime import datetime
from typing import Any

import psycopg

from tests.support.stack.scene import PROJECT, Scene, wait_until
from tests.support.stack.targets import divided

#: What tests wait for by moving the clock: long enough never to end by itself.
TIMES = {"soak": "1h", "retire": {"observe": "1m", "destroy_after": "1h"}}

THEIRS = {
    "labels": {"team": "db"},
    "annotations": {"theirs": "kept"},
}
STATES = {0: "UNSPECIFIED", 1: "ENABLED", 2: "DISABLED", 3: "DESTROYED"}

#: What a server says to a credential that is dead.
REFUSALS = ("password authentication failed", "is not permitted to log in")


class Target:
    """A secret with a database of its own."""

    def __init__(
        self,
        scene: Scene,
        *,
        issuer: dict[str, Any] | None = None,
        secret: dict[str, Any] | None = None,
        **policy: Any,
    ) -> None:
        self.scene = scene
        self.id = scene.name()
        self.database = self.id
        self.slots = (f"{self.id}_a", f"{self.id}_b")
        self.owner = f"{self.id}_owner"
        self.rotator = f"{self.id}_rotator"
        self.name = f"projects/{PROJECT}/secrets/{self.id}"
        self.admin = f"{self.name}-admin"
        login = scene.stack.create_database(self.database, self.owner, self.slots, self.rotator)
        self._create(f"{self.id}-admin", {})
        self.add_version(login, self.admin)
        self.policy = {"issuer": self.issuer(**(issuer or {})), **TIMES, **policy}
        body = {**THEIRS, **(secret or {})}
        annotations = {**body["annotations"], "rotation.policy": json.dumps(self.policy)}
        self._create(self.id, {**body, "annotations": annotations})

    def issuer(self, **changes: Any) -> dict[str, Any]:
        """Return the policy's part of the settings; what is the target's is changed there."""
        targets, policys = divided("postgresql", changes)
        self.scene.allow({self.id: {**self.scene.targets[self.id], **targets}})
        return {
            "kind": "postgresql",
            "target": self.id,
            "slots": list(self.slots),
            "owner": self.owner,
            **policys,
        }

    # What people do.

    def _create(self, secret_id: str, body: dict[str, Any]) -> None:
        secret = {"replication": {"automatic": {}}, **body}
        self.scene.client.create_secret(
            request={"parent": f"projects/{PROJECT}", "secret_id": secret_id, "secret": secret}
        )

    def add_version(self, payload: dict[str, Any] | bytes, name: str = "") -> int:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        request = {"parent": name or self.name, "payload": {"data": data}}
        return int(self.scene.client.add_secret_version(request=request).name.split("/")[-1])

    def delete(self) -> None:
        for name in (self.name, self.admin):
            if self._record(name):
                self.scene.client.delete_secret(name=name)

    def edit(self, **maps: dict[str, Any]) -> None:
        """Change labels, annotations or aliases by hand; None removes a key."""
        secret = self.secret
        changed = {"name": self.name}
        for field, changes in maps.items():
            kept = {**dict(getattr(secret, field)), **changes}
            changed[field] = {key: value for key, value in kept.items() if value is not None}
        self.scene.client.update_secret(
            request={"secret": changed, "update_mask": {"paths": list(maps)}}
        )

    def set_topic(self) -> None:
        """Have every write published to the function's own topic."""
        changed = {"name": self.name, "topics": [{"name": self.scene.stack.topic}]}
        self.scene.client.update_secret(
            request={"secret": changed, "update_mask": {"paths": ["topics"]}}
        )

    def set_policy(self, **changes: Any) -> None:
        self.policy = {**self.policy, **changes}
        self.edit(annotations={"rotation.policy": json.dumps(self.policy)})

    def fire(self) -> None:
        self.scene.stack.publish(eventType="SECRET_ROTATE", secretId=self.name)

    def ask(self, mode: str, **attributes: str) -> None:
        self.scene.stack.publish(
            eventType="ROTATION_REQUEST", secretId=self.name, mode=mode, **attributes
        )

    def wake(self, reason: str = "test") -> None:
        self.scene.stack.publish(eventType="ROTATION_WAKE", secretId=self.name, reason=reason)

    # What is stored.

    def _record(self, name: str) -> Any:
        def find(running: Any) -> Any:
            return running.store.records.get(running.store.names.secret(name))

        return self.scene.call(find)

    @property
    def secret(self) -> Any:
        return self._record(self.name).message

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.secret.labels)

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.secret.annotations)

    @property
    def aliases(self) -> dict[str, int]:
        return dict(self.secret.version_aliases)

    @property
    def current(self) -> int:
        return self.aliases["current"]

    @property
    def phase(self) -> str:
        """The phase in full; ``settled`` without one."""
        stored = self.annotations.get("rotation.record")
        return str(json.loads(stored)["phase"]) if stored else "settled"

    @property
    def receipt(self) -> dict[str, Any]:
        return dict(json.loads(self.annotations.get("rotation.receipt", "{}")))

    @property
    def record(self) -> dict[str, Any]:
        return dict(json.loads(self.annotations["rotation.record"])["record"])

    @property
    def block(self) -> dict[str, Any]:
        """What `rotation status` shows of a blocked secret; empty when it is not."""
        secret = self.secret
        if "rotation_blocked" not in secret.labels:
            return {}
        return dict(json.loads(secret.annotations["rotation.blocked"]))

    @property
    def states(self) -> dict[int, str]:
        versions = self._record(self.name).versions
        return {number: STATES[one.message.state] for number, one in enumerate(versions, 1)}

    @property
    def enabled(self) -> list[int]:
        return [number for number, state in self.states.items() if state == "ENABLED"]

    def payload(self, number: int) -> dict[str, Any]:
        return dict(json.loads(self._record(self.name).versions[number - 1].payload))

    def log(self) -> list[dict[str, Any]]:
        return self.scene.log(f"secrets/{self.id}")

    def has_logged(self, severity: str, *words: str) -> bool:
        """Whether one line of the function's log has this severity and all these words."""
        return any(
            line["severity"] == severity and all(word in json.dumps(line) for word in words)
            for line in self.log()
        )

    # What works.

    def connect(self, payload: dict[str, Any], **more: Any) -> psycopg.Connection:
        return psycopg.connect(
            host=payload["host"],
            port=payload["port"],
            dbname=payload["dbname"],
            user=payload["username"],
            password=payload["password"],
            connect_timeout=5,
            autocommit=True,
            **more,
        )

    def identity(self, payload: dict[str, Any]) -> str:
        with closing(self.connect(payload)) as session:
            row = session.execute("SELECT current_user::text").fetchone()
        return str(row[0]) if row else ""

    def works(self, payload: dict[str, Any]) -> bool:
        """Whether a login with the payload is the owner; any failure of the login is raised."""
        return self.identity(payload) == self.owner

    def refused(self, payload: dict[str, Any]) -> bool:
        """Whether the server answers the login, and the answer is no."""
        try:
            self.connect(payload).close()
        except psycopg.OperationalError as error:
            return any(words in str(error) for words in REFUSALS)
        return False

    def latest(self) -> dict[str, Any]:
        """What a consumer of ``latest`` gets."""
        answer = self.scene.client.access_secret_version(name=f"{self.name}/versions/latest")
        return dict(json.loads(answer.payload.data))

    def superuser(self, *statements: str) -> None:
        with self.scene.stack.postgres.connect(self.database) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def sessions(self, role: str) -> int:
        """Count the sessions of a role; one that was closed is there a little longer."""
        counting = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        with self.scene.stack.postgres.connect() as connection:
            row = connection.execute(counting, [role]).fetchone()
        assert row is not None
        return int(row[0])

    def cut_rotator(self) -> None:
        """End the rotator's sessions, as a restart of the server or a firewall does."""
        ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
        with self.scene.stack.postgres.connect() as connection:
            connection.execute(ending, [self.rotator])

    # Letting time pass.

    def start(self) -> "Target":
        """Rotate the first credential in."""
        self.fire()
        self.await_phase("settled", 1)
        return self

    def await_phase(self, phase: str, current: int | None = None) -> None:
        def reached() -> bool:
            pointed = self.aliases.get("current")
            return self.phase == phase and (current is None or pointed == current)

        self._wait(reached, f"{self.id} is {phase}")

    def await_blocked(self, reason: str) -> dict[str, Any]:
        return self._wait(
            lambda: self.block if self.block.get("reason") == reason else None,
            f"{self.id} is blocked: {reason}",
        )

    def rotate(self) -> None:
        """Fire a routine rotation and return while it soaks."""
        before = self.current
        self.fire()
        self._wait(lambda: self.current != before, f"{self.id} has a new current version")
        self.scene.await_idle()

    def skip_wait(self) -> None:
        """Move the clock to where a wait, or a dead worker's lease, is over."""
        labels = self.labels  # read once: the function may be writing
        ends = [
            float(labels[key])
            for key in ("rotation_wake_at", "rotation_lease_until")
            if key in labels
        ]
        self.scene.advance(seconds=max([0.0, *(end - self.scene.now for end in ends)]) + 1)

    def move_on(self) -> None:
        """Let the time pass that the secret waits for, and wait until something was done."""
        before = self.secret.etag
        self.scene.evidence.add_processes()
        self.skip_wait()
        self.scene.sweep()
        self._wait(lambda: self.secret.etag != before, f"{self.id} moves on from {self.phase}")
        self.scene.await_resting()

    def move_on_to(self, phase: str) -> None:
        """Let time pass until the rotation has come to a phase."""
        for _ in range(10):
            if self.phase == phase:
                return
            self.move_on()
        raise AssertionError(f"{self.id} never comes to {phase}: {self.log()[-3:]}")

    def settle(self, beat: Any = None) -> None:
        """Let all the time pass that the rotation takes.

        Args:
            beat: Called before each step, so that a consumer gets to look in between.
        """
        for _ in range(40):
            self.scene.await_resting()
            if self.phase == "settled":
                return
            if beat is not None:
                beat()
            self.move_on()
        raise AssertionError(f"{self.id} never settles: {self.log()[-3:]}")

    def _wait(self, condition: Any, what: str) -> Any:
        try:
            return wait_until(condition, what)
        except AssertionError as error:
            lines = [json.dumps(line) for line in self.log()[-6:]]
            raise AssertionError("\n".join([str(error), str(self.labels), *lines])) from None

    def assert_settled(self, current: int, previous: int | None) -> None:
        """Everything that must hold after a rotation that went through."""
        assert self.phase == "settled", self.labels
        assert self.aliases["current"] == current
        assert self.aliases.get("previous") == previous
        assert set(self.labels) - {"rotation_token"} == set(THEIRS["labels"]), self.labels
        assert self.annotations["theirs"] == "kept"
        assert "rotation.record" not in self.annotations
        assert self.receipt["current"] == current
        assert datetime.fromisoformat(self.receipt["settled_at"])
        assert self.works(self.payload(current))

    def assert_blocked(self, reason: str, *words: str) -> None:
        """What a person must find when a rotation needs one; nothing may be worse for it."""
        block = self.await_blocked(reason)
        for word in words:
            assert word in block["message"], block["message"]
        self.scene.await_idle()
        assert self.has_logged("ERROR", "blocked")
        held = self.labels.get("rotation_lease_until", "")
        assert not held.isdecimal(), "a block must not keep the lease"
        assert self.works(self.payload(1))

    def unblock(self) -> None:
        """Do what a person does once the cause is gone, and see the rotation through."""
        self.ask("unblock")
        self._wait(lambda: not self.block, f"{self.id} is unblocked")
        self.scene.await_idle()
        if self.phase == "settled" and self.current == 1:
            self.rotate()
        self.settle()
