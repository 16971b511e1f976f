"""Random changes on real databases, followed by what triggers tell: no contact is missed."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Self

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.dialects import POSTGRESQL
from meisa_cdc.source.trigger_setup import creation
from tests.soundness.changing import Data, created
from tests.soundness.logged import ASKED, UNKEPT, UNMARKED, Follower, mapping, told_of
from tests.soundness.shapes import SHAPES, TABLES

MAPPINGS = [mapping(text, name=f"contacts/{n}") for n, text in enumerate(SHAPES)]


@pytest.fixture
def plain(postgres_url: str) -> str:
    """Return the URL of a database with the tables, all of whose changes are told."""
    plain = postgres_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(";".join(created()))
        for statement in creation(
            POSTGRESQL, "meisa_cdc", told_of(AppDatabase(postgres_url), MAPPINGS)
        ):
            connection.execute(statement)
    return plain


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    chosen=st.sets(st.integers(0, len(MAPPINGS) - 1), min_size=3, max_size=8),
    passes=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=6),
)
def test_whoever_differs_is_told(plain: str, seed, chosen, passes):
    """After any batch of changes, undone or not, acknowledged or not."""
    data = Data(random.Random(seed))
    url = plain.replace("postgresql:", "postgresql+psycopg:")
    follower = Follower(AppDatabase(url), [MAPPINGS[number] for number in sorted(chosen)])
    with psycopg.connect(plain) as app:
        app.execute(f"truncate {', '.join(TABLES)}; {'; '.join(data.first_rows())}")
        app.commit()
        assert set(follower.look().values()) <= {UNMARKED, UNKEPT}
        for undone, acknowledged in passes:
            if undone:
                rows = {table: [*rows] for table, rows in data.rows.items()}
                app.execute("; ".join(data.batch()))
                app.rollback()
                data.rows = rows
            app.execute("; ".join(data.batch()))
            app.commit()
            found = follower.look(acknowledge=acknowledged)
            assert UNMARKED not in found.values()


#: What each of several writers does at random, to few rows, so that they meet.
WRITES = (
    "insert into users (rid, id, team, boss, name) values ({0}, {1}, {2}, {3}, 'a')",
    "update users set team = {1}, name = 'b{0}' where id = {2}",
    "update users set id = {1} where id = {2} and name <> 'a'",
    "delete from users where id = {1} and team = {2}",
    "insert into posts (rid, id, author, size) values ({0}, {0}, {1}, {2})",
    "delete from posts where author = {1}",
    "update posts set author = {1} where author = {2}",
    "insert into teams (rid, id, owner, kind) values ({0}, {1}, {2}, 'a')",
    "update teams set kind = 'k{3}' where id = {1}",
    "delete from teams where id = {1}",
)
FOLLOWED = (
    "select u.id as external_id, u.name, t.kind from users u left join teams t on t.id = u.team",
    """select u.id as external_id, count(p.id) as n from users u
    left join posts p on p.author = u.id group by u.id""",
    """select u.id as external_id from users u where not exists (select 1 from posts p
    where p.author = u.id) and u.team in (select id from teams)""",
)


class Writers:
    """Threads that write until they are told to stop."""

    def __init__(self, connect: Callable[[], psycopg.Connection], number: int) -> None:
        self._stop = threading.Event()
        self._numbers = count(1)
        self.committed: Counter[int] = Counter()
        self._connect = connect
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(number)]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        with self._connect() as connection:
            connection.isolation_level = chance.choice((None, *psycopg.IsolationLevel))
            while not self._stop.is_set():
                with suppress(psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                    for statement in self._statements(chance):
                        connection.execute(statement)
                    if chance.random() < 0.8:
                        connection.commit()
                        self.committed[number] += 1
                connection.rollback()

    def _statements(self, chance: random.Random) -> Iterator[str]:
        for _ in range(chance.choice((1, 1, 2, 5, 30))):
            values = [chance.randint(1, 6) for _ in range(3)]
            statement = chance.choice(WRITES).format(next(self._numbers), *values)
            yield statement
            if chance.random() < 0.1:
                yield f"savepoint s; {statement}; rollback to s"


@pytest.mark.parametrize(("limit", "wanted"), [(1_000_000, "told"), (500, ASKED)])
def test_concurrent_writers_are_told_of(postgres_url: str, limit: int, wanted: str):
    """Each snapshot is told what it sees, also of a log that is full now and then."""
    plain = postgres_url.replace("+psycopg", "")
    mappings: Sequence = [mapping(text, name=f"contacts/{n}") for n, text in enumerate(FOLLOWED)]
    database = AppDatabase(postgres_url)
    follower = Follower(database, mappings)
    seen: Counter[str] = Counter()
    with psycopg.connect(plain, autocommit=True) as owner:
        owner.execute(";".join(created()))
        for statement in creation(
            POSTGRESQL, "meisa_cdc", told_of(database, mappings), limit=limit
        ):
            owner.execute(statement)
        with Writers(lambda: psycopg.connect(plain), 4) as writers:
            while seen[wanted] < 12 or len(writers.committed) < 4:
                # The small log is emptied once it was full, however slow the writers are.
                full = ASKED in follower.found.values()
                room = seen["told"] % 7 != 3 if wanted == "told" else full
                for found in follower.look(acknowledge=room).values():
                    seen[found if isinstance(found, str) else "told"] += 1
                    assert seen.total() < 3_000
        while ASKED in follower.look().values():
            seen["after"] += 1
            assert seen["after"] < 5
        assert all(each == [] for each in follower.look().values())
        assert owner.execute("select count(*) from meisa_cdc_changes").fetchone() == (0,)
