"""Decides which of many alike a run takes, so that some runs together take them all.

1. The share of a name follows from the name alone: another order or more names move nothing.
2. ``K/N`` takes the K-th of N shares, counted from 0.  K may be any number, such as a commit's.
"""

import argparse
import re
import zlib
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Share:
    """One of N shares; the whole, unless set otherwise."""

    number: int = 0
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"([0-9]+)/([1-9][0-9]*)", text)
        if match is None:
            raise argparse.ArgumentTypeError("write K/N, such as 3/4")
        return cls(int(match[1]), int(match[2]))

    def takes(self, name: str) -> bool:
        return zlib.crc32(name.encode()) % self.of == self.number % self.of
