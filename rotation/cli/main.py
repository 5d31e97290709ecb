"""The command ``rotation``: one file per command, imported when it is used.

1. Whatever goes wrong ends in one line on standard error and a documented exit code.
2. Standard output has the answer only, so that it can be piped; ``--json`` makes it one object.
"""

import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import click

from rotation.cli.lazy import LazyGroup
from rotation.cli.views.context import Context
from rotation.cli.views.failures import EXIT_CODES, OK, explain
from rotation.model.text import escaped

#: Every command and its line in the help; `LazyGroup` finds the module by the name.
COMMANDS: Final = {
    "demo": "See a rotation, a crash and an emergency happen on this machine.",
    "drill": "Practise an incident on a copy of the stack.",
    "up": "Run the embedded stack until interrupted.",
    "status": "Show where every managed secret stands.",
    "watch": "The same, live.",
    "plan": "Show what a rotation would do, stage by stage.",
    "rotate": "Ask for a rotation, and follow it.",
    "emergency": "Replace a leaked credential and revoke it at once.",
    "revert": "Send consumers back to the previous version.",
    "retire": "Retire the previous credential now, if no use of it is observed.",
    "pause": "Hold the rotations of a secret, for example during an incident.",
    "resume": "Let them go on.",
    "history": "Show what rotations did, and check that their receipts are whole.",
    "doctor": "Find what is set up wrongly, and say what mends it.",
    "unblock": "Let a blocked secret go on after it was mended.",
    "scan": "List every use of a secret in a folder, pinned or not.",
    "pin": "Pin the uses of a secret in a file to one version.",
    "adopt": "Bring an existing secret and its database under rotation.",
    "policy": "Show, validate and apply rotation policies.",
    "targets": "Show, validate and explain what the deployment lets be touched.",
    "keys": "Make and show the keys that records and receipts are signed with.",
    "plugins": "List issuers, participants and gates, and what they need.",
    "generate": "Render documents and IAM roles from the plugins.",
    "new": "Lay down a new issuer, participant or gate.",
    "clock": "Move the clock of an embedded stack.",
}


@click.group(
    cls=LazyGroup, lazy=COMMANDS, epilog=EXIT_CODES, context_settings={"max_content_width": 100}
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--project", metavar="ID", default="", help="Google Cloud project; else $ROTATION_PROJECT."
)
@click.version_option(package_name="rotation", message="%(prog)s %(version)s")
@click.pass_context
def rotation(ctx: click.Context, project: str, *, as_json: bool) -> None:
    """Replace credentials without anybody noticing."""
    ctx.obj = Context(project, as_json=as_json)
    ctx.call_on_close(ctx.obj.close)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        code = rotation.main(list(arguments), prog_name="rotation", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - rule 1
        line, code = explain(error)
        click.echo(f"rotation: {escaped(line)}", err=True)
    return code if isinstance(code, int) else OK


def run() -> NoReturn:
    """Run as the console script."""
    sys.exit(main(sys.argv[1:]))
