"""Addresses are judged after a name was looked up, however it was spelled."""

import socket
from ipaddress import ip_address

import pytest

from rotation.kit.net import addresses
from rotation.kit.net.addresses import fault_of
from rotation.kit.net.exchange import Limits, NoReplyError, Request, Trouble, send
from rotation.kit.net.location import Location
from tests.support.web import serve_web

NOWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound


@pytest.mark.parametrize(
    "text",
    ["169.254.169.254", "169.254.1.2", "fe80::1", "fd00:ec2::254", "fd20:ce::254",
     "168.63.129.16", "100.100.100.200", NOWHERE, "0.1.2.3", "::", "224.0.0.1", "ff02::1",
     "255.255.255.255", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1",
     "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "2002:a9fe:a9fe::1",
     "::169.254.169.254"],
)  # fmt: skip
def test_what_is_never_asked(text: str) -> None:
    assert fault_of(ip_address(text), is_loopback=False)


@pytest.mark.parametrize(
    "text", ["10.0.0.5", "8.8.8.8", "fd12::5", "2001:db8::1", "64:ff9b::808:8"]
)
def test_what_is_asked(text: str) -> None:
    assert not fault_of(ip_address(text), is_loopback=False)


@pytest.mark.parametrize("text", ["10.0.0.5", "169.254.169.254", "::ffff:10.0.0.5"])
def test_what_says_loopback_goes_nowhere_else(text: str) -> None:
    assert fault_of(ip_address(text), is_loopback=True)


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", NOWHERE, "0",
     "127.0.0.1."],
)  # fmt: skip
def test_loopback_by_another_name_is_not_asked(host: str) -> None:
    with serve_web() as web:
        web.says(body=b"secret")
        at = Location.parse(f"http://{host}:{web.port}/", "url")
        with pytest.raises(NoReplyError) as caught:
            send(Request(at), Limits(10, 1000))
        assert caught.value.trouble in (Trouble.FORBIDDEN_ADDRESS, Trouble.UNKNOWN_NAME)
        assert web.asked == []


def test_a_name_that_means_two_addresses_is_asked_at_the_judged_one_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is connected to is what was judged: no second look-up can say something else."""
    answers = iter([[("10.0.0.5", 1)], [("127.0.0.1", 1)], [("169.254.169.254", 1)]])

    def look_up(host: str, port: int, **_how: object) -> list[object]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        return [(*kind, (address, port)) for address, _ in next(answers)]

    asked = []

    def opened(_family: int, _kind: int, _protocol: int, place: object, _seconds: float) -> None:
        asked.append(place)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(addresses, "_open", opened)
    for _ in range(3):
        with pytest.raises(OSError):  # noqa: PT011 - whichever
            addresses.connect("rebinding.test", 443, is_loopback=False, seconds=1)
    assert asked == [("10.0.0.5", 443)]
