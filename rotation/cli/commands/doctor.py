"""The command ``doctor``: everything that is set up wrongly, and the command that mends it.

1. Exit codes: 0 nothing to mend; 1 something of ``--fail-on``; 3 nothing of that, but something
   could not be looked at.
2. It changes nothing, but for ``--fix``, which does only what `rotation.doctor.fixing` lists, after
   it has asked or with ``--yes``; then it looks again.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rotation import wiring
from rotation.cli.views.context import Context, json_option, printable
from rotation.cli.views.explaining import name_logins
from rotation.cli.views.failures import NO, OK, UNREACHABLE
from rotation.cli.views.selecting import filter_option, managed
from rotation.config import emergency_topic_of
from rotation.doctor.effort import Effort, cost, sample
from rotation.doctor.findings import INSTALLATION, Finding, Severity
from rotation.doctor.why import why
from rotation.model.errors import RotationError
from rotation.model.names import SecretName
from rotation.model.secret import Secret

if TYPE_CHECKING:
    from rotation.doctor.facts import FileUse
    from rotation.doctor.reading import Sources

_ORDER: Final = (Severity.ERROR, Severity.WARNING, Severity.UNSEEN)
_WIDTH: Final = 80


@click.command()
@click.argument("secrets", metavar="[SECRET]...", nargs=-1)
@filter_option
@click.option(
    "--region", metavar="REGION", default="", help="Of the function; else $ROTATION_REGION."
)
@click.option(
    "--tree",
    type=click.Path(exists=True, path_type=Path),
    help="Look in this folder for uses of the secrets that are not pinned.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    default="warning",
    show_default=True,
    help="What makes the exit code 1.",
)
@click.option(
    "--all", "entire", is_flag=True, help="Look at every secret, however many there are: see below."
)
@click.option("--fix", is_flag=True, help="Mend what is safe to mend: see below.")
@click.option("--yes", is_flag=True, help="Do not ask before mending.")
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    /,
    secrets: tuple[str, ...],
    *,
    fail_on: str,
    fix: bool,
    yes: bool,
    **where: Any,  # noqa: ANN401 - the options of `_look`
) -> None:
    """Find what is set up wrongly, for each SECRET or for all, and say what mends it.

    Of more than 100 secrets a sample of 100 is looked at, another one every day; what it costs is
    shown first. --all looks at all of them, at half of Secret Manager's quota of reads: 10,000 take
    more than two hours.

    Exits with 0 when there is nothing to mend, 1 when there is, and 3 when all that was read is
    well, but something could not be looked at.

    --fix adds a missing alias, lengthens an ack deadline, spaces retries, keeps the subscription
    for ever and resumes the sweep. Nothing else is changed.

    With --json: {"healthy", "secrets", "of", "findings": [{"check", "severity", "about", "message",
    "why", "remedy", "fixable"}], "fixed": [TEXT]}.
    """
    context = ctx.ensure_object(Context)
    look = _look(context, secrets, **where)
    effort, found = look()
    fixed: list[str] = []
    if fix:
        fixed = _mend(context, found, ask=not yes)
        if fixed:
            effort, found = look()
    found = sorted(found, key=lambda finding: _ORDER.index(finding.severity))
    body = {
        "healthy": not found,
        "secrets": effort.secrets,
        "of": effort.of,
        "findings": [_body(finding) for finding in found],
        "fixed": fixed,
    }
    context.answer(body, "\n".join(_lines(found, fixed, effort)))
    ctx.exit(_code(found, fail_on))


def _look(
    context: Context,
    names: Sequence[str],
    matching: str,
    region: str,
    tree: Path | None,
    *,
    entire: bool,
) -> Callable[[], tuple[Effort, Sequence[Finding]]]:
    from rotation.doctor.examining import examine  # noqa: PLC0415 - Google's libraries

    def look() -> tuple[Effort, Sequence[Finding]]:
        everything = managed(context, (), "")
        chosen = managed(context, names, matching) if names or matching else everything
        secrets = chosen if entire or names else sample(chosen, context.clock.now().date())
        effort = Effort(len(secrets), len(chosen), context.settings.quota_per_minute)
        if warning := cost(effort):
            click.echo(warning, err=True)
        name_logins(context, (context.snapshot(secret).policy for secret in secrets))
        sources = _sources(context, secrets, region, tree)
        with _progress(context, len(secrets)) as advance:
            return effort, examine(sources, secrets, everything, advance, effort.interval)

    return look


def _sources(
    context: Context, secrets: Sequence[Secret], region: str, tree: Path | None
) -> "Sources":
    from rotation.doctor.reading import Sources  # noqa: PLC0415 - Google's libraries

    settings = context.settings
    first = next((secret for secret in secrets if len(secret.topics) == 1), None)
    topic = settings.topic or (first.topics[0] if first else "")
    if topic and not topic.startswith("projects/"):
        topic = f"projects/{context.project}/topics/{topic}"
    urgent = settings.emergency_topic or (topic and emergency_topic_of(topic))
    if urgent and not urgent.startswith("projects/"):
        urgent = f"projects/{context.project}/topics/{urgent}"
    return Sources(
        store=context.store,
        deployment=wiring.make_deployment(settings, context.identity),
        snapshot=context.snapshot,
        issuers=context.issuers,
        rollout=context.rollout,
        access=wiring.issuer_environment(context.store),
        now=context.clock.now,
        project=context.project,
        topic=topic,
        emergency_topic=urgent,
        region=region or settings.region,
        service=settings.service,
        job=settings.sweep_job,
        version=version("rotation"),
        writes_per_minute=settings.quota_per_minute,
        sweep_seconds=settings.sweep_every.total_seconds(),
        uses=_uses(context, tree),
        targets=context.targets,
    )


def _uses(context: Context, tree: Path | None) -> "Callable[[SecretName], tuple[FileUse, ...]]":
    from rotation.cli.views.scanning import Scan  # noqa: PLC0415 - only with --tree
    from rotation.doctor.facts import FileUse  # noqa: PLC0415
    from rotation.pins.use import State  # noqa: PLC0415

    wrong = {State.LATEST, State.UNPINNED}
    lines = [] if tree is None else list(Scan(tree, (), context.project).lines())

    def uses(name: SecretName) -> tuple[FileUse, ...]:
        return tuple(
            FileUse(f"{line.path}:{line.line}", line.says, line.fix)
            for line in lines
            if line.state in wrong and line.secret.rpartition("/")[2] == name.secret_id
        )

    return uses


def _mend(context: Context, found: Sequence[Finding], *, ask: bool) -> list[str]:
    from rotation.doctor.fixing import mend  # noqa: PLC0415 - Google's libraries

    deployment = wiring.make_deployment(context.settings, context.identity)
    done = []
    for finding in found:
        if finding.fix is None:
            continue
        if ask and not click.confirm(f"{finding.message}. Mend it?", err=True):
            continue
        try:
            done.append(mend(finding.fix, context.store, deployment))
        except RotationError as error:
            click.echo(f"rotation: not mended: {printable(str(error))}", err=True)
    return done


@contextmanager
def _progress(context: Context, total: int) -> Iterator[Callable[[str], None]]:
    if not context.is_terminal or total == 0:
        yield lambda _name: None
        return
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("looking", total=total)
        yield lambda _name: bar.advance(task)


def _code(found: Sequence[Finding], fail_on: str) -> int:
    failing = {Severity.ERROR} if fail_on == "error" else {Severity.ERROR, Severity.WARNING}
    if any(finding.severity in failing for finding in found):
        return NO
    return UNREACHABLE if any(finding.severity is Severity.UNSEEN for finding in found) else OK


def _body(finding: Finding) -> Mapping[str, Any]:
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "about": finding.about,
        "message": finding.message,
        "why": why(finding.check),
        "remedy": finding.remedy or None,
        "fixable": finding.fix is not None,
    }


def _lines(found: Sequence[Finding], fixed: Sequence[str], effort: Effort) -> Iterator[str]:
    yield from (f"mended: {printable(message)}" for message in fixed)
    secrets = "1 secret" if effort.secrets == 1 else f"{effort.secrets} secrets"
    secrets += f" of {effort.of}" if effort.secrets < effort.of else ""
    if not found:
        yield f"{secrets} looked at: nothing to mend"
        return
    for about in dict.fromkeys(finding.about for finding in found):
        yield about if about == INSTALLATION else about.rpartition("/")[2]
        for finding in found:
            if finding.about == about:
                yield from _finding_lines(finding)
    counts = ", ".join(
        f"{sum(finding.severity is one for finding in found)} {one.value}"
        for one in _ORDER
        if any(finding.severity is one for finding in found)
    )
    yield f"{secrets} looked at: {counts}"


def _finding_lines(finding: Finding) -> Iterator[str]:
    head = f"{finding.severity.value} {finding.check}: {printable(finding.message)}"
    yield from _wrapped(head, "  ", "    ")
    yield from _wrapped(f"matters because {why(finding.check)}", "    ", "    ")
    if finding.remedy:
        # On a line of its own, whole: it is there to be copied.
        yield f"    {printable(finding.remedy)}"


def _wrapped(text: str, first: str, further: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )
