"""Every host, on a place of its own, for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rotation.participants.git.host import Host
from tests.support.hosting.bare import GIT, NO_GIT, Bare
from tests.support.hosting.sites import SITES, Site, Workspace, make_template
from tests.support.hosting.sshd import KEYGEN, NO_SSHD, SSHD, Sshd, run_sshd


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    if GIT is None:
        pytest.skip(NO_GIT)
    return make_template(tmp_path_factory.mktemp("template") / "app.git")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if SSHD is None or KEYGEN is None:
        pytest.skip(NO_SSHD)
    with run_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(params=list(SITES))
def site(request: pytest.FixtureRequest, template: Bare, tmp_path: Path) -> Iterator[Site]:
    running = request.getfixturevalue("sshd") if request.param == "ssh" else None
    with SITES[request.param](Workspace(tmp_path, template, running)) as site:
        yield site
        assert_never_forced(site)


@pytest.fixture
def host(site: Site) -> Host:
    return site.host()


def assert_never_forced(site: Site) -> None:
    """Every move of a branch that is still there went forward."""
    for branch in site.bare.git("for-each-ref", "--format=%(refname)", "refs/heads").split():
        log = site.bare.path / "logs" / branch
        for line in log.read_text().splitlines() if log.exists() else ():
            old, new = line.split()[:2]
            if set(old) != {"0"}:
                assert site.bare.is_ancestor(old, new), f"{branch}: forced from {old} to {new}"
