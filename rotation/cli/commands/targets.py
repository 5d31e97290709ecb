"""The command group ``targets``: what the deployment lets be touched, and by which secrets.

1. Exit codes: 0 yes, all well; 1 the document is faulty or missing, or the answer is no; 2 the
   command was used wrongly; 3 the service was not reached or refused.
2. Nothing is changed and no target is opened.  `explain` alone asks Secret Manager, for the stored
   policy; where two names of a project must be compared, `test` and `explain` ask for its number,
   unless ROTATION_PROJECT_NUMBER says it.
3. The document holds no secret values, so it is shown as it is.
"""

import json
from collections.abc import Mapping
from typing import TextIO

import click

from rotation.cli.views import explaining
from rotation.cli.views.context import Context, json_option
from rotation.cli.views.failures import NO, OK
from rotation.cli.views.failures import explain as explain_failure
from rotation.cli.views.policy_file import to_json, to_yaml
from rotation.config import ConfigError
from rotation.engine import codec
from rotation.model.names import SecretName
from rotation.model.policy import Policy
from rotation.policies.explaining import Use, encode_target, grants, uses, wide_patterns
from rotation.policies.policy import FaultyPolicyError, decode_policy
from rotation.policies.targets import (
    FaultyTargetsError,
    Targets,
    decode_targets,
    parse_document,
    read_document,
)
from rotation.policies.typed import Fault

_file = click.argument("file", type=click.File("r", encoding="utf-8"))


@click.group()
def targets() -> None:
    """Show, validate, test and explain what the deployment lets be touched.

    The document is the file that ROTATION_TARGETS names. The function has it mounted; here it may
    be a copy.
    """


@targets.command()
@click.argument("name", required=False)
@json_option
@click.pass_context
def show(ctx: click.Context, name: str | None) -> None:
    """Show the document in force, or its target NAME; exit with 1 when it is faulty.

    With --json: the document itself, {"targets": {NAME: {...}}}.
    """
    context = ctx.ensure_object(Context)
    _, faults = _judge(context, document := _in_force(context))
    named = document.get("targets") if isinstance(document, dict) else None
    if name is not None:
        if not isinstance(named, dict) or name not in named:
            known = ", ".join(sorted(named)) if isinstance(named, dict) else ""
            raise click.UsageError(f"no target is called {name!r}; known are: {known or 'none'}")
        document = {"targets": {name: named[name]}}
    shown = document if isinstance(document, dict) else {"targets": {}}
    context.answer(shown, to_yaml(document).rstrip("\n"))
    if faults:
        click.echo(str(FaultyTargetsError(list(faults))), err=True)
    ctx.exit(NO if faults else OK)


@targets.command()
@_file
@json_option
@click.pass_context
def validate(ctx: click.Context, file: TextIO) -> None:
    """Check the targets document in FILE (YAML or JSON, - for standard input); touch nothing.

    Names every fault, and the lines that let every secret of a project use a target.

    With --json: {"valid", "faults": [{"path", "message"}], "effective", "wide": [{"path",
    "pattern"}]}; effective has every default written out.
    """
    context = ctx.ensure_object(Context)
    try:
        found, faults = _judge(context, parse_document(_read(file)))
    except FaultyTargetsError as error:
        found, faults = None, error.faults
    wide = list(wide_patterns(found)) if found else []
    body = {
        "valid": not faults,
        "faults": [{"path": fault.path, "message": fault.message} for fault in faults],
        "effective": {target.name: encode_target(target) for target in found} if found else None,
        "wide": [{"path": one.path, "pattern": one.pattern} for one in wide],
    }
    context.answer(body, "\n".join(explaining.verdict(found, wide, faults)))
    ctx.exit(NO if faults else OK)


@targets.command()
@click.argument("secret")
@_file
@json_option
@click.pass_context
def test(ctx: click.Context, secret: str, file: TextIO) -> None:
    """Say whether the policy in FILE would be allowed on SECRET, plugin by plugin.

    With --json: {"secret", "allowed", "plugins": [{"path", "kind", "target", "line", "faults":
    [{"path", "message", "by"}]}], "faults", "demanded": {PATH: LINE}}.
    """
    context = ctx.ensure_object(Context)
    name, known = context.secret_name(secret), _needed(context)
    decoded, plugins, faults = _plugins(context, _policy_text(file), known, name)
    body = {
        "secret": str(name),
        "allowed": not faults,
        "plugins": [explaining.use(plugin) for plugin in plugins],
        "faults": [explaining.fault(fault) for fault in faults],
        "demanded": dict(decoded.demanded) if decoded else {},
    }
    words = "may have this policy" if not faults else "may not have this policy"
    lines = [f"{name} {words}", *explaining.plugin_lines(plugins, faults, decoded)]
    context.answer(body, "\n".join(lines))
    ctx.exit(NO if faults else OK)


@targets.command()
@click.argument("secret")
@json_option
@click.pass_context
def explain(ctx: click.Context, secret: str) -> None:
    """Say which targets SECRET may use, by which line, and what its stored policy uses.

    Exits with 1 when the stored policy is not allowed, and with 3 when it could not be read.

    With --json: {"secret", "targets": [{"name", "kind", "line", "needed"}], "plugins": as in test,
    or null, "faults", "demanded", "unread": why the policy could not be read, or null}.
    """
    context = ctx.ensure_object(Context)
    name, known = context.secret_name(secret), _needed(context)
    granted = list(grants(known, name))
    text, unread, code = _stored(context, name)
    decoded, plugins, faults = None, list[Use](), tuple[Fault, ...]()
    if text is not None:
        decoded, plugins, faults = _plugins(context, text, known, name)
    body = {
        "secret": str(name),
        "targets": [explaining.grant(one) for one in granted],
        "plugins": None if text is None else [explaining.use(plugin) for plugin in plugins],
        "faults": [explaining.fault(fault) for fault in faults],
        "demanded": dict(decoded.demanded) if decoded else {},
        "unread": unread or None,
    }
    lines = explaining.grant_lines(name, granted)
    if text is None:
        lines.append(unread or "it has no policy")
    else:
        lines += ["its policy:", *explaining.plugin_lines(plugins, faults, decoded)]
    context.answer(body, "\n".join(lines))
    ctx.exit(code or (NO if faults else OK))


@targets.command()
@json_option
@click.pass_context
def schema(ctx: click.Context) -> None:
    """Print the JSON Schema of a targets document, for editors and CI."""
    from rotation.policies.schema import targets_schema  # noqa: PLC0415 - only here

    click.echo(json.dumps(targets_schema(_records(ctx.ensure_object(Context))), indent=2))


def _in_force(context: Context) -> object:
    """Return the plain values of the document that ROTATION_TARGETS names.

    Raises:
        ConfigError: It names none.
        FaultyTargetsError: It cannot be read.
    """
    if context.settings.targets is None:
        raise _no_document()
    return read_document(context.settings.targets)


def _needed(context: Context) -> Targets:
    """Return what the deployment lets be touched.

    Raises:
        ConfigError: No document is named.
        FaultyTargetsError: It cannot be read, or is faulty.
    """
    if context.targets is None:
        raise _no_document()
    return context.targets


def _no_document() -> ConfigError:
    return ConfigError(
        "ROTATION_TARGETS names no file, so there is no targets document",
        remedy="set it to the deployment's document, or a copy of it",
    )


def _records(context: Context) -> Mapping[str, type]:
    from rotation import registry  # noqa: PLC0415 - it finds every plugin

    return registry.settings_of_all(context.issuers, context.participants, context.gates)


def _judge(context: Context, document: object) -> tuple[Targets | None, tuple[Fault, ...]]:
    try:
        return decode_targets(document, _records(context)), ()
    except FaultyTargetsError as error:
        return None, error.faults


def _plugins(
    context: Context, text: str, known: Targets, name: SecretName
) -> tuple[Policy | None, list[Use], tuple[Fault, ...]]:
    decoded, faults = None, tuple[Fault, ...]()
    try:
        decoded = decode_policy(text, context.kinds, name)
    except FaultyPolicyError as error:
        faults = error.faults
    return decoded, list(uses(_plain(text), known, name, faults)), faults


def _plain(text: str) -> object:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document


def _policy_text(file: TextIO) -> str:
    return to_json(_read(file))


def _read(file: TextIO) -> str:
    try:
        return file.read()
    except UnicodeDecodeError:
        raise FaultyTargetsError([Fault("", "the file is not UTF-8 text")]) from None


def _stored(context: Context, name: SecretName) -> tuple[str | None, str, int]:
    """Return the stored policy; else why it could not be read, and the exit code of that."""
    try:
        return context.store.get(name).annotations.get(codec.POLICY), "", OK
    except Exception as error:  # noqa: BLE001 - whatever it is gets its line and code
        line, code = explain_failure(error)
        return None, f"its policy could not be read: {line}", code
