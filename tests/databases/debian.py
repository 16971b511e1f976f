"""Debian's MariaDB server without installing it: packages fetched once, unpacked for each run."""

import fcntl
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from platform import freedesktop_os_release, machine

from tests.databases import servers
from tests.databases.servers import ServerUnavailableError

# mariadb-install-db asks my_print_defaults, which comes with the client.
PACKAGES = ("mariadb-server-core", "mariadb-client-core")


def can_unpack() -> bool:
    """Whether this is a system with the tools for it."""
    return bool(servers.program("apt-get") and servers.program("dpkg"))


def unpack(root: Path) -> list[Path]:
    """Unpack the server under `root`; return the folders its libraries are in."""
    for package in _packages():
        _run(["dpkg", "-x", package, root], cwd=root)
    return sorted({path.parent for path in root.rglob("*.so.*")})


def _packages() -> list[Path]:
    """Return the package files, from the cache or fetched into it."""
    release = freedesktop_os_release()
    name = f"mariadb-{release['ID']}-{release.get('VERSION_ID', 'rolling')}-{machine()}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meisa-cdc-tests"
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / name
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                _fetch(Path(temporary)).rename(kept)
    return sorted(kept.glob("*.deb"))


def _fetch(workplace: Path) -> Path:
    """Download the server and whatever of its dependencies this system lacks; return the folder.

    Where the system's package lists are missing or out of date, lists of our own serve: they need
    no rights and change nothing.
    """
    fresh, lists = workplace / "packages", workplace / "lists"
    fresh.mkdir()
    lists.mkdir()
    try:
        _download(fresh, [])
    except ServerUnavailableError:
        own = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={workplace}"]
        _run(["apt-get", *own, "update"], cwd=workplace)
        _download(fresh, own)
    return fresh


def _download(folder: Path, options: Sequence[str]) -> None:
    install = ["apt-get", *options, "--simulate", "--no-install-recommends", "install"]
    simulated = _run([*install, *PACKAGES], cwd=folder)
    steps = (line.split() for line in simulated.splitlines())
    names = [step[1] for step in steps if step[:1] == ["Inst"]]
    _run(["apt-get", *options, "download", *(names or PACKAGES)], cwd=folder)


def _run(command: Sequence[str | Path], *, cwd: Path) -> str:
    return servers.unchanged().run(command, cwd=cwd, env={**os.environ, "LC_ALL": "C"})
