"""Renders what deployments read: roles, grants, the schemas, all plugins as data.

Rules of this module:
  1. Everything follows from specs and needs; nothing is written here that they could say.
  2. JSON keeps the order it was composed in, and ends in a line end: a change is a small diff.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rotation.generate.describing import described
from rotation.generate.files import MARK
from rotation.generate.roles import Role, roles
from rotation.generate.schema import commented_schema, commented_targets_schema
from rotation.model.plugin import IssuerSpec, Spec
from rotation.model.target import target_type
from rotation.policies.policy import Kinds

_FOLDER: Final = "deploy/generated"


def render(specs: Iterable[tuple[str, Spec]], kinds: Kinds) -> dict[str, str]:
    """Return every file for deployments, by its path."""
    specs = list(specs)
    settings = {spec.name: spec.settings for _, spec in specs if target_type(spec.settings)}
    found = roles({f"{kind} {spec.name}": spec for kind, spec in specs})
    return {
        f"{_FOLDER}/iam.json": _json({"roles": [role.described() for role in found]}),
        f"{_FOLDER}/plugins.json": _json({"plugins": [described(*plugin) for plugin in specs]}),
        f"{_FOLDER}/policy.schema.json": _json(commented_schema(kinds)),
        f"{_FOLDER}/targets.schema.json": _json(commented_targets_schema(settings)),
        **{f"{_FOLDER}/roles/{role.id}.yaml": _role(role) for role in found},
        **{path: text for _, spec in specs for path, text in _grants(spec).items()},
    }


def _json(body: Mapping[str, Any]) -> str:
    marked = {"$comment": MARK, **body}
    return json.dumps(marked, indent=2, ensure_ascii=False) + "\n"


def _role(role: Role) -> str:
    """Return the file that ``gcloud iam roles create ID --file`` takes."""
    lines = [
        f"# {MARK}",
        f"# gcloud iam roles create {role.id} --project=PROJECT --file={role.id}.yaml",
        f"title: {json.dumps(role.title)}",
        f"description: {json.dumps(role.description)}",
        "stage: GA",
        "includedPermissions:",
    ]
    for name in role.permissions:
        lines += [f"# {why}" for why in role.because[name]]
        lines.append(f"- {name}")
    return "\n".join(lines) + "\n"


def _grants(spec: Spec) -> dict[str, str]:
    if not isinstance(spec, IssuerSpec):
        return {}
    return {f"{_FOLDER}/sql/{name}": f"-- {MARK}\n{text}" for name, text in spec.grants().items()}
