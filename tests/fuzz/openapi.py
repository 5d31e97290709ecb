"""The REST surfaces of the embedded services as OpenAPI, made from their own tables of calls.

Rules of this module:
  1. Nothing is listed twice: paths, parameters and bodies follow from the tables and from the
     protobuf messages, so that a new call is fuzzed without a line here.
  2. Names are mostly such as exist, so that what is drawn gets past the first check.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from rotation.emulator.pubsub.methods import METHODS
from rotation.emulator.secretmanager.rpcs import RPCS, Rpc

Schema = dict[str, Any]

#: What each part of a path may be; the first one exists.
_PARTS = {
    "project": ["demo-project", "123456789012", "nobody", "d\u00e9mo"],
    "location": ["europe-west1", "atlantis", "-"],
    "secret": ["app", "other", "a b", "\u0663", "x" * 256],
    "version": ["1", "latest", "current", "0", "-1", "\u0663", "9" * 5000, "2"],
    "topic": ["rotation", "goog-x", "ab", "_deleted-topic_"],
    "subscription": ["worker", "nobody", "x"],
}
_WORDS: dict[str, list[str]] = {
    "updateMask": ["labels", "annotations,topics", "*", "", "versionAliases", "ttl", "a.b"],
    "filter": ["labels.a:b", "name:app", "(", "NOT a:b", ""],
    "pageToken": ["", "WzEsIDJd", "W3RydWVd", "x"],
    "etag": ["", '"1"'],
}
_DEEPEST = 4
_SPECIAL: dict[str, list[Any]] = {
    "google.protobuf.Timestamp": ["2040-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "soon"],
    "google.protobuf.Duration": ["60s", "86400s", "-1s", "1.5s", "99999999999s"],
    "google.protobuf.FieldMask": ["labels", "pushConfig", "ackDeadlineSeconds", "x"],
}


def secret_manager() -> Schema:
    """Return the description of the embedded Secret Manager."""
    document = _document("Secret Manager")
    for rpc in RPCS.values():
        for collection in _collections(rpc.rest.collection):
            path = f"/v1/{collection}{rpc.rest.suffix}"
            body = _rest_body(rpc)
            _add(document, path, rpc.rest.method, rpc.name, list(_query(rpc)), body)
    return document


def pubsub() -> Schema:
    """Return the description of the embedded Pub/Sub."""
    document = _document("Pub/Sub")
    for method in METHODS:
        if method.name == "Pull":  # waits for a message
            continue
        path = f"/v1/{method.resource}{method.suffix}"
        descriptor = _descriptor(method.request())
        body = None if method.verb in {"GET", "DELETE"} else _object(descriptor, 0)
        pages = [
            _parameter("pageSize", {"type": "integer"}),
            _parameter("pageToken", _text("pageToken")),
        ]
        query = pages if method.verb == "GET" else []
        _add(document, path, method.verb, method.name, query, body)
    return document


def _descriptor(message: Any) -> Any:
    """The messages of IAM are plain protobuf, those of Pub/Sub are wrapped."""
    wrap = getattr(type(message), "pb", None)
    return (wrap(message) if wrap else message).DESCRIPTOR


def _document(title: str) -> Schema:
    return {"openapi": "3.1.0", "info": {"title": title, "version": "1"}, "paths": {}}


def _add(
    document: Schema, path: str, verb: str, name: str, query: list[Schema], body: Schema | None
) -> None:
    parts = [part for part in _PARTS if f"{{{part}}}" in path]
    operation: Schema = {
        "operationId": f"{name} {path}",
        "parameters": [
            *(
                {"name": part, "in": "path", "required": True, "schema": {"enum": _PARTS[part]}}
                for part in parts
            ),
            *query,
        ],
        "responses": {"default": {"description": "an answer or a refusal"}},
    }
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    document["paths"].setdefault(path, {})[verb.lower()] = operation


def _collections(kind: str) -> Iterator[str]:
    below = {"secret": "/secrets/{secret}", "version": "/secrets/{secret}/versions/{version}"}
    if kind != "location":
        yield "projects/{project}" + below.get(kind, "")
    yield "projects/{project}/locations/{location}" + below.get(kind, "")


def _rest_body(rpc: Rpc) -> Schema | None:
    descriptor = rpc.request.DESCRIPTOR
    if not rpc.rest.body:
        return None
    inner = descriptor if rpc.rest.body == "*" else descriptor.fields_by_name["secret"].message_type
    return _object(inner, 0)


def _query(rpc: Rpc) -> Iterator[Schema]:
    if rpc.rest.body == "*":
        return
    for field in rpc.request.DESCRIPTOR.fields:
        if field.name not in {rpc.resource.partition(".")[0], rpc.rest.body}:
            yield _parameter(field.json_name, _value(field, _DEEPEST))


def _parameter(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def _object(descriptor: Descriptor, depth: int) -> Schema:
    return {
        "type": "object",
        "properties": {field.json_name: _field(field, depth) for field in descriptor.fields},
    }


def _field(field: FieldDescriptor, depth: int) -> Schema:
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        values = _value(inner.fields_by_name["value"], depth)
        return {"type": "object", "additionalProperties": values, "maxProperties": 3}
    if field.is_repeated:
        return {"type": "array", "items": _value(field, depth), "maxItems": 3}
    return _value(field, depth)


def _value(field: FieldDescriptor, depth: int) -> Schema:
    if field.message_type is not None:
        special = _SPECIAL.get(field.message_type.full_name)
        if special:
            return {"enum": [*_WORDS.get(field.json_name, []), *special]}
        if depth >= _DEEPEST:
            return {"type": "object", "maxProperties": 0}
        return _object(field.message_type, depth + 1)
    if field.enum_type is not None:
        return {"enum": [value.name for value in field.enum_type.values] + [1, "NONE"]}
    kinds: dict[str, Schema] = {
        "bool": {"type": "boolean"},
        "int": {"type": "integer", "minimum": -(2**33), "maximum": 2**33},
        "str": _text(field.json_name),
        "bytes": {"enum": ["", "bmV3", "!", "bmV3bmV3", "a"]},
        "float": {"type": "number"},
    }
    return kinds[_python_type(field)]


def _python_type(field: FieldDescriptor) -> str:
    match field.cpp_type:
        case field.CPPTYPE_BOOL:
            return "bool"
        case field.CPPTYPE_STRING:
            return "bytes" if field.type == field.TYPE_BYTES else "str"
        case field.CPPTYPE_DOUBLE | field.CPPTYPE_FLOAT:
            return "float"
        case _:
            return "int"


def _text(name: str) -> Schema:
    if name in _WORDS:
        return {"enum": _WORDS[name]}
    return {"type": "string", "maxLength": 20}
