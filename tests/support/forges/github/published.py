"""Checks what was exchanged between us and the stand-in against what GitHub publishes about itself.

Two npm packages hold it: the OpenAPI description of the REST API, and the GraphQL schema.

Rules of this module:
  1. Requests: the endpoint exists, every parameter and member is declared, the body has the shape.
  2. Answers: the status is declared (or one that GitHub documents for all endpoints), and the body
     has the shape that is declared for it.
  3. GraphQL: the document is valid, the variables fit, and the data is what the schema makes of it.
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    execute,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.support.forges.github.server import Exchange

PACKAGES = ("@octokit/openapi@23", "@octokit/graphql-schema@15")
_ROOT = "urn:github"
#: Documented for every endpoint, declared for few.
_GENERAL = {"301", "401", "403", "404", "422", "429", "500", "502", "503"}


class Published:
    """What GitHub publishes."""

    def __init__(self, folder: Path) -> None:
        rest = json.loads((folder / "openapi" / "generated" / "api.github.com.json").read_text())
        self._rest = _as_json_schema(rest)
        resource = Resource.from_contents(self._rest, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(_ROOT, resource)
        text = (folder / "graphql-schema" / "schema.graphql").read_text()
        self._graph: GraphQLSchema = build_schema(text, assume_valid=True)
        self._known: dict[str, list[str]] = {}

    def faults(self, exchanges: Iterable[Exchange]) -> list[str]:
        """Say what does not fit; shapes that were seen before are not checked again."""
        found: list[str] = []
        for exchange in exchanges:
            key = json.dumps([exchange.name, exchange.status, *_shape(exchange)])
            if key not in self._known:
                self._known[key] = [f"{exchange.name}: {fault}" for fault in self._check(exchange)]
            found += self._known[key]
        return found

    def _check(self, exchange: Exchange) -> Iterator[str]:
        if exchange.path == "/graphql":
            yield from self._graphql_faults(exchange)
            return
        template, operation = self._operation(exchange)
        if operation is None:
            yield "no such endpoint"
            return
        pointer = f"#/paths/{template.replace('~', '~0').replace('/', '~1')}"
        pointer += f"/{exchange.method.lower()}"
        declared = {
            self._resolved(parameter)["name"] for parameter in operation.get("parameters", ())
        }
        yield from (f"unknown parameter {name}" for name in exchange.query.keys() - declared)
        if exchange.sent is not None:
            yield from self._body_faults(pointer, operation, exchange.sent)
        yield from self._answer_faults(pointer, operation, exchange)

    def _operation(self, exchange: Exchange) -> tuple[str, Mapping[str, Any] | None]:
        # The template with the fewest variables is meant; a reference may hold slashes.
        for template in sorted(self._rest["paths"], key=lambda path: path.count("{")):
            pattern = re.sub(r"\\{(ref|branch|basehead)\\}", "(.+)", re.escape(template))
            pattern = re.sub(r"\\{\w+\\}", "([^/]+)", pattern)
            methods = self._rest["paths"][template]
            if re.fullmatch(pattern, exchange.path) and exchange.method.lower() in methods:
                return template, methods[exchange.method.lower()]
        return "", None

    def _body_faults(self, pointer: str, operation: Any, sent: Any) -> Iterator[str]:
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if schema is None:
            yield "takes no body"
            return
        known = self._resolved(schema["schema"]).get("properties", {})
        yield from (f"unknown member {name}" for name in sent.keys() - known.keys())
        where = f"{pointer}/requestBody/content/application~1json/schema"
        yield from self._schema_faults(where, sent)

    def _answer_faults(self, pointer: str, operation: Any, exchange: Exchange) -> Iterator[str]:
        status = str(exchange.status)
        if status not in operation["responses"]:
            if status not in _GENERAL:
                yield f"status {status} is not declared"
            yield from self._schema_faults("#/components/schemas/basic-error", exchange.answered)
            return
        response = self._resolved(operation["responses"][status])
        content = response.get("content", {}).get("application/json")
        if content is None:
            if exchange.answered is not None:
                yield f"{status} has no body"
            return
        declared = operation["responses"][status]
        where = declared.get("$ref", f"{pointer}/responses/{status}")
        yield from self._schema_faults(
            f"{where}/content/application~1json/schema", exchange.answered
        )

    def _schema_faults(self, pointer: str, value: Any) -> Iterator[str]:
        schema = {"$ref": f"{_ROOT}{pointer}"}
        validator = Draft202012Validator(schema, registry=self._registry)
        for error in validator.iter_errors(value):
            yield f"{error.json_path}: {error.message[:200]}"

    def _resolved(self, value: Any) -> Any:
        while "$ref" in value or {"type": "null"} in value.get("anyOf", ()):
            if "$ref" not in value:
                value = value["anyOf"][0]
                continue
            target: Any = self._rest
            for part in value["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            value = target
        return value

    def _graphql_faults(self, exchange: Exchange) -> Iterator[str]:
        document = parse(exchange.sent["query"])
        yield from (error.message for error in validate(self._graph, document))
        operation = document.definitions[0]
        assert isinstance(operation, OperationDefinitionNode)
        variables = exchange.sent.get("variables") or {}
        definitions = list(operation.variable_definitions or ())
        coerced = get_variable_values(self._graph, definitions, variables)
        if isinstance(coerced, list):
            yield from (error.message for error in coerced)
            return
        answered = (exchange.answered or {}).get("data")
        if answered is None:
            return
        made = execute(
            self._graph,
            document,
            root_value=answered,
            variable_values=variables,
            type_resolver=lambda value, *_rest: _type_of(value),
        )
        assert not hasattr(made, "__await__")
        yield from (error.message for error in made.errors or ())
        if made.data != answered:
            yield "the data is not what the schema makes of it"


def fetch(folder: Path) -> Path | str:
    """Bring the packages into a folder with npm; returns why not, where that is impossible."""
    if not shutil.which("npm"):
        return "needs npm: install Node.js"
    cache_folder = os.environ.get("ROTATION_TEST_NODE_CACHE")
    folder = Path(cache_folder) / "octokit" if cache_folder else folder
    for package in PACKAGES:
        name = package.removeprefix("@octokit/").partition("@")[0]
        if (folder / name).exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", package],
            cwd=folder, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        if packed.returncode:
            return f"npm cannot fetch {package} here"
        archive = folder / packed.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as tar:
            tar.extractall(folder / f"{name}.part", filter="data")
        (folder / f"{name}.part" / "package").rename(folder / name)
        archive.unlink()
    return folder


_loaded: dict[str, Published | str] = {}


def load(folder: Path) -> Published | str:
    """Return what GitHub publishes, or why it cannot be had; asked for once in a process."""
    if "github" not in _loaded:
        fetched = fetch(folder)
        _loaded["github"] = fetched if isinstance(fetched, str) else Published(fetched)
    return _loaded["github"]


def _as_json_schema(value: Any) -> Any:
    """Turn OpenAPI 3.0 into JSON Schema: ``nullable`` is the one difference that matters here."""
    if isinstance(value, list):
        return [_as_json_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {name: _as_json_schema(item) for name, item in value.items() if name != "example"}
    if made.get("nullable") is not True:
        return made
    del made["nullable"]
    return {"anyOf": [made, {"type": "null"}]}


def _shape(exchange: Exchange) -> tuple[Any, Any, Any]:
    return sorted(exchange.query), _outline(exchange.sent), _outline(exchange.answered)


def _outline(value: Any) -> Any:
    """Return the structure of a value: members and types, and short texts, which may be enums."""
    if isinstance(value, dict):
        return {name: _outline(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_outline(item) for item in value]
    if isinstance(value, str):
        return value if value.isupper() and len(value) < 20 else "text"
    return type(value).__name__


def _type_of(value: Mapping[str, Any]) -> str:
    if "entries" in value:
        return "Tree"
    return "StatusContext" if "context" in value else "CheckRun"
