import subprocess
import sys
from typing import Any

import pytest

from rotation.model.errors import PermanentError
from rotation.participants.git import PARTICIPANT
from rotation.participants.git.credentials import Credentials
from rotation.participants.git.github.authorization import app_jwt
from rotation.participants.git.hosts import HostKind, open_host
from rotation.participants.git.repository import AppKey, Location, Repository, SshKey, Token
from rotation.participants.git.settings import Auth, GitSettings, PinnedFile
from rotation.policies.typed import Fault, read_record

VERSION = "projects/ops/secrets/key/versions/latest"
SMALLEST = {"host": "github", "url": "https://github.com/acme/shop", "path": "app.yaml"}


def decoded(document: dict[str, Any]) -> GitSettings:
    faults: list[Fault] = []
    settings = read_record(GitSettings, document, "", faults)
    assert faults == []
    assert isinstance(settings, GitSettings)
    return settings


def faults_of(document: dict[str, Any]) -> str:
    faults: list[Fault] = []
    read_record(GitSettings, document, "participant", faults)
    return "\n".join(map(str, faults))


def test_the_smallest_settings_say_host_url_and_path() -> None:
    settings = decoded(SMALLEST)
    assert settings.pinned == (PinnedFile("app.yaml"),)
    assert (settings.base, settings.draft, settings.merge_method) == ("main", True, "any")


def test_the_known_hosts_are_lines() -> None:
    auth = {"ssh_key": VERSION, "known_hosts": "h ssh-ed25519 AAAA\ni ssh-rsa BBBB\n"}
    assert decoded({**SMALLEST, "auth": auth}).auth.known_hosts == auth["known_hosts"]


def test_everything_can_be_set() -> None:
    settings = decoded(
        {
            "host": "github",
            "url": "https://git.acme.example/acme/shop.git",
            "api": "https://git.acme.example/api/v3",
            "base": "release/2026",
            "files": [
                {"path": "app.yaml"},
                {"path": "values.yaml", "locate": "path", "pointer": "$.db.version"},
            ],
            "auth": {"app": {"app_id": 1, "installation_id": 2, "private_key": VERSION}},
            "merge_method": "squash",
            "draft": False,
            "auto_merge": True,
            "author_name": "Rotation of Größe, Inc.",
            "author_email": "rotation@acme.example",
            "checks": "all",
            "answer_within": "30s",
        }
    )
    assert settings.pinned[1].pointer == "$.db.version"
    assert settings.answer_within.total_seconds() == 30


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"host": "githab"}, "host: expected one of 'github', 'gitlab'"),
        ({"url": "ftp://x/y"}, "url: the repository URL has none of the known forms"),
        ({"url": "https://ann:hunter2@github.com/acme/shop"}, "without a password"),
        ({"base": "refs/heads/main"}, "base: expected the name of a branch"),
        ({"base": "a..b"}, "base: expected the name of a branch"),
        ({"path": "/etc/passwd"}, "path: expected a path relative"),
        ({"path": "../secrets"}, "path: expected a path relative"),
        ({"path": "a/../b"}, "path: expected a path relative"),
        ({"path": ""}, "either path or files"),
        ({"files": [{"path": "b"}]}, "either path or files"),
        ({"path": "", "files": [{"path": "b"}, {"path": "b"}]}, "named twice"),
        ({"locate": "path"}, "pointer: belongs to locate: path"),
        ({"pointer": "$.x"}, "pointer: belongs to locate: path"),
        ({"api": "api.github.com"}, "api: the repository URL has none of the known forms"),
        ({"api": "http://api.github.com"}, "api: expected https://"),
        ({"api": "https://api.github.com.evil.example"}, "api: belongs to another host"),
        ({"api": "https://api.github.com:8443"}, "api: belongs to another host"),
        ({"api": "https://github.com/api/v3"}, "api: belongs to another host"),
        ({"api": "https://127.0.0.1/api"}, "api: belongs to another host"),
        ({"url": "http://github.com/acme/shop"}, "url: expected https://"),
        ({"url": "https://github.com"}, "no repository on it"),
        ({"auth": {"token": "ghp_hunter2"}}, "token: expected projects/PROJECT"),
        ({"auth": {"token": VERSION, "ssh_key": VERSION}}, "one of app, token and ssh_key"),
        ({"auth": {"ssh_key": VERSION}}, "known_hosts: missing"),
        ({"author_name": "hunter2 <root"}, "author_name: expected"),
        ({"author_name": "hunter2> <root@x>"}, "author_name: expected"),
        ({"author_name": " "}, "author_name: expected"),
        ({"author_name": "hunter2\nparent 1"}, "participant.author_name: the text holds"),
        ({"author_name": "\u202ehunter2"}, "participant.author_name: the text holds"),
        ({"author_email": "hunter2@x> 0 +0000"}, "author_email: expected"),
        ({"author_email": "hunter2<@x"}, "author_email: expected"),
        ({"author_email": "hunter2@x y"}, "author_email: expected"),
        ({"author_email": ""}, "author_email: expected"),
    ],
)
def test_a_fault_names_the_setting_and_quotes_nothing(change: dict[str, Any], words: str) -> None:
    faults = faults_of({**SMALLEST, **change})
    assert words in faults
    assert "hunter2" not in faults


@pytest.mark.parametrize("name", ["author_name", "author_email"])
def test_an_author_cannot_end_its_line_of_the_commit(name: str) -> None:
    for text in ("a\nb", "a\rb", "a\0b", "a\u2028b"):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            GitSettings(**SMALLEST, **{name: text})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "scheme", "host", "path", "user"),
    [
        ("https://github.com/acme/shop", "https", "github.com", "acme/shop", ""),
        ("https://github.com/acme/shop.git", "https", "github.com", "acme/shop", ""),
        ("https://git.example:8443/a/b/c/", "https", "git.example:8443", "a/b/c", ""),
        ("git@github.com:acme/shop.git", "ssh", "github.com", "acme/shop", "git"),
        ("ssh://git@git.example:2222/acme/shop", "ssh", "git.example:2222", "acme/shop", "git"),
        ("http://[::1]:80/x", "http", "[::1]:80", "x", ""),
    ],
)
def test_urls_are_taken_apart(url: str, scheme: str, host: str, path: str, user: str) -> None:
    location = Location.parse(url)
    assert (location.scheme, location.host, location.path, location.username) == (
        scheme,
        host,
        path,
        user,
    )


@pytest.mark.parametrize(
    ("auth", "credential"),
    [
        ({"token": VERSION}, Token("s3cret")),
        ({"token": VERSION, "username": "bot"}, Token("s3cret", "bot")),
        ({"app": {"app_id": 1, "installation_id": 2, "private_key": VERSION}},
         AppKey(1, 2, b"s3cret\n")),
        ({"ssh_key": VERSION, "known_hosts": "h k", "username": "git"},
         SshKey("git", b"s3cret\n", "h k")),
        ({}, None),
    ],
)  # fmt: skip
def test_the_credential_is_read_when_it_is_needed(auth: dict[str, Any], credential: object) -> None:
    credentials = Credentials(decoded({**SMALLEST, "auth": auth}), {VERSION: b"s3cret\n"}.get)  # type: ignore[arg-type]
    assert credentials() == credential
    assert "s3cret" not in repr(credentials())
    assert "s3cret" not in repr(Repository("https://x/y", credentials))


@pytest.mark.parametrize("stored", [b"", b"two words", b"\xff\xfe", b"a\nb"])
def test_what_is_no_token_is_refused_without_being_shown(stored: bytes) -> None:
    settings = GitSettings(**SMALLEST, auth=Auth(token=VERSION))  # type: ignore[arg-type]
    with pytest.raises(PermanentError, match="does not hold a token") as raised:
        Credentials(settings, lambda _version: stored)()
    assert stored.decode(errors="replace") not in str(raised.value) or not stored


@pytest.mark.parametrize("stored", [b"", b"s3cret", b"-----BEGIN RSA PRIVATE KEY-----\ns3cret"])
def test_an_apps_key_that_is_none_is_refused_without_being_shown(stored: bytes) -> None:
    with pytest.raises(PermanentError, match=r"the GitHub App 1 is not an RSA key") as raised:
        app_jwt(AppKey(1, 2, stored), 0)
    assert "s3cret" not in repr(raised.value) + raised.value.remedy


def test_the_spec_says_what_is_needed_and_what_is_not() -> None:
    assert PARTICIPANT.spec.name == "git"
    assert not PARTICIPANT.spec.rides_in_write
    assert PARTICIPANT.spec.permissions
    assert PARTICIPANT.spec.permissions_not_needed


@pytest.mark.parametrize(
    ("kind", "library"),
    [("gitlab", "dulwich"), ("gitea", "dulwich"), ("git", "dulwich")],
)
def test_a_library_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, kind: HostKind, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PermanentError, match=library) as raised:
        open_host(kind, Repository("https://git.example/acme/shop", lambda: None))
    assert "rotation[git]" in raised.value.remedy


def test_the_plugin_is_light_to_import() -> None:
    program = (
        "import sys, rotation.participants.git\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"httpx", "dulwich", "cryptography", "paramiko", "ruamel", "yaml", "hcl2", "tomlkit"}
    assert heavy.isdisjoint(run.stdout.split())
