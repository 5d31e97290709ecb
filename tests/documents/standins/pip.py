"""The ``pip`` of the documents' terminal: records, and installs nothing."""

import sys

from tests.documents.standins import recording

if __name__ == "__main__":
    recording.record("pip", sys.argv[1:])
