"""A running `meisa-cdc`, its log read as it comes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryFile
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
#: Seconds that anything may take before a test fails: far more than it needs.
PATIENCE = 30.0
#: Seconds within which a process that is asked to end has ended, and a dead leader is replaced.
PROMISE = 10.0


def until(condition: Callable[[], object], *, within: float = PATIENCE) -> None:
    """Return once the condition holds; fail where it does not in time."""
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.01)


class Program:
    """One process of ours, or another program with our settings, for as long as the block."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        settings: Mapping[str, str],
        module: str = "meisa_cdc",
    ) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MEISA")}
        self._output = TemporaryFile("w+")  # noqa: SIM115 - read once the process has ended
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            env={**kept, "PYTHONPATH": str(ROOT), **settings},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: list[str] = []
        self._came = Condition()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stderr is not None:
            self.process.stderr.close()
        self._output.close()
        if error is not None:
            error.add_note(f"the program said:\n{self.told()[-4000:]}")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log entries with this event so far."""
        with self._came:
            entries = [_entry(line) for line in self._lines]
        return [entry for entry in entries if entry.get("event") == name]

    def heard(self, name: str, count: int = 1, *, within: float = PATIENCE) -> list[dict[str, Any]]:
        """Return these log entries once there are that many."""
        with self._came:
            came = self._came.wait_for(lambda: len(self.events(name)) >= count, within)
        assert came, f"it did not say {name!r} {count} times"
        return self.events(name)

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def ended(self, *, within: float = PATIENCE) -> int:
        """Return the exit code once it has ended; fail where it does not in time."""
        code = self.process.wait(within)
        self._reader.join(PATIENCE)
        return code

    def has_open(self, file: Path) -> bool:
        """Tell whether it has a file open at present."""
        found = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return any(os.path.realpath(each) == str(file) for each in found)

    def output(self) -> str:
        """Return what it printed to stdout."""
        self._output.seek(0)
        return self._output.read()

    def told(self) -> str:
        """Return what it printed to stderr so far."""
        with self._came:
            return "\n".join(self._lines)

    def get(self, page: str) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of a page of its web server, such as /readyz, once that is up."""
        address = urlsplit(self.heard("started")[0]["health"])
        with closing(HTTPConnection(str(address.netloc), timeout=PATIENCE)) as connection:
            connection.request("GET", page)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def role(self) -> str:
        """Return what /readyz says that it is doing."""
        return str(self.get("/readyz")[1]["role"])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._came:
                self._lines.append(line.rstrip("\n"))
                self._came.notify_all()


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
