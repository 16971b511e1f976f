"""The log of changed rows that triggers write, on real databases."""

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest
from sqlalchemy import make_url

from meisa_cdc.core.captures import LOG
from meisa_cdc.core.errors import SettingsError, SourceUnavailable
from meisa_cdc.source import changelog
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.dialects import MYSQL, POSTGRESQL, SQLITE
from meisa_cdc.source.postgres_trigger_log import Seen
from meisa_cdc.source.trigger_names import Names
from meisa_cdc.source.trigger_setup import creation, removal
from tests.soundness.logged import ASKED, UNKEPT, UNMARKED, Follower, mapping, told_of

TABLES = """
create table users (id integer primary key, team integer, name text, hidden text);
create table teams (id integer primary key, kind text);
insert into teams values (1, 'a'), (2, 'b');
insert into users values (1, 1, 'Ann', 'x'), (2, 1, 'Bob', 'x'), (3, 2, 'Cyd', 'x'),
    (4, null, null, null);
"""
TEXT = """select u.id as external_id, u.name, t.kind from users u
left join teams t on t.id = u.team"""
MAPPING = mapping(TEXT)


class App:
    """A database, its owner, and the app that writes to it under a role of its own."""

    def __init__(self, url: str) -> None:
        self.plain = url.replace("+psycopg", "")
        self.owner = psycopg.connect(self.plain, autocommit=True)
        self.owner.execute(TABLES)
        self.database = AppDatabase(url)
        self.follower = Follower(self.database, [MAPPING])

    def set_up(self, **options) -> None:
        """Set up the log for the mappings."""
        told = told_of(self.database, self.follower.mappings)
        for statement in creation(POSTGRESQL, "meisa_cdc", told, **options):
            self.owner.execute(statement)

    def write(self, statements: str) -> None:
        """Change something."""
        self.owner.execute(statements)

    def look(self, **options) -> list[str] | str:
        """Return whom the only mapping's changes affect, or why it was read in full."""
        return self.follower.look(**options)["contacts/x"]

    def count(self) -> int:
        """Return the rows that the log holds."""
        ((count,),) = self.owner.execute("select count(*) from meisa_cdc_changes").fetchall()
        return int(count)


@pytest.fixture
def app(postgres_url: str) -> Iterator[App]:
    """Yield an app whose log is set up and was looked at once."""
    app = App(postgres_url)
    with app.owner:
        app.set_up()
        assert app.look() == UNMARKED
        yield app


def test_each_kind_of_change_is_told(app: App):
    """Inserts, updates, deletes, through joins; a column that nobody reads changes nobody."""
    assert app.look() == []
    app.write("insert into users values (5, 2, 'Eve', null)")
    assert app.look() == ["5"]
    app.write("update users set name = 'Bea' where id = 2")
    assert app.look() == ["2"]
    app.write("update users set name = null where id = 2")
    assert app.look() == ["2"]
    app.write("update teams set kind = 'c' where id = 1")
    assert app.look() == ["1", "2"]
    app.write("delete from users where id = 1; update users set id = 9 where id = 3")
    assert app.look() == ["1", "3", "9"]
    app.write("update users set hidden = 'y'; update users set name = name")
    assert app.count() == 0
    assert app.look() == []


def other(app: App) -> psycopg.Connection:
    """Return a second writer, in a transaction of its own."""
    return psycopg.connect(app.plain)


def test_what_is_rolled_back_was_never_told(app: App):
    """Neither a whole transaction nor back to a savepoint."""
    with other(app) as writer:
        writer.execute("update users set name = 'no' where id = 1")
        writer.rollback()
        writer.execute("update users set name = 'yes' where id = 2; savepoint here")
        writer.execute("update users set name = 'no' where id = 3; rollback to here")
        writer.commit()
    assert app.look() == ["2"]
    assert app.count() == 0


def test_writers_that_overlap_are_each_told_once_they_committed(app: App):
    """What began first may end last; what was not seen is not deleted."""
    with other(app) as first, other(app) as second:
        first.execute("update users set name = 'first' where id = 1")
        second.execute("update users set name = 'second' where id = 2")
        second.commit()
        assert app.look() == ["2"]
        second.execute("savepoint s; update users set name = 'third' where id = 3; release s")
        first.commit()
        assert app.look() == ["1"]
        assert app.look() == []
        second.commit()
    assert app.look() == ["3"]
    assert app.count() == 0


def test_a_change_between_snapshot_and_acknowledging_stays(app: App):
    """Only what the snapshot saw is deleted."""
    app.write("update users set name = 'one' where id = 1")
    assert app.look(acknowledge=False) == ["1"]
    app.write("update users set name = 'two' where id = 2")
    app.follower.acknowledge()
    assert app.look() == ["2"]


def test_what_was_not_acknowledged_is_told_again(app: App):
    """Twice the same is no harm, and neither is to acknowledge it twice."""
    app.write("update users set name = 'one' where id = 1")
    assert app.look(acknowledge=False) == ["1"]
    app.write("update users set name = 'two' where id = 2")
    assert app.look(acknowledge=False) == ["1", "2"]
    app.follower.acknowledge()
    app.follower.acknowledge()
    app.database.acknowledge(1)
    assert app.look() == []


def test_what_somebody_else_acknowledged_is_read_in_full(app: App):
    """Whoever saw less than was deleted begins anew, whoever saw as much goes on."""
    another = Follower(AppDatabase(app.database.url), [MAPPING])
    another.look()
    app.write("update users set name = 'one' where id = 1")
    assert app.look(acknowledge=False) == ["1"]
    app.write("update users set name = 'two' where id = 2")
    assert another.look() == {"contacts/x": ["1", "2"]}
    app.follower.acknowledge()
    assert app.look() == UNMARKED
    app.write("update users set name = 'three' where id = 2")
    assert app.look(acknowledge=False) == ["2"]
    assert another.look() == {"contacts/x": ["2"]}
    app.follower.acknowledge()
    assert another.look() == {"contacts/x": []}
    assert app.look() == []


def test_who_saw_less_at_the_same_number_begins_anew(app: App):
    """Also where no transaction began between two snapshots, and one ended."""
    another = Follower(AppDatabase(app.database.url), [MAPPING])
    another.look()
    with other(app) as early:
        early.execute("update users set name = 'early' where id = 2")
        app.write("update users set name = 'late' where id = 1")
        assert app.look(acknowledge=False) == ["1"]
        early.commit()
    assert another.look() == {"contacts/x": ["1", "2"]}
    assert app.look() == UNMARKED


def test_who_acknowledged_nothing_has_a_log_that_is_not_written_to(app: App):
    """A pass over a database at rest writes nothing."""
    app.look()
    before = app.owner.execute("select xmin::text from meisa_cdc_log").fetchone()
    app.look()
    assert app.owner.execute("select xmin::text from meisa_cdc_log").fetchone() == before


def test_truncate_and_alter_have_everything_read(app: App):
    """Whatever changes rows without telling of each."""
    app.write("insert into users values (7, 7, 'Gus', null)")
    app.write("truncate users")
    assert app.look() == UNMARKED
    assert app.look() == []
    app.write("insert into users values (7, 7, 'Gus', null)")
    app.write("alter table users alter name type varchar(2) using left(name, 2)")
    assert app.look() == UNMARKED
    app.write("alter table users add more text default 'x'")
    assert app.look() == UNMARKED
    app.write("update users set name = 'Al' where id = 7")
    assert app.look() == ["7"]


def test_truncate_in_a_transaction_that_goes_on_is_told(app: App):
    """A table that is filled again has another file, and a row in the log."""
    app.write("begin; truncate users; insert into users values (1, 1, 'Ann', 'x'); commit")
    rows = app.owner.execute("select kind from meisa_cdc_changes order by id").fetchall()
    assert rows == [("emptied",), ("row",)]
    assert app.look() == UNMARKED


@pytest.mark.parametrize(
    "statement",
    [
        "alter table users disable trigger meisa_cdc_rows",
        "alter table users disable trigger all",
        "alter table users disable trigger all; alter table users enable trigger all",
        "alter table teams disable trigger meisa_cdc_emptied",
        "drop trigger meisa_cdc_rows on teams",
        "drop trigger meisa_cdc_emptied on users",
        "alter table teams enable trigger meisa_cdc_rows",
        "alter table teams rename to sorts; create table teams (id integer, kind text)",
    ],
)
def test_a_trigger_that_does_not_tell_all_is_no_log(app: App, statement: str):
    """Disabled, missing, or not as it was set up: nothing is lost, and the reason is told."""
    app.write(statement)
    app.write("update users set name = 'Bea' where id = 2")
    app.look()
    app.write("update users set name = 'Bob' where id = 2")
    assert app.look() == UNKEPT
    assert "are not kept" in app.follower.why(MAPPING)
    app.set_up()
    assert app.look() == UNMARKED
    app.write("update users set name = 'Bea' where id = 2")
    assert app.look() == ["2"]


def test_a_trigger_that_was_off_for_a_while_is_noticed(app: App):
    """Even where somebody put it back as it was."""
    app.write("alter table users disable trigger meisa_cdc_rows")
    app.write("update users set name = 'Bea' where id = 2")
    app.write("alter table users enable always trigger meisa_cdc_rows")
    assert app.look() == UNMARKED
    assert app.look() == []


def test_a_column_that_is_gone_stops_nobody(app: App):
    """The app writes on; what cannot be told is said to be unclear."""
    with other(app) as writer:
        writer.execute("update users set name = 'x' where id = 1")
        writer.commit()
        app.write("alter table users drop team")
        app.follower.mappings = [mapping("select id as external_id, name from users")]
        assert app.look() == UNMARKED
        writer.execute("update users set name = 'y' where id = 1")
        writer.execute("delete from users where id = 2")
        writer.commit()
    assert app.look() == ASKED
    app.set_up()
    assert app.look() == UNMARKED
    app.write("update users set name = 'z' where id = 1")
    assert app.look() == ["1"]


def test_tables_that_were_dropped_by_hand_stop_nobody(app: App):
    """The triggers do nothing then, and there is no log."""
    app.write("drop table meisa_cdc_changes, meisa_cdc_log")
    app.write("update users set name = 'y' where id = 1; truncate teams")
    assert app.look() == UNKEPT
    assert "keeps no log" in app.follower.why(MAPPING)
    app.set_up()
    assert app.look() == UNMARKED


def test_who_may_write_needs_no_right_on_the_log(app: App):
    """The app's role has rights on its own tables alone, whatever its settings are."""
    app.write("""create role meisa_test_app; grant insert, update, delete, truncate, select
        on users, teams to meisa_test_app""")
    try:
        with other(app) as writer:
            writer.execute("set role meisa_test_app; set search_path = pg_catalog")
            writer.execute("set datestyle = 'German'")
            writer.execute("set transaction isolation level serializable")
            writer.execute("insert into public.users values (8, 2, 'Hal', null)")
            writer.execute("update public.teams set kind = 'z' where id = 2")
            writer.commit()
        assert app.look() == ["3", "8"]
    finally:
        app.write("drop owned by meisa_test_app; drop role meisa_test_app")


def test_a_replica_that_is_fed_is_told_of(app: App):
    """Triggers fire for those who apply what another server told, too."""
    app.write("set session_replication_role = 'replica'")
    app.write("update users set name = 'Bea' where id = 2")
    assert app.look() == ["2"]


TYPES = """
create type mood as enum ('ok', 'not "so" ok');
create type pair as (a integer, b text);
create domain score as numeric(9, 3);
create table things (id uuid primary key, owner bigint, n numeric, d double precision, f real,
    t text, c char(5), v varchar(3), b boolean, y bytea, j json, jb jsonb, a integer[], ta text[],
    dt date, ts timestamp, tz timestamptz, tm time, iv interval, ip inet, m mood, p pair,
    r int4range, s score, bi bit(3), pt point, o oid, "na ""m'e" text);
"""
KEY = "00000000-0000-0000-0000-000000000001"
VALUES = {
    "owner": "5", "n": "1.500", "d": "0.1::float8 + 0.2", "f": "1e-7::real",
    "t": "e'\\u00e4\\n\\t\\\\\"x'",
    "c": "'ab'", "v": "'abc'", "b": "true", "y": "'\\x00ff'", "j": "'{\"a\": [1, null]}'",
    "jb": "'{\"b\": \"\\u00e4\"}'", "a": "'{1,null,3}'", "ta": "array['a,\"{', null, '']",
    "dt": "'infinity'", "ts": "'2026-01-02 03:04:05.678901'", "tz": "'10000-01-01 00:00+02'",
    "tm": "'24:00'", "iv": "'-1 year 2 days 03:04:05.6'", "ip": "'10.0.0.1'",
    "m": "'not \"so\" ok'", "p": "row(null, null)", "r": "'[1,5)'", "s": "1.25", "bi": "B'101'",
    "pt": "'(1,2)'", "o": "7", '"na ""m\'e"': "'x'",
}  # fmt: skip


def test_values_of_every_type_are_told_as_they_are(postgres_url: str):
    """Whatever settings the app has: each condition finds the old value, in its own type."""
    app = App(postgres_url)
    with app.owner:
        app.write(TYPES)
        plain = [name for name in VALUES if name not in ("j", "pt", "p")]
        app.follower.mappings = [
            mapping(
                f"select u.id as external_id, count(*) as n from users u, things t where"
                f" t.owner = u.id + 4 and t.{name} = {VALUES[name]} group by u.id",
                name=f"contacts/{number}",
            )
            for number, name in enumerate(plain)
        ]
        app.follower.mappings.append(
            mapping("select t.id as external_id, t.j::text, t.pt::text, t.p::text"
                    " from things t", name="contacts/all")
        )  # fmt: skip
        app.set_up()
        app.follower.look()
        app.write(
            "set datestyle = 'SQL, DMY'; set timezone = 'Asia/Tokyo'; set bytea_output = 'escape'"
        )
        app.write(
            "set extra_float_digits = -15; set intervalstyle = 'iso_8601'; set search_path = ''"
        )
        names, values = ", ".join(["id", *VALUES]), ", ".join([f"'{KEY}'", *VALUES.values()])
        for statement, keys in (
            (f"insert into public.things ({names}) values ({values})", [KEY]),
            ("update public.things set owner = 6", []),
            ("update public.things set p = null", [KEY]),
            ("update public.things set owner = null", []),
            ("delete from public.things", [KEY]),
        ):
            app.write(statement)
            found = app.follower.look()
            assert found["contacts/all"] == keys
            assert UNMARKED not in found.values()
            assert ASKED not in found.values()


def test_a_full_log_stops_growing_and_is_taken_up_again(app: App):
    """Everything is read until nobody is left who could have been missed."""
    app.set_up(limit=3)
    assert app.look() == UNMARKED
    for number in range(10):
        app.write(f"update users set name = '{number}'")
    assert app.count() <= 4
    assert app.look() == ASKED
    app.write("update users set name = 'x' where id = 1")
    assert app.count() == 1
    assert app.look() == ASKED
    app.write("update users set name = 'y' where id = 1")
    assert app.look() == ["1"]


def test_who_was_missed_and_commits_late_is_waited_for(app: App):
    """As long as such a transaction runs, everything is read; one that was rolled back, too."""
    app.set_up(limit=2)
    app.look()
    with other(app) as late, other(app) as lost:
        lost.execute("update users set name = 'lost'")
        lost.rollback()
        late.execute("savepoint s; update users set name = 'late' where id > 2; release s")
        for _ in range(4):
            assert app.look() == ASKED
            app.write("update users set name = name || '.' where id = 1")
        late.commit()
    assert app.look() == ASKED
    assert app.look() == ["1"] or app.look() == []
    app.write("update users set name = 'x' where id = 1")
    assert app.look() == ["1"]


def test_who_knows_an_old_limit_is_not_overlooked(app: App):
    """A transaction that sees the past finds the log full, although it was emptied since."""
    app.set_up(limit=2)
    app.look()
    with other(app) as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("select 1 from users")
        for number in range(4):
            app.write(f"update users set name = '{number}' where id = 1")
            assert app.look() == ["1"]
        old.execute("update users set name = 'old' where id = 2")
        app.write("update users set name = 'x' where id = 1")
        assert app.look() == ASKED
        old.commit()
    assert app.look() == ASKED
    assert app.look() == []


def test_more_than_can_be_followed_is_read_in_full(app: App):
    """And is let go of all the same."""
    app.write(
        f"insert into teams select n, 'x' from generate_series(10, {changelog.MOST_CHANGES + 20}) n"
    )
    assert app.look() == ASKED
    assert app.count() == 0
    assert app.look() == []


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("update meisa_cdc_log set version = 0", "not as this version"),
        ("delete from meisa_cdc_log", "not as this version"),
        ("update meisa_cdc_log set server = '1'", "made on another server"),
        ("alter table meisa_cdc_changes rename relation to r", "cannot be read"),
        ("drop sequence meisa_cdc_missed", "cannot be read"),
    ],
)
def test_a_log_that_is_not_whole_is_not_used(app: App, statement: str, reason: str):
    """The reason is told, and the mapping is read in full."""
    app.write(statement)
    if "rename" not in statement:
        assert app.look() == UNKEPT
        assert reason in app.follower.why(MAPPING)
    else:
        assert app.look() == ASKED
    app.write("drop table meisa_cdc_changes, meisa_cdc_log")
    app.set_up()
    assert app.look() == UNMARKED
    assert app.look() == []


def test_a_reader_needs_what_setup_grants(app: App):
    """With less the log is not used; with it, `check` finds that the login can only read."""
    app.write("""create role meisa_test_reader login password 'p';
        grant select on users, teams to meisa_test_reader""")
    url = make_url(app.database.url).set(username="meisa_test_reader", password="p")
    database = AppDatabase(url)
    app.follower = Follower(database, [MAPPING])
    unallowed = Seen(
        url=url,
        names=Names(name="meisa_cdc"),
        epoch="",
        snapshot="1:1:",
        place=1,
        oldest=1,
        missed=0,
        needed=True,
    )
    try:
        assert app.look() == UNKEPT
        assert "may not read and empty" in app.follower.why(MAPPING)
        with pytest.raises(SourceUnavailable):
            unallowed.acknowledge(1)
        app.set_up(reader="meisa_test_reader")
        assert app.look() == UNMARKED
        app.write("update users set name = 'x' where id = 1")
        assert app.look() == ["1"]
        assert app.count() == 0
        assert database.read_only_proof() == []
    finally:
        app.write("drop owned by meisa_test_reader; drop role meisa_test_reader")


def test_setting_up_again_follows_the_mappings(app: App):
    """New columns are told of, tables that nobody reads any more are left alone."""
    app.follower.mappings = [mapping("select id as external_id, hidden from users")]
    assert app.look() == UNKEPT
    assert "do not tell of hidden" in app.follower.why(app.follower.mappings[0])
    app.set_up()
    assert app.look() == UNMARKED
    app.write("update users set hidden = 'new' where id = 2")
    app.write("update teams set kind = 'new'")
    assert app.count() == 1
    assert app.look() == ["2"]
    names = "select count(*) from pg_trigger where tgname like 'meisa%'"
    assert app.owner.execute(names).fetchone() == (2,)


def test_what_was_written_while_it_was_set_up_again_is_told(app: App):
    """Whoever writes is waited for; whoever looks afterwards reads everything once."""
    with other(app) as writer:
        writer.execute("update users set name = 'x' where id = 1")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            app.set_up()
        writer.commit()
    app.set_up()
    assert app.look() == UNMARKED


def test_removal_leaves_nothing_behind(app: App):
    """No table, no trigger, no function; it may be done twice."""
    for _ in range(2):
        for statement in removal(POSTGRESQL, "meisa_cdc", tables=["public.users"]):
            app.owner.execute(statement)
    count = """select (select count(*) from pg_class where relname like 'meisa%')
        + (select count(*) from pg_trigger where tgname like 'meisa%')
        + (select count(*) from pg_proc where proname like 'meisa%')"""
    assert app.owner.execute(count).fetchone() == (0,)
    app.write("update users set name = 'x' where id = 1")
    assert app.look() == UNKEPT


def test_a_name_that_would_be_cut_off_is_refused():
    """As is one that would have to be quoted."""
    for name in ("x" * 49, "Log", "a b", ""):
        with pytest.raises(SettingsError):
            creation(POSTGRESQL, name, {})


def test_what_waits_in_the_log_is_noticed(app: App):
    """Rows, and that there are some that were missed; of no log, nothing."""
    watch = app.database.watch()
    app.set_up(limit=1)
    app.look()
    assert not watch.moved()
    app.write("update users set name = 'x' where id = 1")
    assert watch.moved()
    app.look()
    assert not watch.moved()
    app.write("delete from users")
    app.look()
    assert app.count() == 0
    assert watch.moved()
    assert [app.look(), app.look()] == [ASKED, []]
    assert not watch.moved()
    app.write("drop table meisa_cdc_changes, meisa_cdc_log")
    assert not watch.moved()
    watch.close()


def test_only_postgres_has_it():
    """Elsewhere there are no statements to set it up."""
    with pytest.raises(SettingsError, match="no log by triggers on MySQL"):
        creation(MYSQL, "meisa_cdc", {})
    with pytest.raises(SettingsError, match="no log by triggers on SQLite"):
        removal(SQLITE, "meisa_cdc")


def test_what_an_older_log_showed_is_not_acknowledged_to_a_new_one(app: App):
    """Whoever looked before it was set up again reads everything anyway."""
    app.write("update users set name = 'x' where id = 1")
    assert app.look(acknowledge=False) == ["1"]
    app.set_up()
    app.follower.acknowledge()
    assert app.count() == 1
    assert app.look() == UNMARKED
    assert app.look() == []


def test_a_lost_connection_is_no_reason_to_read_in_full(app: App):
    """The pass is dropped, and what waits in the log stays there."""
    app.write("update users set name = 'x' where id = 1")
    end = """select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()"""
    for asks in (0, 1, 2):
        with ExitStack() as stack:
            snapshot = stack.enter_context(app.database.snapshot())
            if asks > 0:
                assert snapshot.capture(MAPPING).kind == LOG
            if asks > 1:
                snapshot.trail(MAPPING)
            app.owner.execute(end)
            with pytest.raises(SourceUnavailable):
                _ = snapshot.changed(MAPPING, 0) if asks else snapshot.capture(MAPPING)
            # The rest of the pass counts as little.
            with pytest.raises(SourceUnavailable):
                stack.close()
    watch = app.database.watch()
    assert watch.moved()
    app.owner.execute(end)
    with pytest.raises(SourceUnavailable):
        watch.moved()
    assert watch.moved()
    watch.close()
    assert app.look() == ["1"]


def test_names_are_taken_as_they_are(app: App):
    """Of tables, columns and the schema; also where a table counts, and none of its columns."""
    app.write("""create schema "A b"; create table "A b"."T'x" ("$meisa0$" integer, "c""d" text);
        set search_path = public""")
    app.follower.mappings = [
        mapping('select t."$meisa0$" as external_id, t."c""d" as n from "A b"."T\'x" t'),
        mapping(
            "select u.id as external_id from users u where exists (select 1 from teams)",
            name="contacts/y",
        ),
    ]
    app.set_up()
    app.look()
    app.write("""insert into "A b"."T'x" values (7, 'x'); update "A b"."T'x" set "c""d" = 'y'""")
    assert app.look() == ["7"]
    app.write("update teams set kind = 'x'")
    assert app.count() == 0
    app.write("delete from teams")
    assert app.follower.look() == {"contacts/x": [], "contacts/y": ASKED}
