"""Cold start: from the start of the function's process to its first answer, and what is imported.

Everything is measured in turn (A, B, C, A, B, C), so that what disturbs one disturbs all, and
beside baselines of this machine: the peer's figure is from another one.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.bench.figures import Figure, Goal
from tests.bench.instance import instance
from tests.bench.lab import Lab, full_name
from tests.bench.process import ROOT, first_answer
from tests.bench.server import OPTIONS
from tests.support.push import checked_by_cloud_run

RUNS = 11
#: Median of the peer: import, client and first reply, without a web framework.
PEER = 221
#: What the interpreter and Google's client took on the machine of the peer's figure.
_THEN = {"interpreter": 12, "client": 218}
_EMPTY = """
import functions_framework

@functions_framework.http
def empty(request):
    return "", 204
"""
#: The least that a function with these libraries can take.
_FLOOR = "import functions_framework, google.cloud.secretmanager, psycopg"
_FIRST_POLICY = """
import main
from rotation.model.names import SecretName
from rotation.policies.policy import decode_policy
kinds = main._application._worker._parts.plugins.kinds
decode_policy({policy!r}, kinds, SecretName.parse({secret!r}))
"""
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)")
_SHOWN = 12


def measure(*, quick: bool) -> Iterator[Figure]:
    """Yield the figures."""
    runs = 2 if quick else RUNS
    with Lab() as lab:
        times = _in_turn(lab, runs)
        over_floor = _over_floor(lab, runs)
    median = {name: statistics.median(values) for name, values in times.items()}
    note = f"median of {runs}, in turn"
    yield Figure("interpreter", median["interpreter"], "ms", None, "", note)
    yield Figure("import of Google's client", median["client"], "ms", None, "", note)
    yield Figure("empty function, to the first 2xx", median["empty"], "ms", None, "", note)
    ready = median["ready"]
    yield Figure("function, to the first 2xx", ready, "ms", Goal(380, "G5"), "221 (+17)", note)
    rotated = median["rotated"]
    yield Figure("function, to the first finished rotation", rotated, "ms", None, "221", note)
    over = statistics.median(
        [ours - empty for ours, empty in zip(times["ready"], times["empty"], strict=True)]
    )
    yield Figure("function beyond an empty one", over, "ms", Goal(210, "G5"), "", note)
    peer = PEER / _THEN["client"]
    ratio = statistics.median(
        [ours / client for ours, client in zip(times["ready"], times["client"], strict=True)]
    )
    name = "function, to the first 2xx / import of Google's client"
    yield Figure(name, ratio, "x", Goal(round(peer, 2)), f"{peer:.2f}", "1.0 times the peer")
    yield over_floor
    yield from _imports()


def _over_floor(lab: Lab, runs: int) -> Figure:
    """Return what our own code adds to the libraries, in processor time, up to a first policy."""
    policy = json.dumps(lab.policy("s1"))
    ours = _FIRST_POLICY.format(policy=policy, secret=full_name("s1"))
    served = {**os.environ, **lab.environment()}

    def beyond() -> float:
        return _processor_time(ours, served)

    beyond()
    pairs = [(_processor_time(_FLOOR, os.environ), beyond()) for _ in range(runs)]
    floors, times = zip(*pairs, strict=True)
    ratio = statistics.median(times) / statistics.median(floors)
    name = "import of main and a first policy / of its libraries, processor time"
    return Figure(name, ratio, "x", Goal(1.12), "", f"medians of {runs}, in turn")


def _processor_time(code: str, environment: Mapping[str, str]) -> float:
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def _in_turn(lab: Lab, runs: int) -> Mapping[str, Sequence[float]]:
    empty = lab.folder / "empty.py"
    empty.write_text(_EMPTY)
    with instance(lab) as running:
        ids = lab.secrets(runs + 1)
        for secret_id in ids:
            running.fire(secret_id)
        ready = running.body(eventType="ROTATION_WAKE", secretId=full_name(ids[-1]))
        firings = iter(
            [
                running.body(eventType="SECRET_ROTATE", secretId=full_name(secret_id))
                for secret_id in ids
            ]
        )

    def ours(body: bytes) -> float:
        log = lab.folder / "cold.log"
        # As on Cloud Run: it has checked the signature, and removed it.
        environment = {**lab.environment(), "ROTATION_PUSH_SIGNATURE": "removed-by-cloud-run"}
        token = checked_by_cloud_run(OPTIONS.push_audience, OPTIONS.push_account)
        return first_answer(ROOT / "main.py", "rotate", body, environment, log, f"Bearer {token}")

    variants: dict[str, Callable[[], float]] = {
        "interpreter": lambda: _python("pass"),
        "client": lambda: _python("import google.cloud.secretmanager"),
        "empty": lambda: first_answer(empty, "empty", b"{}", {}, lab.folder / "empty.log"),
        "ready": lambda: ours(ready),
        "rotated": lambda: ours(next(firings)),
    }
    _python("import main")  # bytecode is there, as in an image
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(runs):
        for name, variant in variants.items():
            times[name].append(variant())
    return times


def _python(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


def _imports() -> Iterator[Figure]:
    """Yield the milliseconds each library's own modules take, and what should not be there."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import main, sys; print(*sys.modules)"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    own: Counter[str] = Counter()
    for microseconds, _, _, module in _IMPORT.findall(done.stderr):
        own[_library(module)] += int(microseconds)
    total = sum(own.values()) / 1000
    modules = done.stdout.split()
    pubsub = sum("pubsub" in module_name for module_name in modules)
    yield Figure("modules of Pub/Sub's client in the function", pubsub, "", Goal(0, "G5"))
    yield Figure("modules imported", len(modules))
    yield Figure("imports of main.py, measured one by one", total, "ms")
    for library, microseconds in own.most_common(_SHOWN):
        yield Figure(f"  of it {library}", microseconds / 1000, "ms")


def _library(module: str) -> str:
    parts = module.split(".")
    if parts[0] == "google" and len(parts) > 1:
        return ".".join(parts[: 3 if parts[1] == "cloud" else 2])
    if parts[0] in sys.stdlib_module_names:
        return "standard library"
    return parts[0]
