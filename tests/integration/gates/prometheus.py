"""A real Prometheus server that scrapes a tiny exporter, both on 127.0.0.1."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from rotation.local.postgres.server import free_port
from tests.support.web import Asked, Reply, Web, serve_web

PROGRAM = shutil.which("prometheus")
#: Longest that the server or a scrape is waited for.
PATIENCE = 60.0

needs_prometheus = pytest.mark.skipif(
    PROGRAM is None, reason="no prometheus here: apt-get install prometheus"
)


@dataclass
class Monitoring:
    url: str
    exporter: Web
    metrics: dict[str, float] = field(default_factory=dict)

    def query(self, promql: str) -> list[dict[str, Any]]:
        url = f"{self.url}/api/v1/query?query={quote(promql)}"
        with urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result

    def shows(self, promql: str) -> None:
        """Wait until a query has data."""
        wait_for(lambda: bool(self.query(promql)), promql)

    def expose(self, **metrics: float) -> None:
        """Export these, and wait until they have been scraped."""
        self.metrics.clear()
        self.metrics.update(metrics)
        for name, value in metrics.items():
            self.shows(f"{name} == {value}")

    def text(self, _asked: Asked) -> Reply:
        lines = [f"{name} {value}\n" for name, value in self.metrics.items()]
        return Reply(body="".join(lines).encode(), headers={"Content-Type": "text/plain"})


def wait_for(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"Prometheus does not show {what}")
        time.sleep(0.2)


@contextmanager
def serve_prometheus(folder: Path) -> Iterator[Monitoring]:
    port = free_port()
    with serve_web() as exporter:
        config = folder / "prometheus.yml"
        target = f"127.0.0.1:{exporter.port}"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            "scrape_configs:\n"
            f"- {{job_name: orders, static_configs: [{{targets: ['{target}']}}]}}\n"
        )
        monitoring = Monitoring(f"http://127.0.0.1:{port}", exporter)
        exporter.reply = monitoring.text
        command = [
            str(PROGRAM),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        log = folder / "prometheus.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
        try:
            wait_for(lambda: is_ready(monitoring, process, log), "that it is ready")
            yield monitoring
        finally:
            process.terminate()
            process.wait(30)


def is_ready(monitoring: Monitoring, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        pytest.fail(f"Prometheus ended: {log.read_text()[-2000:]}")
    try:
        return bool(monitoring.query("up == 1"))
    except OSError:
        return False
