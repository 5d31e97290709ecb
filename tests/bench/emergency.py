"""A thousand credentials leaked at one moment, at Google's quotas, through the real command.

1. The embedded server enforces what Google enforces: 600 writes and 600 reads a minute, and two
   writes a second on one secret.  Nothing is scaled, but in the quick variant.
2. ``rotation emergency --filter`` is killed when half of the secrets are answered, and goes on with
   ``--resume``: nothing may be lost, and nothing may happen twice.
3. One and four processes of the function run at the same time, each with services of its own.
4. What became of each secret is read from the store itself, not from the receipt alone.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotation.emulator.secretmanager.quotas import REAL, Limits
from tests.bench.costs import WRITES
from tests.bench.figures import Figure, Goal
from tests.bench.lab import Lab
from tests.bench.mass import await_delivered, lines, most_in_a_minute, with_a_credential
from tests.bench.process import ROOT, function
from tests.bench.server import Call

SECRETS, QUOTA = 1_000, 600
QUICK_SECRETS, QUICK_QUOTA = 24, 120
#: Writes from the request to the revoked credential on record.
WRITES_EACH = 4
PROCESSES = (1, 4)
LABELS = {"db": "bench"}
_WRITES = (*WRITES, "DisableSecretVersion")
#: Seconds until it is given up.
_LIMIT = 1_200


@dataclass
class Outcome:
    """What a mass emergency came to."""

    processes: int
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)
    stored: dict[str, Any] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    receipt: dict[str, Any] = field(default_factory=dict)
    killed_after: int = 0
    undelivered: int = 0
    exit_code: int = 0

    @property
    def revoked(self) -> int:
        """Secrets with one version more, and consumers pointed to it."""
        return sum(
            len(secret["versions"]) == 2 and secret["aliases"].get("current") == 2
            for secret in self.stored.values()
        )

    @property
    def twice(self) -> int:
        """Versions beyond the one that was asked for, and rotations begun beyond one each."""
        versions = sum(max(len(secret["versions"]) - 2, 0) for secret in self.stored.values())
        begun = {(record.get("secret"), record.get("rotation_id")) for record in self.log}
        rotations = Counter(secret for secret, rotation in begun if secret and rotation)
        return versions + sum(count - 1 for count in rotations.values())


def measure(*, quick: bool) -> Iterator[Figure]:
    """Yield the figures."""
    count, quota = (QUICK_SECRETS, QUICK_QUOTA) if quick else (SECRETS, QUOTA)
    limits = replace_quota(REAL, quota)
    with ThreadPoolExecutor(len(PROCESSES)) as pool:
        runs = [pool.submit(_run, processes, count, limits) for processes in PROCESSES]
        outcomes = [run.result() for run in runs]
    for outcome in outcomes:
        yield from _figures(outcome, count, quota)


def replace_quota(limits: Limits, writes: int) -> Limits:
    """Return the limits with another quota of writes, and of reads, a minute."""
    per_second = limits.writes_per_second_and_secret
    return Limits(writes, per_second, max(writes, 300), limits.accesses_per_minute)


def _run(processes: int, count: int, limits: Limits) -> Outcome:
    outcome = Outcome(processes)
    quota = str(limits.writes_per_minute)
    with Lab() as lab:
        ids = with_a_credential(lab, count, labels=LABELS)
        lab.controls.set_quotas(limits)
        environment = {"ROTATION_QUOTA_PER_MINUTE": quota}
        with function(lab, workers=processes, threads=8, **environment) as process:
            lab.services.ask("subscribe", endpoint=process.url)
            lab.calls()
            began = time.monotonic()
            outcome.killed_after = _killed(lab, count // 2, "--quota", quota)
            outcome.exit_code = _finished(lab, "--quota", quota)
            outcome.undelivered = await_delivered(lab)
            outcome.calls = lab.calls()
            outcome.log = lines(process)
        outcome.receipt = json.loads((lab.folder / "receipt.json").read_text())
        writes = [call.answered for call in outcome.calls if call.name in _WRITES]
        outcome.seconds = max(writes, default=began) - began
        stored = lab.services.ask("stored")
        outcome.stored = {secret_id: stored[secret_id] for secret_id in ids}
    return outcome


def _killed(lab: Lab, after: int, *options: str) -> int:
    """Run the command until so many secrets are answered, and kill it; return how many were."""
    asking = ["--filter", "labels.db=bench", "--reason", "bench", "--yes", "--no-sessions"]
    process = _command(lab, *asking, *options)
    ends = time.monotonic() + _LIMIT
    while (ended := _ended(lab)) < after:
        assert process.poll() is None, _output(lab)
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return ended


def _finished(lab: Lab, *options: str) -> int:
    """Go on, to the end; return the exit code."""
    receipt = str(lab.folder / "receipt.json")
    process = _command(lab, "--resume", "--receipt", receipt, *options)
    return process.wait(_LIMIT)


def _command(lab: Lab, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(lab.folder),
        **lab.environment(),
    }
    with (lab.folder / "command.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "rotation", "emergency", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def _ended(lab: Lab) -> int:
    files: list[Path] = list((lab.folder / "rotation").glob("*.jsonl"))
    return files[0].read_bytes().count(b'{"ended":') if files else 0


def _output(lab: Lab) -> str:
    return (lab.folder / "command.log").read_text()[-2000:]


def _figures(outcome: Outcome, count: int, quota: int) -> Iterator[Figure]:
    many = "process" if outcome.processes == 1 else "processes"
    name = f"{count} emergencies, {outcome.processes} {many}"
    floor = count * WRITES_EACH / quota * 60
    nothing = Goal(0, "G7")
    writes = [call for call in outcome.calls if call.name in _WRITES]
    accepted = [call for call in writes if not call.refused]
    surfaced = sum("RESOURCE_EXHAUSTED" in json.dumps(line) for line in outcome.log)
    # That an emergency has begun is a warning by itself.
    unasked = [line for line in outcome.log if line.get("event") != "emergency-started"]
    severities = Counter(line["severity"] for line in unasked)
    revoked = outcome.receipt["outcomes"].get("revoked", 0)
    killed = f"killed after {outcome.killed_after}, and resumed"
    yield Figure(f"{name}: lost", count - outcome.revoked, "", nothing, "", killed)
    yield Figure(f"{name}: twice", outcome.twice, "", nothing)
    yield Figure(f"{name}: missing in the receipt", count - revoked, "", nothing)
    yield Figure(f"{name}: exit code after the resumption", outcome.exit_code, "", nothing)
    yield Figure(f"{name}: deliveries left", outcome.undelivered, "", nothing)
    yield Figure(f"{name}: quota errors in the log", surfaced, "", nothing)
    bad = severities["ERROR"] + severities["WARNING"]
    yield Figure(f"{name}: warnings and errors in the log", bad, "", nothing)
    note = f"floor: {count} x {WRITES_EACH} writes at {quota} a minute = {floor:.0f} s"
    yield Figure(f"{name}: time", outcome.seconds, "s", Goal(round(floor * 1.1)), "", note)
    times = outcome.receipt["time_to_revoke"]
    yield Figure(f"{name}: request to revoked, half within", times["p50"], "s")
    yield Figure(f"{name}: request to revoked, 99 % within", times["p99"], "s")
    yield Figure(f"{name}: request to revoked, all within", times["max"], "s")
    yield Figure(f"{name}: refused writes", sum(call.refused for call in writes), "")
    disabled = sum(call.name == "DisableSecretVersion" for call in accepted)
    needed = len(accepted) - disabled
    yield Figure(f"{name}: accepted writes", needed, "", Goal(count * WRITES_EACH, "G7"))
    note = "beside them, while the quota has room"
    yield Figure(f"{name}: old versions disabled at once", disabled, "", None, "", note)
    yield Figure(f"{name}: most of them in a minute", most_in_a_minute(accepted), "", Goal(quota))
    listed = sum(call.name == "ListSecrets" for call in outcome.calls)
    yield Figure(f"{name}: reads to follow them", listed, "", None, "", "a list each")
