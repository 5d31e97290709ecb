"""What the real Secret Manager does, one statement a row, as data that every client can run.

A row is a list of calls and what is expected of the last one: fields of its answer, or the status
and the words of the refusal; and the events published by all of them.  In a request,
``{"$ahead": 600}`` is a time 600 seconds ahead of now and ``{"$result": [0, "etag"]}`` a field of
an earlier answer.  Calls beginning with ``$`` steer the server.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

#: Any JSON value.
Json: TypeAlias = Any

P = "projects/demo-project"
N = "projects/123456789012"
NAME = f"{N}/secrets/app"
ID = "app"
REGIONAL = f"{N}/locations/europe-west1/secrets/app"
TOPIC = "projects/demo-project/topics/rotation"

Call = tuple[str, dict[str, Json]]


@dataclass(frozen=True)
class Row:
    name: str
    calls: tuple[Call, ...]
    status: str = ""
    message: str = ""
    fields: dict[str, Json] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    events: tuple[str, ...] | None = None
    #: Also run with the Node client.
    node: bool = False
    #: Transports that can express the request at all.
    transports: tuple[str, ...] = ("grpc", "rest")


AUTOMATIC: dict[str, Json] = {"replication": {"automatic": {}}}


def create(secret_id: str = ID, **secret: Json) -> Call:
    request = {"parent": P, "secret_id": secret_id, "secret": {**AUTOMATIC, **secret}}
    return "CreateSecret", request


def create_regional(**secret: Json) -> Call:
    parent = f"{P}/locations/europe-west1"
    return "CreateSecret", {"parent": parent, "secret_id": "app", "secret": secret}


def get(name: str = f"{P}/secrets/app") -> Call:
    return "GetSecret", {"name": name}


def update(*paths: str, **secret: Json) -> Call:
    secret = {"name": f"{P}/secrets/app", **secret}
    return "UpdateSecret", {"secret": secret, "update_mask": {"paths": list(paths)}}


def delete(**request: Json) -> Call:
    return "DeleteSecret", {"name": f"{P}/secrets/app", **request}


def add(data: bytes = b"one", **payload: Json) -> Call:
    payload = {"data": data, **payload}
    return "AddSecretVersion", {"parent": f"{P}/secrets/app", "payload": payload}


def access(version: str = "1") -> Call:
    return "AccessSecretVersion", {"name": f"{P}/secrets/app/versions/{version}"}


def look(version: str = "1") -> Call:
    return "GetSecretVersion", {"name": f"{P}/secrets/app/versions/{version}"}


def enable(version: str = "1", **request: Json) -> Call:
    return "EnableSecretVersion", {"name": f"{P}/secrets/app/versions/{version}", **request}


def disable(version: str = "1", **request: Json) -> Call:
    return "DisableSecretVersion", {"name": f"{P}/secrets/app/versions/{version}", **request}


def destroy(version: str = "1", **request: Json) -> Call:
    return "DestroySecretVersion", {"name": f"{P}/secrets/app/versions/{version}", **request}


def list_secrets(**request: Json) -> Call:
    return "ListSecrets", {"parent": P, **request}


def list_versions(**request: Json) -> Call:
    return "ListSecretVersions", {"parent": f"{P}/secrets/app", **request}


def result(index: int, path: str) -> dict[str, Json]:
    return {"$result": [index, path]}


def ahead(seconds: float) -> dict[str, Json]:
    return {"$ahead": seconds}


def seconds(count: int) -> dict[str, Json]:
    return {"seconds": count}


TOPICS = {"topics": [{"name": TOPIC}]}
HOUR = 3600
DAY = 24 * HOUR
STALE = (
    "The etag provided in the request does not match the resource's current etag. "
    "Please retry the whole read-modify-write with exponential backoff."
)
BAD = "Request contains an invalid argument."
DELAYED = {"version_destroy_ttl": seconds(DAY)}
LABEL_KEY = r"[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}"
LABEL_VALUE = r"[\p{Ll}\p{Lo}\p{N}_-]{0,63}"
ANNOTATION = (
    r"must follow pattern [a-z0-9A-Z]+([_\.\-]*[a-z0-9A-Z]+)*), be less than 64 characters, "
    "and must have a UTF encoding of less than 128 bytes"
)
ALIAS = (
    "must follow pattern [a-zA-Z][a-Aa-Z0-9_-]+, be less than 64 characters and cannot be "
    '"latest" or "NEW"'
)
NOT_A_NUMBER = "does not match the expected format [projects/*/secrets/*/versions*]"
INVALID = "INVALID_ARGUMENT"
PRECONDITION = "FAILED_PRECONDITION"


def refused(name: str, *calls: Call, message: str, status: str = INVALID, **more: Json) -> Row:
    return Row(name, calls, status=status, message=message, **more)


def answers(name: str, *calls: Call, absent: tuple[str, ...] = (), **more: Json) -> Row:
    fields = more.pop("fields", {})
    return Row(name, calls, fields=fields, absent=absent, **more)
