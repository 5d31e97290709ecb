"""One deployment described once, for Terraform and for the script."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
POLICY = {
    "issuer": {
        "kind": "postgresql",
        "target": "orders-db",
        "slots": ["orders_a", "orders_b"],
        "owner": "orders_owner",
        "probes": ["SELECT 1, 2 FROM orders LIMIT 1"],
    },
    "soak": "24h",
}
TARGETS = {
    "targets": {
        "orders-db": {
            "kind": "postgresql",
            "host": "10.0.0.5",
            "database": "orders",
            "admin": "projects/acme-prod/secrets/orders-rotator",
            "roles": ["orders_a", "orders_b"],
            "owners": ["orders_owner"],
            "secrets": ["projects/acme-prod/secrets/orders", "projects/acme-prod/secrets/shop"],
        }
    }
}
IMAGE = "europe-west1-docker.pkg.dev/acme-prod/rotation/rotation@sha256:" + "a" * 64
SRE, READER = "group:sre@example.com", "serviceAccount:orders@acme-prod.iam.gserviceaccount.com"
LEAD = "group:lead@example.com"
BUILDER = "projects/acme-prod/serviceAccounts/b@acme-prod.iam.gserviceaccount.com"
CHANNEL = "projects/acme-prod/notificationChannels/1"

#: Name of a scenario: variables of the module, environment of the script.
SCENARIOS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "from source": ({}, {}),
    "everything chosen": (
        {
            "vpc_connector": "projects/acme-prod/locations/europe-west1/connectors/c",
            "memory": "1Gi",
            "concurrency": 1,
            "max_instances": 5,
            "min_instances": 1,
            "runtime": "python313",
            "requirements": "deploy/requirements-git.txt",
            "build_service_account": BUILDER,
            "environment": {"ROTATION_SWEEP_SECONDS": "600"},
            "optional_roles": ["rotationCloudsql"],
            "viewers": [SRE],
            "doctors": [SRE],
            "requesters": [SRE],
            "emergency_requesters": [LEAD],
            "notification_channels": [CHANNEL],
            "runbooks_url": "https://docs.example.com/runbooks",
        },
        {
            "VPC_CONNECTOR": "projects/acme-prod/locations/europe-west1/connectors/c",
            "MEMORY": "1Gi",
            "CONCURRENCY": "1",
            "MAX_INSTANCES": "5",
            "MIN_INSTANCES": "1",
            "RUNTIME": "python313",
            "REQUIREMENTS": "deploy/requirements-git.txt",
            "BUILD_SERVICE_ACCOUNT": BUILDER,
            "ENVIRONMENT": "ROTATION_SWEEP_SECONDS=600",
            "OPTIONAL_ROLES": "rotationCloudsql",
            "VIEWERS": SRE,
            "DOCTORS": SRE,
            "REQUESTERS": SRE,
            "EMERGENCY_REQUESTERS": LEAD,
            "NOTIFICATION_CHANNELS": CHANNEL,
            "RUNBOOKS_URL": "https://docs.example.com/runbooks",
        },
    ),
    "an image, direct VPC egress": (
        {"image": IMAGE, "network": {"network": "databases", "subnetwork": "rotation"}},
        {"IMAGE": IMAGE, "NETWORK": "databases", "SUBNETWORK": "rotation"},
    ),
}

FIRST = "2030-01-07T03:00:00Z"


def variables(scenario: str) -> dict[str, Any]:
    """Return what Terraform is given."""
    secret = {"policy": json.dumps(POLICY), "version_destroy_ttl": "86400s"}
    return {
        "project": "acme-prod",
        "region": "europe-west1",
        "first_rotation": FIRST,
        "keys_version": "1",
        "targets": TARGETS,
        "secrets": {
            "orders": secret | {"consumers": [READER], "policy_authors": [SRE]},
            "shop": secret,
        },
        "reads": [],
        **SCENARIOS[scenario][0],
    }


class Script:
    """The script, with the stand-ins for gcloud and our own command first on PATH."""

    def __init__(self, folder: Path, scenario: str) -> None:
        self._folder = folder
        self._environment = SCENARIOS[scenario][1]
        (folder / "bin").mkdir()
        standin = ROOT / "tests/deploy/standin_gcloud.py"
        for name, words in (("gcloud", ""), ("rotation", " rotation")):
            command = folder / "bin" / name
            command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{standin}"{words} "$@"\n')
            command.chmod(0o755)
        secrets = folder / "secrets"
        secrets.mkdir()
        for name in ("orders", "shop"):
            (secrets / f"{name}.json").write_text(json.dumps(POLICY, indent=2))
        # As people write it; the module gets the same as an object.
        (folder / "targets.yaml").write_text(yaml.safe_dump(TARGETS))
        # The rotator's login is made by hand, before.
        by_hand = {"orders-rotator": {"topics": [], "by_hand": True}}
        (folder / "state.json").write_text(json.dumps({"secret": by_hand}))
        (secrets / "orders.consumers").write_text(f"{READER}\n")
        (secrets / "orders.authors").write_text(f"{SRE}\n")

    def run(
        self, name: str, cwd: Path | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run deploy.sh or remove.sh."""
        return subprocess.run(
            [ROOT / "deploy/gcloud" / name],
            env={
                "PATH": f"{self._folder / 'bin'}:{os.environ['PATH']}",
                "STANDIN_GCLOUD": str(self._folder),
                "PROJECT": "acme-prod",
                "REGION": "europe-west1",
                "FIRST_ROTATION": FIRST,
                "SECRETS_DIR": str(self._folder / "secrets"),
                "TARGETS_FILE": str(self._folder / "targets.yaml"),
                "VERSION_DESTROY_TTL": "86400s",
                "PAUSE_SECONDS": "0",
                **self._environment,
                **more,
            },
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    @property
    def state(self) -> dict[str, Any]:
        """What the project holds."""
        state: dict[str, Any] = json.loads((self._folder / "state.json").read_text())
        return state

    @property
    def commands(self) -> list[list[str]]:
        """Every command that was run."""
        return [json.loads(line) for line in (self._folder / "commands").read_text().splitlines()]


def linter(name: str, *words: object) -> None:
    """Run a linter of the development extra; it must have nothing to say."""
    command = Path(sys.executable).parent / name
    done = subprocess.run([command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
