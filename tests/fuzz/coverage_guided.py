"""Hunt the decoders of bytes by coverage: ``python -m tests.fuzz.coverage_guided --seconds 60``.

Hypothesis draws what we thought of; atheris (libFuzzer) finds its own way to each branch.  The
properties are those of the tests beside.

Rules of this module:
  1. Each target runs in a process of its own, for a bounded time; a crash ends with its input in
     ``.hypothesis/atheris`` and exit code 1.
  2. atheris is optional: without it this says so and ends with 0.
"""

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

FOUND = Path(".hypothesis") / "atheris"
LONGEST_INPUT = 2000


def envelopes() -> Callable[[bytes], None]:
    """Return the target: any body is a wake-up or refused."""
    from rotation.model.errors import BadWakeUpError
    from tests.fuzz import messages, test_wake_ups

    def one(data: bytes) -> None:
        content_type = messages.STRUCTURED if data[:1] == b"s" else messages.PUSH
        try:
            wake_up = test_wake_ups.decoded(content_type, data[1:])
        except BadWakeUpError as error:
            test_wake_ups.check_refusal(error)
        else:
            if wake_up:
                test_wake_ups.check(wake_up)

    return one


def policies() -> Callable[[bytes], None]:
    """Return the target: any text is a policy that round-trips, or faulty."""
    from rotation.policies.policy import encode_policy
    from tests.fuzz.test_policy_text import decode, faults_of

    def one(data: bytes) -> None:
        text = data.decode(errors="replace")
        if not faults_of(text):
            policy = decode(text)
            assert decode(encode_policy(policy)) == policy

    return one


def codec() -> Callable[[bytes], None]:
    """Return the target: any label and annotations are a sound state or refused."""
    from rotation.engine import codec as module
    from rotation.model.secret import Secret
    from tests.fuzz.states import NAME, NOW
    from tests.fuzz.test_codec import check_decodes_or_refuses

    empty = Secret(NAME, "", NOW)

    def one(data: bytes) -> None:
        label, _, rest = data.decode(errors="replace").partition("\n")
        record, _, receipt = rest.partition("\n")
        labels = {module.PHASE: label, module.TOKEN: label, module.BLOCKED: label}
        for key in labels:
            annotations = {module.RECORD: record, module.RECEIPT: receipt, module.BLOCK: record}
            check_decodes_or_refuses(replace(empty, labels={key: label}, annotations=annotations))

    return one


#: What each target starts from: one real input.
TARGETS: dict[str, tuple[Callable[[], Callable[[bytes], None]], bytes]] = {
    "envelopes": (
        envelopes,
        (
            b'p{"message": {"attributes": {"eventType": "SECRET_ROTATE", "mode": "emergency",'
            b' "secretId": "projects/1/secrets/app"}, "publishTime": "2026-11-22T12:00:00Z"}}'
        ),
    ),
    "policies": (
        policies,
        (
            b'{"issuer": {"kind": "postgresql", "host": "db", "database": "d", "slots": ["a", "b"],'
            b' "owner": "o", "admin": "projects/p/secrets/s"}, "soak": "1h", "rollout": [{"stage":'
            b' "all", "participants": [{"kind": "alias"}]}], "retire": {"observe": "90s"}}'
        ),
    ),
    "codec": (
        codec,
        (
            b'soaking\n{"phase": "soaking", "record": {"id": "r1", "mode": "routine", "started_at":'
            b' "2026-11-22T12:00:00Z", "message_id": "7", "base": 1, "next": 2}}\n'
            b'{"id": "r0", "outcome": "rotated", "mode": "routine", "started_at":'
            b' "2026-11-22T12:00:00Z", "settled_at": "2026-11-22T12:00:00Z", "current": 1,'
            b' "last": 1}'
        ),
    ),
}


def main() -> int:
    """Run every target for a while, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--target", choices=TARGETS)
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.stdout.write("skipped: atheris is not installed; try: pip install atheris\n")
        return 0
    if options.target:
        return _hunt(options.target, options.seconds)
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.coverage_guided",
        "--seconds",
        str(options.seconds),
    ]
    codes = [
        subprocess.run([*command, "--target", target], check=False).returncode for target in TARGETS
    ]
    return int(any(codes))


def _hunt(target: str, seconds: int) -> int:
    import atheris

    make, seed = TARGETS[target]
    with atheris.instrument_imports(include=["rotation.machine", "rotation.engine"]):
        one = make()
    corpus = FOUND / target
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "seed").write_bytes(seed)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix={FOUND / target}-",
        "-print_final_stats=1",
        "-verbosity=0",
        str(corpus),
    ]
    atheris.Setup(arguments, one)
    atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main())
