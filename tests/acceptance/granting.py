"""Gives callers of a stack the generated roles, and tells what they used."""

import json
from pathlib import Path
from typing import Any

import httpx

import rotation
from tests.support.stack.scene import PROJECT, Scene

ROOT = Path(rotation.__file__).parent.parent
GENERATED: list[dict[str, Any]] = json.loads((ROOT / "deploy/generated/iam.json").read_text())[
    "roles"
]
ROLES: dict[str, list[str]] = {role["id"]: role["permissions"] for role in GENERATED}


def account(name: str) -> str:
    return f"{name}@{PROJECT}.iam.gserviceaccount.com"


class Granting:
    """Roles and bindings on one scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def ask(self, method: str, resource: str, **body: Any) -> dict[str, Any]:
        services = self.scene.stack.services
        is_topic = "/topics/" in resource
        base = services.pubsub_rest if is_topic else services.secret_manager_rest
        answer = httpx.request(method, f"{base}/v1/{resource}", json=body, trust_env=False)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def create(self, role_id: str, permissions: list[str]) -> str:
        role = {"title": role_id, "includedPermissions": permissions}
        name = f"projects/{PROJECT}/roles/{role_id}"
        base = f"{self.scene.stack.services.secret_manager_rest}/v1"
        if httpx.get(f"{base}/{name}", trust_env=False).is_success:  # the stack has made it
            self.change(role_id, permissions)
        else:
            self.ask("POST", f"projects/{PROJECT}/roles", roleId=role_id, role=role)
        return name

    def change(self, role_id: str, permissions: list[str]) -> None:
        name = f"projects/{PROJECT}/roles/{role_id}"
        self.ask("PATCH", name, includedPermissions=permissions)

    def bind(self, caller: str, role_id: str, resource: str) -> None:
        get = "POST" if resource.count("/") == 1 else "GET"
        if get == "GET":
            services = self.scene.stack.services
            base = services.pubsub_rest if "/topics/" in resource else services.secret_manager_rest
            url = f"{base}/v1/{resource}:getIamPolicy"
            policy = httpx.get(url, trust_env=False).json()
        else:
            policy = self.ask("POST", f"{resource}:getIamPolicy")
        role = role_id if role_id.startswith("roles/") else f"projects/{PROJECT}/roles/{role_id}"
        binding = {"role": role, "members": [f"serviceAccount:{caller}"]}
        policy["bindings"] = [*policy.get("bindings", []), binding]
        self.ask("POST", f"{resource}:setIamPolicy", policy=policy)

    def used(self, caller: str) -> dict[str, set[str]]:
        """Return the permissions a caller used, by the resource it used them on."""
        found: dict[str, set[str]] = {}
        for permission, resources in self.scene.controls.used_permissions().get(caller, {}).items():
            for resource in resources:
                found.setdefault(resource.partition("/versions/")[0], set()).add(permission)
        return found

    def denied(self, caller: str) -> set[str]:
        return set(self.scene.controls.denied_permissions().get(caller, {}))
