"""All rows of the fidelity table."""

from secretmanager_calls import Json, Row
from secretmanager_rows_limits import LIMITS
from secretmanager_rows_lists import EVENTS, LISTS, OTHERS
from secretmanager_rows_secrets import CREATION, NAMES, NOT_FOUND
from secretmanager_rows_updates import ETAGS, MASKS
from secretmanager_rows_versions import VERSIONS

ROWS = (
    *NAMES,
    *CREATION,
    *NOT_FOUND,
    *ETAGS,
    *MASKS,
    *LIMITS,
    *VERSIONS,
    *LISTS,
    *EVENTS,
    *OTHERS,
)

__all__ = ["ROWS", "Json", "Row"]
