"""What a logical slot tells a snapshot of a real Postgres, and what makes it useless."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import make_url

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.changelog import MOST_CHANGES
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.snapshot import DatabaseSnapshot

TABLES = """
create type mood as enum ('good', 'bad''"s');
create table users (id integer primary key, email text);
create table subs (id serial primary key, user_id integer, plan text, mood mood, at timestamptz,
    amount double precision, raw bytea, tags text[], long text);
create table named (code text not null unique, "User Id" integer not null unique, label text,
    shouted text generated always as (upper(label)) stored);
create table other (id integer);
alter table subs replica identity full;
alter table named replica identity using index "named_User Id_key";
insert into users select n, n || '@example.com' from generate_series(1, 9) n;
insert into subs (user_id, plan, long)
select n, 'free', string_agg(md5(n::text || i::text), '') from generate_series(1, 9) n,
    generate_series(1, 300) i group by n;
insert into named select 'c' || n, n, 'label' from generate_series(1, 9) n;
create publication meisa_cdc for table users, subs, named;
select pg_create_logical_replication_slot('meisa_cdc', 'pgoutput');
"""


#: A change that the log does not have, and all is as it was.
REPUBLISHED = tuple(
    f"{before}; update subs set plan = 'unseen'; {after}"
    for before, after in (
        (
            "alter publication meisa_cdc drop table subs",
            "alter publication meisa_cdc add table subs",
        ),
        (
            "drop publication meisa_cdc",
            "create publication meisa_cdc for table users, subs, named",
        ),
        (
            "alter publication meisa_cdc set (publish = 'insert')",
            "alter publication meisa_cdc set (publish = 'insert, update, delete, truncate')",
        ),
    )
)
SWAPPED = """alter table subs rename plan to x; alter table subs rename long to plan;
    alter table subs rename x to long"""


def mapping(text: str, capture: str = "log") -> Mapping:
    """Return a mapping with this text."""
    return Mapping(
        name="contacts/x", text=text, digest=text + capture, kind="contacts", capture=capture
    )


PEOPLE = mapping("select id as external_id, email from users")
PLANS = mapping("""
    select s.user_id as external_id, s.plan, s.amount, s.long from subs s
    where s.mood is distinct from 'bad''"s' and s.at is null and s.raw is null and s.tags is null
""")
NAMED = mapping('select "User Id" as external_id, label from named')
JOINED = mapping("""
    select u.id as external_id, s.plan from users u join subs s on s.user_id = u.id
    where s.long is not null
""")


class App:
    """The app's own connections."""

    def __init__(self, url: str) -> None:
        self.url = url.replace("+psycopg", "")
        self.connection = psycopg.connect(self.url, autocommit=True)
        self.source = AppDatabase(url)
        for statement in TABLES.split(";"):
            if statement.strip():
                self.do(statement)

    def do(self, *statements: str) -> None:
        """Change something, each statement in a transaction of its own."""
        for statement in statements:
            self.connection.execute(statement.encode())

    @contextmanager
    def other(self) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
        """Yield a second connection."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            yield connection

    def told(self, *mappings: Mapping) -> list[set[str] | None]:
        """Return whom a new snapshot is told of; the log is cut off behind it."""
        with self.source.snapshot() as snapshot:
            found = changed(snapshot, *mappings)
            upto = snapshot.upto()
        assert upto is not None
        self.source.acknowledge(upto)
        return found

    def why(self, each: Mapping = PLANS) -> tuple[str, str]:
        """Return which capture a mapping has, and why."""
        with self.source.snapshot() as snapshot:
            capture = snapshot.capture(each)
        return capture.kind, capture.why


def changed(snapshot: DatabaseSnapshot, *mappings: Mapping) -> list[set[str] | None]:
    """Return whom the log tells of, by mapping; None: everybody."""
    for each in mappings:
        assert snapshot.capture(each).kind == "log"
        snapshot.trail(each)
    found: list[set[str] | None] = []
    for each in mappings:
        keys = snapshot.changed(each, 0)
        found.append(None if keys is None else {key for batch in keys for key in batch})
    return found


@pytest.fixture
def app(postgres_url: str) -> Iterator[App]:
    """Yield an app that keeps a log."""
    app = App(postgres_url)
    yield app
    app.connection.close()


def test_every_kind_of_change_is_told(app: App):
    """With the row as it was, if only what identifies it is told; nothing twice."""
    app.do(
        "update subs set plan = 'pro' where user_id = 1",
        "insert into subs (user_id, plan) values (2, 'new')",
        "delete from subs where user_id = 3",
        "update subs set user_id = 4 where user_id = 5",
        "update users set email = 'a' where id = 6",
        "update users set id = 70 where id = 7",
        "delete from users where id = 8",
        'update named set "User Id" = 90 where "User Id" = 9',
        "update named set label = 'x' where code = 'c1'",
        "delete from named where code = 'c2'",
    )
    expected = [{"1", "2", "3", "4", "5"}, {"6", "7", "70", "8"}, {"9", "90", "1", "2"}]
    assert app.told(PLANS, PEOPLE, NAMED) == expected
    assert app.told(PLANS, PEOPLE, NAMED) == [set(), set(), set()]


def test_what_was_rolled_back_is_not_told(app: App):
    """A transaction, or a part of one."""
    app.do("begin", "update subs set plan = 'pro' where user_id = 1", "rollback")
    app.do("begin", "update subs set plan = 'pro' where user_id = 2", "savepoint here")
    app.do("update subs set plan = 'pro' where user_id = 3", "rollback to here", "commit")
    assert app.told(PLANS) == [{"2"}]


def test_values_of_all_kinds_come_back_as_they_were(app: App):
    """The query for the keys reads them in the column's own type; a change of others is none."""
    app.do(
        """update subs set mood = 'bad''"s', at = '2026-01-12 08:30:00.5+02', tags = '{a,"b c"}',
           amount = 0.1, raw = '\\x00ff' where user_id = 1""",
        "update subs set long = 'short' where user_id = 2",
    )
    text = """select s.user_id as external_id, u.email, s.mood, s.at, s.amount, s.raw, s.tags
        from subs s join users u on u.id = s.user_id and s.amount > 0.05
        and s.at > '2026-01-12 06:30:00+00' and s.mood = 'bad''"s'"""
    assert app.told(mapping(text)) == [{"1"}]


def test_a_large_value_that_stays_is_known(app: App):
    """The server does not tell it again."""
    app.do("update subs set plan = 'pro' where user_id = 1")
    assert app.told(JOINED, PLANS) == [{"1"}, {"1"}]


def test_a_table_nobody_follows_moves_the_log_on(app: App):
    """The server need not keep what is not for us."""
    app.do("insert into other select generate_series(1, 1000)")
    with app.source.snapshot() as snapshot:
        before = snapshot.trail(PLANS).start
        upto = snapshot.upto()
    assert upto is not None
    assert upto > before
    app.source.acknowledge(upto)
    with app.source.snapshot() as snapshot:
        assert snapshot.trail(PLANS).start == upto


def test_what_the_snapshot_does_not_see_is_told_again(app: App):
    """It was committed after the snapshot was opened and before the log was read."""
    with app.other() as late:
        late.execute("begin")
        late.execute("update subs set plan = 'late' where user_id = 1")
        app.do("update subs set plan = 'early' where user_id = 2")
        with app.source.snapshot() as snapshot:
            snapshot.columns(PLANS)
            late.execute("commit")
            app.do("update subs set plan = 'after' where user_id = 3")
            (told,) = changed(snapshot, PLANS)
            upto = snapshot.upto()
    assert told is not None
    assert {"2"} <= told
    assert upto is not None
    app.source.acknowledge(upto)
    assert app.told(PLANS) == [{"1", "3"}]


def test_a_transaction_that_is_still_open_is_told_once_it_ended(app: App):
    """Others that began later go first."""
    with app.other() as slow:
        slow.execute("begin")
        slow.execute("update subs set plan = 'slow' where user_id = 1")
        app.do("update subs set plan = 'quick' where user_id = 2")
        assert app.told(PLANS) == [{"2"}]
        slow.execute("commit")
    assert app.told(PLANS) == [{"1"}]


def test_acknowledging_less_than_before_does_nothing(app: App):
    """Nor does it fail."""
    app.do("update subs set plan = 'pro' where user_id = 1")
    app.told(PLANS)
    app.source.acknowledge(1)
    assert app.told(PLANS) == [set()]


def test_too_many_changes_are_not_told_one_by_one(app: App):
    """The log goes on behind them all the same."""
    app.do(f"insert into subs (user_id) select n from generate_series(1, {MOST_CHANGES + 1}) n")
    assert app.told(PLANS) == [None]
    app.do("update subs set plan = 'pro' where user_id = 1")
    assert app.told(PLANS) == [{"1"}]


@pytest.mark.parametrize(
    "statement",
    [
        "truncate subs",
        "alter table subs alter plan type varchar(5) using left(plan, 5)",
        "alter table subs alter plan type text using upper(plan)",
        SWAPPED,
        "alter table subs drop column plan; alter table subs add column plan text default 'x'",
        *REPUBLISHED,
    ],
)
def test_what_changes_rows_without_a_word_changes_the_trail(app: App, statement: str):
    """Where it is another, everything is read; so it is where it happened just now."""
    app.do("update subs set plan = 'x' where user_id = 1")
    with app.source.snapshot() as snapshot:
        before, other = snapshot.trail(PLANS).identity, snapshot.trail(PEOPLE).identity
    app.do(*statement.split(";"))
    app.do("update subs set user_id = 2 where user_id = 1")
    with app.source.snapshot() as snapshot:
        assert snapshot.trail(PLANS).identity != before
        # The publication is everybody's.
        assert (snapshot.trail(PEOPLE).identity == other) == (
            "publication meisa_cdc set" not in statement and "drop publication" not in statement
        )
    app.do("vacuum")
    (plans, people) = app.told(PLANS, PEOPLE)
    assert plans is None or plans == {"1", "2"}
    assert people == set()
    with app.source.snapshot() as snapshot:
        after = snapshot.trail(PLANS).identity
    app.do("update subs set plan = 'y' where user_id = 3", "analyze subs")
    with app.source.snapshot() as snapshot:
        assert snapshot.trail(PLANS).identity == after


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (["select pg_drop_replication_slot('meisa_cdc')"], "there is no slot meisa_cdc"),
        (["drop publication meisa_cdc"], "there is no publication meisa_cdc"),
        (
            ["alter publication meisa_cdc set (publish = 'insert')"],
            "the publication meisa_cdc is not as",
        ),
        (["alter publication meisa_cdc drop table subs"], "changes of public.subs are not kept"),
        (["alter table subs replica identity default"], "do not tell what user_id was"),
        (
            [
                "select pg_drop_replication_slot('meisa_cdc')",
                "select pg_create_physical_replication_slot('meisa_cdc')",
            ],
            "is of another database or another plugin",
        ),
        (
            [
                "select pg_drop_replication_slot('meisa_cdc')",
                "drop publication meisa_cdc",
            ],
            "keeps no log of changed rows",
        ),
    ],
)
def test_a_log_that_is_not_whole_is_not_used(app: App, statements: list[str], reason: str):
    """Changes are found otherwise, and it is said why and what to do."""
    assert app.why() == ("log", "as its config says")
    app.do(*statements)
    kind, why = app.why()
    # One that is of no database would outlive this one.
    app.do("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
    assert kind == "checksum"
    assert reason in why
    assert "meisa-cdc capture" in why or "capture.name" in why


def test_auto_follows_only_what_it_can_follow_altogether(app: App):
    """An author may ask for more: such a change has everybody read."""
    assert app.why(mapping(PLANS.text, "auto"))[1] == "the database keeps a log of changed rows"
    costly = "select u.id as external_id, (select count(*) from other) as n from users u"
    app.do("alter publication meisa_cdc add table other", "alter table other replica identity full")
    assert app.why(mapping(costly))[0] == "log"
    assert app.why(mapping(costly, "auto"))[0] == "checksum"
    moving = "select id as external_id, current_date as day from users"
    assert app.why(mapping(moving))[0] == "log"
    assert app.why(mapping(moving, "auto"))[0] == "checksum"
    app.do("insert into other values (1)")
    assert app.told(mapping(costly)) == [None]


def test_a_lost_connection_is_told(app: App):
    """Cutting off is tried again with the next pass."""
    lost = AppDatabase(app.url.replace("postgresql:", "postgresql+psycopg:"))
    app.connection.close()
    lost.url = lost.url.set(port=1)
    with pytest.raises(SourceUnavailable):
        lost.acknowledge(1)


def test_watching_tells_of_changes_once(app: App):
    """Until somebody has seen them."""
    watch = app.source.watch()
    app.told(PLANS)
    assert not watch.moved()
    app.do("insert into other values (1)")
    assert not watch.moved()
    app.do("update subs set plan = 'pro' where user_id = 1")
    assert watch.moved()
    assert watch.moved()
    app.told(PLANS)
    assert not watch.moved()
    watch.close()
    app.do("select pg_drop_replication_slot('meisa_cdc')")
    assert not watch.moved()
    watch.close()


def test_a_database_without_an_encoding_is_not_followed(postgres_url: str):
    """What the log tells of it could not be compared with what is read."""
    name = f"{make_url(postgres_url).database}_ascii"
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            f"create database {name} template template0 encoding 'SQL_ASCII' locale 'C'".encode()
        )
        app = App(make_url(postgres_url).set(database=name).render_as_string(hide_password=False))
        try:
            assert "no encoding" in app.why()[1]
        finally:
            app.do("select pg_drop_replication_slot('meisa_cdc')")
            app.connection.close()
            connection.execute(f"drop database {name} with (force)".encode())


def test_a_role_that_may_not_read_slots_is_told(app: App):
    """A pass by checksum is better than one that fails to read the log each time."""
    role = f"reader_{app.source.url.database}"
    app.do(
        f"create role {role} login password 'x'",
        f"grant select on all tables in schema public to {role}",
    )
    reader = AppDatabase(app.source.url.set(username=role, password="x"))
    with reader.snapshot() as snapshot:
        capture = snapshot.capture(mapping(PLANS.text, "log"))
    assert (capture.kind, "may not read slots" in capture.why) == ("checksum", True)
    app.do(f"alter role {role} replication")
    with reader.snapshot() as snapshot:
        assert snapshot.capture(mapping(PLANS.text, "auto")).kind == "log"
        assert changed(snapshot, PLANS) == [set()]
    app.do(f"drop owned by {role}", f"drop role {role}")


def test_a_table_is_followed_once_older_transactions_ended(app: App):
    """What they wrote to it before it was published, the log does not tell."""
    app.do("alter publication meisa_cdc drop table subs")
    with app.other() as slow:
        slow.execute("begin")
        slow.execute("update subs set plan = 'slow' where user_id = 1")
        app.do("alter publication meisa_cdc add table subs")
        assert "changes of public.subs are not kept" in app.why()[1]
        slow.execute("commit")
    assert app.why()[0] == "log"


def test_rows_that_take_too_much_room_are_not_told_one_by_one(app: App):
    """However few they are."""
    large = "update subs set long = repeat('x', 4000000) where user_id < 9"
    app.do(large, large, large)
    assert app.told(JOINED) == [None]
    app.do("update subs set plan = 'pro' where user_id = 1")
    assert app.told(JOINED) == [{"1"}]


def test_a_connection_that_is_lost_is_told(app: App):
    """The pass is made again; nobody sees what the driver says."""
    kill = """select pg_terminate_backend(pid) from pg_stat_activity
        where application_name like 'meisa-cdc%' and datname = current_database()"""

    def killed() -> None:
        with app.source.snapshot() as snapshot:
            app.do(kill)
            snapshot.capture(PLANS)

    with pytest.raises(SourceUnavailable):
        killed()


def test_what_the_catalogue_does_not_tell_is_no_failure(app: App):
    """Some servers hide what they are; then there is no log to be had."""
    role = f"hidden_{app.source.url.database}"
    app.do(
        f"create role {role} login replication password 'x'",
        f"grant select on all tables in schema public to {role}",
        "revoke execute on function pg_control_checkpoint() from public",
    )
    reader = AppDatabase(app.source.url.set(username=role, password="x"))
    try:
        with reader.snapshot() as snapshot:
            capture = snapshot.capture(PLANS)
            rows = [row for batch in snapshot.read(PEOPLE) for row in batch]
    finally:
        app.do(
            "grant execute on function pg_control_checkpoint() to public",
            f"drop owned by {role}",
            f"drop role {role}",
        )
    assert (capture.kind, len(rows)) == ("checksum", 9)
    assert "the log cannot be read: permission denied" in capture.why
