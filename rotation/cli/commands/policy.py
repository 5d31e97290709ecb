"""The command group ``policy``: show, validate and apply the policy of a secret.

1. Exit codes: 0 all well; 1 the policy is missing or faulty; 2 the command was used wrongly; 3 the
   service was not reached or refused (that one is set by the caller of this group).
2. `apply` changes the annotation ``rotation.policy``, and what its options name beside it: the
   alias ``current`` where it points nowhere, labels that are not ours.  Secret Manager replaces
   maps whole, so everything else is sent back as it was read, under its ETag.
3. A faulty policy is never stored.
"""

import difflib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol, TextIO

import click

from rotation.cli.views.explaining import demand_lines
from rotation.cli.views.policy_file import compact, to_json, to_yaml
from rotation.engine import codec
from rotation.model.errors import EtagMismatchError, PermanentError, TemporaryError
from rotation.model.names import SecretName
from rotation.model.policy import Policy
from rotation.model.secret import Secret
from rotation.model.text import escaped
from rotation.policies.demands import undercut
from rotation.policies.duration import format_duration, parse_duration
from rotation.policies.policy import (
    FaultyPolicyError,
    Kinds,
    check_fits,
    decode_policy,
    encode_policy,
)
from rotation.policies.schema import policy_schema
from rotation.policies.typed import Fault
from rotation.ports.secrets import SecretStore

_ATTEMPTS: Final = 5
_WAIT: Final = 0.2
#: Bytes of annotations that the record and the receipt of a rotation may need.
_RESERVED: Final = 6 * 1024
_OURS: Final = codec.ANNOTATIONS


class _Context(Protocol):
    @property
    def store(self) -> SecretStore: ...
    @property
    def kinds(self) -> Kinds: ...
    @property
    def json(self) -> bool: ...
    def secret_name(self, text: str) -> SecretName: ...


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        try:
            return value if isinstance(value, timedelta) else parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True)
class _Wanted:
    """What a secret shall have."""

    policy: Policy
    #: Its text, compact.
    text: str
    #: A policy that is there stays.
    keep: bool = False
    #: Version that ``current`` points at, unless it points somewhere.
    current: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def on(self, secret: Secret) -> dict[str, Any]:
        """Return labels, annotations and aliases of a secret that has it."""
        stored = secret.annotations.get(codec.POLICY)
        same = stored is not None and (self.keep or _readable(stored) == json.loads(self.text))
        text = stored if same else self.text
        current = {"current": self.current} if self.current else {}
        return {
            "labels": {**secret.labels, **self.labels},
            "annotations": {**secret.annotations, codec.POLICY: text},
            "aliases": {**current, **secret.aliases},
        }


def _labels(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    labels = {}
    for label in given:
        key, equals, value = label.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{label!r} is not KEY=VALUE")
        if key in codec.LABELS:
            raise click.BadParameter(f"{key!r} belongs to rotation")
        labels[key] = value
    return labels


_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_file = click.argument("file", type=click.File("r", encoding="utf-8"))


@click.group()
def policy() -> None:
    """Show, validate and apply rotation policies."""


@policy.command()
@click.argument("secret")
@_as_json
@click.pass_obj
def show(context: _Context, secret: str, *, as_json: bool) -> None:
    """Show the policy stored on SECRET, and whether it can be carried out."""
    found = context.store.get(context.secret_name(secret))
    text = found.annotations.get(codec.POLICY)
    if text is None:
        _report(context, as_json, {"secret": str(found.name), "policy": None}, _missing(found))
        click.get_current_context().exit(1)
    stored = _readable(text)
    kinds = context.kinds.looking()
    effective, faults = _judge(kinds, text, _period(found), found.name)
    body = {
        "secret": str(found.name),
        "policy": stored,
        **_verdict(effective, _period(found), faults),
    }
    shown = "" if stored is None else to_yaml(stored)
    _report(context, as_json, body, shown.rstrip("\n"))
    if not (context.json or as_json):
        # Not on standard output: what is shown there can be applied again.
        lines = [_sentence(effective, _period(found), faults), *_late(effective, _period(found))]
        click.echo(escaped("\n".join(lines)), err=True)
    click.get_current_context().exit(1 if faults else 0)


@policy.command()
@_file
@click.option("--period", type=_Duration(), help="Rotation period it must fit in, such as 30d.")
@click.option(
    "--secret",
    metavar="SECRET",
    default="",
    help="Whose policy it is to be: may it use the targets?",
)
@_as_json
@click.pass_obj
def validate(
    context: _Context, file: TextIO, period: timedelta | None, secret: str, *, as_json: bool
) -> None:
    """Check the policy in FILE (YAML or JSON, - for standard input); touch nothing."""
    name = context.secret_name(secret) if secret else None
    try:
        decoded, faults = _judge(context.kinds, to_json(_read(file)), period, name)
    except FaultyPolicyError as error:
        decoded, faults = None, error.faults
    body = _verdict(decoded, period, faults)
    lines = [_sentence(decoded, period, faults), *(_late(decoded, period) if period else ())]
    if decoded and name is None and any(choice.target for choice in decoded.choices):
        lines.append("it names targets; --secret SECRET looks whether that secret may use them")
    _report(context, as_json, body, "\n".join(lines))
    click.get_current_context().exit(1 if faults else 0)


@policy.command()
@click.argument("secret")
@_file
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option("--keep", is_flag=True, help="Leave a policy that is there as it is.")
@click.option(
    "--current",
    type=click.IntRange(min=1),
    metavar="N",
    help="Point the alias current at version N, unless it points somewhere.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_labels,
    help="Label to set; repeatable.",
)
@_as_json
@click.pass_obj
def apply(
    context: _Context,
    /,
    secret: str,
    file: TextIO,
    *,
    dry_run: bool,
    as_json: bool,
    **beside: Any,  # noqa: ANN401 - what `_Wanted` has beside the policy
) -> None:
    """Validate the policy in FILE and store it on SECRET."""
    name = context.secret_name(secret)
    try:
        text = to_json(_read(file))
        wanted = _Wanted(decode_policy(text, context.kinds, name), compact(text), **beside)
        before = _store(context.store, name, wanted, dry_run=dry_run)
    except FaultyPolicyError as error:
        _report(context, as_json, _verdict(None, None, error.faults), str(error))
        click.get_current_context().exit(1)
    after = wanted.on(before)
    diff = _diff(before.annotations.get(codec.POLICY), after["annotations"][codec.POLICY])
    changed = _maps(before) != after
    done = "unchanged" if not changed else "would change" if dry_run else "changed"
    demanded = dict(wanted.policy.demanded)
    body = {"secret": str(before.name), "result": done, "diff": diff, "demanded": demanded}
    what = "policy" if diff or not changed else "policy unchanged; aliases and labels"
    lines = [*diff, f"{before.name}: {what} {done}", *demand_lines(wanted.policy)]
    lines += _late(wanted.policy, _period(before))
    _report(context, as_json, body, "\n".join(lines))
    if diff and codec.PHASE in before.labels:
        message = "a rotation is in flight: what it still has to do follows the new policy"
        click.echo(f"warning: {message}", err=True)


@policy.command()
@_as_json
@click.pass_obj
def schema(context: _Context, *, as_json: bool) -> None:
    """Print the JSON Schema of a policy, for editors and CI."""
    del as_json  # it is JSON either way
    rendered = policy_schema(context.kinds)
    click.echo(json.dumps(rendered, indent=2))


def _store(store: SecretStore, name: SecretName, wanted: _Wanted, *, dry_run: bool) -> Secret:
    """Store what is wanted in one write and return the secret as it was before."""
    for attempt in range(_ATTEMPTS):
        time.sleep(_WAIT * attempt)
        secret = store.get(name)
        check_fits(wanted.policy, _period(secret))
        maps = wanted.on(secret)
        _check_room(maps["annotations"])
        if dry_run or maps == _maps(secret):
            return secret
        try:
            store.update(secret, **maps)
        except EtagMismatchError:
            continue
        return secret
    raise TemporaryError(f"{name} keeps changing", remedy="try again in a minute")


def _maps(secret: Secret) -> dict[str, Any]:
    return {
        "labels": dict(secret.labels),
        "annotations": dict(secret.annotations),
        "aliases": dict(secret.aliases),
    }


def _check_room(annotations: Mapping[str, str]) -> None:
    kept = {key: value for key, value in annotations.items() if key not in _OURS}
    used = sum(len(key.encode()) + len(value.encode()) for key, value in kept.items())
    room = codec.MAX_ANNOTATION_BYTES - _RESERVED
    if used > room:
        raise PermanentError(
            f"the annotations would take {used} bytes, and {room} are free for them",
            remedy="shorten the policy, or remove other annotations of the secret",
        )


def _read(file: TextIO) -> str:
    try:
        return file.read()
    except UnicodeDecodeError:
        raise FaultyPolicyError([Fault("", "the file is not UTF-8 text")]) from None


def _judge(
    kinds: Kinds, text: str, period: timedelta | None, name: SecretName | None
) -> tuple[Policy | None, tuple[Fault, ...]]:
    try:
        decoded = decode_policy(text, kinds, name)
        check_fits(decoded, period)
    except FaultyPolicyError as error:
        return None, error.faults
    return decoded, ()


def _readable(text: str) -> object:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document


def _period(secret: Secret | None) -> timedelta | None:
    return secret.schedule.period if secret and secret.schedule else None


def _diff(before: str | None, after: str) -> list[str]:
    stored, new = (
        to_yaml(_readable(text)).splitlines() if text else [] for text in (before, after)
    )
    return list(difflib.unified_diff(stored, new, "stored", "new", lineterm=""))


def _verdict(
    decoded: Policy | None, period: timedelta | None, faults: tuple[Fault, ...]
) -> dict[str, Any]:
    return {
        "valid": not faults,
        "faults": [{"path": fault.path, "message": fault.message} for fault in faults],
        "effective": json.loads(encode_policy(decoded)) if decoded else None,
        "length": format_duration(decoded.length) if decoded else None,
        "period": format_duration(period) if period else None,
        "max_age": format_duration(decoded.max_age) if decoded and decoded.max_age else None,
        "demanded": dict(decoded.demanded) if decoded else {},
        "not_known_here": list(decoded.not_known_here) if decoded else [],
    }


def _sentence(decoded: Policy | None, period: timedelta | None, faults: tuple[Fault, ...]) -> str:
    if faults or decoded is None:
        return str(FaultyPolicyError(faults))
    every = f" of every {format_duration(period)}" if period else ""
    valid = f"the policy is valid; one rotation takes {format_duration(decoded.length)}{every}"
    return "\n".join([valid, *demand_lines(decoded), *_unseen(decoded)])


def _unseen(decoded: Policy) -> list[str]:
    """Say what was not looked at for want of a targets document."""
    names = ", ".join(decoded.not_known_here)
    why = "not known here, as ROTATION_TARGETS is not set: what they allow was not looked at"
    return [f"  targets {names}: {why}"] if names else []


def _late(decoded: Policy | None, period: timedelta | None) -> list[str]:
    """Say that a schedule asks for rotations less often than a target demands."""
    late = undercut(decoded, period) if decoded else ""
    return [f"  {late}"] if late else []


def _missing(secret: Secret) -> str:
    return f"{secret.name} has no policy; run: rotation policy apply {secret.name.secret_id} FILE"


def _report(context: _Context, as_json: bool, body: dict[str, Any], text: str) -> None:  # noqa: FBT001 - the flag of the command line
    whole = json.dumps(body, indent=2, ensure_ascii=False) if context.json or as_json else text
    click.echo(escaped(whole))
