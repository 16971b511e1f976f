"""Reading mappings from real databases: columns, rows, keys, one snapshot."""

from collections.abc import Sequence
from contextlib import ExitStack

import pytest
from sqlalchemy import NullPool, create_engine, text

from meisa_cdc.core.errors import MappingError, MappingFailed, SourceUnavailable
from meisa_cdc.core.mapping import Column, Mapping
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.session import BATCH
from meisa_cdc.source.snapshot import DatabaseSnapshot
from tests.conftest import AppDatabase as Given

USERS = [
    "create table users (id integer primary key, email varchar(50), plan varchar(20))",
    "insert into users values (1, 'a@x.io', 'free'), (2, 'b@x.io', null), (30, 'c@x.io', 'pro')",
]
CODES = [
    "create table codes (code varchar(50) primary key, n integer)",
    "insert into codes values ('a', 1), ('a\"b\\c', 2), ('50%', 3), ('it''s {x}', 4), ('7', 5)",
]
IDENTITY = "select id as external_id, email from users order by id"


def mapping(text: str, name: str = "contacts/plan", timeout: float | None = None) -> Mapping:
    """Return a mapping with this text."""
    return Mapping(name=name, text=text, digest=text, timeout=timeout)


def execute(url: str, *statements: str) -> None:
    """Change the app database, as the app would."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))


def rows(snapshot: DatabaseSnapshot, text: str, keys: Sequence[str] | None = None) -> list[tuple]:
    """Return every row of a mapping."""
    return [tuple(row) for batch in snapshot.read(mapping(text), keys) for row in batch]


@pytest.fixture
def app(app_database: Given) -> AppDatabase:
    """Return each kind of database in turn, with a few users and codes."""
    backslash = "\\\\" if app_database.dialect == "mysql" else "\\"
    codes = [statement.replace("\\", backslash) for statement in CODES]
    execute(app_database.url, *USERS, *codes)
    return AppDatabase(app_database.url, variables={"plan": "free", "injected": "x' or 1=1 --"})


def test_a_full_read_yields_every_row_in_column_order(app):
    """Batches of rows, in the order that `columns` tells."""
    with app.snapshot() as snapshot:
        names = [column.name for column in snapshot.columns(mapping(IDENTITY))]
        assert names == ["external_id", "email"]
        assert rows(snapshot, IDENTITY) == [(1, "a@x.io"), (2, "b@x.io"), (30, "c@x.io")]


def test_a_restricted_read_yields_the_rows_of_its_keys(app):
    """With and without only(), other contacts' rows do not come."""
    with app.snapshot() as snapshot:
        for text in (
            "select id as external_id, plan from users where {{ only('users.id') }}",
            "select id as external_id, plan from users",
            "select id as external_id, plan from users -- all of them",
            "select id as external_id, max(plan) as plan from users group by id;",
            "select id as external_id, plan from users union select 5, 'x' from users where 1 = 0",
        ):
            assert rows(snapshot, text, ["1", "30", "99"]) == [(1, "free"), (30, "pro")]
            assert rows(snapshot, text, []) == []
            assert len(rows(snapshot, text)) == 3


def test_keys_that_the_column_cannot_hold_match_nothing(app):
    """A text key and a numeric column are no error, and no row of another contact comes."""
    with app.snapshot() as snapshot:
        for only in ("", "where {{ only('id') }}"):
            text = f"select id as external_id, plan from users {only}"
            for odd in ("abc", "9" * 23, "01", "1.0", " 1", "é", "1e0", "{1", 'x"', "\\", "NULL"):
                assert rows(snapshot, text, [odd, "1"]) == [(1, "free")], odd
            assert len(rows(snapshot, text)) == 3


def test_a_row_without_a_key_is_nobodys(app):
    """A condition inside the query may let rows through that have no key."""
    text = "select null as external_id, plan from users where {{ only('id') }}"
    with app.snapshot() as snapshot:
        assert rows(snapshot, text, ["1"]) == []
        assert len(rows(snapshot, text)) == 3


def test_keys_of_any_spelling_find_their_rows(app):
    """Quotes, backslashes, braces and per cent signs in a key are the key's own."""
    codes = [("a", 1), ('a"b\\c', 2), ("50%", 3), ("it's {x}", 4), ("7", 5)]
    with app.snapshot() as snapshot:
        for only in ("", "where {{ only('code') }}"):
            text = f"select code as external_id, n from codes {only}"
            for code, n in codes:
                assert rows(snapshot, text, [code]) == [(code, n)]
            assert sorted(rows(snapshot, text, [code for code, _ in codes])) == sorted(codes)
            assert rows(snapshot, text, ["A", "a ", "x' or '1'='1"]) == []


def test_many_keys_are_asked_in_several_queries(app):
    """More keys than one query takes make several; every one is looked up."""
    keys = [str(n) for n in range(25_000)]
    with app.snapshot() as snapshot:
        assert [row[0] for row in rows(snapshot, IDENTITY, keys)] == [1, 2, 30]


def test_f30_values_are_bound_never_text(app):
    """What a variable holds cannot become SQL."""
    text = "select id as external_id, plan from users where plan = {{ var('injected') }}"
    with app.snapshot() as snapshot:
        assert rows(snapshot, text) == []
        assert rows(snapshot, text.replace("injected", "plan")) == [(1, "free")]
        text = (
            "select id as external_id, {{ var('injected') }} as x from users where id in {{ [1] }}"
        )
        assert rows(snapshot, text) == [(1, "x' or 1=1 --")]


def test_per_cent_signs_and_colons_are_left_alone(app):
    """No driver takes them for placeholders of its own."""
    text = "select id as external_id, '%s %d 50% :name' as x from users where plan like 'fr%'"
    with app.snapshot() as snapshot:
        assert rows(snapshot, text) == [(1, "%s %d 50% :name")]
        assert rows(snapshot, text, ["1"]) == [(1, "%s %d 50% :name")]
        text = f"{text} and id in {{{{ [1, 2] }}}}"
        assert rows(snapshot, text) == [(1, "%s %d 50% :name")]


def test_one_snapshot_sees_one_moment(app, app_database):
    """What the app commits meanwhile does not show; the next snapshot has it."""
    if app_database.dialect == "sqlite":
        execute(app_database.url, "pragma journal_mode = wal")
    with app.snapshot() as snapshot:
        assert len(rows(snapshot, IDENTITY)) == 3
        execute(app_database.url, "delete from users where id = 1", "delete from codes")
        assert len(rows(snapshot, IDENTITY)) == 3
        assert len(rows(snapshot, "select code as external_id, n from codes")) == 5
    with app.snapshot() as snapshot:
        assert len(rows(snapshot, IDENTITY)) == 2


def test_a_reading_may_be_left_unfinished(app, app_database):
    """The next question ends it, and the end of the block does."""
    numbers = "insert into codes select concat('k', {0}), {0} from users"
    if app_database.dialect == "sqlite":
        numbers = "insert into codes select 'k' || ({0}), {0} from users"
    insert = [numbers.format(f"id + {100 * n}") for n in range(1, 1500)]
    execute(app_database.url, *insert)
    codes = mapping("select code as external_id, n from codes")
    with app.snapshot() as snapshot:
        first = snapshot.read(codes)
        assert len(next(first)) == BATCH
        assert len(rows(snapshot, IDENTITY)) == 3
        with pytest.raises(StopIteration):
            next(first)
        assert sum(len(batch) for batch in snapshot.read(codes)) == 5 + 3 * 1499
        next(snapshot.read(codes))


def test_an_error_inside_the_block_is_the_callers_own(app):
    """It goes through, and the connection is thrown away."""
    readings = []

    def interrupted() -> None:
        with app.snapshot() as snapshot:
            readings.append(snapshot.read(mapping(IDENTITY)))
            next(readings[0])
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    with pytest.raises(StopIteration):
        next(readings[0])


def test_what_the_database_refuses_fails_that_mapping(app):
    """The message is the database's own, with the mapping's name; the others go on."""
    with app.snapshot() as snapshot:
        for text in (
            "select id as external_id, nope from users",
            "select id as external_id, email from nope",
            "select id as external_id, nope(id) as x from users",
        ):
            for ask in (snapshot.columns, snapshot.explain, lambda m: list(snapshot.read(m))):
                with pytest.raises(MappingFailed, match=r"contacts/plan: .*nope"):
                    ask(mapping(text))
        assert len(rows(snapshot, IDENTITY)) == 3


def test_a_mapping_without_a_key_cannot_be_restricted(app):
    """There is nothing to compare the keys with."""
    with app.snapshot() as snapshot, pytest.raises(MappingError, match="external_id"):
        list(snapshot.read(mapping("select email from users where {{ only('id') }}"), ["1"]))


def test_explain_is_one_line(app):
    """What `check` shows of a mapping."""
    with app.snapshot() as snapshot:
        plan = snapshot.explain(
            mapping("select id as external_id, email from users where id = {{ 1 }}")
        )
    assert "users" in plan
    assert "\n" not in plan


def test_the_statements_can_be_looked_at_without_a_database(app):
    """`compile` needs no connection."""
    found = app.compiled(mapping("-- p\nselect id as external_id, {{ 'a' }} as x from users;"))
    assert found.values == ("a",)
    assert found.full.startswith("-- p\nselect id as external_id")
    assert ";" not in found.full
    assert "meisa_m" in found.restricted


def test_columns_have_type_families(app, app_database):
    """By family where the database tells, empty on SQLite."""
    text = "select id as external_id, email, 1.5 as n, current_date as d, plan as p from users"
    with app.snapshot() as snapshot:
        types = [column.type for column in snapshot.columns(mapping(text))]
    known = ["integer", "text", "number", "date", "text"]
    assert types == ([""] * 5 if app_database.dialect == "sqlite" else known)


def test_f25_a_changed_column_shows(app, app_database):
    """A dropped, renamed or retyped column changes what `columns` tells."""
    star = mapping("select id as external_id, users.* from users")
    with app.snapshot() as snapshot:
        before = snapshot.columns(star)
    execute(app_database.url, "alter table users rename column plan to tier")
    with app.snapshot() as snapshot:
        after = snapshot.columns(star)
    assert [c.name for c in before] == ["external_id", "id", "email", "plan"]
    assert [c.name for c in after] == ["external_id", "id", "email", "tier"]
    if app_database.dialect != "sqlite":
        change = "modify" if app_database.dialect == "mysql" else "alter"
        kind = "char(5)" if app_database.dialect == "mysql" else "type char(5)"
        execute(app_database.url, f"alter table users {change} id {kind}")
        with app.snapshot() as snapshot:
            assert snapshot.columns(star)[0] == Column(name="external_id", type="text")


def test_a_column_that_occurs_twice_shows_or_fails(app, app_database):
    """No database hides a duplicate from the check of the columns."""
    twice = mapping("select u.id as external_id, u.email, v.* from users u, users v")
    with app.snapshot() as snapshot:
        if app_database.dialect == "mysql":
            with pytest.raises(MappingFailed, match="Duplicate column name 'email'"):
                snapshot.columns(twice)
            return
        names = [column.name for column in snapshot.columns(twice)]
    assert names == ["external_id", "email", "id", "email", "plan"]


def test_the_mapping_is_named_to_the_server(chinook_postgres_url):
    """An administrator sees which mapping a query belongs to."""
    text = (
        "select a.pid as external_id, a.application_name as name from pg_stat_activity a "
        "where a.pid = pg_backend_pid()"
    )
    with AppDatabase(chinook_postgres_url).snapshot() as snapshot:
        ((found,),) = list(snapshot.read(mapping(text, "contacts/who")))
    assert found[1] == "meisa-cdc contacts/who"


def test_two_snapshots_stand_side_by_side(app):
    """Each has a connection of its own."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(app.snapshot()) for _ in range(2))
        assert len(rows(one, IDENTITY)) == len(rows(other, IDENTITY)) == 3


def test_the_sample_database_is_read(chinook):
    """A database as apps have them, alike on all three."""
    text = (
        "select c.{id} as external_id, c.{email} as email, count(*) as invoices, "
        "sum(i.{total}) as spent from {customer} c join {invoice} i on i.{id} = c.{id} "
        "where {{{{ only('c.{id}') }}}} group by c.{id}, c.{email}"
    )
    names = {"id": "CustomerId", "email": "Email", "total": "Total"}
    names |= {"customer": "Customer", "invoice": "Invoice"}
    if chinook.dialect == "postgresql":
        names = {"id": "customer_id", "email": "email", "total": "total"}
        names |= {"customer": "customer", "invoice": "invoice"}
    with AppDatabase(chinook.url).snapshot() as snapshot:
        found = rows(snapshot, text.format(**names))
        assert len(found) == 59
        ((key, email, invoices, spent),) = rows(snapshot, text.format(**names), ["5"])
    assert (key, email, invoices) == (5, "frantisekw@jetbrains.com", 7)
    assert round(float(spent), 2) == 40.62


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all.db",
        "postgresql://u:s3cret-canary@127.0.0.1:1/d",
        "mysql://u:s3cret-canary@127.0.0.1:1/d",
    ],
)
def test_f20_a_database_that_is_down_is_one_clear_message(url):
    """Where it should be and what to look at, without a password."""
    with pytest.raises(SourceUnavailable) as caught, AppDatabase(url).snapshot():
        pass
    message = str(caught.value)
    assert "Check app_database.url" in message or "Correct app_database.url" in message
    assert "canary" not in message


def test_f20_a_wrong_login_is_one_clear_message(chinook_postgres_url, chinook_mariadb_url):
    """Postgres and MariaDB alike; the password is not shown."""
    for url, message in (
        (chinook_postgres_url, "password authentication failed"),
        (chinook_mariadb_url, "Access denied"),
    ):
        wrong = AppDatabase(AppDatabase(url).url.set(password="s3cret-canary"))
        with pytest.raises(SourceUnavailable, match=message) as caught, wrong.snapshot():
            pass
        assert "canary" not in str(caught.value)


def test_f20_a_file_that_is_no_database_is_one_clear_message(tmp_path):
    """SQLite opens anything; the first look tells."""
    path = tmp_path / "app.db"
    path.write_text("this is no database, and long enough to be looked at " * 100)
    with (
        pytest.raises(SourceUnavailable, match="file is not a database"),
        AppDatabase(f"sqlite:///{path}").snapshot(),
    ):
        pass


def test_a_sqlite_file_may_have_any_name(tmp_path):
    """Characters that mean something in a URI are part of the name."""
    for name in ("a?b.db", "a#b.db", "a%20b.db", "a b.db"):
        url = f"sqlite:///{tmp_path / 'plain.db'}"
        execute(url, "create table if not exists users (id integer, email text, plan text)")
        target = tmp_path / name
        target.write_bytes((tmp_path / "plain.db").read_bytes())
        found = AppDatabase(AppDatabase(url).url.set(database=str(target)))
        with found.snapshot() as snapshot:
            assert rows(snapshot, IDENTITY) == []
    uri = AppDatabase(f"sqlite:///file:{tmp_path}/plain.db?mode=rwc&uri=true")
    with uri.snapshot() as snapshot:
        assert rows(snapshot, IDENTITY) == []
