"""kill -9 at every commit of a pass that adds up rows: no bucket passes for settled that is not."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from meisa_cdc.sync.judging import BATCH
from meisa_cdc.wiring import Wiring
from tests.crash.killing import kill, killed_at_commit
from tests.installation import LATER, Installation, Person, deliver
from tests.installation.cycle import LaterClock
from tests.unit.sync.comparing import found

#: Users; and more than are stored at once.
FEW, MANY = 120, BATCH + 20
IDENTITY = """{{ config(capture='checksum') }}
select id as external_id, email, first_name from users"""
PLAN = """{{ config(capture='checksum') }}
select user_id as external_id, plan from plans"""
TABLES = """
create table users (id int primary key, email text, first_name text);
create table plans (user_id int primary key, plan text);
"""
SIGN_UP = """
insert into users select n, n || '@example.com', 'Ada' from generate_series({0}, {1}) n;
insert into plans select n, 'free' from generate_series({0}, {1}) n;
"""
#: Everybody has another name, some have another plan or none, some are gone; which, depends on the
#: round.
CHANGE = """
create table users_before as table users;
create table plans_before as table plans;
update users set first_name = 'Grace' || {0};
update plans set plan = 'team' where user_id % 50 = {0} % 50;
delete from users where id % 90 = {0};
delete from plans where user_id % 90 = {0} + 1;
"""
#: Nearly all is as it was before.
BACK = """
update users u set first_name = b.first_name from users_before b
where u.id = b.id and u.id % 60 <> {0};
update plans p set plan = b.plan from plans_before b
where p.user_id = b.user_id and p.user_id % 4 <> 0;
insert into users select * from users_before b
where id % 4 <> 0 and not exists (select from users where id = b.id);
insert into plans select * from plans_before b
where user_id % 4 <> 0 and not exists (select from plans where user_id = b.user_id);
delete from users where id = {1};
drop table users_before, plans_before;
"""


class App:
    """The app database."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def do(self, statements: str, *numbers: int) -> None:
        """Change it, in one transaction."""
        formatted = sql.SQL(statements).format(*map(sql.Literal, numbers))
        self._connection.execute(formatted)

    def users(self) -> dict[str, Person]:
        """Return what Meisa should have of each user; no plan is NULL."""
        rows = self._connection.execute(
            "select id::text, email, first_name, plan from users u left join plans on user_id = id"
        )
        return {key: Person(*values) for key, *values in rows}


@pytest.fixture
def app(postgres_url: str) -> Iterator[App]:
    """Yield an app database with nobody in it."""
    plain = postgres_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        app = App(connection)
        app.do(TABLES)
        yield app


@pytest.fixture
def home(tmp_path: Path, postgres_url: str, app: App) -> Iterator[Installation]:
    """Yield an installation that was never used, which holds nothing however much changes."""
    with Installation.at(
        tmp_path,
        MEISA_CDC_APP_DATABASE__URL=postgres_url,
        MEISA_CDC_GUARD__MAX_CHANGE="100%",
    ) as home:
        home.map(identity=IDENTITY, plan=PLAN)
        yield home


def finish(home: Installation, app: App, *, later: float) -> None:
    """Do one clean run; then Meisa has what the app has, and reading every row finds nothing."""
    settings = home.settings()
    ran = deliver(settings, later=later)
    assert (ran.failures, ran.rejected, ran.unknown, ran.deferred) == ((), 0, 0, 0)
    users = app.users()
    assert {key: person for key, person in home.meisa_has().items() if key in users} == users
    wiring = Wiring(settings=settings, clock=LaterClock(ahead=later))
    with wiring.state_to_read() as state:
        passes = replace(
            wiring.passes(state, wiring.windows(state), wiring.mappings()), full_every=0.0
        )
        with passes.look(passes.mappings, whole=True) as look:
            assert found(look) == {}
            assert look.captured.rows["contacts/identity"] == len(users)
            assert state.counts().present == len(users)


def test_killed_at_every_commit_of_a_pass(home: Installation, app: App):
    """Rows changed, went or came before the kill, and are as they were before the next pass."""
    app.do(SIGN_UP, 1, FEW)
    finish(home, app, later=0.0)
    for number in count(1):
        new = FEW + 2 * number
        app.do(CHANGE, number)
        app.do(SIGN_UP, new, new + 1)
        earlier, later = 2 * number * LATER, (2 * number + 1) * LATER
        dead = killed_at_commit(home, number, later=earlier, requests=3)
        app.do(BACK, number, new)
        finish(home, app, later=later)
        if not dead:
            break
    assert number > 10


def test_killed_between_two_batches_of_a_pass(home: Installation, app: App):
    """What the first batch stored is looked at again, though its rows add up as before."""
    app.do(SIGN_UP, 1, MANY)
    finish(home, app, later=0.0)
    app.do(CHANGE, 1)
    kill(home, "between two batches of a pass")
    with home.state() as state:
        assert 0 < sum(state.counts().backlog.values()) < len(app.users())
    app.do(BACK, 1, 0)
    finish(home, app, later=LATER)
