"""Keeps what a stand-in was asked, one JSON line for each call."""

import json
import os
from pathlib import Path


def record(program: str, words: list[str]) -> None:
    with (Path(os.environ["TERMINAL"]) / "recorded").open("a") as file:
        file.write(json.dumps([program, *words]) + "\n")
