"""Runs the program as a user does, and weighs it."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
#: Linux counts in KiB, macOS in bytes.
UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one command took."""

    code: int
    #: Seconds from start to end.
    seconds: float
    #: Most memory it held at once, in MiB.
    peak: float


def run(arguments: Sequence[str], *, folder: Path, settings: Mapping[str, str], out: Path) -> Ran:
    """Run `meisa-cdc` with these arguments in a folder; what it prints goes to a file there."""
    command = [sys.executable, "-m", "meisa_cdc", *arguments]
    return run_program(command, folder=folder, settings=settings, out=out)


def run_program(
    command: Sequence[str], *, folder: Path, settings: Mapping[str, str], out: Path
) -> Ran:
    """Run any program in a folder; what it prints goes to a file there."""
    environment = {**os.environ, **settings}
    # An installed program has its bytecode; to compile all of it is no part of any run.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    with out.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ran(
        code=process.returncode,
        seconds=time.perf_counter() - started,
        peak=usage.ru_maxrss * UNIT / MIB,
    )
