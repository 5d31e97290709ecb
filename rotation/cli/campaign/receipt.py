"""The receipt of a campaign: who asked what and why, and what became of it, secret by secret.

It is a JSON object of schema ``rotation.fleet-receipt/1``; every key is always there:

* ``id`` ``mode`` ``reason`` ``requested_by`` ``filter`` ``project`` ``started_at`` ``written_at``
* ``interrupted`` (true: by a person, a signal or a lost network), ``stopped`` (why nothing more
  was asked; else null), ``resume`` (the command that goes on; null when nothing is left)
* ``secrets_total`` ``asked`` ``done`` ``failed`` ``left`` and ``outcomes``, a count of each
* ``time_to_revoke``: seconds from each request to its revoked credential, by the times on record:
  ``p50`` ``p99`` ``max`` ``count``; ``since_start``: the same from the begin of the campaign
* ``secrets``: ``secret`` ``request_id`` ``asked_at`` ``outcome`` ``message`` ``revoked_at``
  ``seconds`` each; without an outcome it is not answered, without ``asked_at`` not asked
* ``left_out``: ``secret`` and ``why`` of those that matched and were never part of it

It holds names, numbers and times; never a payload.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rotation.cli.campaign.logbook import Logbook, Story
from rotation.cli.views.failures import OK
from rotation.machine.campaign import percentile
from rotation.model.errors import PermanentError

SCHEMA: Final = "rotation.fleet-receipt/1"


def compose(
    logbook: Logbook,
    now: datetime,
    *,
    interrupted: bool,
    stopped: str,
    left_out: Mapping[str, str],
) -> dict[str, Any]:
    """Return the receipt."""
    head, stories = logbook.head, list(logbook.stories.values())
    ended = [story.verdict for story in stories if story.verdict is not None]
    done = sum(verdict.code == OK for verdict in ended)
    times = [verdict.seconds for verdict in ended if verdict.seconds is not None]
    since = [
        (verdict.revoked_at - head.started_at).total_seconds()
        for verdict in ended
        if verdict.revoked_at
    ]
    return {
        "schema": SCHEMA,
        "id": head.id,
        "mode": head.mode.value,
        "reason": head.reason,
        "requested_by": head.requested_by,
        "filter": head.matching or None,
        "project": head.project,
        "started_at": _time(head.started_at),
        "written_at": _time(now),
        "interrupted": interrupted,
        "stopped": stopped or None,
        "resume": resume_command(logbook) if done < len(stories) else None,
        "secrets_total": len(stories),
        "asked": sum(story.asked_at is not None for story in stories),
        "done": done,
        "failed": len(ended) - done,
        "left": len(stories) - len(ended),
        "outcomes": dict(sorted(Counter(verdict.outcome for verdict in ended).items())),
        "time_to_revoke": _summed(times),
        "since_start": _summed(since),
        "secrets": [_secret(logbook, story) for story in stories],
        "left_out": [{"secret": name, "why": why} for name, why in sorted(left_out.items())],
    }


def resume_command(logbook: Logbook) -> str:
    """Return the command that goes on with a campaign."""
    command = "rotate" if logbook.head.mode.value == "routine" else logbook.head.mode.value
    return f"rotation {command} --resume {logbook.path}"


def check_place(path: Path) -> None:
    """Make sure that a receipt can be written later, before anything is asked.

    Raises:
        PermanentError: It cannot.
    """
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise PermanentError(
            f"{path} cannot be written", remedy="choose another --receipt FILE", reason="no-place"
        )


def write(path: Path, receipt: Mapping[str, Any]) -> None:
    """Write the receipt; it appears whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(receipt, file, indent=1)
        file.write("\n")
    Path(name).replace(path)


def _secret(logbook: Logbook, story: Story) -> dict[str, Any]:
    verdict = story.verdict
    return {
        "secret": story.target.name,
        "request_id": logbook.head.request_id(story.target.name),
        "asked_at": _time(story.asked_at),
        "outcome": verdict.outcome if verdict else None,
        "message": verdict.sentence if verdict else None,
        "revoked_at": _time(verdict.revoked_at) if verdict else None,
        "seconds": _round(verdict.seconds) if verdict else None,
    }


def _summed(seconds: Sequence[float]) -> dict[str, float | int | None]:
    return {
        "p50": _round(percentile(seconds, 0.5)),
        "p99": _round(percentile(seconds, 0.99)),
        "max": _round(max(seconds, default=None)),
        "count": len(seconds),
    }


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None
