"""A log on SQLite, writers that are killed as well as we are: Meisa ends as the app database."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.log_setup import look
from tests.crash.driver import STEPS
from tests.installation import LATER, Installation, Person, Program, deliver, people, until
from tests.soundness.logged import mapping

#: What an app does until somebody kills it, mostly in the middle of a transaction.
WRITER = """
import random, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("pragma recursive_triggers = " + random.choice(("on", "off")))
print("writing", flush=True)
while True:
    connection.execute("begin immediate")
    for _ in range(random.choice((1, 2, 30))):
        key = f"u{random.randrange(40):04}"
        plan = random.choice(("free", "pro", "team"))
        connection.execute(random.choice((
            "insert or replace into users values (:key, :key || '@example.com', 'Ada', :plan)",
            "insert into users values (:key, :key || '@example.com', 'Ada', :plan)"
            " on conflict (id) do update set plan = excluded.plan",
            "update users set plan = :plan where id >= :key",
            "update or ignore users set first_name = :plan where id = :key",
            "delete from users where id = :key and id > 'u0009'",
        )), {"key": key, "plan": plan})
    connection.execute(random.choice(("commit", "commit", "rollback")))
"""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Have an app write to the file until the block ends, which kills it."""
    with subprocess.Popen((sys.executable, "-c", WRITER, str(path)), stdout=subprocess.PIPE) as app:
        assert app.stdout is not None
        assert app.stdout.readline() == b"writing\n"
        try:
            yield
        finally:
            app.kill()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    """Yield an installation whose app database tells what changes."""
    with Installation.at(tmp_path, MEISA_CDC_SCHEDULE__EVERY="1h") as home:
        home.map(plan="{{ config(capture='log') }}\nselect id as external_id, plan from users\n")
        home.app_has(people(40))
        database = AppDatabase(f"sqlite:///{home.app}")
        read = mapping("select id as external_id, email, first_name, plan from users")
        setup = look(database, [read])
        list(setup.applied(database.url, setup.steps))
        yield home


def different(home: Installation) -> dict[str, tuple[Person | None, Person | None]]:
    """Return who is not in Meisa as the app has them; who is gone from the app stays there."""
    app, meisa = home.app_users(), home.meisa_has()
    return {key: (app[key], meisa.get(key)) for key in app if app[key] != meisa.get(key)}


def agrees(home: Installation, *, later: float = 0.0) -> None:
    """Make sure that Meisa has what the app has, and that a full read finds nothing to add."""
    assert different(home) == {}
    ran = deliver(home.settings(MEISA_CDC_SCHEDULE__FULL_SCAN_EVERY="1ms"), later=later)
    assert (ran.failures, ran.plan.summary.requests) == ((), 0)


def test_writers_that_are_killed_are_followed(home: Installation):
    """Within seconds of the last commit, though no schedule is due and nothing is read in full."""
    with home.program("run") as program:
        until(lambda: not different(home))
        for _ in range(3):
            with writing(home.app):
                until(lambda: bool(different(home)))
        until(lambda: not different(home))
        assert len(program.events("pass")) > 1
        assert not program.events("mapping failed")
        program.signal(signal.SIGTERM)
        assert program.ended() == 0
    agrees(home)


@pytest.mark.parametrize("step", ["before a read is recorded", "after a read is recorded"])
def test_f01_what_the_log_told_survives_kills(home: Installation, step: str):
    """Whoever dies before the bookmarks are stored is told the same again, amid more changes."""
    deliver(home.settings())
    assert step in STEPS
    for number in range(1, 4):
        with (
            writing(home.app),
            Program(
                (step, str(number), str(number * LATER)),
                folder=home.folder,
                settings=home.environ,
                module="tests.crash.driver",
            ) as victim,
        ):
            assert victim.ended() in (-signal.SIGKILL, 0), victim.told()
    deliver(home.settings(), later=5 * LATER)
    agrees(home, later=5 * LATER)
