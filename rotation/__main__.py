"""``python -m rotation`` is the console script."""

from rotation.cli.main import run

run()
