"""States to migrate, in a file and on Postgres."""

from pathlib import Path

import pytest

from meisa_cdc.testing import HandClock
from tests.migrations.folders import with_next


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture(params=["sqlite", "postgres"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a state that does not exist yet, in a file and on Postgres in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """Return the migrations of a version to come."""
    return with_next(tmp_path)
