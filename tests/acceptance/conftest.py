"""The wheel in an environment of its own, and desks to use it at."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from meisa_cdc.sandbox import SandboxServer
from tests.acceptance import installed
from tests.acceptance.installed import Desk, Program

OpenSandbox = Callable[..., SandboxServer]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout."""
    return installed.built_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Install the wheel into an environment that has nothing else of ours."""
    return Program.installed(wheel, tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture
def open_sandbox() -> Iterator[OpenSandbox]:
    """Return a function that runs one more sandbox until the test ends."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(installed.sandbox(**options))


@pytest.fixture
def desk_at(program: Program, open_sandbox: OpenSandbox, tmp_path: Path) -> Callable[..., Desk]:
    """Return a function that gives a user an empty folder and a sandbox, with these settings."""

    def sit_down(name: str = "desk", /, **settings: str) -> Desk:
        desk = Desk.at(tmp_path / name, program, open_sandbox())
        desk.settings.update(settings)
        return desk

    return sit_down


@pytest.fixture
def desk(desk_at: Callable[..., Desk]) -> Desk:
    """Return a desk with the small app."""
    desk = desk_at()
    desk.move_in()
    return desk
