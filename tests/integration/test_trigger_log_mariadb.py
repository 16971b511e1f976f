"""The log of changed rows that triggers write, on a real MariaDB."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
from sqlalchemy import URL, make_url

from meisa_cdc.core.captures import LOG
from meisa_cdc.core.errors import MappingFailed, SourceRefused, SourceUnavailable
from meisa_cdc.source import changelog
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.log_setup import look, proof
from meisa_cdc.source.mysql_trigger_log import Seen
from tests.soundness.logged import ASKED, UNKEPT, UNMARKED, Follower, mapping

TABLES = (
    """create table users (id bigint unsigned primary key auto_increment, team int,
    name varchar(50), hidden text)""",
    "create table teams (id int primary key, kind varchar(20))",
    "insert into teams values (1, 'a'), (2, 'b')",
    """insert into users values (1, 1, 'Ann', 'x'), (2, 1, 'Bob', 'x'), (3, 2, 'Cyd', 'x'),
    (4, null, null, null)""",
)
TEXT = """select u.id as external_id, u.name, t.kind from users u
left join teams t on t.id = u.team"""
MAPPING = mapping(TEXT)
#: Passes until a new table counts, or a full log is trusted again, at most.
MOST = 60


def connected(url: URL, **options) -> pymysql.Connection:
    """Connect as the app does."""
    return pymysql.connect(
        host=url.host,
        port=url.port or 3306,
        user=options.pop("user", url.username),
        password=options.pop("password", str(url.password or "")),
        database=url.database,
        **{"autocommit": True, **options},
    )


class App:
    """A database, the account that owns it, and the app that writes to it."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.owner = connected(self.url)
        self.write(*TABLES)
        self.database = AppDatabase(url)
        self.follower = Follower(self.database, [MAPPING])

    def set_up(self, *mappings, limit: int | None = None) -> None:
        """Set up the log for the mappings, and look until all tables count."""
        setup = look(self.database, mappings or self.follower.mappings)
        for step in setup.steps:
            sql = step.sql.removesuffix(";")
            self.write(sql if limit is None else sql.replace("1000000", str(limit)))
        self.settle()

    def settle(self) -> None:
        """Look until something else than everything is told."""
        for _ in range(MOST):
            if UNMARKED not in self.follower.look().values():
                return
            self.rows("select sleep(0.2)")
        raise AssertionError(self.follower.found)

    def write(self, *statements: str) -> None:
        """Change something."""
        for statement in statements:
            with self.owner.cursor() as cursor:
                cursor.execute(statement)

    def rows(self, text: str) -> Any:
        """Ask something."""
        with self.owner.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall()

    def look(self, **options) -> list[str] | str:
        """Return whom the only mapping's changes affect, or why it was read in full."""
        return self.follower.look(**options)["contacts/x"]

    def count(self) -> int:
        """Return the rows that the log holds, but for the first one, which stays."""
        ((count,),) = self.rows("select count(*) from meisa_cdc_changes where id <> 1")
        return int(count)

    def other(self, **options) -> pymysql.Connection:
        """Return a second writer, in a transaction of its own."""
        return connected(self.url, **{"autocommit": False, **options})


@pytest.fixture
def app(mariadb_url: str) -> Iterator[App]:
    """Yield an app whose log is set up and was looked at."""
    app = App(mariadb_url)
    with app.owner:
        app.set_up()
        yield app


def run(connection: pymysql.Connection, *statements: str) -> Any:
    """Run statements on a connection, and return what the last one yields."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()


def test_each_kind_of_change_is_told(app: App):
    """Inserts, updates, deletes, replacements, through joins; what nobody reads changes nobody."""
    assert app.look() == []
    app.write("insert into users values (5, 2, 'Eve', null)")
    assert app.look() == ["5"]
    app.write("update users set name = 'Bea' where id = 2")
    assert app.look() == ["2"]
    app.write("update users set name = 'bea' where id = 2")
    assert app.look() == ["2"]
    app.write("update users set name = 'bea ' where id = 2")
    assert app.look() == ["2"]
    app.write("update users set name = null where id = 2")
    assert app.look() == ["2"]
    app.write("update teams set kind = 'c' where id = 1")
    assert app.look() == ["1", "2"]
    app.write("delete from users where id = 1", "update users set id = 9 where id = 3")
    assert app.look() == ["1", "3", "9"]
    app.write("replace into users (id, name) values (9, 'R')")
    assert app.look() == ["9"]
    app.write("insert into users (id, name) values (9, 'x') on duplicate key update name = 'S'")
    assert app.look() == ["9"]
    app.write("update users u join teams t on t.id = u.team set u.name = 'm', t.kind = 'm'")
    assert app.look() == ["2", "5"]
    app.write("delete u from users u join teams t on t.id = u.team where t.id = 2")
    assert app.look() == ["5"]
    app.write("update users set hidden = 'y'", "update users set name = name")
    assert app.count() == 0
    assert app.look() == []


def test_the_app_gets_its_own_numbers(app: App):
    """What it inserted last is what it inserted, not what the log did."""
    with app.owner.cursor() as cursor:
        cursor.execute("insert into users (name) values ('p'), ('q')")
        assert (cursor.lastrowid, cursor.rowcount) == (5, 2)
        cursor.execute("update users set name = 'r' where id < 3")
        assert cursor.rowcount == 2
    assert app.rows("select last_insert_id()") == ((5,),)


def test_what_is_rolled_back_was_never_told(app: App):
    """Neither a whole transaction nor back to a savepoint."""
    with app.other() as writer:
        run(writer, "update users set name = 'no' where id = 1", "rollback")
        run(writer, "update users set name = 'yes' where id = 2", "savepoint here")
        run(writer, "update users set name = 'no' where id = 3", "rollback to here", "commit")
    assert app.look() == ["2"]
    assert app.count() == 0


def test_who_wrote_first_may_commit_last(app: App):
    """It is neither lost when what was written later is acknowledged, nor waited for."""
    with app.other() as first, app.other() as second:
        run(first, "update users set name = 'first' where id = 1")
        run(second, "update users set name = 'second' where id = 2", "commit")
        assert app.look() == ["2"]
        assert run(second, "select kind from meisa_cdc_changes") == (("first",),)
        run(second, "commit")
        run(first, "commit")
        assert app.look() == ["1"]
        assert app.look() == []
    assert app.count() == 0


def test_a_prepared_transaction_is_told_when_it_is_committed(app: App):
    """By two phases, as a coordinator does it."""
    app.write("xa start 'a'", "update users set name = 'xa' where id = 3", "xa end 'a'")
    app.write("xa prepare 'a'")
    assert app.look() == []
    app.write("xa commit 'a'")
    assert app.look() == ["3"]


def test_a_change_between_snapshot_and_acknowledging_stays(app: App):
    """Only what the snapshot saw is deleted."""
    app.write("update users set name = 'one' where id = 1")
    assert app.look(acknowledge=False) == ["1"]
    app.write("update users set name = 'two' where id = 2")
    app.follower.acknowledge()
    assert app.look() == ["2"]


def test_what_was_not_deleted_is_told_again(app: App):
    """Twice the same is no harm, and neither is to acknowledge it twice."""
    app.write("update users set name = 'one' where id = 1")
    with app.other() as holder:
        run(holder, "select id from meisa_cdc_changes for update")
        with pytest.raises(SourceUnavailable, match="could not be cut off"):
            app.look()
    app.write("update users set name = 'two' where id = 2")
    assert app.look() == ["1", "2"]
    app.follower.acknowledge()
    app.database.acknowledge(1)
    assert app.look() == []


def test_who_stored_what_it_saw_and_did_not_say_so_begins_anew(app: App):
    """Nobody could tell it from a server that lost what it saw."""
    app.write("update users set name = 'one' where id = 1")
    assert app.look(acknowledge=False) == ["1"]
    assert app.look() == UNMARKED
    assert app.look() == []


def test_of_two_readers_one_begins_anew(app: App):
    """Whoever did not see what the other one deleted has to read everything."""
    second = Follower(AppDatabase(app.url), [MAPPING])
    second.look(acknowledge=False)
    app.write("update users set name = 'one' where id = 1")
    assert app.look() == ["1"]
    assert second.look() == {"contacts/x": UNMARKED}
    # Both saw the same log; the slower one deletes nothing of what the other did not see.
    app.write("update users set name = 'two' where id = 2")
    app.settle()
    app.look(acknowledge=False)
    second.look(acknowledge=False)
    app.write("update users set name = 'three' where id = 3")
    second.look(acknowledge=False)
    second.acknowledge()
    app.follower.acknowledge()
    assert app.look() == UNMARKED


def test_a_log_that_was_put_back_is_noticed(app: App):
    """From a copy, together with the tables, or our state from one."""
    ((old,),) = app.rows("select acknowledged from meisa_cdc_log")
    marks = dict(app.follower.bookmarks)
    for name in ("p", "q"):
        app.write(f"update users set name = '{name}' where id = 1")
        assert app.look() == ["1"]
    kept, app.follower.bookmarks = app.follower.bookmarks, marks
    assert app.look() == UNMARKED
    app.follower.bookmarks = kept
    app.write(f"update meisa_cdc_log set acknowledged = {old}")
    assert app.look() == UNMARKED


@pytest.mark.parametrize("limit", [1_000_000, 20])
def test_a_server_that_lost_a_change_that_was_seen_is_noticed(mariadb_url: str, limit: int):
    """As after a crash without a flush at each commit; also of one that a full log did not tell."""
    app = App(mariadb_url)
    with app.owner, app.other() as old, app.other() as late:
        app.set_up(limit=limit)
        # Whoever goes by an older limit writes nothing, and keeps a full log as it is.
        for each in (old, late):
            run(each, "start transaction with consistent snapshot", "select count(*) from teams")
        for number in range(50 if limit == 20 else 1):
            app.write(f"update users set name = '{number}' where id = 1")
        app.look()
        ((control,),) = app.rows("select acknowledged from meisa_cdc_log")
        run(late, "update users set name = 'lost' where id = 2", "commit")
        assert app.look() == (ASKED if limit == 20 else ["2"])
        app.write(
            "update users set name = 'Bob' where id = 2",
            "delete from meisa_cdc_changes where id <> 1",
            f"update meisa_cdc_log set acknowledged = {control}",
        )
        assert app.look() == UNMARKED


def test_who_saw_nothing_writes_nothing(app: App):
    """The place of a snapshot that was told nothing is that of the one before."""
    app.look()
    upto, before = app.follower.upto, app.rows("select * from meisa_cdc_log")
    assert app.look() == []
    assert (app.follower.upto, app.rows("select * from meisa_cdc_log")) == (upto, before)


@pytest.mark.parametrize(
    "statement",
    [
        "truncate users",
        "alter table users add column more int",
        "alter table users engine = InnoDB",
        "alter table teams modify kind varchar(30)",
    ],
)
def test_what_goes_past_triggers_has_everything_read(app: App, statement: str):
    """Emptied, altered, rewritten."""
    app.write(statement)
    assert app.look() == UNMARKED
    app.settle()
    app.write("insert into users (id, name) values (7, 'x')")
    assert app.look() == ["7"]


def test_a_table_that_was_swapped_is_not_told_of(app: App):
    """As tools do it that alter large tables."""
    app.write("create table users_new like users", "insert into users_new select * from users")
    app.write("rename table users to users_old, users_new to users")
    assert app.look() == UNKEPT
    app.write("rename table users to users_new, users_old to users")
    assert app.look() == UNMARKED
    app.write("create table elsewhere like users", "rename table users to u, elsewhere to users")
    assert "changes of `users` are not kept" in app.follower.why(MAPPING)


def test_a_snapshot_from_before_does_not_read_what_came_after(app: App):
    """A table that was emptied since has no rows to show: the pass fails, and comes again."""
    with app.database.snapshot() as snapshot:
        app.write("truncate users")
        with pytest.raises(Exception, match="definition has changed"):
            list(snapshot.read(MAPPING))
    assert app.look() == UNMARKED


def drop_and_make(app: App, event: str, between: Callable[[], object]) -> None:
    """Drop a trigger, do something, make it again as it was."""
    ((name, text),) = app.rows(
        "select trigger_name, action_statement from information_schema.triggers where "
        "trigger_schema = database() and event_object_table = 'users' "
        f"and event_manipulation = '{event}'"
    )
    app.write(f"drop trigger {name}")
    between()
    app.write(
        "set sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
        "set names utf8mb4",
        f"create trigger {name} after {event} on users for each row {text}",
    )


def test_a_trigger_that_was_off_for_a_while_is_noticed(app: App):
    """It is the same as before, but made at another time."""
    drop_and_make(app, "update", lambda: app.write("update users set name = 'past' where id = 1"))
    assert app.look() == UNMARKED
    app.settle()
    app.write("update users set name = 'told' where id = 1")
    assert app.look() == ["1"]


def test_a_trigger_that_was_off_beside_a_snapshot_is_noticed(app: App):
    """What counts is what was there before the snapshot: it does not see what came after."""

    def past() -> None:
        app.write("update users set name = 'past' where id = 1")

    with app.database.snapshot() as snapshot:
        drop_and_make(app, "update", past)
        beside = snapshot.trail(MAPPING, None).identity
        assert ["1", "Ann", "a"] in [[str(v) for v in r] for b in snapshot.read(MAPPING) for r in b]
    with app.database.snapshot() as snapshot:
        assert snapshot.trail(MAPPING, None).identity != beside


def test_a_trigger_that_is_off_is_no_log(app: App):
    """While it is not there, changes are found in another way."""
    drop_and_make(app, "delete", lambda: [app.look() == UNKEPT or pytest.fail("it is used")])
    assert app.look() == UNMARKED


@pytest.mark.parametrize(
    ("old", "new"),
    [("'unclear'", "'row'"), ("'0', '1'", "'0', '0'"), ("not (old_image", "(old_image")],
)
def test_a_trigger_that_does_not_say_what_we_would_is_none(app: App, old: str, new: str):
    """Its text is compared with what we would write."""
    ((name, text),) = app.rows(
        "select trigger_name, action_statement from information_schema.triggers where "
        "trigger_schema = database() and event_object_table = 'users' "
        "and event_manipulation = 'update'"
    )
    assert text.count(old) >= 1
    app.write(
        "set sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
        "set names utf8mb4",
        f"drop trigger {name}",
        f"create trigger {name} after update on users for each row {text.replace(old, new)}",
    )
    assert app.look() == UNKEPT


def test_a_column_that_is_gone_stops_nobody(app: App):
    """The app's writes go on, and what was written meanwhile is read when it is back."""
    app.write("alter table users drop column name")
    app.write("update users set team = 2 where id = 1", "insert into users (id) values (8)")
    app.write("delete from users where id = 2")
    app.write("alter table users add column name varchar(50) after team")
    app.write("update users set hidden = 'z' where id = 4")
    assert app.look() == UNMARKED
    app.settle()
    # Between two passes, so fast that nobody sees it.
    app.write("update users set name = 'now' where id = 1")
    assert app.look() == ["1"]


def test_what_is_unclear_has_the_table_read(app: App):
    """A row that could not be told is told to be there."""
    app.write("insert into meisa_cdc_changes (relation, kind) values ('users', 'unclear')")
    assert app.look() == ASKED
    assert app.look() == []


@pytest.mark.parametrize("kind", ["varchar(9)", "decimal(9, 1)", "json", "datetime(6)", "float"])
def test_a_column_of_another_type_is_told_or_read(app: App, kind: str):
    """What a trigger takes for a number may be one no more."""
    app.write(f"alter table teams add column extra {kind}")
    app.write("update users set team = null", "alter table users modify team varchar(9)")
    app.write("update users set team = '2nd' where id = 1")
    assert app.look() in (UNMARKED, UNKEPT)
    assert app.look() == UNKEPT or app.look() in (UNMARKED, ASKED, [])


@pytest.mark.parametrize(
    "statement",
    [
        "drop table meisa_cdc_changes",
        "drop table meisa_cdc_room",
        "drop table meisa_cdc_log",
        "drop procedure meisa_cdc_note",
        "drop procedure meisa_cdc_standing",
        "alter table meisa_cdc_changes drop column kind",
        "drop table meisa_cdc_changes, meisa_cdc_room, meisa_cdc_log",
    ],
)
def test_what_was_dropped_by_hand_stops_nobody(app: App, statement: str):
    """The triggers notice, and so does the reader."""
    app.write(statement)
    with app.other() as writer:
        run(writer, "update users set name = 'x' where id = 1", "delete from users where id = 2")
        run(writer, "replace into users (id) values (3)", "commit")
    assert app.rows("select name from users where id = 1") == (("x",),)
    assert app.look() in (UNKEPT, UNMARKED)
    assert app.follower.upto is None


def test_locked_tables_are_no_hindrance(app: App):
    """Also after the log was read, by a writer who has not used it before."""
    for _ in range(3):
        app.look()
        app.rows("select count(*) from meisa_cdc_changes")
        with app.other() as writer:
            run(writer, "lock tables users write, teams read")
            run(writer, "update users set name = concat(ifnull(name, ''), '!') where id < 3")
            run(writer, "replace into users (id, name) values (3, 'r')")
            run(writer, "insert into users (id) values (3) on duplicate key update name = 's'")
            run(writer, "delete from users where id = 77", "commit", "unlock tables")
        assert app.look() == ["1", "2", "3"]


@pytest.mark.parametrize(
    "setting",
    [
        "sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,STRICT_ALL_TABLES'",
        "sql_mode = ''",
        "names latin1",
        "names utf8mb4 collate utf8mb4_unicode_ci",
        "time_zone = '+09:00'",
        "session transaction isolation level read uncommitted",
        "session transaction isolation level serializable",
        "auto_increment_increment = 7",
        "foreign_key_checks = 0, unique_checks = 0",
    ],
)
def test_the_app_may_set_what_it_likes(app: App, setting: str):
    """What is told does not depend on it."""
    with app.other() as writer:
        run(writer, f"set {setting}", "update users set name = _latin1'\xe9' where id = 1")
        run(writer, "update users set team = 2 where id = 2", "commit")
    assert app.look() == ["1", "2"]


TYPES = """
create table kinds (id bigint primary key, a int unsigned, b bigint unsigned, c tinyint(1),
    d mediumint, e smallint zerofill, f float, g double, h decimal(20, 6), i bit(9), j json,
    k date, l datetime(6), m timestamp(3) null, n time, o year, p char(3), q text, r longblob,
    s enum('x', 'y'), t set('x', 'y'), u uuid, v varchar(9) character set latin1, w inet6)
"""
#: Column -> values, no two of which are the same.
VALUES = {
    "a": ("0", "4294967295"),
    "b": ("18446744073709551615", "18446744073709551614"),
    "c": ("0", "1", "-1"),
    "d": ("-8388608", "8388607"),
    "e": ("5", "6"),
    "f": ("1.0000001", "1.0000002", "16777217", "16777218"),
    "g": ("0.1", "0.1000000000000000055e0 + 1e-16", "1e300"),
    "h": ("1.000001", "1.000002"),
    "i": ("b'1'", "b'10'"),
    "j": ("'{\"a\": 1}'", "'{\"a\": 1.0}'"),
    "k": ("'2026-01-01'", "'0000-00-00'"),
    "l": ("'2026-01-01 00:00:00.000001'", "'2026-01-01 00:00:00.000002'"),
    "m": ("'2026-01-01 00:00:00.001'", "'2026-01-01 00:00:00.002'"),
    "n": ("'-800:00:01'", "'10:00:00'"),
    "o": ("1999", "0"),
    "p": ("'a'", "'A'", "'ä'"),
    "q": ("'a'", "'a '", "'A'", "''"),
    "r": ("x'00'", "x'0000'", "x'61'", "repeat('a', 100000)"),
    "s": ("'x'", "'y'"),
    "t": ("'x'", "'x,y'", "''"),
    "u": ("'123e4567-e89b-12d3-a456-426655440000'", "'123e4567-e89b-12d3-a456-426655440001'"),
    "v": ("'e'", "'é'", "'E'"),
    "w": ("'::1'", "'::2'"),
}


def test_each_change_of_each_type_is_told(mariadb_url: str):
    """Also of values that are equal to the server, or have the same text."""
    app = App(mariadb_url)
    with app.owner:
        app.write(TYPES, "insert into kinds (id) values (1), (2)")
        names = ", ".join(f"k.{name}" for name in VALUES)
        app.follower.mappings = [mapping(f"select k.id as external_id, {names} from kinds k")]
        app.set_up()
        with app.other(autocommit=True) as writer:
            run(writer, "set sql_mode = ''")
            for name, values in VALUES.items():
                for value in (*values, "null"):
                    run(writer, f"update kinds set {name} = {value} where id = 1")
                    assert app.look() == ["1"], (name, value)
                    run(writer, f"update kinds set {name} = {value} where id = 1")
                    assert app.look() == [], (name, value)


def test_large_and_negative_numbers_lead_to_their_contacts(mariadb_url: str):
    """Signed and unsigned, through a join, beyond what a double holds."""
    app = App(mariadb_url)
    with app.owner:
        app.write(
            "create table a (id bigint unsigned primary key, other bigint)",
            "create table b (id bigint primary key, n int)",
            "insert into a values (18446744073709551615, -9223372036854775808), (7, 7), (8, null)",
            "insert into b values (-9223372036854775808, 1), (7, 1)",
        )
        text = "select a.id as external_id, b.n from a join b on b.id = a.other"
        app.follower.mappings = [mapping(text)]
        app.set_up()
        app.write("update b set n = 2 where id < 0")
        assert app.look() == ["18446744073709551615"]
        app.write("update b set n = 2 where id = 7")
        assert app.look() == ["7"]
        app.write("delete from b where id < 0", "delete from a where id > 9")
        assert app.look() == ["18446744073709551615"]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("constraint k foreign key (team) references teams (id) on delete cascade", "past"),
        ("constraint k foreign key (team) references teams (id) on update set null", "past"),
        ("constraint k foreign key (team) references teams (id) on delete restrict", ""),
    ],
)
def test_rows_that_a_foreign_key_changes_are_not_followed(app: App, key: str, reason: str):
    """The server goes past triggers there."""
    app.write(f"alter table users add {key}")
    assert app.look() == (UNKEPT if reason else UNMARKED)
    seen = look(app.database, [MAPPING])
    (need,) = seen.needs
    assert (need.scan is not None and reason in need.scan.reason) or not reason


@pytest.mark.parametrize(
    "statement",
    [
        "alter table teams engine = Aria",
        "alter table teams partition by hash (id) partitions 2",
        "alter table teams add system versioning",
    ],
)
def test_tables_that_snapshots_or_triggers_do_not_cover_are_not_followed(app: App, statement: str):
    """They are read in another way."""
    app.write(statement)
    assert app.look() == UNKEPT
    (need,) = look(app.database, [MAPPING]).needs
    assert need.scan is not None


def test_a_full_log_stops_growing_and_is_taken_up_again(mariadb_url: str):
    """Everything is read until it is sure that nobody was missed."""
    app = App(mariadb_url)
    with app.owner:
        app.set_up(limit=20)
        for _ in range(15):
            app.write("update users set name = concat(ifnull(name, ''), 'x')")
        assert app.count() == 20
        assert app.look() == ASKED
        assert app.count() == 0
        looks = 0
        while app.look() == ASKED:
            looks += 1
            assert looks < MOST
            # Who asks more often is shown the transactions of before.
            app.rows("select sleep(0.2)")
        app.write("update users set name = 'y' where id = 1")
        assert app.look() == ["1"]


def test_who_goes_by_an_old_limit_and_commits_late_is_waited_for(mariadb_url: str):
    """A transaction that sees an old log may write nothing, long after the log has room again."""
    app = App(mariadb_url)
    with app.owner, app.other() as old:
        app.set_up(limit=20)
        run(old, "start transaction with consistent snapshot", "select count(*) from teams")
        for _ in range(4):
            app.write("update users set name = concat(ifnull(name, ''), 'x') where id < 4")
            assert app.look() in (["1", "2", "3"], ASKED)
        for _ in range(3):
            app.write("update users set name = concat(ifnull(name, ''), 'z') where id < 4")
            app.look()
        run(old, "update users set name = 'late' where id = 4")
        assert app.look() == ASKED
        run(old, "commit")
        # It wrote nothing, and it is not missed: the first pass reads it, as all before it did.
        assert app.look() == ASKED
        assert app.follower.rows["contacts/x"]["4"] == ["(4, 'late', None)"]
        looks = 0
        while app.look() == ASKED:
            looks += 1
            assert looks < MOST
            # Who asks more often is shown the transactions of before.
            app.rows("select sleep(0.2)")
        app.write("update users set name = 'told' where id = 4")
        assert app.look() == ["4"]


def test_a_log_in_use_makes_room_before_it_is_full(mariadb_url: str):
    """Nobody reads everything because many changes went by one after the other."""
    app = App(mariadb_url)
    with app.owner:
        app.set_up(limit=40)
        for number in range(30):
            app.write(f"update users set name = 'x{number}'")
            assert app.look() == ["1", "2", "3", "4"]


def test_who_began_before_it_was_set_up_is_told(mariadb_url: str):
    """A transaction that cannot see our tables yet writes to them all the same."""
    app = App(mariadb_url)
    with app.owner, app.other() as old:
        run(old, "start transaction with consistent snapshot", "select count(*) from teams")
        run(old, "commit", "start transaction with consistent snapshot")
        app.set_up()
        run(old, "update users set name = 'old' where id = 1", "commit")
        assert app.look() == ["1"]


def test_setting_up_waits_for_nobody_for_long(mariadb_url: str):
    """The app would wait behind it."""
    app = App(mariadb_url)
    with app.owner, app.other() as writer:
        run(writer, "update users set name = 'x' where id = 1")
        setup = look(app.database, [MAPPING])
        with pytest.raises(SourceRefused, match="would have waited"):
            list(setup.applied(app.url, setup.steps))
        run(writer, "commit")
        assert app.look() == UNKEPT
        list(setup.applied(app.url, setup.steps))
        app.settle()
        assert proof(app.database, [MAPPING], setup) == []


def test_more_than_can_be_followed_is_read_in_full(app: App):
    """And deleted all the same, but for what came later."""
    app.write("insert into users (name) select 'n' from seq_1_to_100001")
    assert changelog.MOST_CHANGES == 100_000
    assert app.look(acknowledge=False) == ASKED
    app.write("update users set name = 'later' where id = 1")
    app.follower.acknowledge()
    assert app.count() == 1
    assert app.look() == ["1"]


READER = (
    "drop user if exists meisa_test_reader@'%'",
    "create user meisa_test_reader@'%' identified by 'secret'",
    "grant select on {}.* to meisa_test_reader@'%'",
)


@pytest.fixture
def reader(mariadb_url: str) -> Iterator[App]:
    """Yield an app whose database is read by an account that may only SELECT."""
    app = App(mariadb_url)
    with app.owner:
        app.write(*(each.format(app.url.database) for each in READER))
        url = app.url.set(username="meisa_test_reader", password="secret")
        app.database = AppDatabase(url)
        app.follower = Follower(app.database, [MAPPING])
        yield app
        app.write("drop user if exists meisa_test_reader@'%'")


def test_a_reader_needs_what_setup_grants(reader: App):
    """It sees no trigger, and can make none; `check` holds nothing of it against the role."""
    assert reader.look() == UNKEPT
    setup = look(reader.database, [MAPPING])
    assert setup.problems(unlimited=False) == []
    assert setup.lacking_rights(reader.url) == []
    assert list(setup.applied(reader.url, setup.steps))[-1].sql.startswith("insert")
    reader.settle()
    reader.write("update teams set kind = 'z' where id = 2")
    assert reader.look() == ["3"]
    assert reader.count() == 0
    assert reader.database.read_only_proof() == []
    with closing(connected(reader.database.url)) as connection:
        with pytest.raises(pymysql.MySQLError, match="denied"):
            run(connection, "call meisa_cdc_note('users', 'row', null, null)")
        assert run(connection, "select count(*) from information_schema.triggers") == ((0,),)


def test_an_account_that_is_gone_is_trouble(reader: App):
    """The app's writes fail then: `capture status` says so first."""
    reader.write(
        "drop user if exists meisa_test_maker@'%'",
        "create user meisa_test_maker@'%' identified by 'secret'",
        f"grant all on {reader.url.database}.* to meisa_test_maker@'%' with grant option",
        "grant process on *.* to meisa_test_maker@'%'",
        "grant super on *.* to meisa_test_maker@'%'",
    )
    setup = look(reader.database, [MAPPING])
    maker = reader.url.set(username="meisa_test_maker", password="secret")
    assert setup.lacking_rights(maker) == []
    list(setup.applied(maker, setup.steps))
    reader.settle()
    reader.write("drop user meisa_test_maker@'%'")
    seen = look(reader.database, [MAPPING])
    (problem,) = seen.document()["problems"]
    assert "account is gone" in problem.what
    assert "does not exist" in reader.follower.why(MAPPING)
    with pytest.raises(pymysql.MySQLError, match="definer"):
        reader.write("update users set name = 'x'")
    list(seen.applied(reader.url, seen.removing))
    reader.write("update users set name = 'x'")


def test_an_account_that_lacks_rights_is_told_which(reader: App):
    """Before anything is changed."""
    setup = look(reader.database, [MAPPING])
    lacking = setup.lacking_rights(reader.database.url)
    assert "TRIGGER" in lacking[0].what
    elsewhere = setup.lacking_rights(reader.url.set(database="mysql"))
    assert "another database" in elsewhere[0].what


def test_who_may_write_needs_no_right_on_the_log(reader: App):
    """The triggers run with the rights of whoever made them."""
    reader.set_up()
    reader.write(f"grant update on {reader.url.database}.users to meisa_test_reader@'%'")
    with closing(connected(reader.database.url)) as connection:
        run(connection, "update users set name = 'app' where id = 2")
    assert reader.look() == ["2"]


def test_setting_up_again_follows_the_mappings(app: App):
    """Tables that nobody reads any more lose their triggers; others get them."""
    assert look(app.database, [MAPPING]).steps == []
    other = mapping("select u.id as external_id, u.hidden from users u")
    app.follower.mappings = [other]
    assert app.look() == UNKEPT
    app.set_up()
    app.write("update users set hidden = 'h' where id = 1")
    assert app.look() == ["1"]
    found = app.rows(
        "select distinct event_object_table from information_schema.triggers "
        "where trigger_schema = database()"
    )
    assert found == (("users",),)


def test_removal_leaves_nothing_behind(app: App):
    """Also what the reader does not see."""
    app.write("drop procedure meisa_cdc_standing")
    seen = look(app.database, [MAPPING])
    list(seen.applied(app.url, seen.removing))
    assert look(app.database, [MAPPING]).removing == []
    assert app.rows("show tables") == (("teams",), ("users",))
    assert (
        app.rows("select 1 from information_schema.triggers where trigger_schema = database()")
        == ()
    )
    assert app.rows("show procedure status where db = database()") == ()
    app.write("update users set name = 'x'")


def test_there_is_no_slot(app: App):
    """Whoever asks for one is told."""
    with pytest.raises(SourceRefused, match="no log of its own"):
        look(app.database, [MAPPING], "slot")


def test_what_waits_in_the_log_is_noticed(app: App):
    """Over a connection that is kept, and made anew where it is lost."""
    with closing(app.database.watch()) as watch:
        assert not watch.moved()
        app.write("update users set name = 'x' where id = 1")
        assert watch.moved()
        app.look()
        assert not watch.moved()
        for (number,) in app.rows(
            "select id from information_schema.processlist where id <> connection_id()"
        ):
            app.write(f"kill {number}")
        with pytest.raises(SourceUnavailable):
            watch.moved()
        app.write("update users set name = 'y' where id = 1")
        assert watch.moved()
        app.write("drop table meisa_cdc_changes")
        assert not watch.moved()


def test_a_server_that_takes_no_writes_has_no_log(app: App):
    """A replica tells of changes that no trigger sees."""
    app.write("set global read_only = 1")
    try:
        assert app.look() == UNKEPT
        assert "replica" in app.follower.why(MAPPING)
        assert look(app.database, [MAPPING]).problems(unlimited=False)
    finally:
        app.write("set global read_only = 0")


def test_what_an_older_log_showed_is_not_acknowledged_to_a_new_one(app: App):
    """Set up anew in between, it has everything read."""
    app.write("update users set name = 'x' where id = 1")
    app.look(acknowledge=False)
    setup = look(app.database, [MAPPING, mapping("select id as external_id, hidden from users")])
    list(setup.applied(app.url, setup.steps))
    app.write("update users set name = 'y' where id = 2")
    app.follower.acknowledge()
    assert app.count() == 2
    assert isinstance(app.database._seen, Seen)  # noqa: SLF001 - it kept it


def test_writers_wait_for_nobody(app: App):
    """A long statement holds up no other writer, nor does whoever empties the log."""
    with app.other() as slow, app.other(autocommit=True) as quick:
        run(quick, "set innodb_lock_wait_timeout = 1")
        text = "update users set name = concat('s', sleep(0.5)) where id < 4"
        thread = threading.Thread(target=run, args=(slow, text))
        thread.start()
        while not app.rows(
            "select 1 from information_schema.processlist where info = '"
            + text.replace("'", "''")
            + "'"
        ):
            pass
        run(quick, "insert into users (name) values ('q')")
        run(quick, "update teams set kind = 'q' where id = 2")
        assert app.look() == ["3", "5"]
        assert thread.is_alive()
        thread.join()
        run(slow, "commit")
    assert app.look() == ["1", "2", "3"]


def test_who_loads_without_checks_holds_up_nobody(app: App):
    """MariaDB locks an empty table as a whole for such a session, so the log is never empty."""
    app.look()
    for statement in ("insert into users (name) values ('b')", "update users set name = 'c'"):
        with app.other() as loading, app.other(autocommit=True) as quick:
            run(loading, "set unique_checks = 0, foreign_key_checks = 0", statement)
            run(quick, "set innodb_lock_wait_timeout = 1")
            run(quick, "update teams set kind = concat(kind, '!') where id = 2")
            assert app.look() == ["3"]
            assert app.count() == 0


@pytest.mark.parametrize(
    "statement", ["delete from meisa_cdc_changes", "truncate meisa_cdc_changes"]
)
def test_a_log_whose_first_row_is_gone_is_set_up_anew(app: App, statement: str):
    """Nobody goes by it until then."""
    app.write("update users set name = 'x' where id = 1", statement)
    assert app.look() == UNKEPT
    assert "not as this version sets it up" in app.follower.why(MAPPING)
    app.set_up()
    app.write("update users set name = 'y' where id = 1")
    assert app.look() == ["1"]


def test_more_than_the_server_takes_in_a_statement_is_not_asked(mariadb_url: str):
    """It would hang up; all rows are read then, in the same snapshot."""
    app = App(mariadb_url)
    with app.owner:
        app.write(
            "create table docs (id int primary key auto_increment, a bigint, b bigint, n int)",
            "create table owned (doc int, user int, primary key (doc, user))",
            "insert into docs (a, b) select 1000000000 + seq, 1000000000 + seq from seq_1_to_20000",
            "insert into owned values (1, 1)",
        )
        text = """select u.id as external_id, count(d.id) as n from users u
            join owned o on o.user = u.id join docs d on d.id = o.doc and d.a > 5 and d.b > 5
            group by u.id"""
        app.follower.mappings = [mapping(text)]
        app.set_up()
        ((longest,),) = app.rows("select @@global.max_allowed_packet")
        app.write("set global max_allowed_packet = 1048576", "update docs set a = a + 1")
        try:
            with app.database.snapshot() as snapshot:
                (each,) = app.follower.mappings
                identity, upto = app.follower.bookmarks[each.name]
                assert snapshot.trail(each, upto).identity == identity
                with pytest.raises(MappingFailed, match="max_allowed_packet"):
                    list(snapshot.changed(each, upto) or ())
                assert [row for batch in snapshot.read(each) for row in batch] == [(1, 1)]
        finally:
            app.write(f"set global max_allowed_packet = {longest}")
        assert "1" in app.look()


def test_a_log_that_was_left_while_room_was_made_goes_on(mariadb_url: str):
    """The new limit is there, and nobody noted it: then it is noted the next time."""
    app = App(mariadb_url)
    with app.owner:
        app.set_up(limit=40)
        for number in range(8):
            app.write(f"update users set name = 'x{number}'")
            app.look(acknowledge=False)
            (following,) = app.rows(
                "select max(id) + 1, noted from meisa_cdc_changes, meisa_cdc_log"
            )
            app.write(f"insert ignore into meisa_cdc_room values ({max(following) + 40})")
            app.follower.acknowledge()
            assert app.count() == 0


def test_room_is_not_made_where_writers_hold_on_to_it(mariadb_url: str):
    """Writers lock the last limit where the server may log statements; what was seen is gone."""
    app = App(mariadb_url)
    with app.owner, app.other() as writer:
        app.set_up(limit=20)
        app.write("update users set name = 'x'", "update users set name = 'y'")
        before = app.rows("select * from meisa_cdc_room")
        run(writer, "set session binlog_format = 'MIXED'")
        run(writer, "update users set name = 'z' where id = 1")
        app.write("update users set name = 'w' where id > 1")
        assert app.look() == ["1", "2", "3", "4"]
        assert (app.count(), app.rows("select * from meisa_cdc_room")) == (0, before)
        run(writer, "commit")
        assert app.look() == ["1"]
        assert len(app.rows("select * from meisa_cdc_room")) == 2


def test_auto_takes_it_where_it_tells_all(app: App):
    """And a checksum where it does not."""
    plain = mapping("select u.id as external_id, u.name from users u", capture="auto")
    dated = mapping(
        "select u.id as external_id, utc_date() as d from users u",
        capture="auto",
        name="contacts/d",
    )
    text = mapping(
        "select u.name as external_id, u.id from users u", capture="auto", name="contacts/t"
    )
    with app.database.snapshot() as snapshot:
        assert snapshot.capture(plain).kind == LOG
        assert "utc_date" in snapshot.capture(dated).why
        assert "no integer" in snapshot.capture(text).why
