"""The state in each of its forms: in memory, in a SQLite file, on Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meisa_cdc.ports import State
from meisa_cdc.state import open_state
from meisa_cdc.testing import HandClock, MemoryState
from tests.databases import postgres
from tests.databases.servers import Server


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture(scope="session")
def _tables_on_postgres(postgres_server: Server) -> Iterator[str | None]:
    with postgres.new_database(postgres_server) as url:
        open_state(url, clock=HandClock()).close()
        yield url.database


@pytest.fixture
def postgres_state(
    postgres_server: Server, _tables_on_postgres: str | None, clock: HandClock
) -> Iterator[State]:
    """Yield an empty state on Postgres, with its lease."""
    with (
        postgres.new_database(postgres_server, template=_tables_on_postgres) as url,
        open_state(url, clock=clock) as state,
    ):
        state.lease("test").acquire()
        yield state


@pytest.fixture
def sqlite_state(tmp_path: Path, clock: HandClock) -> Iterator[State]:
    """Yield an empty state in a file, with its lease."""
    with open_state(f"sqlite:///{tmp_path / 'state.db'}", clock=clock) as state:
        state.lease("test").acquire()
        yield state


@pytest.fixture
def memory_state() -> State:
    """Return an empty state in memory."""
    return MemoryState()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def state(request: pytest.FixtureRequest) -> State:
    """Return an empty state of each kind in turn."""
    found: State = request.getfixturevalue(f"{request.param}_state")
    return found
