"""An environment for each peer that needs packages; nothing of it is a dependency of ours."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
VERSIONS = HERE / "versions.txt"
#: Not kept under version control.
ENVIRONMENTS = HERE.parents[1] / ".peers"
#: Written once all is installed.
READY = "installed.txt"


class UnavailableError(Exception):
    """A peer cannot be had here, or could not do the job; the message says why."""


def versions() -> Mapping[str, str]:
    """Return the version of each package that peers consist of."""
    lines = VERSIONS.read_text().splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name.strip(): version.strip() for name, version in pins}


def programs_of(name: str, packages: Sequence[str]) -> Path:
    """Return the folder of programs of the environment with these packages, made where missing.

    Raises UnavailableError where they cannot be installed.
    """
    if not packages:
        return Path(sys.executable).parent
    folder = ENVIRONMENTS / name
    marker = folder / READY
    wanted = "\n".join((*packages, VERSIONS.read_text()))
    if not marker.exists() or marker.read_text() != wanted:
        _install(folder, packages)
        marker.write_text(wanted)
    return folder / "bin"


def _install(folder: Path, packages: Sequence[str]) -> None:
    python = str(folder / "bin/python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [*pip, "--constraint", str(VERSIONS), *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            told = (done.stderr or done.stdout).strip().splitlines()[-1:]
            message = f"{', '.join(packages)} cannot be installed: {' '.join(told)}"
            raise UnavailableError(message)
