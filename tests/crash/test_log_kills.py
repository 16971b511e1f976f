"""A log of changed rows, writers that never rest, kill -9: Meisa ends as the app database."""

import signal
from pathlib import Path

import pytest

from tests.crash.driver import STEPS
from tests.installation import LATER, Installation, Program, deliver, until
from tests.installation.writers import (
    LOGS,
    app_with_writers,
    differing,
    write_for,
)


def agrees(home: Installation, url: str, *, later: float = 0.0) -> None:
    """Make sure that Meisa has what the app has, and that a full read finds nothing to add."""
    assert differing(home, url) == {}
    ran = deliver(home.settings(MEISA_CDC_SCHEDULE__FULL_SCAN_EVERY="1ms"), later=later)
    assert (ran.failures, ran.plan.summary.requests) == ((), 0)


@pytest.mark.parametrize("log", LOGS)
def test_concurrent_writers_are_followed(tmp_path: Path, postgres_url: str, log: str):
    """Within seconds of the last commit, though no schedule is due and nothing is read in full."""
    with app_with_writers(tmp_path, postgres_url, *LOGS[log]) as (home, writers):
        with home.program("run") as program:
            until(lambda: not differing(home, postgres_url))
            assert len(program.heard("pass")) == 1
            write_for(writers)
            until(lambda: not differing(home, postgres_url))
            assert len(program.events("pass")) > 1
            assert not program.events("mapping failed")
            program.signal(signal.SIGTERM)
            assert program.ended() == 0
        agrees(home, postgres_url)


@pytest.mark.parametrize("step", ["before a read is recorded", "after a read is recorded"])
@pytest.mark.parametrize("log", LOGS)
def test_f01_what_the_log_told_survives_kills(
    tmp_path: Path, postgres_url: str, log: str, step: str
):
    """Whoever dies before the log was cut off is told the same again, amid more changes."""
    with app_with_writers(tmp_path, postgres_url, *LOGS[log]) as (home, writers):
        deliver(home.settings())
        assert step in STEPS
        writers.start()
        for number in range(1, 5):
            arguments = (step, str(number), str(number * LATER))
            module = "tests.crash.driver"
            with Program(
                arguments, folder=home.folder, settings=home.environ, module=module
            ) as victim:
                assert victim.ended() in (-signal.SIGKILL, 0), victim.told()
        writers.stop()
        deliver(home.settings(), later=5 * LATER)
        agrees(home, postgres_url, later=5 * LATER)
