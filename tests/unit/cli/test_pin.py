"""Adopting pins: what becomes of files, and where the version comes from."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rotation.cli.main import main, rotation
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.pins import Pin, PinError, find
from rotation.pins.adopting import Wish, adopt
from tests.support.secret_manager import PROJECT, Embedded, embedded_secret_manager

ORDERS = SecretName("acme", "orders")
MARKER = '# {"$rotation": "acme/orders"}'


def adopted(path: str, text: str, *, marker: bool = True, replace: bool = False) -> str:
    wish = Wish(ORDERS, 7, str.__eq__, replace=replace, marker=marker)
    content = adopt(text.encode(), path, wish).content
    assert adopt(content, path, wish).content == content
    return content.decode()


ES = "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nspec:\n  data:\n"
RUN = "apiVersion: serving.knative.dev/v1\nkind: Service\nspec:\n"
DATA = 'data "google_secret_manager_secret_version" "x" {\n'
READ = "- uses: google-github-actions/get-secretmanager-secrets@v2\n  with: "
SPC = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nspec:\n"


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        pytest.param(
            "es.yaml",
            f"{ES}    - remoteRef:\n        key: orders\n        property: p\n",
            f"{ES}    - remoteRef:\n        key: orders\n"
            f'        version: "7"  {MARKER}\n        property: p\n',
            id="a version where there was none",
        ),
        pytest.param(
            "es.yaml",
            f"{ES}    - remoteRef:\n        key: orders".replace("\n", "\r\n"),
            f"{ES}    - remoteRef:\n        key: orders".replace("\n", "\r\n")
            + f'\r\n        version: "7"  {MARKER}',
            id="line ends and a missing final newline stay",
        ),
        pytest.param(
            "es.yaml",
            f"{ES}    - remoteRef: {{key: 'orders', property: p}}\n",
            f"{ES}    - remoteRef: {{key: 'orders', version: \"7\", property: p}}  {MARKER}\n",
            id="between brackets",
        ),
        pytest.param(
            "es.yaml",
            f"{ES}    - remoteRef: {{key: orders, version: latest}} # why\n",
            f'{ES}    - remoteRef: {{key: orders, version: "7"}} # why {{"$rotation":'
            ' "acme/orders"}\n',
            id="a plain word gets quotes, and the comment stays",
        ),
        pytest.param(
            "run.yaml",
            f"{RUN}  env: [{{secretKeyRef: {{name: orders, key: 'latest'}}}}]\n",
            f"{RUN}  env: [{{secretKeyRef: {{name: orders, key: '7'}}}}]  {MARKER}\n",
            id="quotes stay as they are",
        ),
        pytest.param(
            "main.tf",
            f'{DATA}  secret = "orders" # the name\n}}\n',
            f'{DATA}  secret = "orders" # the name\n  version = "7"  {MARKER}\n}}\n',
            id="terraform without a version",
        ),
        pytest.param(
            "main.tf",
            f'{DATA}  secret = "orders"\n  version = "latest"\n}}\n',
            f'{DATA}  secret = "orders"\n  version = "7"  {MARKER}\n}}\n',
            id="terraform",
        ),
        pytest.param(
            "spc.yaml",
            f'{SPC}  parameters:\n    secrets: |\n      - resourceName: "projects/acme/secrets/'
            'orders/versions/latest"\n        path: p\n',
            f'{SPC}  parameters:\n    secrets: |\n      - resourceName: "projects/acme/secrets/'
            f'orders/versions/7"  {MARKER}\n        path: p\n',
            id="a comment of the YAML in a string",
        ),
        pytest.param(
            "deploy.sh",
            "gcloud run deploy --set-secrets=DB=orders,API=api-key:latest\n",
            f"gcloud run deploy --set-secrets=DB=orders:7,API=api-key:latest  {MARKER}\n",
            id="a list, and not the neighbour",
        ),
        pytest.param(
            "ci.yaml",
            f'{READ}{{secrets: "a:acme/orders"}}\n',
            f'{READ}{{secrets: "a:acme/orders/7"}}  {MARKER}\n',
            id="a step that reads secrets",
        ),
        pytest.param(
            "ci.yaml",
            f'{READ}{{secrets: "a:projects/acme/secrets/orders, b:acme/api-key"}}\n',
            f'{READ}{{secrets: "a:projects/acme/secrets/orders/versions/7, b:acme/api-key"}}'
            f"  {MARKER}\n",
            id="a step that reads secrets by full names",
        ),
        pytest.param(
            ".env",
            "DB=projects/acme/secrets/orders/versions/latest\n",
            f"{MARKER}\nDB=projects/acme/secrets/orders/versions/7\n",
            id="a line of its own where comments end no line",
        ),
        pytest.param(
            "secrets.lock.toml",
            '[secrets]\n"projects/acme/secrets/orders" = "current"\n',
            f'[secrets]\n"projects/acme/secrets/orders" = "7"  {MARKER}\n',
            id="toml",
        ),
        pytest.param(
            "values.yaml",
            f"version: latest {MARKER}\n",
            f'version: "7" {MARKER}\n',
            id="a marker that is there stays the only one",
        ),
        pytest.param(
            "values.yaml",
            "a: projects/acme/secrets/orders/versions/3\n",
            f"a: projects/acme/secrets/orders/versions/3  {MARKER}\n",
            id="a number that is there stays",
        ),
    ],
)
def test_a_pin_is_adopted(path: str, before: str, after: str) -> None:
    assert adopted(path, before) == after
    places = find(after.encode(), path, Pin(ORDERS))
    assert {place.value for place in places} <= {"7", "3"}
    assert places


@pytest.mark.parametrize(
    ("path", "before", "lines"),
    [
        ("a.json", '{"db": "projects/acme/secrets/orders/versions/latest"}\n', (1,)),
        ("deploy.sh", "gcloud run deploy \\\n --set-secrets DB=orders:latest \\\n --x\n", (2,)),
        ("Dockerfile", "ENV DB=projects/acme/secrets/orders/versions/latest\n", (1,)),
        ("a.sh", '"A=projects/acme/secrets/orders/versions/latest\n"\n', (1,)),
        ("ci.yaml", "run: |\n  x --set-secrets DB=orders:latest\n", (2,)),
        ("a.yaml", 'x: "a\n  projects/acme/secrets/orders/versions/latest\n  b"\n', (2,)),
    ],
)
def test_where_no_comment_can_stand_there_is_no_marker(
    path: str, before: str, lines: tuple[int, ...]
) -> None:
    result = adopt(before.encode(), path, Wish(ORDERS, 7, str.__eq__))
    assert result.unmarked == lines
    assert result.content.decode() == before.replace("latest", "7")


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("a.yaml", "x: 1\n", "does not use projects/acme/secrets/orders"),
        ("a.yaml", f"{ES}    - remoteRef: {{key: orders, version: $V}}\n", "from elsewhere"),
        ("a.yaml", f"{RUN}  volumes: [{{secret: {{secretName: orders}}}}]\n", "says no version"),
        ("a.yaml", f"x: [1, 2] {MARKER}\n", "several values"),
        ("main.tf", f'{DATA}  secret = "orders"\n  version = var.v\n}}\n', "from elsewhere"),
    ],
)
def test_what_cannot_be_pinned_is_refused(path: str, text: str, says: str) -> None:
    with pytest.raises(PinError, match=r"does not use|:[0-9]+: `") as caught:
        adopted(path, text)
    assert says in str(caught.value)


def test_another_number_is_replaced_only_when_asked() -> None:
    text = "DB=projects/acme/secrets/orders/versions/3\n"
    assert adopted("a.env", text, marker=False) == text
    assert adopted("a.env", text, marker=False, replace=True) == text.replace("3", "7")


# The command


@pytest.fixture(scope="module")
def service() -> Iterator[Embedded]:
    with embedded_secret_manager() as embedded:
        yield embedded


@pytest.fixture
def embedded(service: Embedded, monkeypatch: pytest.MonkeyPatch) -> Embedded:
    monkeypatch.setenv("SECRET_MANAGER_ENDPOINT", service.endpoint)
    monkeypatch.setenv("ROTATION_PROJECT", PROJECT)
    return service


def pin(*arguments: str | Path) -> Result:
    return CliRunner().invoke(rotation, ["pin", *map(str, arguments)], standalone_mode=True)


def with_current(embedded: Embedded, secret_id: str, current: int) -> SecretName:
    name = embedded.create(secret_id)
    for _ in range(current):
        embedded.store.add_version(name, Payload(b"x"))
    secret = embedded.store.get(name)
    maps = {"labels": secret.labels, "annotations": secret.annotations}
    embedded.store.update(secret, **maps, aliases={"current": current})
    return name


def test_the_version_in_force_is_pinned_by_id_and_by_number(
    embedded: Embedded, tmp_path: Path
) -> None:
    name = with_current(embedded, "pinned", 2)
    number = embedded.store.get(name).name
    path = tmp_path / ".env"
    path.write_text(f"A={name.version('latest')}\nB={number.version('current')}\n")
    result = pin(path, "--secret", "pinned", "--no-marker")
    assert result.exit_code == 0, result.output
    assert path.read_text() == f"A={name.version(2)}\nB={number.version(2)}\n"
    assert result.output.endswith(f"{name} is pinned to 2\n")


def test_a_secret_without_a_current_version_needs_a_number(
    embedded: Embedded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded.create("fresh")
    path = tmp_path / "a.env"
    path.write_text(f"A=projects/{PROJECT}/secrets/fresh/versions/latest\n")
    assert main(["pin", str(path), "--secret", "fresh"]) == 1
    assert "give --version N" in capsys.readouterr().err
    assert main(["pin", str(path), "--secret", "fresh", "--version", "1"]) == 0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: projects/acme/secrets/orders/versions/latest\r\n")
    return path


NAME = str(ORDERS)


def test_the_file_is_replaced_whole_and_keeps_its_mode(file: Path) -> None:
    file.chmod(0o640)
    with file.open("rb") as before:
        assert pin(file, "--secret", NAME, "--version", 7).exit_code == 0
        assert before.read().endswith(b"latest\r\n")
    assert file.read_bytes() == f"a: {ORDERS.version(7)}  {MARKER}\r\n".encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["a.yaml"]


def test_a_dry_run_shows_and_writes_nothing(file: Path) -> None:
    before = file.read_bytes()
    result = pin(file, "--secret", NAME, "--version", 7, "--dry-run", "--json")
    answer = json.loads(result.stdout)
    assert answer["result"] == "would change"
    assert f"-a: {ORDERS.version('latest')}" in answer["diff"]
    assert f"+a: {ORDERS.version(7)}  {MARKER}" in answer["diff"]
    assert file.read_bytes() == before


def test_a_second_time_changes_nothing(file: Path) -> None:
    pin(file, "--secret", NAME, "--version", 7)
    inode = file.stat().st_ino
    result = pin(file, "--secret", NAME, "--version", 7)
    assert result.output == f"{file}: {ORDERS} is pinned already\n"
    assert file.stat().st_ino == inode


def test_a_failed_write_leaves_the_file_and_no_other(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device", str(file))

    before = file.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    assert main(["pin", str(file), "--secret", NAME, "--version", "7"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["a.yaml"]


def test_a_link_stays_a_link(file: Path) -> None:
    link = file.parent / "link.yaml"
    link.symlink_to(file.name)
    assert pin(link, "--secret", NAME, "--version", 7).exit_code == 0
    assert link.is_symlink()
    assert b"versions/7" in file.read_bytes()


def test_lines_that_get_no_marker_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"a": "{ORDERS.version("latest")}"}}\n')
    result = pin(path, "--secret", NAME, "--version", 7)
    assert result.exit_code == 0
    assert "no comment can stand on line 1" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere.yaml", "--secret", NAME, "--version", "7"], 2),
        (["FILE", "--version", "7"], 2),
        (["FILE", "--secret", NAME, "--version", "0"], 2),
        (["FILE", "--secret", "projects/x", "--version", "7"], 2),
        (["FILE", "--secret", "projects/acme/secrets/other", "--version", "7"], 1),
    ],
)
def test_what_is_wrong_ends_in_one_line(
    file: Path, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_bytes()
    words = [str(file) if argument == "FILE" else argument for argument in arguments]
    assert main(["pin", *words]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert file.read_bytes() == before
