"""Takes the shape of Terraform resources from the published bindings of their providers.

Decides which arguments a resource has, which must be given, and of what type; never what they mean.

1. The source is the npm packages ``@cdktf/provider-*``: generated from the providers' own schemas.
2. Only names, types and the three flags are kept, of the resources that we use.
3. ``python -m tests.deploy.provider_schema`` writes ``google_schema.json`` anew.
"""

import base64
import json
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEPT = HERE / "google_schema.json"

#: Package, its version, and the folders of what we use; the versions are those of our lower bounds.
PACKAGES = {
    "google": (
        "16.12.1",
        [
            "cloud-run-v2-service",
            "cloud-run-v2-service-iam-member",
            "cloud-scheduler-job",
            "cloudfunctions2-function",
            "logging-metric",
            "monitoring-alert-policy",
            "monitoring-dashboard",
            "project-iam-custom-role",
            "project-iam-member",
            "project-service",
            "pubsub-subscription",
            "pubsub-subscription-iam-member",
            "pubsub-topic",
            "pubsub-topic-iam-member",
            "secret-manager-secret",
            "secret-manager-secret-iam-member",
            "secret-manager-secret-version",
            "service-account",
            "service-account-iam-member",
            "storage-bucket",
            "storage-bucket-object",
        ],
    ),
    "google-beta": ("16.12.1", ["google-project-service-identity"]),
    "archive": ("11.0.1", ["data-archive-file"]),
}

_PLAIN = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "boolean | cdktf.IResolvable": "bool",
    "string[]": ["list", "string"],
    "number[]": ["list", "number"],
    "{ [key: string]: string }": ["map", "string"],
}
_GETTERS = {"getStringAttribute": "string", "getNumberAttribute": "number"}
_FIELD = re.compile(
    r"#(\w+) [A-Za-z0-9]+#\w+\}(?:(?!\*/).)*\*/\s*readonly \w+(\??): ([^;]+);", re.DOTALL
)
_COMPUTED = re.compile(
    r"// (\w+) - computed: true, optional: (true|false), required: false\n(.*?)(?=\n  // |\Z)",
    re.DOTALL,
)


def read_package(tgz: Path, folders: list[str]) -> dict[str, Any]:
    """Return the schemas of the resources in these folders, by the resource's type."""
    found = {}
    with tarfile.open(tgz) as tar:
        for folder in folders:
            member = tar.extractfile(f"package/lib/{folder}/index.js")
            assert member, folder
            text = member.read().decode()
            kind = re.search(r'tfResourceType = "(\w+)"', text)
            assert kind, folder
            sources = json.loads(base64.b64decode(text.rsplit("base64,", 1)[1]))
            found[kind[1]] = _resource(sources["sourcesContent"][0])
    return found


def _resource(source: str) -> dict[str, Any]:
    bodies = dict(re.findall(r"export interface (\w+)[^{]*\{\n(.*?)\n\}", source, re.DOTALL))
    classes = dict(re.findall(r"\nexport class (\w+) [^\n]*\{\n(.*?)\n\}\n", source, re.DOTALL))
    config = next(
        name
        for name in bodies
        if name.endswith("Config")
        and "extends cdktf.TerraformMeta"
        in source[source.index(f"export interface {name} ") :].split("\n", 1)[0]
    )
    return _block(config, config.removesuffix("Config"), bodies, classes)


def _block(
    interface: str, of: str, bodies: dict[str, str], classes: dict[str, str]
) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    blocks: dict[str, Any] = {}
    for name, optional, text in _FIELD.findall(bodies.get(interface, "")):
        kind = text.strip()
        if kind in _PLAIN:
            attributes[name] = {"type": _PLAIN[kind], "required": not optional}
            continue
        many = "[]" in kind
        inner = kind.removesuffix(" | cdktf.IResolvable").removesuffix("[]")
        if inner in bodies and name != "timeouts":
            nested = _block(inner, f"{inner}OutputReference", bodies, classes)
            blocks[name] = {"many": many, "required": not optional, **nested}
    for name, optional, body in _COMPUTED.findall(classes.get(of, "")):
        if name in attributes:
            attributes[name]["computed"] = True
        elif optional == "false" and name not in blocks:
            getter = next((kind for call, kind in _GETTERS.items() if call in body), None)
            if getter or "getBooleanAttribute" in body:
                attributes[name] = {
                    "type": getter or "bool",
                    "required": False,
                    "computed": True,
                    "given": False,
                }
    return {"attributes": attributes, "blocks": blocks}


def fetch(folder: Path) -> dict[str, Any]:
    """Take the packages with npm and return what they say."""
    schema: dict[str, Any] = {}
    for provider, (version, folders) in PACKAGES.items():
        package = f"@cdktf/provider-{provider}@{version}"
        packed = subprocess.run(
            ["npm", "pack", "--silent", package],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=240,
        )
        schema[provider] = read_package(folder / packed.stdout.split()[-1], folders)
    return schema


def kept() -> dict[str, Any]:
    """Return the committed schema."""
    schema: dict[str, Any] = json.loads(KEPT.read_text())
    return schema


def written(schema: dict[str, Any]) -> str:
    """Return the text of the committed file."""
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        KEPT.write_text(written(fetch(Path(scratch))))
