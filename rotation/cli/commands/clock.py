"""The command ``clock``: move the clock of an embedded stack, so that waits end now.

1. Only an embedded stack has such a clock: it is asked over its control API, at the address that
   the environment gives gcloud.  Google's service is never asked.
2. The clock only moves forward; what falls due by that fires at once.
"""

from datetime import timedelta
from urllib.parse import urlsplit

import click

from rotation.cli.views.context import Context, json_option
from rotation.config import ConfigError
from rotation.model.errors import TemporaryError
from rotation.policies.duration import format_duration, parse_duration

_REMEDY = "run `rotation up --env-file FILE`, then `. FILE` in this shell"


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        try:
            return value if isinstance(value, timedelta) else parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def clock() -> None:
    """Move the clock of an embedded stack."""


@clock.command()
@click.argument("step", type=_Duration(), metavar="DURATION")
@json_option
@click.pass_context
def advance(ctx: click.Context, step: timedelta) -> None:
    """Move the clock forward by DURATION, such as 90s, 10m, 1h or 1d12h."""
    context = ctx.ensure_object(Context)
    url = _embedded(context)
    _advance(url, step)
    now = context.clock.now()
    sentence = f"the clock moved forward by {format_duration(step)}: it is {now:%Y-%m-%d %H:%M:%SZ}"
    context.answer({"now": now, "advanced_seconds": step.total_seconds()}, sentence)


def _embedded(context: Context) -> str:
    url = context.settings.secret_manager_rest.rstrip("/")
    if not url:
        raise ConfigError("this shell is not pointed at an embedded stack", remedy=_REMEDY)
    if urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"}:
        raise ConfigError(f"{url} is not an embedded stack", remedy=_REMEDY)
    return url


def _advance(url: str, step: timedelta) -> None:
    import httpx  # noqa: PLC0415 - only with an embedded stack

    from rotation.emulator.secretmanager.controls import Controls  # noqa: PLC0415

    try:
        with Controls(url) as controls:
            controls.advance(step.total_seconds())
    except httpx.HTTPError:
        raise TemporaryError(f"no embedded stack answers at {url}", remedy=_REMEDY) from None
    except ValueError:
        raise ConfigError(f"{url} is not an embedded stack", remedy=_REMEDY) from None
