"""The command ``adopt``: bring an existing secret and its database under rotation.

1. Without ``--apply`` nothing is changed: the plan is shown, or written with ``--out``.
2. What stands in the way is told with its remedy, and stops everything (exit code 1).
3. Every step looks whether it is done; after Ctrl-C, a crash or a lost network, run it again.
4. No password is taken from the command line, and none is shown.
"""

import json
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from rotation import registry, wiring
from rotation.adopt import files, plan
from rotation.adopt.run import run
from rotation.cli.views.adoption import AdoptionReport
from rotation.cli.views.adoption_target import AdoptionTarget, issuer_of
from rotation.cli.views.context import Context, json_option
from rotation.cli.views.failures import NO, OK
from rotation.engine import codec
from rotation.model.adoption import AdoptionRequest, AdoptionSpec, IssuerPlan, Step
from rotation.model.errors import NotFoundError, PermanentError
from rotation.model.names import SecretName
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.secret import Secret
from rotation.model.text import escaped
from rotation.policies.duration import parse_duration
from rotation.ports.adoption import Adoptable, Adopter
from rotation.ports.setup import SecretSetup


def _adoptable() -> Mapping[str, Adoptable]:
    """Return the issuers that can adopt, by name; what they declare makes the flags."""
    kinds: Mapping[str, object] = registry.issuers()
    return {name: kind for name, kind in kinds.items() if isinstance(kind, Adoptable)}


_ADOPTABLE: Final = _adoptable()
#: Until the first rotation; time to run doctor and to give the rights that are shown.
_FIRST: Final = timedelta(days=1)


class _Adoption:
    """One secret, what is wanted of it, and the two sides it touches."""

    def __init__(self, context: Context, secret: str, options: dict[str, Any]) -> None:
        self._context, self._options = context, options
        self._closing = ExitStack()
        self._adopter: Adopter | None = None
        self.name = context.secret_name(secret)
        self.rotator = _rotator_name(context, self.name, options["rotator_secret"])
        self.secret = context.store.get(self.name)
        _refuse(self.secret)
        pointed = self.secret.aliases.get(plan.CURRENT)
        self.in_force = context.store.access(self.name, pointed or "latest")
        self.found: IssuerPlan | None = None
        self.rotator_login = self._read_rotator()

    def look(self) -> tuple[Step, ...]:
        """Read both sides anew; return the steps as they stand."""
        self.secret = self._context.store.get(self.name)
        self.found = self.adopter.plan()
        return plan.every_step(self.wanted, self.found)

    @property
    def wanted(self) -> plan.Wanted:
        """What is wanted of the secret."""
        options = self._options
        return plan.Wanted(
            secret=self.secret,
            version=self.in_force.number,
            rotator_secret=self.rotator,
            has_rotator=self._read_rotator() is not None,
            topic=self._topic(),
            period=parse_duration(options["period"]),
            first=(self._context.clock.now() + _FIRST).replace(microsecond=0),
            issuer=options["issuer"],
            labels=dict(_pair(option) for option in options["label"]),
            target=self._target.name,
            owned=self._target.owned,
        )

    @property
    def _target(self) -> AdoptionTarget:
        settings = registry.issuers()[self._options["issuer"]].spec.settings
        targets = self._context.targets
        return AdoptionTarget(targets, self.secret, self._options["target"], settings)

    @property
    def adopter(self) -> Adopter:
        """The issuer's side."""
        if self._adopter is None:
            self._adopter = self._kind.adopting(self._request())
            self._closing.callback(self._adopter.close)
        return self._adopter

    @property
    def spec(self) -> AdoptionSpec:
        """What the issuer declares."""
        return self._kind.adoption

    @property
    def _kind(self) -> Adoptable:
        name = self._options["issuer"]
        if name not in _ADOPTABLE:
            raise PermanentError(
                f"the issuer {name} cannot adopt what exists",
                remedy="set the secret up by hand: see its page in deploy/docs",
            )
        return _ADOPTABLE[name]

    def take(self, step: Step) -> None:
        """Take one step."""
        context = self._context
        if step.name == plan.ROTATOR_SECRET:
            self._keep_rotator()
        elif step.name == plan.POINTER and self.found is not None:
            wanted = self.wanted
            context.store.update(
                wanted.secret,
                labels=plan.labels_of(wanted),
                annotations={
                    **wanted.secret.annotations,
                    plan.POLICY: plan.policy_of(wanted, self.found),
                },
                aliases=plan.aliases_of(wanted),
            )
        elif step.name == plan.SCHEDULE:
            wanted = self.wanted
            kept = wanted.secret.schedule
            first = kept.next_time if kept else wanted.first
            period = kept.period if kept and kept.period else wanted.period
            self._setup().schedule(wanted.secret, wanted.topic, first, period)
        else:
            self.adopter.apply(step)

    def report(self, steps: tuple[Step, ...], outcome: str) -> AdoptionReport:
        """Return how it stands, to be shown."""
        wanted, found = self.wanted, self.found or IssuerPlan((), ())
        return AdoptionReport(
            secret=self.name,
            outcome=outcome,
            found=found,
            steps=steps,
            policy=plan.policy_of(wanted, found),
            targets=self._target.lacking(wanted, found),
            rights=plan.rights(wanted, self._context.project),
            spec=self.spec,
        )

    def with_rotator(self, login: Payload) -> None:
        """Plan with a login of the rotator that is not stored yet."""
        self.rotator_login = login
        self._adopter = None

    def close(self) -> None:
        """Close what was opened."""
        self._closing.close()

    def _keep_rotator(self) -> None:
        self._setup().create(self.rotator)
        self._context.store.add_version(self.rotator, self.adopter.propose_rotator())
        login = self._read_rotator()
        if login is not None:
            self.with_rotator(login)

    def _read_rotator(self) -> Payload | None:
        try:
            return self._context.store.access(self.rotator, "latest").payload
        except NotFoundError:
            return None

    def _setup(self) -> SecretSetup:
        setup = wiring.make_setup(self._context.settings)
        self._closing.callback(setup.close)
        return setup

    def _topic(self) -> str:
        chosen = self._options["topic"]
        if chosen:
            full = chosen.startswith("projects/")
            return chosen if full else f"projects/{self._context.project}/topics/{chosen}"
        if self._context.settings.topic or len(self.secret.topics) == 1:
            return self._context.topic(self.secret)
        return f"projects/{self._context.project}/topics/rotation"

    def _request(self) -> AdoptionRequest:
        options = self._options
        settings = [option.setting for option in self.spec.options]
        chosen = {key: options[key] for key in settings if options[key]}
        return AdoptionRequest(
            payload=self.in_force.payload,
            connection=_connection(options["database_url_file"]),
            settings={**self._target.settings, **_stored(self.secret), **chosen},
            admin=str(self.rotator),
            rotator=self.rotator_login,
            rotator_user=options["rotator"] or f"{self.name.secret_id}_rotator",
            user=options["user"],
            accepted=frozenset(options["accept"]),
        )


_Option = Callable[[Callable[..., None]], Callable[..., None]]


def _declared() -> Iterator[_Option]:
    """Return the flags of all issuers; one that several declare is there once."""
    known: set[str] = set()
    for declared in (option for kind in _ADOPTABLE.values() for option in kind.adoption.options):
        if declared.flag in known:
            continue
        known.add(declared.flag)
        named = (f"--{declared.flag}", declared.setting)
        if declared.is_port:
            yield click.option(*named, type=click.IntRange(1, 65535), help=declared.help)
        elif declared.choices:
            yield click.option(*named, type=click.Choice(declared.choices), help=declared.help)
        else:
            yield click.option(*named, default="", help=declared.help)


_CONNECTIONS: Final = "; ".join(kind.adoption.connection for kind in _ADOPTABLE.values())
_OPTIONS: Final[tuple[_Option, ...]] = (
    click.option(
        "--database-url-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=f"File with the administrator's connection string; else {_CONNECTIONS}.",
    ),
    click.option("--apply", is_flag=True, help="Take the steps; asks once."),
    click.option("--yes", is_flag=True, help="Do not ask for the secret's id to be typed."),
    click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        help="Write the steps as numbered files of statements and commands into this folder.",
    ),
    click.option(
        "--issuer", default=next(iter(_ADOPTABLE)), show_default=True, help="Kind of issuer."
    ),
    click.option("--rotator", default="", help="User of the rotator, if it is new: ID_rotator."),
    click.option("--rotator-secret", default="", help="Secret with its login: ID-rotator."),
    click.option("--user", default="", help="User of a payload that is a password alone."),
    *_declared(),
    click.option("--target", default="", help="Name of the target, if it is new: ID."),
    click.option("--topic", default="", help="The rotation topic: rotation."),
    click.option("--period", default="30d", show_default=True, help="Rotate this often."),
    click.option("--label", multiple=True, metavar="KEY=VALUE", help="Label to set; repeatable."),
    click.option("--accept", multiple=True, metavar="CHECK", help="Go on in spite of a check."),
)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("secret")
@_options
@json_option
@click.pass_context
def adopt(ctx: click.Context, /, secret: str, **options: Any) -> None:  # noqa: ANN401 - see _OPTIONS
    """Bring SECRET and the database it opens under rotation.

    Shows what is in the way and every step: owner role, second slot, rights, policy, schedule.
    The application keeps running through all of it.
    """
    context = ctx.ensure_object(Context)
    _check(options)
    adoption = _Adoption(context, secret, options)
    ctx.call_on_close(adoption.close)
    steps = adoption.look()
    found = adoption.found or IssuerPlan((), ())
    if found.blockers:
        _answer(context, adoption, steps, "blocked")
        ctx.exit(NO)
    if all(step.done for step in steps):
        _answer(context, adoption, steps, "nothing-to-do")
        ctx.exit(OK)
    if options["out"]:
        _write(context, adoption, options["out"])
    elif not options["apply"]:
        _answer(context, adoption, steps, "planned")
    else:
        _apply(context, adoption, steps, ask=not options["yes"])


def _check(options: dict[str, Any]) -> None:
    if options["apply"] and options["out"]:
        raise click.UsageError("--apply and --out exclude each other")
    try:
        parse_duration(options["period"])
    except ValueError as error:
        raise click.BadParameter(f"--period: {error}") from None
    for label in options["label"]:
        _pair(label)


def _apply(context: Context, adoption: _Adoption, steps: tuple[Step, ...], *, ask: bool) -> None:
    if ask:
        if not sys.stdin.isatty():
            raise click.UsageError("no terminal; pass --yes")
        click.echo(escaped(adoption.report(steps, "planned").text()), err=True)
        click.echo("The application keeps running; nothing is taken from it.", err=True)
        short = adoption.name.secret_id
        typed = click.prompt(f"Type {short} to go on", err=True, default="", show_default=False)
        if typed != short:
            raise PermanentError("not confirmed: nothing was changed", reason="not-confirmed")

    def take(step: Step) -> None:
        context.say(f"{step.name}: {step.title}")
        adoption.take(step)

    ended = run(adoption.look, take)
    waiting = any(not step.done for step in ended)
    _answer(context, adoption, ended, "waiting" if waiting else "adopted")


def _write(context: Context, adoption: _Adoption, folder: Path) -> None:
    texts: dict[str, str] = {}
    if adoption.rotator_login is None:
        login = adoption.adopter.propose_rotator()
        adoption.with_rotator(login)
        texts[plan.ROTATOR_FILE] = login.reveal().decode()
    steps = adoption.look()
    wanted, found = adoption.wanted, adoption.found or IssuerPlan((), ())
    texts |= files.render(steps, adoption.spec)
    texts[plan.POLICY_FILE] = plan.policy_of(wanted, found)
    lacking = adoption.report(steps, "written").targets
    if lacking:
        texts[plan.TARGETS_FILE] = json.dumps({"targets": lacking}, indent=2)
    lines = plan.rights(wanted, context.project)
    texts["rights.sh"] = "#!/bin/sh\nset -eu\n" + "".join(f"{line}\n" for line in lines)
    written = [str(path) for path in files.write(folder, texts)]
    body = {"secret": str(adoption.name), "outcome": "written", "files": written}
    hints = [f"run them in order: {adoption.spec.run}, sh FILE.sh"]
    if lacking:
        hints.insert(0, f"first have the targets document say what {plan.TARGETS_FILE} says")
    context.answer(body, "\n".join([*written, *hints]))


def _answer(context: Context, adoption: _Adoption, steps: tuple[Step, ...], outcome: str) -> None:
    report = adoption.report(steps, outcome)
    context.answer(report.body(), report.text())


def _refuse(secret: Secret) -> None:
    if secret.managed_rotation:
        raise PermanentError(
            f"{secret.name} has Google's managed rotation",
            remedy="end that first: two managers of one password fight",
        )
    for label, what in ((codec.BLOCKED, "is blocked"), (codec.PHASE, "is being rotated")):
        if label in secret.labels:
            raise PermanentError(
                f"{secret.name} {what}",
                remedy=f"see: rotation status {secret.name.secret_id}",
            )


def _stored(secret: Secret) -> dict[str, Any]:
    """Return the settings of the policy that is there already; text that is none counts as none."""
    kept = {key: value for key, value in issuer_of(secret).items() if key != "target"}
    payload = kept.pop("payload", {})
    shape = payload.get("shape") if isinstance(payload, dict) else None
    return {**kept, **({"shape": shape} if shape else {})}


def _rotator_name(context: Context, name: SecretName, chosen: str) -> SecretName:
    if chosen:
        return context.secret_name(chosen)
    return SecretName.parse(f"{str(name).rpartition('/')[0]}/{name.secret_id}-rotator")


def _connection(file: Path | None) -> Password:
    if file is None:
        return Password("")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        click.echo(f"warning: others may read {file}; chmod 600 it", err=True)
    return Password(file.read_text(encoding="utf-8").strip())


def _pair(label: str) -> tuple[str, str]:
    key, equals, value = label.partition("=")
    if not (key and equals):
        raise click.BadParameter(f"{label!r} is not KEY=VALUE")
    return key, value
