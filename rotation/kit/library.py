"""Say which library of an issuer is missing, where only the issuer's work needs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from rotation.model.errors import MissingLibraryError


@contextmanager
def library_of(issuer: str) -> Iterator[None]:
    """Import inside what needs the libraries of the extra with the issuer's name.

    Raises:
        MissingLibraryError: One of them is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("rotation"):
            raise
        raise MissingLibraryError(
            f"the issuer {issuer} needs the library {error.name}, which is not installed",
            remedy=f"install it where this runs: deploy/requirements-{issuer}.txt, or"
            f" pip install 'rotation[{issuer}]'",
        ) from None
