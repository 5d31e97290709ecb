"""Stands first on PATH as ``gcloud`` and ``rotation``: keeps what a script makes, reaches nothing.

Decides what a project would hold after the commands; never whether Google would accept a value.

1. Creating what exists and touching what does not exist fail, as with the real command.
2. A command or form of output it does not know fails, so that nothing is overlooked.
3. Resources are kept in the form of `tests.deploy.resources`, ready to be compared.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rotation.policies.keys import read_keys

NUMBER = "123456789012"
Flags = dict[str, str]


class RefusedError(Exception):
    """The real command would fail here."""


class Project:
    """What there is, by kind and name."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.state: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}

    def save(self) -> None:
        self._file.write_text(json.dumps(self.state, indent=1, sort_keys=True))

    def of(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = self.state.setdefault(kind, {})
        return found

    def make(self, kind: str, name: str, values: dict[str, Any]) -> None:
        if name in self.of(kind):
            raise RefusedError(f"ALREADY_EXISTS: {kind} {name}")
        self.of(kind)[name] = values

    def get(self, kind: str, name: str) -> dict[str, Any]:
        if name not in self.of(kind):
            raise RefusedError(f"NOT_FOUND: {kind} {name}")
        values: dict[str, Any] = self.of(kind)[name]
        return values

    def drop(self, kind: str, name: str) -> None:
        self.get(kind, name)
        del self.of(kind)[name]
        for version in [v for v in self.of("version") if v.startswith(f"{name}/")]:
            if kind == "secret":
                del self.of("version")[version]
        for binding in [
            candidate for candidate in self.of("binding") if candidate.startswith(f"{kind}/{name} ")
        ]:
            del self.of("binding")[binding]

    def bind(self, on: str, flags: Flags) -> None:
        if "roles/rotation" in flags["role"]:
            self.get("role", flags["role"].rpartition("/")[2])
        if flags["member"].startswith("serviceAccount:rotation"):
            self.get("account", flags["member"].split(":")[1].split("@")[0])
        self.of("binding")[f"{on} {flags['role']} {flags['member']}"] = {}

    def unbind(self, on: str, flags: Flags) -> None:
        key = f"{on} {flags['role']} {flags['member']}"
        if key not in self.of("binding"):
            raise RefusedError(f"NOT_FOUND: binding {key}")
        del self.of("binding")[key]


def pairs(text: str) -> dict[str, str]:
    """Read ``a=b,c=d``, or with gcloud's own separator: ``^SEP^a=b``."""
    separator = ","
    if text.startswith("^"):
        separator, _, text = text[1:].partition("^")
    return dict(pair.split("=", 1) for pair in text.split(separator))


def subscription(flags: Flags) -> dict[str, Any]:
    topic = flags.get("dead-letter-topic")
    seconds = {key: flags.get(key) for key in ("min-retry-delay", "max-retry-delay")}
    return {
        "ack_deadline": int(flags["ack-deadline"]),
        "retention": flags["message-retention-duration"],
        "expires": flags["expiration-period"],
        "endpoint": flags.get("push-endpoint"),
        "push_account": flags.get("push-auth-service-account"),
        "audience": flags.get("push-auth-token-audience"),
        "backoff": [seconds["min-retry-delay"], seconds["max-retry-delay"]],
        "dead_letters": topic,
        "attempts": int(flags["max-delivery-attempts"]) if topic else None,
    }


def service(flags: Flags) -> dict[str, Any]:
    return {
        "region": flags["region"],
        "image": flags.get("image"),
        "runtime": flags.get("runtime"),
        "entry_point": flags.get("entry-point"),
        "build_account": flags.get("build-service-account"),
        "public": "no-allow-unauthenticated" not in flags,
        "ingress": (flags.get("ingress-settings") or flags.get("ingress", "")).removesuffix(
            "-only"
        ),
        "timeout": int(flags["timeout"].rstrip("s")),
        "memory": flags["memory"],
        "cpu": flags["cpu"],
        "concurrency": int(flags["concurrency"]),
        "instances": [int(flags["min-instances"]), int(flags["max-instances"])],
        "account": flags.get("run-service-account") or flags.get("service-account"),
        "environment": pairs(flags["set-env-vars"]),
        "connector": flags.get("vpc-connector"),
        "network": [flags.get("network"), flags.get("subnet")],
        "egress": flags.get("egress-settings") or flags.get("vpc-egress"),
        "files": pairs(flags["set-secrets"]),
    }


def job(flags: Flags) -> dict[str, Any]:
    return {
        "region": flags["location"],
        "schedule": flags["schedule"],
        "time_zone": flags["time-zone"],
        "topic": flags["topic"].rpartition("/")[2],
        "body": flags["message-body"],
        "attributes": pairs(flags.get("attributes") or flags["update-attributes"]),
        "description": flags["description"],
    }


def secret(flags: Flags) -> dict[str, Any]:
    if "topics" not in flags:
        return {"replication": flags["replication-policy"], "topics": []}
    return {
        "replication": flags["replication-policy"],
        "topics": [flag.rpartition("/")[2] for flag in flags["topics"].split(",")],
        "policy": None,
        "period": flags["rotation-period"],
        "next": flags["next-rotation-time"],
        "destroy_ttl": flags.get("version-destroy-ttl"),
    }


def change_secret(values: dict[str, Any], flags: Flags) -> None:
    if any(flag.endswith(("-annotations", "-labels", "-version-aliases")) for flag in flags):
        raise RefusedError("this replaces a map of the secret, without its ETag")
    if "rotation-period" in flags:
        values["period"] = flags["rotation-period"]
        values["destroy_ttl"] = flags.get("version-destroy-ttl", values["destroy_ttl"])
        values["topics"] = sorted({*values["topics"], flags["add-topics"].rpartition("/")[2]})
    if "remove-rotation-schedule" in flags:
        values["period"] = values["next"] = None
    if "remove-topics" in flags:
        values["topics"].remove(flags["remove-topics"].rpartition("/")[2])


def alert_policy(flags: Flags) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(Path(flags["policy-from-file"]).read_text())
    channels = flags.get("notification-channels") or flags.get("set-notification-channels") or ""
    return values | {"notificationChannels": sorted(filter(None, channels.split(",")))}


Command = Callable[[Project, list[str], Flags], object]
COMMANDS: dict[str, Command] = {}


def command(*names: str) -> Callable[[Command], Command]:
    def keep(act: Command) -> Command:
        COMMANDS.update(dict.fromkeys(names, act))
        return act

    return keep


def simple(
    prefix: str, kind: str, read: Callable[[Flags], dict[str, Any]], change: str = "update"
) -> None:
    """Add create, update, describe and delete of one kind."""
    short = kind_name = lambda name: name.split("@")[0] if kind == "account" else name

    def create(project: Project, names: list[str], flags: Flags) -> None:
        project.make(kind, short(names[0]), read(flags))

    def update(project: Project, names: list[str], flags: Flags) -> None:
        project.get(kind, short(names[0])).update(read(flags))

    COMMANDS[f"{prefix} create" if change == "update" else f"{prefix} create pubsub"] = create
    COMMANDS[f"{prefix} {change}"] = update
    COMMANDS[f"{prefix} describe"] = lambda project, names, _: project.get(
        kind, kind_name(names[0])
    )
    COMMANDS[f"{prefix} delete"] = lambda project, names, _: project.drop(kind, short(names[0]))


simple("pubsub topics", "topic", lambda _: {})
simple("iam service-accounts", "account", lambda flags: {"title": flags["display-name"]})
simple("scheduler jobs", "job", job, change="update pubsub")
simple(
    "logging metrics",
    "metric",
    lambda flags: json.loads(Path(flags["config-from-file"]).read_text()),
)
simple("secrets", "secret", secret)
simple("pubsub subscriptions", "subscription", subscription)


@command("pubsub subscriptions create")
def _(project: Project, names: list[str], flags: Flags) -> None:
    project.get("topic", flags["topic"])
    made = {"topic": flags["topic"], "filter": flags.get("message-filter", "")}
    project.make("subscription", names[0], made | subscription(flags))


@command("secrets update")
def _(project: Project, names: list[str], flags: Flags) -> None:
    change_secret(project.get("secret", names[0]), flags)


@command("rotation policy apply")
def _(project: Project, names: list[str], flags: Flags) -> None:
    """Our own command, which writes the annotation under the ETag."""
    name, file = names
    assert name.startswith(f"projects/{flags['project']}/secrets/"), name
    project.get("secret", name.rpartition("/")[2])["policy"] = json.loads(Path(file).read_text())


@command("secrets list")
def _(project: Project, names: list[str], flags: Flags) -> str:
    lines = project.of("secret").items()
    if "topics" in flags["format"]:
        of = f"projects/{os.environ['CLOUDSDK_CORE_PROJECT']}/topics/"
        return "\n".join(
            f"{name}\t{','.join(of + topic for topic in line['topics'])}" for name, line in lines
        )
    return "\n".join(name for name, _ in lines)


@command("secrets versions list")
def _(project: Project, names: list[str], flags: Flags) -> str:
    project.get("secret", names[0])
    return str(len(versions(project, names[0])) or "")


@command("secrets versions add")
def _(project: Project, names: list[str], flags: Flags) -> str:
    project.get("secret", names[0])
    payload: dict[str, Any] = {}
    if names[0] == "rotation-keys":
        read_keys(sys.stdin.buffer.read())
    else:
        payload = json.loads(Path(flags["data-file"]).read_text())
    number = str(len(versions(project, names[0])) + 1)
    project.of("version")[f"{names[0]}/{number}"] = payload
    return number


@command("secrets versions access")
def _(project: Project, names: list[str], flags: Flags) -> str:
    return json.dumps(project.get("version", f"{flags['secret']}/{names[0]}"))


def versions(project: Project, secret_id: str) -> list[str]:
    return [name for name in project.of("version") if name.startswith(f"{secret_id}/")]


@command("rotation targets validate", "rotation targets show")
def _(project: Project, names: list[str], flags: Flags) -> str:
    """Our own command itself: it reaches nothing here."""
    words = [sys.executable, "-m", "rotation", *sys.argv[2:]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(done.stdout + done.stderr)
    return done.stdout


@command("secrets get-iam-policy")
def _(project: Project, names: list[str], flags: Flags) -> str:
    keys = [binding.split(" ") for binding in project.of("binding")]
    return "\n".join(f"{role}\t{who}" for on, role, who in keys if on == f"secret/{names[0]}")


@command("projects get-iam-policy")
def _(project: Project, names: list[str], flags: Flags) -> str:
    keys = [binding.split(" ") for binding in project.of("binding")]
    return "\n".join(f"{role}\t{who}" for on, role, who in keys if on == "project")


@command("projects describe")
def _(project: Project, names: list[str], flags: Flags) -> str:
    return NUMBER


@command("services enable")
def _(project: Project, names: list[str], flags: Flags) -> None:
    project.of("api").update({name: {} for name in names})


@command("beta services identity create")
def _(project: Project, names: list[str], flags: Flags) -> None:
    project.of("agent")[flags["service"]] = {}


@command("iam roles create", "iam roles update")
def _(project: Project, names: list[str], flags: Flags) -> None:
    permissions = sorted(flags["permissions"].split(","))
    values = {
        "title": flags["title"],
        "description": flags["description"],
        "permissions": permissions,
    }
    project.of("role")[names[0]] = values


@command("iam roles describe")
def _(project: Project, names: list[str], flags: Flags) -> object:
    values = project.get("role", names[0])
    return values.get("deleted", "") and "True" if "format" in flags else values


@command("iam roles delete")
def _(project: Project, names: list[str], flags: Flags) -> None:
    project.get("role", names[0])["deleted"] = True


@command("iam roles undelete")
def _(project: Project, names: list[str], flags: Flags) -> None:
    del project.get("role", names[0])["deleted"]


@command("functions deploy", "run deploy")
def _(project: Project, names: list[str], flags: Flags) -> None:
    if "source" in flags:
        files = {
            str(file.relative_to(flags["source"])) for file in Path(flags["source"]).rglob("*")
        }
        assert {"main.py", "requirements.txt", "rotation/app.py", ".gcloudignore"} <= files, files
    project.of("service")[names[0]] = service(flags)


@command("run services describe", "functions describe")
def _(project: Project, names: list[str], flags: Flags) -> object:
    region = project.get("service", names[0])["region"]
    return f"https://rotation-{NUMBER}.{region}.run.app" if "format" in flags else "there"


@command("run services delete", "functions delete")
def _(project: Project, names: list[str], flags: Flags) -> None:
    project.drop("service", names[0])


@command("alpha monitoring policies create")
def _(project: Project, names: list[str], flags: Flags) -> None:
    values = alert_policy(flags)
    project.make("alert", f"policies/{len(project.of('alert')) + 1}", values)


@command("alpha monitoring policies update")
def _(project: Project, names: list[str], flags: Flags) -> None:
    project.get("alert", names[0]).update(alert_policy(flags))


@command("alpha monitoring policies delete")
def _(project: Project, names: list[str], flags: Flags) -> None:
    project.drop("alert", names[0])


@command("alpha monitoring policies list")
def _(project: Project, names: list[str], flags: Flags) -> str:
    columns = [part.rpartition(".")[2] for part in flags["format"][6:-1].split(",")][1:]
    return "\n".join(
        "\t".join([name, *(alert["userLabels"][column] for column in columns)])
        for name, alert in project.of("alert").items()
    )


@command("monitoring dashboards create")
def _(project: Project, names: list[str], flags: Flags) -> None:
    values = json.loads(Path(flags["config-from-file"]).read_text())
    project.make("dashboard", f"dashboards/{len(project.of('dashboard')) + 1}", values)


@command("monitoring dashboards delete")
def _(project: Project, names: list[str], flags: Flags) -> None:
    project.drop("dashboard", names[0])


@command("monitoring dashboards list")
def _(project: Project, names: list[str], flags: Flags) -> str:
    return "\n".join(
        f"{name}\t{dashboard['displayName']}" for name, dashboard in project.of("dashboard").items()
    )


BOUND = {
    "iam service-accounts": "account",
    "pubsub topics": "topic",
    "pubsub subscriptions": "subscription",
    "run services": "service",
    "secrets": "secret",
    "projects": "project",
}


def iam(project: Project, words: list[str], flags: Flags) -> bool:
    """Carry out add- or remove-iam-policy-binding."""
    verb = next((word for word in words if word.endswith("-iam-policy-binding")), None)
    if verb is None:
        return False
    kind = BOUND[" ".join(words[: words.index(verb)])]
    name = words[-1].split("@")[0] if kind == "account" else words[-1]
    on = "project" if kind == "project" else f"{kind}/{name}"
    if kind != "project":
        project.get(kind, name)
    (project.bind if verb.startswith("add") else project.unbind)(on, flags)
    return True


def main(arguments: list[str]) -> None:
    words = [argument for argument in arguments if not argument.startswith("--")]
    given = [argument[2:].split("=", 1) for argument in arguments if argument.startswith("--")]
    flags = {pair[0]: pair[1] if len(pair) > 1 else "" for pair in given}
    folder = Path(os.environ["STANDIN_GCLOUD"])
    ours = arguments[0] == "rotation"
    with (folder / ("ours" if ours else "commands")).open("a") as log:
        log.write(json.dumps(arguments) + "\n")
    project = Project(folder / "state.json")
    if not iam(project, words, flags):
        known = [name for name in COMMANDS if words[: len(name.split())] == name.split()]
        if not known:
            raise RefusedError(f"this stand-in does not know: gcloud {' '.join(words)}")
        name = max(known, key=len)
        answer = COMMANDS[name](project, words[len(name.split()) :], flags)
        if isinstance(answer, str) and answer:
            print(answer)
    project.save()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except RefusedError as refused:
        sys.exit(f"ERROR: (gcloud) {refused}")
