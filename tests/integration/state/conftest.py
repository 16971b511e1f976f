"""States in files and on Postgres, opened as the program opens them."""

from pathlib import Path

import pytest

from meisa_cdc.state import open_state
from meisa_cdc.testing import HandClock
from tests.integration.state.states import fill


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a state that does not exist yet, in a folder of its own."""
    folder = tmp_path / "state folder"
    folder.mkdir()
    return folder / "state.db"


@pytest.fixture(params=["sqlite", "postgres"])
def state_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a state that does not exist yet, in a file and on Postgres in turn."""
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("file")
        return f"sqlite:///{path}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def filled(file: Path, clock: HandClock) -> Path:
    """Return the path of a state with contacts in it, closed properly."""
    with open_state(f"sqlite:///{file}", clock=clock) as state:
        fill(state)
    return file
