"""The command ``up``: the embedded stack in the foreground.

1. The variables are printed, and the file written, when everything answers; not before.
2. SIGINT, SIGTERM and SIGHUP end it in order; that is its normal end, exit code 0.
3. The database's password is never printed: the file has it, and so has the folder.
4. A ``PUBSUB_EMULATOR_HOST`` that is set is used instead of our own Pub/Sub, unless it came
   from the file of another stack: two functions behind one subscription would share its wake-ups.
5. What is written here only its owner can read: it holds every secret of the stack.
6. An edited targets document starts the function anew; a faulty one is named and changes nothing.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from rotation import wiring
from rotation.cli.views.context import Context, json_option
from rotation.cli.views.env_file import EnvFile
from rotation.model.errors import RotationError

if TYPE_CHECKING:
    from rotation.local.stack import Stack, StackOptions
    from rotation.local.stack.targets import Allowing

_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: How often the targets document is looked at.
_LOOK_SECONDS: Final = 0.5
#: Never printed.
_PASSWORD: Final = "PGPASSWORD"  # noqa: S105 - the name of a variable
#: The function must be done before its lease ends.
_BUDGET_SHARE: Final = 0.75


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep everything in this folder, over restarts; else all is removed at the end.",
)
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the variables here, mode 0600, for a shell: . FILE",
)
@click.option("--sample", is_flag=True, help="Create a database and a secret, both called orders.")
@click.option(
    "--secrets",
    "count",
    type=click.IntRange(1, 5000),
    help="With --sample: so many secrets, orders-01 and so on, labelled db=orders.",
)
@click.option("--project", metavar="ID", default="demo-project", show_default=True)
@click.option(
    "--lease",
    type=click.IntRange(10, 600),
    default=60,
    show_default=True,
    help="Seconds until another worker takes over; also the ack deadline.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--tls", is_flag=True, help="Offer TLS on PostgreSQL.")
@json_option
@click.pass_context
def up(
    ctx: click.Context,
    /,
    env_file: Path | None,
    *,
    sample: bool,
    count: int | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Run Secret Manager, Pub/Sub, a scheduler, PostgreSQL and the function until interrupted.

    Everything listens on 127.0.0.1. Then, in another shell:

    \b
      . FILE                  point gcloud, clients, psql and rotation here
      rotation status
      rotation rotate orders
      rotation clock advance 10m
    """  # noqa: D301 - click takes the character, not the two letters
    context = ctx.ensure_object(Context)
    if count is not None and not sample:
        raise click.UsageError("--secrets says how large the sample is: give --sample, too", ctx)
    create = (lambda stack: _create_sample(stack, count)) if sample else None
    file = EnvFile(env_file) if env_file else None
    with _private_files(), _until_asked() as end:
        try:
            targets = _allowing(count) if sample else None
            _serve(context, _options(targets=targets, **options), file, end, create)
        except RotationError:
            # An interrupted terminal interrupts what was being started as well.
            if not end.is_set():
                raise


def _serve(
    context: Context,
    options: "StackOptions",
    file: EnvFile | None,
    end: threading.Event,
    create: "Callable[[Stack], None] | None",
) -> None:
    from rotation.local.stack import Stack  # noqa: PLC0415 - the extra [local]

    try:
        with Stack(options, emulator=_emulator(context)) as stack:
            if create and not end.is_set():
                create(stack)
            if file and not end.is_set():
                file.write(stack.environment())
            if not end.is_set():
                _tell(context, stack, file)
            while not end.wait(_LOOK_SECONDS):
                _follow_targets(context, stack)
            # Nobody should be pointed at what is about to end.
            _remove(file)
    finally:
        _remove(file)
    context.say("stopped")


def _follow_targets(context: Context, stack: "Stack") -> None:
    from rotation.policies.targets import FaultyTargetsError  # noqa: PLC0415 - as above

    try:
        if stack.follow_targets():
            context.say(f"the function has started anew with {stack.targets.path}")
    except FaultyTargetsError as error:
        context.say(f"the function goes on with the targets of before: {error}")


@contextmanager
def _private_files() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _emulator(context: Context) -> str:
    settings = context.settings
    return "" if settings.function_url else settings.pubsub_emulator


def _options(
    data_dir: Path | None,
    project: str,
    lease: int,
    targets: "Allowing | None",
    **more: Any,  # noqa: ANN401
) -> "StackOptions":
    from rotation.local.stack import StackOptions  # noqa: PLC0415 - the extra [local]
    from rotation.local.stack.targets import nothing  # noqa: PLC0415 - as above

    length = timedelta(seconds=lease)
    return StackOptions(
        data_dir=data_dir,
        project=project,
        lease=length,
        ack_deadline=length,
        budget=length * _BUDGET_SHARE,
        targets=targets or nothing,
        **more,
    )


def _allowing(count: int | None) -> "Allowing":
    from rotation.local.stack.sample import SECRET, ids_of, sample_targets  # noqa: PLC0415 - as above

    ids = [SECRET] if count is None else ids_of(count)
    return lambda postgres, project: sample_targets(postgres, project, ids)


def _create_sample(stack: "Stack", count: int | None) -> None:
    from rotation.local.stack.sample import create_sample, create_samples  # noqa: PLC0415 - as above

    store = wiring.make_store_at(stack.services.secret_manager_grpc, stack.options.project)
    try:
        existing = frozenset(secret.name.secret_id for secret in store.list())
        if count is None:
            create_sample(stack, existing)
        else:
            create_samples(stack, existing, count)
    finally:
        store.close()


def _tell(context: Context, stack: "Stack", file: EnvFile | None) -> None:
    variables = stack.environment()
    shown = {name: text for name, text in variables.items() if name != _PASSWORD}
    password = stack.postgres.data_dir / "superuser"
    body = {
        **shown,
        "password_file": str(password),
        "env_file": str(file) if file else None,
        "log": str(stack.function.log),
    }
    context.answer(body, "\n".join(_lines(context, shown, password, stack, file)))


def _lines(
    context: Context,
    shown: Mapping[str, str],
    password: Path,
    stack: "Stack",
    file: EnvFile | None,
) -> Iterator[str]:
    yield "the stack is up; end it with Ctrl-C"
    yield from (f"  {name}={text}" for name, text in shown.items())
    yield f"  {_PASSWORD} is the text in {password}"
    yield f"the function's log: {stack.function.log}"
    yield f"what it may touch, read at its start: {stack.targets.path}"
    if _emulator(context):
        yield "Pub/Sub is the one that PUBSUB_EMULATOR_HOST names"
    if file:
        yield f"in another shell: . {file}; rotation status"
    else:
        yield "with --env-file FILE the variables are in a file for your shell"


def _remove(file: EnvFile | None) -> None:
    if file:
        file.remove()


@contextmanager
def _until_asked() -> Iterator[threading.Event]:
    """Turn the signals that end a program into an event, so that nothing is left half ended."""
    end = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        end.set()

    before = {number: signal.signal(number, ask) for number in _ENDS}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
