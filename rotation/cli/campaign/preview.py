"""Says what a campaign is going to touch, before anybody confirms it.

1. It fits 80 columns: long lists end in "and N more", long texts go on below.
2. What is not known is shown as not known.
"""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rotation.cli.campaign.kind import Kind
from rotation.cli.campaign.selection import Selection
from rotation.cli.campaign.sessions import SessionCount
from rotation.cli.campaign.telling import spelled
from rotation.cli.views.context import Context, printable
from rotation.machine.campaign import Limits
from rotation.model.phase import Mode

WIDTH: Final = 80
_NAME: Final = 12


@dataclass(frozen=True)
class Preview:
    """Everything to show."""

    kind: Kind
    reason: str
    matching: str
    selection: Selection
    limits: Limits
    #: None: nobody looked.
    session_count: SessionCount | None

    @property
    def total(self) -> int:
        """How many secrets take part."""
        return len(self.selection.targets)


def lines(context: Context, preview: Preview) -> Iterator[str]:
    """Yield the preview, a line each."""
    selection = preview.selection
    yield f"{preview.kind.ask.value}: {preview.kind.does} {_many(preview.total, 'secret')}"
    for name, text in _rows(context, preview):
        yield from _row(name, text)
    for why, names in sorted(_by_reason(selection.left_out).items()):
        yield from _row("left out", f"{len(names)}: {_some(names)}: {why}")


def body(context: Context, preview: Preview) -> dict[str, Any]:
    """Return the JSON form."""
    selection, counted = preview.selection, preview.session_count
    return {
        "mode": preview.kind.ask.value,
        "filter": preview.matching or None,
        "reason": preview.reason,
        "secrets": [target.name for target in selection.targets],
        "databases": dict(_places(selection)),
        "consumers": dict(_consumers(context, selection)),
        "sessions": counted.sessions if counted else None,
        "sessions_looked": counted.looked if counted else 0,
        "sessions_unseen": dict(counted.unseen) if counted else {},
        "followed": list(selection.followed),
        "blocked": list(selection.blocked),
        "left_out": [{"secret": name, "why": why} for name, why in selection.left_out.items()],
        "seconds": _seconds(preview),
    }


def _rows(context: Context, preview: Preview) -> Iterator[tuple[str, str]]:
    selection = preview.selection
    if preview.matching:
        yield "filter", preview.matching
    if preview.reason:
        yield "reason", preview.reason
    yield "secrets", _some([snapshot.short for snapshot in selection.snapshots])
    places = _places(selection)
    named = [f"{name} ({count})" for name, count in places.most_common()]
    yield "databases", f"{len(places)}: {_some(named)}"
    carried = [f"{count} by {name}" for name, count in _consumers(context, selection).most_common()]
    yield "consumers", f"{', '.join(carried) or 'none by a participant'};"
    yield "", "who reads latest, or a version by its number, is not known"
    if preview.session_count:
        yield from _sessions(preview.session_count)
    yield from _states(selection)
    yield "pace", _pace(preview)


def _sessions(counted: SessionCount) -> Iterator[tuple[str, str]]:
    yield (
        "sessions",
        f"at least {counted.sessions}, with the credentials in force of {counted.looked} secrets",
    )
    for why, count in counted.unseen.most_common():
        yield "", f"could not look at {count}: {why}"


def _states(selection: Selection) -> Iterator[tuple[str, str]]:
    records = [snapshot.state.record for snapshot in selection.snapshots if snapshot.state]
    flying = Counter(
        snapshot.state.phase.value
        for snapshot in selection.snapshots
        if snapshot.state and snapshot.state.record
    )
    if flying:
        yield "in flight", ", ".join(f"{count} {name}" for name, count in flying.most_common())
    served = [record for record in records if record and record.mode is Mode.EMERGENCY]
    if selection.followed:
        under_way = f"{len(selection.followed)} under way already"
        yield "emergency", f"{under_way}: followed, not asked again"
    over = len(served) - len(selection.followed)
    if over > 0:
        yield "emergency", f"{over} were just replaced in one, and are replaced once more"
    if selection.blocked:
        yield "blocked", f"{len(selection.blocked)}, tried all the same: {_some(selection.blocked)}"


def _pace(preview: Preview) -> str:
    limits = preview.limits
    bounds = f"at most {limits.together} at once, {limits.per_place} for a database"
    seconds = _seconds(preview)
    if seconds is None:
        return bounds
    return f"{limits.per_minute:.0f} a minute, {bounds}; about {spelled(seconds)}"


def _seconds(preview: Preview) -> float | None:
    per_minute = preview.limits.per_minute
    return preview.total / per_minute * 60 if per_minute else None


def _places(selection: Selection) -> Counter[str]:
    return Counter(target.place for target in selection.targets)


def _consumers(context: Context, selection: Selection) -> Counter[str]:
    """Count the secrets that each kind of participant carries to consumers."""
    counted: Counter[str] = Counter()
    for snapshot in selection.snapshots:
        stages = snapshot.policy.rollout if snapshot.policy else ()
        kinds = {participant.kind for stage in stages for participant in stage.participants}
        counted.update(sorted(kinds & context.participants.keys()))
    return counted


def _by_reason(left_out: Mapping[str, str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, why in left_out.items():
        short = name.rpartition("/")[2]
        reasons.setdefault(why.replace(name, "it").replace(short, "it"), []).append(short)
    return reasons


def _some(names: Sequence[str], width: int = WIDTH - _NAME - 2) -> str:
    """List as many names as fit, and how many more there are."""
    shown: list[str] = []
    for name in names:
        rest = len(names) - len(shown) - 1
        more = f" and {rest} more" if rest else ""
        if shown and len(", ".join([*shown, name])) + len(more) > width:
            return f"{', '.join(shown)} and {rest + 1} more"
        shown.append(name)
    return ", ".join(shown)


def _row(name: str, text: str) -> Iterator[str]:
    indent = " " * (_NAME + 2)
    first = f"  {name:<{_NAME}}"
    text = printable(text)
    yield from textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=indent)


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
