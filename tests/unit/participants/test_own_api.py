import pytest

from rotation.participants.git.own_api import is_own, own_api
from rotation.participants.git.repository import Location


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://github.com/acme/shop", "https://api.github.com"),
        ("https://GitHub.com/acme/shop", "https://api.github.com"),
        ("ssh://git@ssh.github.com:443/acme/shop", "https://api.github.com"),
        ("git@github.com:acme/shop.git", "https://api.github.com"),
        ("https://acme.ghe.com/acme/shop", "https://api.acme.ghe.com"),
        ("https://git.acme.example/acme/shop", "https://git.acme.example/api/v3"),
        ("https://git.acme.example:8443/acme/shop", "https://git.acme.example:8443/api/v3"),
        ("ssh://git@git.acme.example:2222/acme/shop", "https://git.acme.example/api/v3"),
    ],
)
def test_github_has_its_api_at_the_host_of_the_repository(url: str, api: str) -> None:
    repository = Location.parse(url)
    assert own_api(repository) == api
    assert is_own(Location.parse(api), repository)


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://git.acme.example/acme/shop", "https://git.acme.example/gitlab/api/v4"),
        ("https://git.acme.example/acme/shop", "https://git.acme.example:443/api/v4"),
        ("git@git.acme.example:acme/shop", "https://git.acme.example/api/v1"),
        ("ssh://git@127.0.0.1:2222/acme/shop", "http://127.0.0.1:3000/api/v1"),
    ],
)
def test_an_api_at_the_same_host_belongs_to_it(url: str, api: str) -> None:
    assert is_own(Location.parse(api), Location.parse(url))


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://github.com/acme/shop", "https://api.github.com.evil.example"),
        ("https://github.com/acme/shop", "https://evil-api.github.com"),
        ("https://github.com/acme/shop", "https://github.com"),
        ("https://github.com.evil.example/acme/shop", "https://api.github.com"),
        ("https://acme.ghe.com/acme/shop", "https://api.other.ghe.com"),
        ("https://git.acme.example/acme/shop", "https://api.git.acme.example"),
        ("https://git.acme.example/acme/shop", "https://git.acme.example:8443/api/v3"),
        ("https://git.acme.example/acme/shop", "http://git.acme.example/api/v3"),
        ("git@git.acme.example:acme/shop", "https://git.acme.example:8443/api/v3"),
        ("git@git.acme.example:acme/shop", "https://evil.example/api/v3"),
    ],
)
def test_an_api_elsewhere_does_not(url: str, api: str) -> None:
    assert not is_own(Location.parse(api), Location.parse(url))
