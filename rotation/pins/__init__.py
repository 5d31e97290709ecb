"""Version pins in files: where they stand, and how they are moved.

Bytes in, bytes out.  Nothing here reads a file, a clock or the network, and nothing formats
anybody's file anew: a pin is found at its exact offsets, spliced, and the edit is proved.

Rules of this package:
  1. Whatever the bytes are, only `PinError` comes out.
  2. Parsers are imported when a file needs them.
"""

from rotation.pins.errors import PinError
from rotation.pins.finding import Found, Pin, find
from rotation.pins.splicing import repin

__all__ = ["Found", "Pin", "PinError", "find", "repin"]
