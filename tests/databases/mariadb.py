"""A real MariaDB: by URL, from Docker, installed, or from Debian's packages without installing."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import pymysql
from pymysql.constants import ER
from sqlalchemy import URL, make_url

from tests.databases import debian, servers
from tests.databases.servers import Account, Route, Server

DRIVER = "mysql+pymysql"
IMAGE = "mariadb:10.11"
LOGIN = "meisa_test"
# Speed where a crash of the machine is all we give up; the rest as an app's server would have it.
SETTINGS = {
    "binlog-format": "ROW",
    "binlog-row-metadata": "FULL",
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_general_ci",
    "default-time-zone": "+00:00",
    "innodb-flush-log-at-trx-commit": "0",
    "log-bin": "binlog",
    "server-id": "1",
    "skip-name-resolve": "ON",
    "sync-binlog": "0",
}


def routes() -> list[Route]:
    """Return the ways to have a server here, best first; decided without starting anything."""
    given = os.environ.get("MEISA_TEST_MARIADB_URL")
    if given:
        return [Route(origin="MEISA_TEST_MARIADB_URL", start=partial(_given, given))]
    found = []
    if servers.docker_answers():
        found.append(Route(origin=f"Docker, {IMAGE}", start=_from_docker))
    installed = servers.program("mariadbd")
    if installed is not None:
        found.append(Route(origin=str(installed), start=partial(_from_path, installed)))
    if debian.can_unpack():
        found.append(Route(origin="Debian packages, unpacked", start=_from_packages))
    return found


@contextmanager
def new_database(server: Server, *, template: str | None = None) -> Iterator[URL]:
    """Yield the URL of a new database, empty or a copy of `template`; dropped afterwards."""
    name = f"meisa_test_{uuid4().hex[:12]}"
    with closing(_connect(server.url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        if template is not None:
            _copy(cursor, template, name)
    try:
        yield server.url.set(database=name)
    finally:
        with closing(_connect(server.url)) as connection, connection.cursor() as cursor:
            _drop(cursor, name)


def _copy(cursor: pymysql.cursors.Cursor, template: str, name: str) -> None:
    """Copy tables with their keys, which CREATE TABLE … LIKE would leave behind."""
    cursor.execute(f"USE `{name}`")
    cursor.execute("SET SESSION foreign_key_checks = 0, unique_checks = 0")
    cursor.execute(f"SHOW TABLES FROM `{template}`")
    for (table,) in cursor.fetchall():
        cursor.execute(f"SHOW CREATE TABLE `{template}`.`{table}`")
        ((_, definition),) = cursor.fetchall()
        cursor.execute(definition)
        cursor.execute(f"INSERT INTO `{table}` SELECT * FROM `{template}`.`{table}`")
    cursor.connection.commit()


def _drop(cursor: pymysql.cursors.Cursor, name: str) -> None:
    """Drop a database whatever still holds on to it; an open transaction would block it."""
    cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", [name])
    for (connection_id,) in cursor.fetchall():
        try:
            cursor.execute("KILL CONNECTION %s", [connection_id])
        except pymysql.err.MySQLError as error:
            if error.args[0] != ER.NO_SUCH_THREAD:  # it ended by itself in between
                raise
    cursor.execute(f"DROP DATABASE `{name}`")


def _connect(url: URL) -> pymysql.Connection:
    return pymysql.connect(
        host=url.host,
        port=url.port or 3306,
        user=url.username,
        password=str(url.password or ""),
        connect_timeout=10,
    )


def _answers(url: URL) -> bool:
    try:
        _connect(url).close()
    except pymysql.err.OperationalError:
        return False
    return True


@contextmanager
def _given(url: str) -> Iterator[URL]:
    yield make_url(url).set(drivername=DRIVER)


@contextmanager
def _from_docker() -> Iterator[URL]:
    from testcontainers.community.mysql import MySqlContainer

    options = [f"--{name}={value}" for name, value in SETTINGS.items()]
    make = MySqlContainer(
        IMAGE, dialect="pymysql", username="root", password=servers.new_password()
    )
    make.with_command(" ".join(["mariadbd", *options]))
    with servers.container(make) as started:
        yield make_url(started.get_connection_url())


@contextmanager
def _from_path(mariadbd: Path) -> Iterator[URL]:
    account = servers.unprivileged()
    with (
        servers.private_folder("mariadb", account) as folder,
        _serve(mariadbd.resolve(), folder, account, {}) as url,
    ):
        yield url


@contextmanager
def _from_packages() -> Iterator[URL]:
    account = servers.unprivileged()
    with servers.private_folder("mariadb", account) as folder:
        root = folder / "root"
        root.mkdir()
        libraries = debian.unpack(root)
        account.give(root)
        env = {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}
        with _serve(root / "usr/sbin/mariadbd", folder, account, env) as url:
            yield url


@contextmanager
def _serve(
    mariadbd: Path, folder: Path, account: Account, libraries: dict[str, str]
) -> Iterator[URL]:
    prefix = mariadbd.parent.parent
    env = {"PATH": f"{prefix / 'bin'}{os.pathsep}{os.defpath}"} | libraries
    port = servers.free_port()
    url = URL.create(DRIVER, LOGIN, servers.new_password(), "127.0.0.1", port, None)
    data = folder / "data"
    account.run(
        [
            prefix / "bin/mariadb-install-db",
            "--no-defaults",
            f"--basedir={prefix}",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ],
        cwd=folder,
        env=env,
    )
    options = [f"--{name}={value}" for name, value in SETTINGS.items()]
    with servers.running(
        [
            mariadbd,
            "--no-defaults",
            f"--basedir={prefix}",
            f"--datadir={data}",
            f"--init-file={_first_statements(folder, url, account)}",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            # A server that starts removes what others have in a folder for temporary tables.
            f"--tmpdir={data}",
            *options,
        ],
        account=account,
        folder=folder,
        env=env,
        answers=partial(_answers, url),
        stop=signal.SIGTERM,
    ):
        yield url


def _first_statements(folder: Path, url: URL, account: Account) -> Path:
    """Write what gives our login its rights and takes root's, who starts without a password."""
    statements = folder / "first.sql"
    statements.touch(mode=0o600)
    statements.write_text(
        f"CREATE USER '{url.username}'@'127.0.0.1' IDENTIFIED BY '{url.password}';\n"
        f"GRANT ALL ON *.* TO '{url.username}'@'127.0.0.1' WITH GRANT OPTION;\n"
        "DELETE FROM mysql.global_priv WHERE user IN ('root', '');\n"
        "FLUSH PRIVILEGES;\n"
    )
    account.give(statements)
    return statements
