"""The few commands of ``gcloud secrets`` and ``gcloud pubsub`` that the pages use, over REST.

For machines without gcloud: an unknown command or flag is an error, and what is printed is what
gcloud prints with the same ``--format``, as far as the pages use it.
"""

import argparse
import base64
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from tests.documents.standins.rest_print import show

_MAPS = {"labels": "labels", "annotations": "annotations", "version_aliases": "versionAliases"}


def run(words: list[str]) -> int:
    arguments = _parser().parse_args(words)
    try:
        arguments.do(arguments)
    except httpx.HTTPStatusError as error:
        body = error.response.json()["error"]
        print(f"ERROR: (gcloud) {body['status']}: {body['message']}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="gcloud", allow_abbrev=False)
    kinds = top.add_subparsers(required=True)
    secrets = kinds.add_parser("secrets").add_subparsers(required=True)
    _secrets(secrets)
    versions = secrets.add_parser("versions").add_subparsers(required=True)
    _versions(versions)
    pubsub = kinds.add_parser("pubsub").add_subparsers(required=True)
    _topics(pubsub.add_parser("topics").add_subparsers(required=True))
    _subscriptions(pubsub.add_parser("subscriptions").add_subparsers(required=True))
    return top


def _add(group: Any, name: str, do: Callable[..., None], *flags: str, of: str = "") -> None:
    command = group.add_parser(name, allow_abbrev=False)
    if of:
        command.add_argument(of)
    for flag in (*flags, "format", "project", "quiet"):
        if flag in _SWITCHES:
            command.add_argument(f"--{flag}", action="store_true")
        else:
            command.add_argument(f"--{flag}")
    command.set_defaults(do=do)


_SWITCHES = {
    "quiet",
    "auto-ack",
    "clear-topics",
    "remove-rotation-schedule",
    "clear-version-aliases",
    "clear-annotations",
    "remove-version-destroy-ttl",
}


def _secrets(group: Any) -> None:
    _add(group, "list", _list_secrets, "filter", "limit")
    _add(group, "describe", _describe, of="secret")
    _add(
        group,
        "create",
        _create,
        *("replication-policy", "data-file", "topics", "next-rotation-time", "rotation-period"),
        *("labels", "version-destroy-ttl"),
        of="secret",
    )
    changes = [f"{verb}-{noun}" for noun in _FLAGS for verb in ("update", "remove")]
    _add(
        group,
        "update",
        _update,
        *(*changes, "etag", "add-topics", "remove-topics", "clear-topics"),
        *("next-rotation-time", "rotation-period", "remove-rotation-schedule"),
        *("clear-version-aliases", "version-destroy-ttl", "remove-version-destroy-ttl"),
        of="secret",
    )
    _add(group, "delete", _delete, "etag", of="secret")
    for verb in ("add", "remove"):
        _add(group, f"{verb}-iam-policy-binding", _bind(verb), "role", "member", of="secret")


_FLAGS = {"labels": "labels", "annotations": "annotations", "version-aliases": "version_aliases"}


def _versions(group: Any) -> None:
    _add(group, "list", _list_versions, "filter", "limit", of="secret")
    for verb in ("enable", "disable", "destroy", "describe", "access"):
        _add(group, verb, _on_version(verb), "secret", of="version")
    _add(group, "add", _add_version, "data-file", of="secret")


def _topics(group: Any) -> None:
    _add(group, "create", lambda a: _ask("PUT", _topic(a.topic), a, pubsub=True), of="topic")
    _add(group, "delete", lambda a: _ask("DELETE", _topic(a.topic), a, pubsub=True), of="topic")
    _add(group, "describe", lambda a: _ask("GET", _topic(a.topic), a, pubsub=True), of="topic")
    _add(group, "list", lambda a: _list(a, "topics"))
    _add(group, "publish", _publish, "attribute", "message", of="topic")


def _subscriptions(group: Any) -> None:
    def of(arguments: argparse.Namespace) -> str:
        return f"{_parent()}/subscriptions/{arguments.subscription}"

    def push(a: argparse.Namespace) -> None:
        config: dict[str, Any] = {"pushEndpoint": a.push_endpoint} if a.push_endpoint else {}
        if a.push_auth_service_account:
            config["oidcToken"] = {
                "serviceAccountEmail": a.push_auth_service_account,
                "audience": a.push_auth_token_audience,
            }
        _ask("POST", f"{of(a)}:modifyPushConfig", a, {"pushConfig": config}, pubsub=True)

    def create(a: argparse.Namespace) -> None:
        _ask("PUT", of(a), a, {"topic": _topic(a.topic)}, pubsub=True)

    name = "subscription"
    _add(group, "describe", lambda a: _ask("GET", of(a), a, pubsub=True), of=name)
    _add(group, "delete", lambda a: _ask("DELETE", of(a), a, pubsub=True), of=name)
    _add(group, "list", lambda a: _list(a, "subscriptions"))
    _add(group, "create", create, "topic", of=name)
    flags = ("push-endpoint", "push-auth-service-account", "push-auth-token-audience")
    _add(group, "modify-push-config", push, *flags, of=name)
    _add(group, "pull", lambda a: _pull(a, of(a)), "limit", "auto-ack", of=name)


def _pull(arguments: argparse.Namespace, name: str) -> None:
    body = {"maxMessages": int(arguments.limit or 1), "returnImmediately": True}
    found = _call("POST", f"{name}:pull", body, pubsub=True).get("receivedMessages", [])
    if found and arguments.auto_ack:
        ids = {"ackIds": [delivery["ackId"] for delivery in found]}
        _call("POST", f"{name}:acknowledge", ids, pubsub=True)
    show(found, arguments.format)


def _list(arguments: argparse.Namespace, kind: str) -> None:
    show(_call("GET", f"{_parent()}/{kind}", pubsub=True).get(kind, []), arguments.format)


def _publish(arguments: argparse.Namespace) -> None:
    message: dict[str, Any] = {"attributes": _pairs(arguments.attribute)}
    if arguments.message:
        message["data"] = base64.b64encode(arguments.message.encode()).decode()
    body = {"messages": [message]}
    _ask("POST", f"{_topic(arguments.topic)}:publish", arguments, body, pubsub=True)


def _list_secrets(arguments: argparse.Namespace) -> None:
    query = {"filter": arguments.filter} if arguments.filter else {}
    found = _call("GET", f"{_parent()}/secrets", query=query).get("secrets", [])
    show(found[: int(arguments.limit)] if arguments.limit else found, arguments.format)


def _list_versions(arguments: argparse.Namespace) -> None:
    query = {"filter": arguments.filter} if arguments.filter else {}
    found = _call("GET", f"{_secret(arguments.secret)}/versions", query=query).get("versions", [])
    show(found[: int(arguments.limit)] if arguments.limit else found, arguments.format)


def _describe(arguments: argparse.Namespace) -> None:
    show(_call("GET", _secret(arguments.secret)), arguments.format)


def _delete(arguments: argparse.Namespace) -> None:
    _call("DELETE", _secret(arguments.secret))


def _bind(verb: str) -> Callable[[argparse.Namespace], None]:
    """Return what adds a member to a role of a secret, or removes it."""

    def do(arguments: argparse.Namespace) -> None:
        name = _secret(arguments.secret)
        policy = _call("GET", f"{name}:getIamPolicy")
        members = {
            binding["role"]: set(binding["members"]) for binding in policy.get("bindings", [])
        }
        of_role = members.setdefault(arguments.role, set())
        (of_role.add if verb == "add" else of_role.discard)(arguments.member)
        policy["bindings"] = [
            {"role": role, "members": sorted(who)} for role, who in members.items() if who
        ]
        show(_call("POST", f"{name}:setIamPolicy", {"policy": policy}), arguments.format)

    return do


def _create(arguments: argparse.Namespace) -> None:
    body: dict[str, Any] = {"replication": {"automatic": {}}, **_schedule(arguments)}
    if arguments.topics:
        body["topics"] = [{"name": name} for name in arguments.topics.split(",")]
    if arguments.labels:
        body["labels"] = _pairs(arguments.labels)
    _call("POST", f"{_parent()}/secrets", body, query={"secretId": arguments.secret})
    if arguments.data_file:
        _add_version(arguments)


def _schedule(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {
        "nextRotationTime": arguments.next_rotation_time,
        "rotationPeriod": arguments.rotation_period,
    }
    return {"rotation": found} if (found := {k: v for k, v in given.items() if v}) else {}


def _update(arguments: argparse.Namespace) -> None:  # noqa: C901
    before = _call("GET", _secret(arguments.secret))
    body: dict[str, Any] = {}
    for flag, field in _FLAGS.items():
        update = getattr(arguments, f"update_{flag.replace('-', '_')}")
        remove = getattr(arguments, f"remove_{flag.replace('-', '_')}")
        kept = {} if update and flag != "labels" else before.get(_MAPS[field], {})
        if update or remove:
            gone = set(remove.split(",")) if remove else set()
            if flag != "labels" and gone - kept.keys():
                # As gcloud 528 does; labels that are not there it takes calmly.
                raise SystemExit(f"ERROR: gcloud crashed (KeyError): {min(gone - kept.keys())!r}")
            merged = {**kept, **_pairs(update or "")}
            body[field] = {key: value for key, value in merged.items() if key not in gone}
    topics = [topic["name"] for topic in before.get("topics", [])]
    if arguments.add_topics:
        body["topics"] = [*topics, *arguments.add_topics.split(",")]
    if arguments.remove_topics:
        body["topics"] = [
            topic for topic in topics if topic not in arguments.remove_topics.split(",")
        ]
    if arguments.clear_topics:
        body["topics"] = []
    if "topics" in body:
        body["topics"] = [{"name": name} for name in body["topics"]]
    if arguments.clear_version_aliases:
        body["version_aliases"] = {}
    if arguments.remove_rotation_schedule:
        body["rotation"] = None
    elif schedule := _schedule(arguments):
        body["rotation"] = {**before.get("rotation", {}), **schedule["rotation"]}
    mask = {"updateMask": ",".join(body)}
    sent = {_MAPS.get(key, key): value for key, value in body.items() if value is not None}
    if arguments.etag:
        sent["etag"] = arguments.etag
    _call("PATCH", _secret(arguments.secret), sent, query=mask)


def _on_version(verb: str) -> Callable[[argparse.Namespace], None]:
    def do(arguments: argparse.Namespace) -> None:
        name = f"{_secret(arguments.secret)}/versions/{arguments.version}"
        if verb == "describe":
            show(_call("GET", name), arguments.format)
        elif verb == "access":
            data = _call("GET", f"{name}:access")["payload"]["data"]
            sys.stdout.buffer.write(base64.b64decode(data))
        else:
            _call("POST", f"{name}:{verb}", {})

    return do


def _add_version(arguments: argparse.Namespace) -> None:
    with _opened(arguments.data_file) as file:
        data = base64.b64encode(file.read()).decode()
    _call("POST", f"{_secret(arguments.secret)}:addVersion", {"payload": {"data": data}})


def _opened(path: str) -> Any:
    return sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: PTH123


def _pairs(text: str) -> dict[str, str]:
    return dict(_split(text))


def _split(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(",") if text else ():
        key, _, value = pair.partition("=")
        yield key, value


def _parent() -> str:
    return f"projects/{os.environ['CLOUDSDK_CORE_PROJECT']}"


def _secret(name: str) -> str:
    return name if "/" in name else f"{_parent()}/secrets/{name}"


def _topic(name: str) -> str:
    return name if "/" in name else f"{_parent()}/topics/{name}"


def _ask(
    method: str, path: str, arguments: argparse.Namespace, body: Any = None, **more: Any
) -> None:
    show(_call(method, path, body if body is not None else {}, **more), arguments.format)


def _call(
    method: str, path: str, body: Any = None, *, query: Any = None, pubsub: bool = False
) -> dict[str, Any]:
    service = "PUBSUB" if pubsub else "SECRETMANAGER"
    base = os.environ[f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}"]
    sent = None if method in {"GET", "DELETE"} else body
    answer = httpx.request(
        method, f"{base}v1/{path}", json=sent, params=query, trust_env=False, timeout=30
    )
    answer.raise_for_status()
    found: dict[str, Any] = answer.json() if answer.content else {}
    return found
