"""A running `recsys serve`, for tests that need a process of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest


class Service:
    """A running `recsys serve`."""

    def __init__(self, workspace: Path, *words: str, **environment: str) -> None:
        begin = [sys.executable, "-m", "recsys.pipelines", "--workspace", str(workspace), "serve"]
        self.process = subprocess.Popen(
            [*begin, "--port", "0", *words],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        )
        self.lines: list[str] = []
        self.port = self._read_port()
        self._reader = threading.Thread(target=self._read_on, daemon=True)
        self._reader.start()
        self.wait_for(lambda: self.get("/readyz")["status"] == "ready")

    def _read_port(self) -> int:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"on http://.*:(\d+) ", line)
            if found:
                return int(found[1])
        pytest.fail("".join(self.lines))

    def _read_on(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def wait_for(self, what: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if what():
                    return
            assert self.process.poll() is None, "".join(self.lines)
            time.sleep(0.05)
        pytest.fail("".join(self.lines[-20:]))

    def open(self, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def get(self, path: str) -> dict:
        status, content = self.open(path)
        assert status == 200, content
        return json.loads(content)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)
