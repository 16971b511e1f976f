"""Where a real server may come from, and how one of our own is run and never left behind."""

import ctypes
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL

START_SECONDS = 60.0
STOP_SECONDS = 20.0
PR_SET_PDEATHSIG = 1

Container = TypeVar("Container")


class ServerUnavailableError(Exception):
    """This way of having a server is closed on this machine; the next one is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way of having a server."""

    #: For people: the header of the test run shows it.
    origin: str
    #: Yields the URL of a login that may create databases; stops what it started.
    start: Callable[[], AbstractContextManager[URL]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers."""

    #: Login that may create databases.
    url: URL
    #: The `Route` that was taken.
    origin: str


@contextmanager
def first_that_starts(routes: Sequence[Route]) -> Iterator[Server]:
    """Yield the server of the first route that works; the error says why none did."""
    reasons = []
    with ExitStack() as stack:
        for route in routes:
            try:
                url = stack.enter_context(route.start())
            except ServerUnavailableError as error:
                reasons.append(f"{route.origin}: {error}")
                continue
            yield Server(url=url, origin=route.origin)
            return
    raise ServerUnavailableError("; ".join(reasons) or "no way to have one on this machine")


def in_ci() -> bool:
    """Whether a missing server is a failure, not a skip."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


@cache
def docker_answers() -> bool:
    """Whether a Docker engine runs here; costs nothing where no socket could lead to one."""
    if not (os.environ.get("DOCKER_HOST") or Path("/var/run/docker.sock").exists()):
        return False
    import docker
    from docker.errors import DockerException

    try:
        with closing(docker.from_env(timeout=5)) as client:
            client.ping()
    except (DockerException, OSError):
        return False
    return True


@contextmanager
def container(make: AbstractContextManager[Container]) -> Iterator[Container]:
    """Run a testcontainers container; one that cannot be had closes this route."""
    from docker.errors import DockerException

    with ExitStack() as stack:
        try:
            started = stack.enter_context(make)
        except (DockerException, OSError, RuntimeError) as error:
            raise ServerUnavailableError(str(error)) from error
        yield started


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom a server of ours runs as: ourselves, or nobody where we are root, which it refuses."""

    #: None: as ourselves.
    uid: int | None
    gid: int | None

    def give(self, path: Path) -> None:
        """Make the account the owner of `path` and of all below it."""
        if self.uid is None or self.gid is None:
            return
        for each in (path, *path.rglob("*")):
            os.chown(each, self.uid, self.gid, follow_symlinks=False)

    def run(self, command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> str:
        """Run a command to its end and return what it printed; a failure closes this route."""
        try:
            done = subprocess.run(
                command,
                cwd=cwd,
                env=env,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=True,
            )
        except OSError as error:
            raise ServerUnavailableError(str(error)) from error
        except subprocess.CalledProcessError as error:
            output = f"{error.stdout}{error.stderr}".strip()[-2000:]
            message = f"{Path(command[0]).name} ended with {error.returncode}: {output}"
            raise ServerUnavailableError(message) from error
        return done.stdout


def unchanged() -> Account:
    """Return ourselves."""
    return Account(uid=None, gid=None)


def unprivileged() -> Account:
    """Return the account that servers of ours run as."""
    if os.geteuid() != 0:
        return unchanged()
    nobody = pwd.getpwnam("nobody")
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


@contextmanager
def private_folder(what: str, account: Account) -> Iterator[Path]:
    """Yield a folder that only `account` and root can look into; removed afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"meisa-cdc-{what}-") as name:
        folder = Path(name)
        account.give(folder)
        yield folder


def new_password() -> str:
    """Return the password of a server that lives as long as the test run."""
    return secrets.token_hex(16)


def free_port() -> int:
    """Return a free loopback port below those the kernel hands out to outgoing connections."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 50):
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    message = "no free loopback port"
    raise ServerUnavailableError(message)


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    account: Account,
    folder: Path,
    env: Mapping[str, str],
    answers: Callable[[], bool],
    stop: signal.Signals,
) -> Iterator[None]:
    """Run a server until the block ends; entered once `answers` is true.

    It has a session of its own, so that Ctrl-C reaches the tests first, and on Linux the kernel
    sends it `stop` when this process dies without a chance to.
    """
    log = folder / "server.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            user=account.uid,
            group=account.gid,
            extra_groups=None if account.uid is None else [],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_dies_with_us(stop),  # noqa: PLW1509 - no thread of ours runs yet
        ) as server,
    ):
        try:
            _wait(server, answers, log)
            yield
        finally:
            server.send_signal(stop)
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()


def _dies_with_us(stop: signal.Signals) -> Callable[[], object] | None:
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, int(stop))


def _wait(server: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not answers():
        ended = server.poll() is not None
        if ended or time.monotonic() > end:
            trouble = "ended at once" if ended else f"did not answer in {START_SECONDS:.0f} s"
            tail = log.read_text(errors="replace")[-2000:]
            message = f"the server {trouble}: {tail}"
            raise ServerUnavailableError(message)
        time.sleep(0.02)


def program(name: str) -> Path | None:
    """Find a program, also where servers live off the PATH of ordinary users."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    found = shutil.which(name, path=path)
    return Path(found) if found else None
