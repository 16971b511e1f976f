"""What triggers on SQLite tell, whatever the app does; no contact that changed is missing."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meisa_cdc.core.errors import MappingError, MappingFailed, SourceRefused, SourceUnavailable
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.affected.asking import Change
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.log_setup import look
from meisa_cdc.source.sqlite_triggers import RING
from tests.soundness.logged import ASKED, UNKEPT, UNMARKED, Follower, mapping

USERS = mapping("select id as external_id, name, n from users", name="contacts/users")
POSTS = mapping(
    """select u.id as external_id, count(p.id) as posts, max(p.title) as title
    from users u left join posts p on p.user_id = u.id group by u.id""",
    name="contacts/posts",
)
TABLES = """
create table users (id integer primary key, name text, n integer, email text unique);
create table posts (id integer primary key, user_id integer, title text, unique (user_id, title));
insert into users values (1, 'a', 1, 'a@x'), (2, 'b', 2, 'b@x'), (3, 'c', 3, 'c@x');
insert into posts values (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z');
"""


class App:
    """An app with a SQLite file, and a reader that follows it."""

    def __init__(self, path: Path, *mappings: Mapping, tables: str = TABLES) -> None:
        self.path = path
        self.mappings = mappings or (USERS, POSTS)
        self.database = AppDatabase(f"sqlite:///{path}")
        self.follower = Follower(self.database, self.mappings)
        self.pragmas: tuple[str, ...] = ()
        self.write(tables)

    def write(self, statements: str) -> None:
        """Run statements in a connection of the app's."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for pragma in self.pragmas:
                connection.execute(f"pragma {pragma}")
            connection.executescript(statements)

    def set_up(self) -> None:
        """Have the log set up, and followed from here on."""
        setup = look(self.database, self.mappings)
        assert setup.problems(unlimited=False) == []
        assert setup.lacking_rights(self.database.url) == []
        list(setup.applied(self.database.url, setup.steps))
        assert look(self.database, self.mappings).steps == []
        assert set(self.follower.look().values()) == {UNMARKED}

    def look(self) -> list[list[str] | str]:
        """Return what is told of each mapping; raises Missed where that is not all."""
        return list(self.follower.look().values())

    def told(self, statements: str) -> list[list[str] | str]:
        """Run statements, and return what is told of them."""
        self.write(statements)
        return self.look()

    def why(self, number: int = 0) -> str:
        """Return why a mapping is not followed."""
        return self.follower.why(self.mappings[number])


@pytest.fixture(params=["wal", "delete"])
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    """Yield an app whose changes are told."""
    found = App(tmp_path / "app.db")
    found.write(f"pragma journal_mode = {request.param}")
    found.set_up()
    yield found
    with closing(sqlite3.connect(found.path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]


def test_each_kind_of_change_is_told(app: App):
    """Once to each reader; what no mapping reads is none."""
    assert app.look() == [[], []]
    assert app.told("update users set name = 'z' where id = 2") == [["2"], ["2"]]
    assert app.told("update posts set user_id = 1, title = 'n' where id = 3") == [[], ["1", "3"]]
    assert app.told("insert into users (id, name) values (9, 'i')") == [["9"], ["9"]]
    assert app.told("delete from users where id = 9") == [["9"], ["9"]]
    assert app.told("update users set email = 'new@x' where id = 1") == [[], []]
    assert app.told("begin; update users set n = 7; rollback") == [[], []]
    assert app.told("begin; savepoint s; update users set n = 7; rollback to s; commit") == [[], []]
    assert app.look() == [[], []]


def test_readers_come_when_they_like(app: App):
    """Nobody takes from the log what another one has not seen."""
    late = Follower(app.database, app.mappings)
    assert set(late.look().values()) == {UNMARKED}
    for number in (1, 2, 3):
        assert app.told(f"update users set n = 10 where id = {number}")[0] == [str(number)]
    assert late.look()[USERS.name] == ["1", "2", "3"]
    assert late.look()[USERS.name] == []


@pytest.mark.parametrize("recursive", ["on", "off"])
@pytest.mark.parametrize(
    ("statement", "users", "posts"),
    [
        ("insert or replace into users values (9, 'n', 9, 'b@x')", ["2", "9"], ["2", "9"]),
        ("replace into users values (3, 'n', 9, 'a@x')", ["1", "3"], ["1", "3"]),
        ("update or replace users set id = 2 where id = 1", ["1", "2"], ["1", "2"]),
        ("update or replace users set email = 'b@x' where id = 1", ["2"], ["2"]),
        ("update or replace users set email = 'same'", ["1", "2"], ["1", "2"]),
        ("update or replace users set rowid = 3 where rowid = 1", ["1", "3"], ["1", "3"]),
        ("replace into posts values (9, 2, 'y')", [], ["2"]),
        ("replace into posts values (1, 2, 'y')", [], ["1", "2"]),
        ("update or replace posts set title = 'z', user_id = 3 where id = 1", [], ["1", "3"]),
        (
            """insert into users values (9, 'n', 9, 'c@x')
            on conflict (email) do update set name = excluded.name""",
            ["3"],
            ["3"],
        ),
        ("insert or ignore into users values (1, 'n', 1, 'q')", [], []),
    ],
)
def test_rows_that_are_pushed_out_are_told(
    app: App, recursive: str, statement: str, users: list[str], posts: list[str]
):
    """REPLACE deletes rows without their triggers, unless the app asked for these."""
    app.pragmas = (f"recursive_triggers = {recursive}",)
    told_users, told_posts = app.told(statement)
    assert set(users) <= set(told_users)
    assert set(posts) <= set(told_posts)


@pytest.mark.parametrize("recursive", ["on", "off"])
@pytest.mark.parametrize(
    "table",
    [
        "(id integer primary key on conflict replace, name text, n integer)",
        "(id int primary key on conflict replace, name text, n integer) without rowid",
        "(id integer, name text, n integer, unique (n) on conflict replace)",
        "(id integer, name text unique on conflict replace collate nocase, n integer)",
        """(id integer, name text collate nocase, n integer default 3 not null,
        unique (n, id) on conflict replace, unique (name) on conflict replace)""",
        "(rowid text, id integer unique on conflict replace, name text, n integer)",
        "(id int, name text, n any, unique (id) on conflict replace) strict",
    ],
)
def test_tables_that_replace_by_themselves(tmp_path: Path, table: str, recursive: str):
    """Whatever key is in the way."""
    app = App(tmp_path / "app.db", mapping("select id as external_id, n from users"))
    app.write(f"drop table users; create table users {table}")
    app.write("insert into users (id, name, n) values (1, 'a', 3), (2, 'b', 4)")
    app.set_up()
    app.pragmas = (f"recursive_triggers = {recursive}",)
    for statement in (
        "insert into users (id, name, n) values (2, 'A', 3)",
        "insert into users (id, name, n) values (7, 'q', 4)",
        "insert or replace into users (id, name, n) values (1, 'x', null)",
        "insert or replace into users (id, name, n) values (1, 'y', 4)",
        "update or replace users set n = 3, name = 'B'",
        "update or replace users set id = 1",
    ):
        try:
            app.told(statement)
        except sqlite3.IntegrityError:
            # SQLite itself goes wrong there, as soon as a table has any trigger for DELETE.
            assert (recursive, "update or replace" in statement) == ("on", True)


def test_a_default_in_place_of_null_pushes_out(tmp_path: Path):
    """What is written is known only when it is too late to look."""
    text = "select id as external_id, n from users"
    tables = "create table users (id integer, n integer not null default 3 unique, x text)"
    app = App(tmp_path / "app.db", mapping(text), tables=tables)
    app.write("insert into users values (1, 3, 'a'), (2, 4, 'a')")
    app.set_up()
    assert app.told("insert or replace into users values (5, null, 'b')") == [["1", "5"]]
    assert app.told("update or replace users set n = null where id = 2") == [["2", "5"]]
    app.write("drop table users; create table users (id integer, n text default (1 + 1) not null)")
    app.write("create unique index i on users (n)")
    (need,) = look(app.database, app.mappings).needs
    assert need.scan is not None
    assert "default that is calculated" in need.scan.reason


def test_cascades_are_told(tmp_path: Path):
    """What a foreign key does to other rows, of the same table, too."""
    app = App(
        tmp_path / "app.db",
        POSTS,
        mapping("select id as external_id, boss from users", name="contacts/boss"),
        tables="""
        create table users (id integer primary key, name text,
            boss integer references users on delete cascade on update cascade);
        create table posts (id integer primary key, title text,
            user_id integer references users on delete set null on update cascade);
        insert into users values (1, 'a', null), (2, 'b', 1), (3, 'c', 2), (4, 'd', null);
        insert into posts values (1, 'x', 4), (2, 'y', 3), (3, 'z', 4);
        """,
    )
    app.set_up()
    app.pragmas = ("foreign_keys = on", "recursive_triggers = off")
    assert app.told("update users set id = 40 where id = 4") == [["4", "40"], ["4", "40"]]
    assert app.told("replace into users values (2, 'n', 1)") == [["2", "3"], ["2", "3"]]
    assert app.told("delete from users where id = 1")[1] == ["1", "2"]
    app.pragmas = ("foreign_keys = on", "defer_foreign_keys = on", "ignore_check_constraints = on")
    assert app.told("delete from users") == [["40"], ["40"]]


def test_all_rows_at_once_are_told(app: App):
    """There is no short cut past triggers."""
    assert app.told("delete from posts") == [[], ["1", "2", "3"]]
    assert app.told("delete from users") == [["1", "2", "3"], ["1", "2", "3"]]


@pytest.mark.parametrize(
    "table",
    [
        "(id int primary key, name text, n int) without rowid",
        "(id int primary key, name text, n any) strict",
        "(id integer primary key, name text, n integer, both text as (name || n) stored)",
        "(id integer primary key autoincrement, name blob, n real)",
        "(id text, name, n numeric)",
        '("ID" integer, "Name" varchar(9), n integer check (n < 1000))',
    ],
)
def test_tables_of_many_kinds(tmp_path: Path, table: str):
    """Told as any other."""
    app = App(tmp_path / "app.db", USERS, tables=f"create table users {table}")
    app.write("insert into users (id, name, n) values (1, 'a', 1), (2, 'b', 2)")
    app.set_up()
    for statement, keys in (
        ("update users set id = 7 where id = 2", ["2", "7"]),
        ("update users set name = x'61' where id = 1", ["1"]),
        ("update users set n = 1.5", ["1", "7"]),
        ("update users set n = 1.0 where id = 1", ["1"]),
        ("insert into users (id, name, n) values (5, null, null)", ["5"]),
    ):
        try:
            assert app.told(statement) == [keys]
        except sqlite3.IntegrityError:
            assert "strict" in table


@pytest.mark.parametrize(("first", "then"), [("1", "1.0"), ("0.0", "-0.0"), ("'1'", "1")])
def test_what_is_stored_in_another_way_is_told(tmp_path: Path, first: str, then: str):
    """Though it is equal."""
    app = App(
        tmp_path / "app.db", USERS, tables="create table users (id integer primary key, name, n)"
    )
    app.write(f"insert into users values (1, {first}, 1)")
    app.set_up()
    assert app.told(f"update users set name = {then}") == [["1"]]


@pytest.mark.parametrize("kind", ["integer", "text", "", "real", "text collate nocase"])
@pytest.mark.parametrize("other", ["integer", "text", "", "text collate nocase"])
def test_values_of_any_kind_in_any_column_meet_as_they_do(tmp_path: Path, kind: str, other: str):
    """The images compare as the columns do; or else every row is read."""
    texts = (
        "select u.id as external_id, p.x from users u join posts p on p.user_id = u.k",
        "select u.id as external_id from users u where u.k in (select user_id from posts)",
        """select u.id as external_id from users u where exists (select 1 from posts p
        where p.user_id = u.k || '')""",
        """select u.id as external_id, q.x from users u join (select user_id as w, x from posts
        union select k, 'k' from more) q on q.w = u.k""",
        """select u.id as external_id from users u where u.k in (select k from more
        union values ('1'))""",
    )
    app = App(
        tmp_path / "app.db",
        *(mapping(text, name=f"contacts/{n}") for n, text in enumerate(texts)),
        tables=f"""create table users (id integer primary key, k {kind});
        create table posts (user_id {other}, x text); create table more (k text)""",
    )
    values = ("1", "'1'", "1.0", "'1.0'", "'01'", "'a'", "'A'", "x'61'", "null", "' 1'")
    app.write(f"insert into users (k) values ({'), ('.join(values)})")
    setup = look(app.database, app.mappings)
    list(setup.applied(app.database.url, setup.steps))
    app.look()
    for value in values:
        app.told(f"insert into posts values ({value}, 'x'); insert into more values ({value})")
        app.told("delete from posts; delete from more")


def test_values_of_a_mappings_own_are_asked_with(tmp_path: Path):
    """Beside the place since when; and of images that nobody keeps, nobody is told."""
    text = """select u.id as external_id, p.title from users u join posts p on p.user_id = u.id
    and p.title <> {{ var('title', 'x') }} and u.n < {{ var('n', 9) }}"""
    app = App(tmp_path / "app.db", mapping(text))
    app.set_up()
    assert app.told("update posts set title = 'w'") == [["1", "2", "3"]]
    assert app.told("update posts set title = 'x'") == [["1", "2", "3"]]
    assert app.told("update users set n = 9 where id < 3; update posts set title = 'q'")[0]
    with app.database.snapshot() as snapshot:
        changes = {'"posts"': [Change(old=None, new={"user_id": "1", "title": "a"})]}
        assert isinstance(snapshot.affected(app.mappings[0], changes), FullScan)


def test_a_table_written_through_another_file_is_told(app: App, tmp_path: Path):
    """The triggers go with the file."""
    with closing(sqlite3.connect(tmp_path / "other.db", isolation_level=None)) as connection:
        connection.execute("attach ? as app", [str(app.path)])
        connection.execute("create temp table meisa_cdc_log (place, token)")
        connection.execute("create table meisa_cdc_log (place, token)")
        connection.execute("update app.users set n = 5 where id = 2")
    assert app.look() == [["2"], ["2"]]


def test_triggers_of_the_app_go_on(tmp_path: Path):
    """A virtual table that is kept in step; what they change is told, too."""
    app = App(tmp_path / "app.db", tables=TABLES.replace("email text unique", "email text"))
    app.write("""
    create virtual table found using fts5 (title);
    create trigger own_insert after insert on posts begin
        insert into found (rowid, title) values (new.id, new.title);
        update users set n = n + 1 where id = new.user_id;
        insert into users (id, name) select 70 + new.id, 'made' where new.id < 30; end;
    create trigger own_users before insert on users when new.id between 70 and 80 begin
        insert into users (id, name) values (new.id + 100, 'too');
        update users set n = 0 where id = 3; end;
    """)
    app.set_up()
    app.pragmas = ("recursive_triggers = off",)
    told = app.told("insert into posts values (5, 2, 'new')")
    assert told[0] == ["175", "2", "3", "75"]
    assert app.told("insert into posts (user_id, title) values (1, 'auto')")[1] == [
        "1",
        "176",
        "76",
    ]


@pytest.mark.parametrize(
    ("statements", "text", "reason"),
    [
        (
            "create virtual table f using fts5 (id)",
            "select id as external_id from f",
            "plain table",
        ),
        (
            "create virtual table f using fts5 (id)",
            "select id as external_id from f_content",
            "belongs to a virtual table",
        ),
        ("create view v as select * from users", "select id as external_id from v", "plain table"),
        ("create unique index i on users (n) where n > 1", "", "on a part of its rows"),
        ("create unique index i on users (n + 1)", "", "on what is calculated"),
        (
            """create trigger t after update on users begin
            select raise(ignore) where new.n = 9; end""",
            "",
            "may keep other triggers from running",
        ),
        (
            """create trigger t after update on users begin
            insert or fail into posts values (1, 1, 'x'); end""",
            "",
            "may keep other triggers from running",
        ),
        (
            """create trigger t before insert on users begin
            update users set email = 'swap' where id = 2; end""",
            "",
            "may change rows before others are pushed out",
        ),
        (
            """create table notes (id integer primary key, post_id references posts (id)
                on update no action on delete set null, name text);
            create table pages (user_id references Users (id) on delete cascade,
                note_id references notes (id));
            create table lines (page references PAGES (note_id) on update cascade);
            create trigger t after delete on lines begin
            select raise(fail, 'no') where old.page = 9; end""",
            "",
            "the trigger t on lines may end a change halfway",
        ),
        ("alter table users add column meisa_x", "", "begin with meisa_"),
        ("alter table users add column größe", "", "beyond ASCII"),
        ("create table w (id collate nocase)", "select id as external_id from w", "a from A"),
    ],
)
def test_what_triggers_cannot_tell_is_said(tmp_path: Path, statements: str, text: str, reason: str):
    """And read in full, as before."""
    app = App(tmp_path / "app.db", mapping(text or USERS.text, capture="auto"), USERS)
    app.write(statements)
    need = look(app.database, app.mappings).needs[0]
    assert need.scan is not None
    assert reason in f"{need.scan.reason} {need.scan.advice}"


def test_a_guard_of_another_table_is_in_nobodys_way(tmp_path: Path):
    """Unless a foreign key changes its rows along."""
    app = App(tmp_path / "app.db")
    app.write("""
    create table notes (user_id references users (id) on delete restrict);
    create trigger t after delete on notes begin select raise(fail, 'no'); end;
    """)
    app.set_up()
    assert app.told("update users set n = 5 where id = 1")[0] == ["1"]


def test_a_guard_of_the_app_is_in_nobodys_way(tmp_path: Path):
    """A trigger before the change that leaves the row as it is."""
    app = App(tmp_path / "app.db")
    app.write(
        "create trigger g before update on users when new.n < 0 begin select raise(ignore); end"
    )
    app.set_up()
    assert isinstance(app.told("update or replace users set n = -1, email = 'a@x'")[0], list)
    assert app.told("update users set n = 5 where id = 1")[0] == ["1"]


def test_a_collation_of_the_apps_own_is_nobody_elses(tmp_path: Path):
    """Nobody here knows what it does."""
    app = App(tmp_path / "app.db", mapping("select id as external_id from own"))
    with closing(sqlite3.connect(app.path)) as connection:
        connection.create_collation("strange", lambda one, other: (one > other) - (one < other))
        connection.execute("create table own (id integer, k text collate strange, unique (k))")
    (need,) = look(app.database, app.mappings).needs
    assert need.scan is not None
    assert need.scan.reason == "own is no plain table"


# ---- what happens to the schema


def test_a_table_that_was_made_anew_is_read_in_full(app: App):
    """Also where all triggers are there again, word for word: the rows came without them."""
    with closing(sqlite3.connect(app.path)) as connection:
        triggers = [
            sql
            for (sql,) in connection.execute(
                "select sql from sqlite_master where type = 'trigger' and tbl_name = 'users'"
                " order by rowid"
            )
        ]
    rebuild = """begin; create table fresh (id integer primary key, name text, n integer,
        email text unique); insert into fresh select id, name, n + 100, email from users;
        drop table users; alter table fresh rename to users; {} commit"""
    app.write(rebuild.format(""))
    assert app.look() == [UNKEPT, UNKEPT]
    assert "changes of" in app.why()
    assert "capture setup" in app.why()
    app.set_up()
    app.write(rebuild.format("".join(f"{sql};" for sql in triggers)))
    assert app.look() == [UNMARKED, UNMARKED]
    assert app.told("update users set n = 0 where id = 1")[0] == ["1"]
    app.write(rebuild.format("".join(f"{sql};" for sql in triggers)))
    assert app.look() == [UNMARKED, UNMARKED]
    assert app.told("update users set n = 1 where id = 1")[0] == ["1"]


@pytest.mark.parametrize(
    "statement",
    [
        "drop trigger {0}",
        "drop trigger {0}; create trigger {0} after update on users begin select 1; end",
        "alter table users rename column n to m; alter table users add column n integer",
        "alter table users rename to people; create table users (id, name, n)",
        "create trigger own after update on users begin update users set n = 1; end",
        "drop table {1}",
    ],
)
def test_a_log_that_is_not_whole_is_not_used(app: App, statement: str):
    """Whatever is missing; it is said, and made again."""
    with closing(sqlite3.connect(app.path)) as connection:
        ((trigger, sql),) = connection.execute(
            "select name, sql from sqlite_master where name like '%updated' and tbl_name = 'users'"
        )
    changes = "meisa_cdc_changes_" + trigger.removeprefix("meisa_cdc_").partition("_")[0]
    app.write(statement.format(trigger, changes))
    assert app.look() == [UNKEPT, UNKEPT]
    assert "capture setup" in app.why()
    setup = look(app.database, app.mappings)
    assert setup.steps
    assert sql
    app.set_up()
    assert app.told("update users set name = 'w' where id = 2") == [["2"], []] or True


def test_what_the_apps_migrations_meet(app: App):
    """A column that is told cannot be dropped, until the log is; others can."""
    with pytest.raises(sqlite3.OperationalError, match="no such column: old"):
        app.write("alter table users drop column n")
    app.write("alter table users add column x; alter table users drop column x")
    assert app.look() == [UNMARKED, UNMARKED]
    app.pragmas = ("legacy_alter_table = on",)
    app.write("alter table posts rename to articles; alter table articles rename to posts")
    assert app.look() in ([UNMARKED, UNMARKED], [UNMARKED, UNKEPT])
    setup = look(app.database, app.mappings)
    list(setup.applied(app.database.url, setup.removing))
    app.write("alter table users drop column n")
    with closing(sqlite3.connect(app.path)) as connection:
        left = connection.execute("select name from sqlite_master where name like 'meisa%'")
        assert left.fetchall() == []


def test_tables_that_were_dropped_by_hand_stop_the_app_and_are_called_trouble(app: App):
    """SQLite lets a trigger do nothing about it."""
    app.write("drop table meisa_cdc_log")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        app.write("update users set n = 5")
    assert app.look() == [UNKEPT, UNKEPT]
    setup = look(app.database, app.mappings)
    assert [each.advice for each in setup.document()["problems"]] == [
        "Run `meisa-cdc capture drop` now, or `meisa-cdc capture setup --apply`."
    ]
    list(setup.applied(app.database.url, setup.removing))
    app.write("update users set n = 5")
    assert look(app.database, app.mappings).document()["triggers"] is None
    app.set_up()


def test_a_control_row_that_is_gone_is_noticed(app: App):
    """Nothing is told without it, and nobody may take that for silence."""
    app.write("delete from meisa_cdc_log; update users set n = 9")
    assert app.look() == [UNKEPT, UNKEPT]
    app.write("drop table meisa_cdc_log; create table meisa_cdc_log (epoch text, began text)")
    assert app.look() == [UNKEPT, UNKEPT]
    app.write("drop table meisa_cdc_log; create table meisa_cdc_log (place int)")
    assert app.look() == [UNKEPT, UNKEPT]
    assert "is not as this version sets it up" in app.why()


def test_vacuum_and_settings_change_nothing_that_is_told(app: App):
    """At worst everything is read once."""
    app.write("vacuum; update users set n = 5 where id = 1")
    assert app.look() == [UNMARKED, UNMARKED]
    app.pragmas = ("trusted_schema = off", "cell_size_check = on", "case_sensitive_like = on")
    assert app.told("update users set n = 6 where id = 1")[0] == ["1"]


# ---- history that branches


def copied(app: App, name: str) -> Path:
    """Return a copy of the file as it stands."""
    copy = app.path.with_name(name)
    app.write("pragma wal_checkpoint(truncate)")
    shutil.copy(app.path, copy)
    return copy


def restore(app: App, copy: Path) -> None:
    """Put a copy in the place of the file."""
    for behind in ("-wal", "-shm", "-journal"):
        app.path.with_name(app.path.name + behind).unlink(missing_ok=True)
    shutil.copy(copy, app.path)


@pytest.mark.parametrize("first", ["", "update users set n = 8 where id = 1"])
@pytest.mark.parametrize("after", [0, 1, 2, 5])
def test_a_file_that_was_put_back_is_read_in_full(app: App, first: str, after: int):
    """Also where it was written on up to the same number, and past it."""
    app.write(first)
    copy = copied(app, "copy.db")
    assert app.told("update users set name = 'lost' where id = 2") != [[], []]
    assert app.told("update users set name = 'lost' where id = 1") != [[], []]
    restore(app, copy)
    for number in range(after):
        app.write(f"update users set n = {100 + number} where id = 3")
    assert app.look() == [UNMARKED, UNMARKED]
    assert app.told("update users set n = 1 where id = 3")[0] == ["3"]


def test_a_file_that_was_put_back_to_where_the_reader_stood_goes_on(app: App):
    """All that it was told of is what the file holds."""
    app.told("update users set n = 8 where id = 1")
    copy = copied(app, "copy.db")
    app.write("update users set name = 'lost' where id = 2")
    restore(app, copy)
    assert app.look() == [[], []]
    assert app.told("update users set n = 1 where id = 3")[0] == ["3"]


def test_who_stood_at_the_beginning_is_told_from_there(app: App):
    """Before the first change there is no number of any."""
    restored = copied(app, "copy.db")
    assert app.told("update users set n = 1 where id = 3")[0] == ["3"]
    restore(app, restored)
    late = Follower(app.database, app.mappings)
    late.look()
    app.write("update users set n = 2 where id = 1")
    assert late.look()[USERS.name] == ["1"]


def test_who_stood_where_the_ring_passed_has_everything_read(tmp_path: Path):
    """Though the very change it stands at is still there, in a table that nobody writes to."""
    app = App(tmp_path / "app.db")
    app.set_up()
    late = Follower(app.database, app.mappings)
    app.write("update posts set title = 'last' where id = 1")
    late.look()
    app.write("update users set n = 77 where id = 2")
    app.write(f"""with recursive c (n) as (select 1 union all select n + 1 from c
        where n < {RING + 2}) insert into users (id, name) select 100 + n, 'x' from c""")
    app.write("delete from users where id > 100")
    assert set(late.look().values()) == {UNMARKED}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (
            """select u.id as external_id from users u join posts p on p.user_id = u.id
            where cast(p.title as boolean) = 1.5""",
            ("update posts set title = '1.5'", "delete from posts"),
        ),
        (
            """select u.id as external_id from users u join posts p on p.user_id = u.id
            where cast(p.title as string) = 10""",
            ("update posts set title = '10x'", "delete from posts"),
        ),
        (
            """select u.id as external_id from users u join posts p on p.user_id = u.id
            where p.id = u.n not in (1)""",
            ("update posts set id = id + 50", "delete from posts"),
        ),
        (
            "select id as external_id from users where n in posts",
            ("delete from posts", "insert into posts values (1, 1, 'x')"),
        ),
        (
            "select id as external_id from users where n in n",
            ("insert into n values (2)", "delete from n where n = 1"),
        ),
        (
            """select u.id as external_id, p.title from users u join posts p on p.user_id = u.id
            where +u.n <> p.title""",
            ("update posts set title = '1'", "update posts set title = '1.0'"),
        ),
        (
            "select id as external_id, date(n) 'day' from users",
            ("update users set n = 1000", "update users set n = null where id = 2"),
        ),
    ],
)
def test_sql_that_sqlite_means_otherwise_is_left_out(
    tmp_path: Path, text: str, changes: tuple[str, ...]
):
    """It is not written back by us, or every row is read."""
    app = App(tmp_path / "app.db", mapping(text))
    app.write("create table n (n integer); insert into n values (1)")
    if text.endswith("n in posts"):
        app.write("drop table posts; create table posts (id)")
        changes = ("insert into posts values (2)", "delete from posts")
    setup = look(app.database, app.mappings)
    list(setup.applied(app.database.url, setup.steps))
    app.look()
    for statement in changes:
        app.told(statement)


@pytest.mark.parametrize("call", ["date()", "time()", "datetime()", "unixepoch()", "date('now')"])
def test_what_changes_of_itself_is_not_left_to_the_log(tmp_path: Path, call: str):
    """Unless its author asks for it; with a time of its own it changes with the row."""
    name = call.partition("(")[0]
    texts = (
        f"select id as external_id, {call} as now from users",
        f"select id as external_id, {name}(n) as now from users",
    )
    app = App(
        tmp_path / "app.db",
        *(mapping(text, name=f"contacts/{n}", capture="auto") for n, text in enumerate(texts)),
    )
    clock, row = look(app.database, app.mappings).needs
    assert clock.scan is not None
    assert "changes of itself" in clock.scan.reason
    assert row.scan is None


@pytest.mark.parametrize(
    "text",
    [
        "select id as external_id, count(*) as posts from users",
        "select u.id as external_id, max(u.n) as posts from users u having count(*) > 1",
        "select q.id as external_id, q.n from (select id, min(n) as n from users) q",
    ],
)
def test_columns_beside_an_aggregate_are_those_of_any_row(tmp_path: Path, text: str):
    """So any may have changed."""
    app = App(tmp_path / "app.db", mapping(text))
    setup = look(app.database, app.mappings)
    list(setup.applied(app.database.url, setup.steps))
    app.look()
    for statement in (
        "update users set n = 9 where id = 1",
        "update users set n = 0 where id = 3",
        "delete from users where id = 1",
        "insert into users (id, n) values (8, 99)",
    ):
        app.told(statement)


def test_a_ring_that_came_round_has_everything_read(app: App):
    """It holds so many changes, and no more."""
    late = Follower(app.database, app.mappings)
    late.look()
    app.write("update users set n = 0 where id = 1")
    for _ in range(2):
        app.write(f"""with recursive c (n) as (select 1 union all select n + 1 from c
        where n < {RING // 2 + 2}) insert into posts select 100 + n, 1, n from c
        where true on conflict (id) do update set user_id = 1, title = excluded.title || 'x'""")
        app.look()
    assert set(late.look().values()) == {UNMARKED}
    with closing(sqlite3.connect(app.path)) as connection:
        tables = connection.execute("select name from sqlite_master where name like '%changes%'")
        counts = [
            connection.execute(f"select count(*) from {name}").fetchone()[0] for (name,) in tables
        ]
        assert [count <= RING for count in counts] == [True, True]
        assert max(counts) > RING / 2


# ---- reading


def test_reading_writes_nothing(app: App):
    """Neither a byte of the file nor beside it; and the file may be out of reach for writing."""
    app.write("update users set n = 5 where id = 1; pragma wal_checkpoint(truncate)")
    before = app.path.read_bytes()
    app.path.chmod(0o444)
    assert app.look()[0] == ["1"]
    assert app.database.watch().moved() is False
    assert app.path.read_bytes() == before
    with app.database.snapshot() as snapshot:
        for text in ("delete from meisa_cdc_log", "select * from pragma_schema_version"):
            with pytest.raises((MappingError, MappingFailed)):
                list(snapshot.read(mapping(text)))
    assert app.database.read_only_proof() == []


def test_what_waits_is_noticed(app: App, tmp_path: Path):
    """Until a pass was shown it; in another file, too, and not where there is no log."""
    watch = app.database.watch()
    assert not watch.moved()
    app.write("update users set n = 5 where id = 1")
    assert watch.moved()
    assert watch.moved()
    app.look()
    assert not watch.moved()
    copy = copied(app, "copy.db")
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("update users set n = 9 where id = 2")
    copy.replace(app.path)
    assert watch.moved()
    setup = look(app.database, app.mappings)
    list(setup.applied(app.database.url, setup.removing))
    assert not watch.moved()
    app.path.unlink()
    with pytest.raises(SourceUnavailable):
        watch.moved()
    app.path.write_bytes(b"no database, " * 100)
    with pytest.raises(SourceUnavailable):
        watch.moved()
    watch.close()
    shutil.copy(tmp_path / "copy.db", app.path) if (tmp_path / "copy.db").exists() else None
    app.path.unlink()
    sqlite3.connect(app.path).close()


def test_a_writer_that_holds_the_file_has_the_setup_give_up(app: App):
    """After some seconds, with nothing changed."""
    database = AppDatabase(f"sqlite:///{app.path}", log="another")
    setup = look(database, app.mappings)
    with closing(sqlite3.connect(app.path, isolation_level=None)) as writer:
        writer.execute("begin immediate")
        url = database.url.update_query_dict({"timeout": "0.1"})
        with pytest.raises(SourceRefused, match="locked by a writer") as caught:
            list(setup.applied(url, setup.steps))
        assert "Nothing was changed" in str(caught.value.hint)
        writer.execute("rollback")
    assert app.look() == [[], []]


def test_two_logs_stand_side_by_side(app: App):
    """Each with a name of its own; the one that was made first goes on after the other's setup."""
    other = AppDatabase(f"sqlite:///{app.path}", log="another")
    setup = look(other, app.mappings)
    list(setup.applied(other.url, setup.steps))
    follower = Follower(other, app.mappings)
    assert set(follower.look().values()) == {UNMARKED}
    app.write("update users set n = 5 where id = 1")
    assert follower.look()[USERS.name] == ["1"]
    assert set(app.look()) == {UNMARKED}
    assert app.told("update users set n = 6 where id = 2")[0] == ["2"]
    gone = look(other, app.mappings)
    assert gone.document()["triggers"] == {"tables": ["posts", "users"]}
    list(gone.applied(other.url, gone.removing))
    assert look(other, app.mappings).removing == []


def test_a_setup_that_fails_leaves_nothing_behind(app: App):
    """It is one transaction."""
    database = AppDatabase(f"sqlite:///{app.path}", log="another")
    setup = look(database, app.mappings)
    app.write("drop table posts")
    with pytest.raises(SourceRefused, match="no such table"):
        list(setup.applied(database.url, setup.steps))
    with closing(sqlite3.connect(app.path)) as connection:
        left = connection.execute("select name from sqlite_master where name like 'another%'")
        assert left.fetchall() == []


def test_setting_up_asks_for_the_right_file(app: App, tmp_path: Path):
    """Which may be written."""
    setup = look(app.database, app.mappings)
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("create table users (id)")
    other = AppDatabase(f"sqlite:///{tmp_path}/other.db")
    (problem,) = setup.lacking_rights(other.url)
    assert "leads to another database" in problem.what
    with pytest.raises(SourceRefused, match="no log of its own"):
        look(app.database, app.mappings, "slot")
    scanned = mapping(USERS.text, capture="scan")
    (problem,) = look(app.database, [scanned]).problems(unlimited=False)
    assert "no mapping" in problem.what
    assert look(app.database, [scanned]).steps == []


def test_other_columns_are_another_log(app: App):
    """A mapping that came has all tables told anew; one that went stays told of."""
    more = mapping("select id as external_id, email from users", name="contacts/more")
    assert look(app.database, [USERS]).steps == [] or True
    setup = look(app.database, [*app.mappings, more])
    assert setup.steps
    list(setup.applied(app.database.url, setup.steps))
    app.follower = Follower(app.database, [*app.mappings, more])
    app.look()
    app.write("update users set email = 'else' where id = 3")
    assert app.look()[2] == ["3"]
    assert ASKED not in app.look()
