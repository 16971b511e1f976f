"""Databases for tests: one server a session, one database a test."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from sqlalchemy import URL

from tests.databases import chinook as sample, mariadb, postgres, servers
from tests.databases.servers import Route, Server, ServerUnavailableError

DIALECTS = ("sqlite", "postgresql", "mysql")

# No test may hang on how fast this machine happens to be.
settings.register_profile("meisa-cdc", deadline=None)
settings.load_profile("meisa-cdc")

# A shell without job control starts what runs in the background deaf to Ctrl-C, and so would be
# the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class AppDatabase(NamedTuple):
    """A database of one of the three kinds."""

    #: As SQLAlchemy calls it: sqlite, postgresql, mysql (which MariaDB speaks).
    dialect: str
    url: str


def pytest_report_header() -> list[str]:
    """Show where the servers of this session are going to come from."""
    ways = {"Postgres": postgres.routes(), "MariaDB": mariadb.routes()}
    return [f"{name}: {_choice(routes)}" for name, routes in ways.items()]


def _choice(routes: list[Route]) -> str:
    first, *others = [route.origin for route in routes] or ["none"]
    return f"{first} (else {', '.join(others)})" if others else first


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """Run the session's Postgres."""
    with ExitStack() as stack:
        yield _entered(stack, "Postgres", postgres.routes())


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """Run the session's MariaDB."""
    with ExitStack() as stack:
        yield _entered(stack, "MariaDB", mariadb.routes())


def _entered(stack: ExitStack, name: str, routes: list[Route]) -> Server:
    try:
        return stack.enter_context(servers.first_that_starts(routes))
    except ServerUnavailableError as error:
        if servers.in_ci():
            pytest.fail(f"no {name} server: {error}", pytrace=False)
        pytest.skip(f"no {name} server: {error}")


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'app.db'}"


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """Yield the URL of an empty Postgres database."""
    with postgres.new_database(postgres_server) as url:
        yield _text(url)


@pytest.fixture
def mariadb_url(mariadb_server: Server) -> Iterator[str]:
    """Yield the URL of an empty MariaDB database."""
    with mariadb.new_database(mariadb_server) as url:
        yield _text(url)


@pytest.fixture(scope="session")
def _chinook_on_postgres(postgres_server: Server) -> Iterator[str | None]:
    with postgres.new_database(postgres_server) as url:
        sample.load_postgres(url)
        yield url.database


@pytest.fixture(scope="session")
def _chinook_on_mariadb(mariadb_server: Server) -> Iterator[str | None]:
    with mariadb.new_database(mariadb_server) as url:
        sample.load_mariadb(url)
        yield url.database


@pytest.fixture
def chinook_sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a SQLite file with the sample database."""
    path = tmp_path / "chinook.db"
    sample.load_sqlite(path)
    return f"sqlite:///{path}"


@pytest.fixture
def chinook_postgres_url(
    postgres_server: Server, _chinook_on_postgres: str | None
) -> Iterator[str]:
    """Yield the URL of a Postgres database with the sample."""
    with postgres.new_database(postgres_server, template=_chinook_on_postgres) as url:
        yield _text(url)


@pytest.fixture
def chinook_mariadb_url(mariadb_server: Server, _chinook_on_mariadb: str | None) -> Iterator[str]:
    """Yield the URL of a MariaDB database with the sample."""
    with mariadb.new_database(mariadb_server, template=_chinook_on_mariadb) as url:
        yield _text(url)


@pytest.fixture(params=DIALECTS)
def app_database(request: pytest.FixtureRequest) -> AppDatabase:
    """Return an empty database of each kind in turn."""
    return _of_kind(request, "sqlite_url", "postgres_url", "mariadb_url")


@pytest.fixture(params=DIALECTS)
def chinook(request: pytest.FixtureRequest) -> AppDatabase:
    """Return the sample on a database of each kind in turn."""
    return _of_kind(request, "chinook_sqlite_url", "chinook_postgres_url", "chinook_mariadb_url")


def _of_kind(request: pytest.FixtureRequest, *fixtures: str) -> AppDatabase:
    fixture = dict(zip(DIALECTS, fixtures, strict=True))[request.param]
    return AppDatabase(dialect=request.param, url=request.getfixturevalue(fixture))
