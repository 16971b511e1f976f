"""An app on Postgres whose users change things all at once, and what Meisa should know of it."""

import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg

from meisa_cdc.source.dialects import POSTGRESQL
from meisa_cdc.source.trigger_setup import creation
from tests.installation.place import Installation

SCHEMA = """
create table users (id integer primary key, email text not null, first_name text, bio text);
create table teams (id integer primary key, name text);
create table members (user_id integer primary key, team_id integer);
create table subscriptions (id serial primary key, user_id integer, plan text, ended boolean);
create index on subscriptions (user_id);
create table posts (id serial primary key, author_id integer, title text);
create index on posts (author_id);
insert into users select n, n || '@example.com', 'Name ' || n, repeat('long ', 2000)
from generate_series(1, 60) n;
insert into teams select n, 'Team ' || n from generate_series(1, 5) n;
insert into members select n, n % 5 + 1 from generate_series(1, 60) n;
insert into subscriptions (user_id, plan, ended) select n, 'free', false
from generate_series(1, 60) n;
insert into posts (author_id, title) select n % 30 + 1, 'First' from generate_series(1, 90) n;
"""
MAPPINGS = {
    "identity": "select id as external_id, email, first_name from users",
    "team": """
    select m.user_id as external_id, t.name as team
    from members m join teams t on t.id = m.team_id""",
    "plan": """
    select distinct on (s.user_id) s.user_id as external_id, s.plan
    from subscriptions s where not s.ended order by s.user_id, s.id desc""",
    "usage": """
    select p.author_id as external_id, count(*) as posts, max(p.title) as title
    from posts p group by p.author_id having count(*) > 2""",
}
FIELDS = ("team", "plan", "posts", "title")
USERS, TEAMS = 80, 7
CHANGES = (
    """insert into users values (%(user)s, %(user)s || '@example.com', %(text)s, 'short')
    on conflict (id) do update set first_name = excluded.first_name""",
    "update users set first_name = %(text)s where id %% 7 = %(user)s %% 7",
    "update users set email = %(text)s || id || '@example.com' where id = %(user)s",
    "delete from users where id = %(user)s",
    "insert into teams values (%(team)s, %(text)s) on conflict (id) do update set name = %(text)s",
    "delete from teams where id = %(team)s",
    """insert into members values (%(user)s, %(team)s)
    on conflict (user_id) do update set team_id = excluded.team_id""",
    "delete from members where user_id = %(user)s",
    "insert into subscriptions (user_id, plan, ended) values (%(user)s, %(text)s, false)",
    "update subscriptions set ended = not ended where user_id = %(user)s",
    "update subscriptions set user_id = %(user)s where id = %(team)s * 9",
    "delete from subscriptions where user_id = %(user)s and ended",
    "insert into posts (author_id, title) values (%(user)s, %(text)s)",
    "update posts set author_id = %(user)s where id %% 11 = %(team)s",
    "delete from posts where author_id = %(user)s and id %% 2 = 0",
)
TEXTS = ("pro", "team", "Ada", "Bea", "Cy")
SLOT = (
    "create publication meisa_cdc for table users, teams, members, subscriptions, posts",
    "select pg_create_logical_replication_slot('meisa_cdc', 'pgoutput')",
)
#: Old rows are told whole, but of users, who are found by the key of their table.
FULL = tuple(
    f"alter table {table} replica identity full"
    for table in ("teams", "members", "subscriptions", "posts")
)
#: The columns that the mappings read.
READ = {
    "public.users": ("id", "email", "first_name"),
    "public.teams": ("id", "name"),
    "public.members": ("user_id", "team_id"),
    "public.subscriptions": ("id", "user_id", "plan", "ended"),
    "public.posts": ("author_id", "title"),
}
LOGS = {
    "slot": (*FULL, *SLOT),
    "triggers": creation(POSTGRESQL, "meisa_cdc", READ),
}
#: How long the writers write in tests that say nothing else.
SECONDS = float(os.environ.get("MEISA_TEST_WRITER_SECONDS", "6"))


def plain(url: str) -> str:
    """Return a URL as the driver takes it."""
    return url.replace("+psycopg", "")


def execute(url: str, *statements: str) -> None:
    """Change the app database, each statement in a transaction of its own."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def connections(url: str) -> int:
    """Return how many connections of ours there are."""
    text = """select count(*) from pg_stat_activity
        where datname = current_database() and application_name like 'meisa-cdc%'"""
    with psycopg.connect(plain(url)) as connection:
        row = connection.execute(text).fetchone()
    return 0 if row is None else int(row[0])


@contextmanager
def app_with_writers(
    folder: Path, url: str, *log: str, **settings: str
) -> Iterator[tuple[Installation, "Writers"]]:
    """Yield an installation on a new Postgres database, and those who write there.

    `log`: statements that make the database keep a log of changed rows.
    """
    execute(url, *(each for each in SCHEMA.split(";") if each.strip()), *log)
    given = {
        "MEISA_CDC_APP_DATABASE__URL": plain(url),
        "MEISA_CDC_SUPPRESSION__URL": f"sqlite:///{folder / 'suppressed.db'}",
        "MEISA_CDC_GUARD__MAX_CHANGE": "100%",
        "MEISA_CDC_GUARD__MAX_MISSING": "100%",
        "MEISA_CDC_GUARD__MIN_CONTACTS": "100000",
        "MEISA_CDC_SCHEDULE__EVERY": "1h",
        **settings,
    }
    (folder / "suppressed.db").touch()
    with Installation.at(folder, None, **given) as home:
        (folder / "mappings" / "contacts" / "plan.sql").unlink()
        home.map(**MAPPINGS)
        writers = Writers(url=plain(url))
        try:
            yield home, writers
        finally:
            writers.stop()


@dataclass(kw_only=True)
class Writers:
    """Several connections that change rows, some of them slowly, some in vain."""

    url: str
    count: int = 3
    _ending: Event = field(default_factory=Event)
    _threads: list[Thread] = field(default_factory=list)
    #: Transactions that were committed, by writer.
    committed: dict[int, int] = field(default_factory=dict)

    def start(self) -> None:
        """Begin."""
        self._ending.clear()
        self._threads = [
            Thread(target=self._write, args=(each,), daemon=True) for each in range(self.count)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, with every transaction committed or rolled back."""
        self._ending.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        self._threads = []

    def _write(self, number: int) -> None:
        chance = random.Random(number)
        with psycopg.connect(self.url) as connection:
            while not self._ending.is_set():
                with suppress(psycopg.errors.DeadlockDetected), connection.transaction() as block:
                    for _ in range(chance.choice((1, 1, 2, 5))):
                        self._change(connection, chance)
                        if chance.random() < 0.1:
                            self._ending.wait(0.2)
                    if chance.random() < 0.15:
                        raise psycopg.Rollback(block)
                self.committed[number] = self.committed.get(number, 0) + 1
                self._ending.wait(chance.random() * 0.05)

    def _change(self, connection: "psycopg.Connection[Any]", chance: random.Random) -> None:
        values: Mapping[str, object] = {
            "user": chance.randint(1, USERS),
            "team": chance.randint(1, TEAMS),
            "text": chance.choice(TEXTS),
        }
        with connection.transaction() as block:
            connection.execute(chance.choice(CHANGES).encode(), values)
            if chance.random() < 0.1:
                raise psycopg.Rollback(block)


def wanted(url: str) -> dict[str, dict[str, Any]]:
    """Return what Meisa should know of each user."""
    with psycopg.connect(plain(url)) as connection:
        rows = {
            name: connection.execute(text.encode()).fetchall() for name, text in MAPPINGS.items()
        }
    found = {
        str(key): {"email": email, "first_name": name, **dict.fromkeys(FIELDS)}
        for key, email, name in rows["identity"]
    }
    for name, columns in (("team", ("team",)), ("plan", ("plan",)), ("usage", FIELDS[2:])):
        for key, *values in rows[name]:
            if str(key) in found:
                found[str(key)].update(zip(columns, values, strict=True))
    return found


def known(home: Installation) -> dict[str, dict[str, Any]]:
    """Return what Meisa knows of each contact."""
    return {
        str(contact["external_id"]): {
            "email": contact["email"],
            "first_name": contact["first_name"],
            **{name: _custom(contact).get(name) for name in FIELDS},
        }
        for contact in home.account.contacts()
    }


def _custom(contact: Mapping[str, object]) -> dict[str, Any]:
    custom = contact["custom_fields"]
    return dict(custom) if isinstance(custom, dict) else {}


def differing(home: Installation, url: str) -> dict[str, tuple[Any, Any]]:
    """Return what Meisa should know and what it knows, of users of whom that is not the same."""
    has = known(home)
    return {key: (user, has.get(key)) for key, user in wanted(url).items() if user != has.get(key)}


def write_for(writers: Writers, seconds: float = SECONDS) -> None:
    """Let them write for so long."""
    writers.start()
    time.sleep(seconds)
    writers.stop()
    assert all(count > 3 for count in writers.committed.values())
