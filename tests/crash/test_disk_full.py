"""No room for the state in the middle of deliveries: noticed at the intent, over by itself."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Protocol

import pytest

from meisa_cdc.core.delivery import UPSERT as KIND
from tests.installation import (
    LATER,
    Installation,
    Program,
    deliver,
    needless,
    people,
    until,
    upserts,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the disk is filled as on Linux")
CONCURRENCY = 4


class Disk(Protocol):
    """Where the state lies."""

    folder: Path

    def fill(self, program: Program) -> None:
        """Leave the program no room to write."""

    def free(self, program: Program) -> None:
        """Give the room back."""


class SmallDisk:
    """A file system of its own, filled with one large file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, program: Program) -> None:
        """Leave not a byte to anybody."""
        with (self.folder / "large").open("wb", buffering=0) as file:
            for size in (65536, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError as error:
                    assert error.errno == errno.ENOSPC  # noqa: PT017 - the end is what we are after

    def free(self, program: Program) -> None:
        """Remove the file."""
        (self.folder / "large").unlink()


class LimitedProcess:
    """A limit on the size of the files that the program may write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, program: Program) -> None:
        """Let no file grow, nor be written anew."""
        self._limit(program, 0)

    def free(self, program: Program) -> None:
        """Lift the limit."""
        self._limit(program, resource.RLIM_INFINITY)

    def _limit(self, program: Program, size: int) -> None:
        _, hard = resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE)
        size = hard if size == resource.RLIM_INFINITY else size
        resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.fixture(params=["small disk", "limited process"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Yield a disk that can be full; the real one where we are allowed to mount it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limited process":
        yield LimitedProcess(folder)
        return
    mount = [which("mount") or "mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nobody may mount a file system here; the other case does without")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run([which("umount") or "umount", str(folder)], check=True)


@pytest.fixture
def home(tmp_path: Path, disk: Disk) -> Iterator[Installation]:
    """Yield an installation whose state lies on that disk, with work for some seconds."""
    state = f"sqlite:///{disk.folder / 'meisa-cdc.db'}"
    concurrency = str(CONCURRENCY)
    # Coverage could not write its file either, and would say so in the program's last words.
    unmeasured = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
    with Installation.at(
        tmp_path,
        None,
        MEISA_CDC_STATE__URL=state,
        MEISA_CDC_MEISA__CONCURRENCY=concurrency,
        **(unmeasured if isinstance(disk, LimitedProcess) else {}),
    ) as home:
        home.app_has(people(200))
        home.account.configure(latency=0.05)
        yield home


def intents(home: Installation) -> int:
    """Return how many upserts the state has on record."""
    with home.state() as state:
        return sum(record.kind == KIND for record in state.deliveries())


def test_f08_a_full_disk_stops_deliveries_until_there_is_room(home: Installation, disk: Disk):
    """Nothing leaves without its intent, /readyz tells, and work goes on without a hand's turn."""
    with home.program("run") as program:
        until(lambda: len(upserts(home.account)) >= 40)
        disk.fill(program)
        program.heard("delivery interrupted")
        noticed = len(upserts(home.account))
        (_, second, *_) = program.heard("delivery interrupted", 2)
        assert second["level"] == "error"
        assert intents(home) == len(upserts(home.account)) <= noticed + CONCURRENCY
        assert noticed < 200
        assert program.get("/readyz")[0] == 503
        disk.free(program)
        until(home.in_step)
        until(lambda: program.get("/readyz")[0] == 200)
        assert needless(home.account) <= CONCURRENCY
    assert home.quarantined() == {}


def test_f08_a_full_disk_ends_a_sync_with_words(home: Installation, disk: Disk):
    """It exits 1 and says what to do; the next one finishes the work."""
    with home.program("sync") as program:
        until(lambda: len(upserts(home.account)) >= 40)
        disk.fill(program)
        assert program.ended() == 1
        assert "Traceback" not in program.told()
        assert "meisa-cdc.db cannot be used" in program.told()
        if isinstance(disk, SmallDisk):
            disk.free(program)
    deliver(home.settings(), later=LATER)
    assert home.in_step()
    assert needless(home.account) <= CONCURRENCY
