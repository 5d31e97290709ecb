"""Which API belongs to the host of a repository: the credential of the one is sent to the other.

Rules of this module:
  1. Pure, and about text: where a name leads is judged when it is connected to.
  2. An API belongs to a repository when it is at the same host and port, or where GitHub itself has
     it: api.github.com, api.SUBDOMAIN.ghe.com.
  3. Over SSH the port says nothing: there the API is at the host's own port for HTTPS.
"""

from rotation.participants.git.repository import Location

_GITHUB = ("github.com", "www.github.com", "ssh.github.com")
_PORTS = {"https": "443", "http": "80"}


def own_api(location: Location) -> str:
    """Return the address of GitHub's API for a repository."""
    host = location.host if location.scheme != "ssh" else host_of(location)
    if host_of(location) in _GITHUB:
        return "https://api.github.com"
    if host_of(location).endswith(".ghe.com"):
        return f"https://api.{host_of(location)}"
    return f"https://{host}/api/v3"


def is_own(api: Location, repository: Location) -> bool:
    """Whether an API belongs to the host of a repository."""
    host = host_of(repository)
    if host in _GITHUB or host.endswith(".ghe.com"):
        return _origin(api) == _origin(Location.parse(own_api(repository)))
    if repository.scheme != "ssh":
        return _origin(api) == _origin(repository)
    return host_of(api) == host and (api.scheme == "http" or _port(api) == _PORTS["https"])


def host_of(location: Location) -> str:
    """Return the host without its port, in lower case."""
    name, colon, port = location.host.rpartition(":")
    return (name if colon and port.isdigit() else location.host).lower()


def _port(location: Location) -> str:
    name, colon, port = location.host.rpartition(":")
    is_port = bool(colon and name) and port.isdigit()
    return port if is_port else _PORTS.get(location.scheme, "")


def _origin(location: Location) -> tuple[str, str, str]:
    return location.scheme, host_of(location), _port(location)
