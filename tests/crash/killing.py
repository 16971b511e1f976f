"""Runs that end by SIGKILL: at a named step of a delivery, or instead of a commit of the state."""

import multiprocessing
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from meisa_cdc.settings import load_settings
from meisa_cdc.sync.once import Limits
from tests.installation import Installation, Program, deliver
from tests.installation.program import PATIENCE

#: Each run is a fork of one process that has imported everything: far quicker than a new program.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


def kill(
    home: Installation, step: str, number: int = 1, *, later: float = 0.0, **more: str
) -> None:
    """Run the driver beside this until it dies at a step, with these settings on top."""
    arguments = (step, str(number), str(later))
    settings = {**home.environ, **more}
    module = "tests.crash.driver"
    with Program(arguments, folder=home.folder, settings=settings, module=module) as victim:
        assert victim.ended() == -signal.SIGKILL, victim.told()


def killed_at_commit(
    home: Installation, number: int, *, later: float = 0.0, requests: int = 0
) -> bool:
    """Run until the state's commit of that number is due, and die instead of it.

    So everything that was stored before is there, and nothing else. False where the run came to
    its end with fewer. It sends at most so many requests, and its clock is `later` seconds ahead.
    """
    arguments = (number, dict(home.environ), home.folder, later, requests)
    process = _PROCESSES.Process(target=_run, args=arguments, daemon=True)
    process.start()
    process.join(PATIENCE)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _run(
    number: int, environ: Mapping[str, str], folder: Path, later: float, requests: int
) -> None:
    left = number

    def die(connection: Connection) -> None:
        nonlocal left
        if connection.dialect.name == "sqlite":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "commit", die)
    settings = load_settings(environ=environ, cwd=folder)
    deliver(settings, later=later, limits=Limits(no_wait=True, requests=requests))
