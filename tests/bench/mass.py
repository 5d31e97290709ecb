"""A thousand secrets asked to rotate at one moment, at Google's quotas, in real time.

1. The embedded server enforces what Google enforces: 600 writes, 600 reads and 90,000 accesses a
   minute, and two writes a second on one secret.  Nothing is scaled.
2. One and four processes of the function run at the same time, each with services of its own:
   the quota keeps them so slow that they do not disturb each other.
3. Nothing lost, nothing twice: read from the store, version by version.
"""

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from rotation.emulator.secretmanager.quotas import REAL
from rotation.kit.credentials.verifier import scram_verifier
from rotation.local.stack.function import FunctionProcess
from rotation.model.password import Password
from tests.bench.costs import WRITES
from tests.bench.figures import Figure, Goal
from tests.bench.lab import DATABASE, Lab, full_name
from tests.bench.process import function
from tests.bench.server import Call

SECRETS = 1_000
QUOTA = 600
#: Writes of one rotation.
WRITES_EACH = 3
PROCESSES = (1, 4)
THREADS = 8
_PASSWORD = "the-same-for-all-before-the-first-rotation"
_ENABLED = 1
#: Seconds until it is given up.
_LIMIT = 480


@dataclass
class Outcome:
    """What a mass rotation came to."""

    processes: int
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)
    stored: dict[str, Any] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    undelivered: int = 0

    @property
    def rotated(self) -> int:
        """Secrets with exactly one version more, and consumers pointed to it."""
        return sum(
            secret["versions"] == [_ENABLED, _ENABLED]
            and secret["aliases"] == {"current": 2, "previous": 1}
            and secret["labels"].get("rotation_phase") == "soaking"
            for secret in self.stored.values()
        )

    @property
    def twice(self) -> int:
        """Versions beyond the one that was asked for."""
        return sum(max(len(secret["versions"]) - 2, 0) for secret in self.stored.values())


def measure(*, quick: bool) -> Iterator[Figure]:
    """Yield the figures."""
    count = 20 if quick else SECRETS
    with ThreadPoolExecutor(len(PROCESSES)) as pool:
        runs = [pool.submit(_run, processes, count) for processes in PROCESSES]
        outcomes = [run.result() for run in runs]
    for outcome in outcomes:
        yield from _figures(outcome, count)


def _run(processes: int, count: int) -> Outcome:
    outcome = Outcome(processes)
    environment = {"ROTATION_QUOTA_PER_MINUTE": str(QUOTA)}
    with Lab() as lab:
        ids = with_a_credential(lab, count)
        lab.controls.set_quotas(REAL)
        with function(lab, workers=processes, threads=THREADS, **environment) as process:
            lab.services.ask("subscribe", endpoint=process.url)
            messages = [
                {"eventType": "SECRET_ROTATE", "secretId": full_name(secret_id)}
                for secret_id in ids
            ]
            lab.calls()
            began = time.monotonic()
            lab.services.ask("publish", messages=messages)
            outcome.undelivered = await_delivered(lab)
            outcome.calls = lab.calls()
            outcome.log = lines(process)
        answered = [call.answered for call in outcome.calls]
        outcome.seconds = max(answered, default=began) - began
        stored = lab.services.ask("stored")
        outcome.stored = {secret_id: stored[secret_id] for secret_id in ids}
    return outcome


def with_a_credential(lab: Lab, count: int, labels: Mapping[str, str] | None = None) -> list[str]:
    """Make secrets whose first version is in force, as before a first rotation."""
    ids = lab.secrets(count, in_force=_PASSWORD, labels=labels)
    verifier = sql.Literal(scram_verifier(Password(_PASSWORD), 4096))
    with lab.postgres.connect(DATABASE) as connection, connection.transaction():
        for secret_id in ids:
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(f"{secret_id}_a"), verifier))
    return ids


def await_delivered(lab: Lab) -> int:
    """Wait until no delivery is owed; return how many are."""
    ends = time.monotonic() + _LIMIT
    waiting = 1
    while waiting and time.monotonic() < ends:
        time.sleep(0.5)
        waiting = lab.services.ask("backlog")["rotation-function"]
    return waiting


def lines(process: FunctionProcess) -> list[dict[str, Any]]:
    """Return what the function wrote to its log."""
    text = process.log.read_text(encoding="utf-8", errors="replace")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _figures(outcome: Outcome, count: int) -> Iterator[Figure]:
    many = "process" if outcome.processes == 1 else "processes"
    name = f"{count} secrets, {outcome.processes} {many}"
    floor = count * WRITES_EACH / QUOTA * 60
    writes = [call for call in outcome.calls if call.name in WRITES]
    refused = sum(call.refused for call in writes)
    severities = Counter(line["severity"] for line in outcome.log)
    surfaced = sum("RESOURCE_EXHAUSTED" in json.dumps(line) for line in outcome.log)
    nothing = Goal(0, "G7")
    yield Figure(f"{name}: lost", count - outcome.rotated, "", nothing)
    yield Figure(f"{name}: twice", outcome.twice, "", nothing)
    yield Figure(f"{name}: deliveries left", outcome.undelivered, "", nothing)
    yield Figure(f"{name}: quota errors in the log", surfaced, "", nothing)
    bad = severities["ERROR"] + severities["WARNING"]
    yield Figure(f"{name}: warnings and errors in the log", bad, "", nothing)
    note = f"floor: {count} x 3 writes at {QUOTA} a minute = {floor:.0f} s"
    yield Figure(f"{name}: time", outcome.seconds, "s", Goal(round(floor * 1.1)), "", note)
    note = "each waited and was sent again; the third write of a second on one secret included"
    yield Figure(f"{name}: refused writes", refused, "", None, "", note)
    accepted = [call for call in writes if not call.refused]
    yield Figure(f"{name}: accepted writes", len(accepted), "", Goal(count * WRITES_EACH, "G7"))
    yield Figure(
        f"{name}: most of them in a minute", most_in_a_minute(accepted), "", Goal(QUOTA, "G7")
    )
    yield Figure(f"{name}: longest time without a rotation", _gaps(accepted), "s")


def most_in_a_minute(calls: list[Call]) -> int:
    """Return the most calls that arrived in one minute."""
    times = sorted(call.arrived for call in calls)
    first, most = 0, 0
    for last, moment in enumerate(times):
        while times[first] <= moment - 60:
            first += 1
        most = max(most, last - first + 1)
    return most


def _gaps(calls: list[Call]) -> float:
    added = sorted(call.answered for call in calls if call.name == "AddSecretVersion")
    return max((after - before for before, after in itertools.pairwise(added)), default=0)
