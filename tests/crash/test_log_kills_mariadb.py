"""Triggers on MariaDB, writers that never rest, kill -9: Meisa ends as the app database."""

import random
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pymysql
import pytest
from sqlalchemy import make_url

from meisa_cdc.core.mapping import CONTACTS, Mapping
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.log_setup import look
from tests.installation import LATER, Installation, Program, deliver, until
from tests.installation.writers import SECONDS

SCHEMA = """
create table users (id bigint unsigned primary key auto_increment, email varchar(80) not null,
    first_name varchar(40));
create table teams (id int primary key, name varchar(40));
create table members (user_id bigint unsigned primary key, team_id int, key (team_id));
create table posts (id int primary key auto_increment, author_id bigint unsigned,
    title varchar(40), key (author_id));
insert into users select seq, concat(seq, '@example.com'), concat('Name ', seq) from seq_1_to_60;
insert into teams select seq, concat('Team ', seq) from seq_1_to_5;
insert into members select seq, seq mod 5 + 1 from seq_1_to_60;
insert into posts (author_id, title) select seq mod 30 + 1, 'First' from seq_1_to_90
"""
MAPPINGS = {
    "identity": "select id as external_id, email, first_name from users",
    "team": """select m.user_id as external_id, t.name as team
    from members m join teams t on t.id = m.team_id""",
    "usage": """select p.author_id as external_id, count(*) as posts, max(p.title) as title
    from posts p group by p.author_id having count(*) > 2""",
}
CHANGES = (
    "replace into users values ({user}, '{user}@example.com', '{text}')",
    "update users set first_name = '{text}' where id mod 7 = {team}",
    "update users set email = concat('{text}', id, '@example.com') where id = {user}",
    "delete from users where id = {user}",
    "insert into teams values ({team}, '{text}') on duplicate key update name = '{text}'",
    "delete from teams where id = {team}",
    "insert into members values ({user}, {team}) on duplicate key update team_id = {team}",
    "delete from members where user_id = {user}",
    "insert into posts (author_id, title) values ({user}, '{text}')",
    "update posts set author_id = {user} where id mod 11 = {team}",
    "delete from posts where author_id = {user} and id mod 2 = 0",
)


def connected(url: str) -> pymysql.Connection:
    """Connect as the app does."""
    place = make_url(url)
    return pymysql.connect(
        host=place.host,
        port=place.port or 3306,
        user=place.username,
        password=str(place.password or ""),
        database=place.database,
    )


def rows(url: str, text: str) -> list[tuple[Any, ...]]:
    """Ask the app database."""
    with closing(connected(url)) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        return list(cursor.fetchall())


class Writers:
    """Several connections that change rows, some of them slowly, some in vain."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ending = Event()
        self._threads = [Thread(target=self._write, args=(n,), daemon=True) for n in range(3)]
        self.committed = [0, 0, 0]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, with every transaction committed or rolled back."""
        self._ending.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def write_for(self, seconds: float) -> None:
        """Write for so long."""
        self.start()
        self._ending.wait(seconds)
        self.stop()
        assert all(count > 3 for count in self.committed)

    def _write(self, number: int) -> None:
        chance = random.Random(number)
        with closing(connected(self._url)) as connection, connection.cursor() as cursor:
            while not self._ending.is_set():
                # They have deadlocks of their own, whether or not there are triggers.
                with suppress(pymysql.err.OperationalError):
                    for _ in range(chance.choice((1, 1, 2, 5))):
                        values = {"user": chance.randint(1, 80), "team": chance.randint(1, 7)}
                        text = chance.choice(("pro", "Ada", "Bea"))
                        cursor.execute(chance.choice(CHANGES).format(text=text, **values))
                        if chance.random() < 0.1:
                            self._ending.wait(0.2)
                    if chance.random() < 0.85:
                        connection.commit()
                        self.committed[number] += 1
                connection.rollback()
                self._ending.wait(chance.random() * 0.05)


@contextmanager
def followed(folder: Path, url: str) -> Iterator[Installation]:
    """Yield an installation whose app database keeps a log by triggers."""
    with closing(connected(url)) as connection, connection.cursor() as cursor:
        for statement in SCHEMA.split(";\n"):
            cursor.execute(statement)
        connection.commit()
    mappings = [
        Mapping(name=f"contacts/{name}", text=text, digest=text, kind=CONTACTS, capture="log")
        for name, text in MAPPINGS.items()
    ]
    setup = look(AppDatabase(url), mappings)
    assert [need.scan for need in setup.needs] == [None, None, None]
    list(setup.applied(make_url(url), setup.steps))
    given = {
        "MEISA_CDC_APP_DATABASE__URL": url,
        "MEISA_CDC_SUPPRESSION__URL": f"sqlite:///{folder / 'suppressed.db'}",
        "MEISA_CDC_GUARD__MAX_CHANGE": "100%",
        "MEISA_CDC_GUARD__MAX_MISSING": "100%",
        "MEISA_CDC_GUARD__MIN_CONTACTS": "100000",
        "MEISA_CDC_SCHEDULE__EVERY": "1h",
    }
    (folder / "suppressed.db").touch()
    with Installation.at(folder, None, **given) as home:
        (folder / "mappings" / "contacts" / "plan.sql").unlink()
        home.map(**MAPPINGS)
        yield home


def differing(home: Installation, url: str) -> dict[str, Any]:
    """Return what Meisa should know and what it knows, of users of whom that is not the same."""
    found = {
        str(key): {"email": email, "first_name": name, "team": None, "posts": None, "title": None}
        for key, email, name in rows(url, MAPPINGS["identity"])
    }
    for key, team in rows(url, MAPPINGS["team"]):
        if str(key) in found:
            found[str(key)]["team"] = team
    for key, posts, title in rows(url, MAPPINGS["usage"]):
        if str(key) in found:
            found[str(key)] |= {"posts": posts, "title": title}
    known = {}
    for contact in home.account.contacts():
        custom = contact["custom_fields"]
        custom = custom if isinstance(custom, dict) else {}
        known[str(contact["external_id"])] = {
            "email": contact["email"],
            "first_name": contact["first_name"],
            **{name: custom.get(name) for name in ("team", "posts", "title")},
        }
    return {key: (user, known.get(key)) for key, user in found.items() if user != known.get(key)}


def agrees(home: Installation, url: str, *, later: float = 0.0) -> None:
    """Make sure that Meisa has what the app has, and that a full read finds nothing to add."""
    assert differing(home, url) == {}
    ran = deliver(home.settings(MEISA_CDC_SCHEDULE__FULL_SCAN_EVERY="1ms"), later=later)
    assert (ran.failures, ran.plan.summary.requests) == ((), 0)


def test_concurrent_writers_are_followed(tmp_path: Path, mariadb_url: str):
    """Within seconds of the last commit, though no schedule is due and nothing is read in full."""
    writers = Writers(mariadb_url)
    with followed(tmp_path, mariadb_url) as home:
        with home.program("run") as program:
            until(lambda: not differing(home, mariadb_url), within=60)
            writers.write_for(SECONDS)
            until(lambda: not differing(home, mariadb_url), within=60)
            assert len(program.events("pass")) > 1
            assert not program.events("mapping failed")
            program.signal(signal.SIGTERM)
            assert program.ended() == 0
        agrees(home, mariadb_url)


@pytest.mark.parametrize("step", ["before a read is recorded", "after a read is recorded"])
def test_f01_what_the_log_told_survives_kills(tmp_path: Path, mariadb_url: str, step: str):
    """Whoever dies before the log was emptied is told the same again, amid more changes."""
    writers = Writers(mariadb_url)
    with followed(tmp_path, mariadb_url) as home:
        deliver(home.settings())
        writers.start()
        for number in range(1, 4):
            arguments = (step, str(number), str(number * LATER))
            module = "tests.crash.driver"
            with Program(
                arguments, folder=home.folder, settings=home.environ, module=module
            ) as victim:
                assert victim.ended() in (-signal.SIGKILL, 0), victim.told()
        writers.stop()
        deliver(home.settings(), later=5 * LATER)
        agrees(home, mariadb_url, later=5 * LATER)
