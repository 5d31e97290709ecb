"""Commands that pages use before they are there; empty when all are.

A block that uses one of them is left out of the story, and a test fails once the command exists,
so that nothing stays left out.
"""

import re
from typing import Final

from rotation.cli.main import COMMANDS
from tests.documents.blocks import Block

#: What stands on the page: the command.
AWAITED: Final = ("doctor", "adopt", "history", "pause", "resume", "retire", "drill")


def waits_for(block: Block) -> list[str]:
    """Return the commands that a block uses and that do not exist yet."""
    return [
        name
        for name in AWAITED
        if name not in COMMANDS and re.search(rf"\brotation {name}\b", block.text)
    ]
