"""From a mapping's SQL: which columns count, and how the contacts of a changed row are found."""

import pytest

from meisa_cdc.source.affected.answers import (
    Bound,
    Catalogue,
    FullScan,
    Images,
    KeyColumns,
    KeyQuery,
    Shape,
    TableRead,
)
from meisa_cdc.source.affected.asking import Asked, Change, asked
from meisa_cdc.source.affected.derivation import derive
from meisa_cdc.source.affected.reading import functions_in, tables_in
from tests.soundness.running import CATALOGUE
from tests.soundness.shapes import SHAPES

#: Beginnings of the shapes that cannot do without a full scan, with the tables concerned.
SCANNED = {
    "select max(u.id)": {"users"},
    "select u.id as external_id, rank() over": {"users"},
    "select u.id as external_id from users u order by u.rid limit 3": {"users"},
    "select u.id as external_id, s.n from users u cross join": {"subs"},
    "select u.id as external_id from users u where (select count(*) from plans)": {"plans"},
    "select coalesce(u.id, s.user_id) as external_id from users u full join": {"users", "subs"},
    "select distinct on (s.plan)": {"subs"},
    "select u.id as external_id, x.state from users u join (select distinct on (plan)": {"subs"},
    "with recursive": {"users"},
    "select u.boss as external_id, p.kind from users u join (select s.user_id, s.plan": {"subs"},
}


def tables(sql: str, catalogue: Catalogue = CATALOGUE) -> dict[str, TableRead]:
    """Return what is said of each table."""
    return {each.table: each for each in derive(sql, "postgres", catalogue).tables}


@pytest.mark.parametrize("sql", SHAPES)
def test_only_what_has_to_be_is_scanned(sql: str):
    """Of nearly a hundred shapes, a handful."""
    expected = next((found for start, found in SCANNED.items() if sql.startswith(start)), set())
    found = {name for name, each in tables(sql).items() if isinstance(each.answer, FullScan)}
    assert found == expected


@pytest.mark.parametrize(
    ("sql", "table", "columns"),
    [
        ("select id as external_id from users", "users", ("id",)),
        ("select u.id as external_id, t.kind from users u join teams t on t.owner = u.id",
         "teams", ("owner",)),
        ("select author as external_id, 1 from users u, posts where author = u.id group by 1",
         "posts", ("author",)),
        ("select id as external_id from users where users.id in (select author from posts)",
         "posts", ("author",)),
        ("with t0 as (select boss as id from users) select id as external_id from t0",
         "users", ("boss",)),
        ("select id as external_id from users, generate_series(1, 2) n, lateral jsonb_each('{}') e",
         "users", ("id",)),
        ("select id as external_id from users union select boss from users", "users",
         ("id", "boss")),
        ("select author as external_id from posts except select ref from posts where size = 1",
         "posts", ("author", "ref")),
    ],
)  # fmt: skip
def test_a_key_that_stands_in_the_row_needs_no_query(sql: str, table: str, columns: tuple):
    """It is the key's own column, or one that has to equal it."""
    assert tables(sql)[table].answer == KeyColumns(columns=columns)


def test_a_query_goes_from_the_changed_rows_to_the_key():
    """By tables as they are, and by rows of theirs that are gone; nothing else is joined."""
    sql = """select u.id as external_id, p.price from users u left join subs s on s.user_id = u.id
    left join plans p on p.id = s.plan left join teams t on t.id = u.team where u.name = $1 """
    answer = tables(sql)["plans"].answer
    assert isinstance(answer, KeyQuery)
    assert answer.text.split("\n", 1)[1].count(" from teams") == 0
    named = [each for each in answer.parameters if isinstance(each, Images)]
    assert [(each.table, each.which, each.column) for each in named] == [
        ("plans", "changed", "id"),
        ("users", "old", "id"),
        ("users", "old", "name"),
        ("subs", "old", "user_id"),
        ("subs", "old", "plan"),
    ]
    assert answer.parameters[-1] == Bound(name="1")
    assert '"name" = $6' in answer.text


def test_a_changed_nullable_side_is_not_filtered_by_what_it_was_or_will_be():
    """Whoever has no such row before, or after, may pass where the row itself does not."""
    sql = """select u.boss as external_id from users u
    left join subs s on s.user_id = u.id and s.state = 'a' where coalesce(s.plan, 1) = 1"""
    answer = tables(sql)["subs"].answer
    assert isinstance(answer, KeyQuery)
    assert "\"state\" = 'a'" in answer.text
    assert "COALESCE" not in answer.text


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select name as external_id, count(*) as n from users group by id", "GROUP BY"),
        ("select id as external_id, sum(1) over () as n from users", "window function looks"),
        ("select rank() over (partition by id) as external_id from users", "from a window"),
        ("select distinct on (name) id as external_id from users order by name", "DISTINCT ON"),
        ("select id as external_id from users limit 1", "LIMIT"),
        ("select id as external_id from users offset 1", "LIMIT"),
        ("select id as external_id from users fetch first 1 rows only", "LIMIT"),
        ("select id as external_id from users union select 1 limit 1", "LIMIT"),
        ("select max(id) as external_id from users", "aggregate"),
        ("select sqrt(id) as external_id from users", "calculated"),
        ("select u.id as external_id from users u, teams", "no condition ties"),
        ("select 1 as external_id from users", "no condition ties"),
        ("select id as external_id from users u right join teams t on true", "RIGHT JOIN"),
        ("select id as external_id from users group by rollup (id)", "totals"),
        ("select id as external_id from users group by grouping sets ((id), ())", "totals"),
        ("select id as external_id from users tablesample system (10)", "TABLESAMPLE"),
        ("select id as external_id from only users", "ONLY"),
        ("select a as external_id from users as u (z, a, b, c, d)", "column names"),
        ("select f.id as external_id from users_of(1) f", "function in FROM"),
        ("select u.id as external_id from users u, lateral f(u.id) g", "function in FROM"),
        ("select id as external_id, score(id) from users", "may read tables"),
        ("select id as external_id from grown_ups", "grown_ups is no plain table"),
        ("select id as external_id from audit.users", "audit.users is no plain table"),
        ("select ids as external_id from users", "not understood"),
        ("select id from users", "no column is called external_id"),
        (f"select id as external_id from users where {'(' * 900}id = 1{')' * 900}", "not underst"),
        (f"select id as external_id from {'(select * from ' * 30}users{') x' * 30}", "nested"),
    ],
)  # fmt: skip
def test_what_needs_a_full_scan_says_why(sql: str, reason: str):
    """And what to do about it; no text makes it fail otherwise."""
    catalogue = Catalogue(tables=CATALOGUE.tables, opaque=("score",))
    derivation = derive(sql, "postgres", catalogue)
    answers = [derivation.scan, *(each.answer for each in derivation.tables)]
    found = [each for each in answers if isinstance(each, FullScan)]
    assert reason in found[0].reason
    assert found[0].advice.endswith(".")
    if derivation.scan is not None:
        # A view, or a function, may read tables that nobody knows of.
        assert asked(derivation, {}) == derivation.scan


@pytest.mark.parametrize("sql", ["", "select (", "insert into users values (1)", "select 1 from"])
def test_what_is_no_query_reads_nothing(sql: str):
    """Inspection has refused it long before."""
    derivation = derive(sql, "postgres", CATALOGUE)
    assert derivation.tables == ()
    assert derivation.scan is not None
    assert tables_in(sql, "postgres") == ()
    assert functions_in(sql, "postgres") == ()


def test_what_changes_by_itself_is_named_and_no_condition():
    """Rows come and go with the clock: changes of data are followed, and scans stay needed."""
    sql = """select u.boss as external_id, t.id from users u join teams t on t.id = u.team
    where current_date > '2026-01-01' and age(t.kind) is null and 'today'::date > u.name
    and u.id > random() and u.name = 'a'"""
    derivation = derive(sql, "postgres", Catalogue(tables=CATALOGUE.tables, plain=("age",)))
    assert {*derivation.unsteady} == {"current_date", "age", "'today'", "rand"}
    (answer,) = (each.answer for each in derivation.tables if each.table == "teams")
    assert isinstance(answer, KeyQuery)
    assert answer.text.rpartition("where ")[2].count(" and") == 1
    assert "\"name\" = 'a'" in answer.text


def test_conditions_that_are_not_plain_are_left_out():
    """Unless the catalogue says that the function is what it seems."""
    sql = """select u.boss as external_id from users u join teams t on t.id = u.team
    where u.name ~ '^a' and initcap(u.name) = 'A' and fold(t.kind) = 'a'"""
    for plain, count in ((), 1), (("fold",), 2):
        answer = tables(sql, Catalogue(tables=CATALOGUE.tables, plain=plain))["teams"].answer
        assert isinstance(answer, KeyQuery)
        assert len(answer.text.rpartition("where ")[2].split("\n  and ")) == count
        assert ("fold" in answer.text.lower()) == bool(plain)


def test_what_depends_on_the_spelling_is_not_followed():
    """Of 1.0 and 1.00 in one group, either may be shown; as a number they are one."""
    sql = "select {} as external_id, count(*) as n from plans group by price"
    assert isinstance(tables(sql.format("'p' || price"))["plans"].answer, FullScan)
    assert isinstance(tables(sql.format("price"))["plans"].answer, KeyQuery)
    sql = """select u.boss as external_id from users u join (select price from plans
    group by price) x on x.price{} = u.id{}"""
    assert isinstance(tables(sql.format("", ""))["plans"].answer, KeyQuery)
    assert isinstance(tables(sql.format("::text", "::text"))["plans"].answer, FullScan)


def test_columns_that_count_are_those_that_are_read():
    """Also where all are meant, under whatever name."""
    found = tables("select u.id as external_id, row_to_json(s) from users u, subs s, teams t"
                   " where s.user_id = u.id and exists (select from posts)")  # fmt: skip
    assert {name: each.columns for name, each in found.items()} == {
        "users": ("id",),
        "subs": tuple(CATALOGUE.tables["subs"].columns),
        "teams": (),
        "posts": (),
    }


def test_names_are_those_that_the_database_looks_up():
    """Folded where they stand without quotes; a part of the query is no table."""
    sql = """with Users as (select * from Users, audit."Log"), later as (select * from users)
    select Score(1), "Fold"(2), upper('a') from later, posts p"""
    assert set(tables_in(sql, "postgres")) == {"users", "audit.Log", "posts"}
    assert set(functions_in(sql, "postgres")) == {"score", "fold"}


def change(old: dict | None, new: dict | None) -> Change:
    """Return a change."""
    return Change(old=old, new=new)


def test_the_images_of_a_row_tell_its_keys():
    """Both of them; what is no key, or did not change as far as the mapping goes, is nobody's."""
    derivation = derive("select id as external_id, name from users", "postgres", CATALOGUE)
    images = [
        change({"id": "1", "name": "a", "boss": "1"}, {"id": "2", "name": "a", "boss": "1"}),
        change({"id": "3", "name": "a", "boss": "1"}, {"id": "3", "name": "a", "boss": "2"}),
        change(None, {"id": None, "name": "a"}),
        change({"id": "4", "name": None}, None),
    ]
    found = asked(derivation, {"users": images, "posts": images})
    assert found == Asked(keys=frozenset({"1", "2", "4"}), statements=())
    assert asked(derivation, {}) == Asked(keys=frozenset(), statements=())


def test_an_image_without_a_column_that_counts_is_not_enough():
    """Half a row is what a table without REPLICA IDENTITY FULL tells."""
    derivation = derive("select id as external_id, name from users", "postgres", CATALOGUE)
    half = change({"name": "a"}, {"id": "1", "name": "a"})
    found = asked(derivation, {"users": [half]})
    assert isinstance(found, FullScan)
    assert found.reason == "a change of users came without its id"
    assert "REPLICA IDENTITY FULL" in found.advice
    without_name = change({"id": "1"}, {"id": "1"})
    found = asked(derivation, {"users": [without_name]})
    assert found == Asked(keys=frozenset({"1"}), statements=())


def test_a_query_is_asked_with_the_images_and_the_mappings_own_values():
    """Each column an array; only tables that changed are asked about."""
    sql = """select u.boss as external_id from users u join teams t on t.id = u.team
    where t.kind = $1 and u.name = $2 """
    derivation = derive(sql, "postgres", CATALOGUE)
    images = [change({"id": "1", "kind": None}, {"id": "2", "kind": 'b"'})]
    found = asked(derivation, {"teams": images}, {"1": "a", "2": "b"})
    assert isinstance(found, Asked)
    (statement,) = found.statements
    *arrays, one, other = statement.values
    assert arrays == [["1", "2"], [None, 'b"'], [], [], []]
    assert {one, other} == {"a", "b"}
    full = derive("select max(id) as external_id from users", "postgres", CATALOGUE)
    assert isinstance(asked(full, {"users": images}), FullScan)
    assert asked(full, {"teams": images}) == Asked(keys=frozenset(), statements=())


def test_too_many_alternatives_are_a_full_scan():
    """Each is a query of its own, and the database would plan them all."""
    one = "(" + " union all ".join(["select id, boss from users"] * 9) + ")"
    sql = f"select a.id as external_id from {one} a join {one} b on a.boss = b.id"
    nine = " union ".join(["select id as external_id from users"] * 9)
    for text in (sql, " union ".join([f"({nine})"] * 9)):
        answer = tables(text)["users"].answer
        assert isinstance(answer, FullScan)
        assert "alternatives" in answer.reason


@pytest.mark.parametrize(("grammar", "place"), [("mysql", "?3"), ("sqlite", "?1")])
def test_other_databases_are_derived_from_as_well(grammar: str, place: str):
    """The images are left to be filled in."""
    shapes = {
        "users": Shape(name="users", columns={"id": "integer", "team": "integer"}),
        "teams": Shape(name="teams", columns={"id": "integer", "kind": "other"}),
    }
    sql = """select u.id as external_id, t.kind from users u join teams t on t.id = u.team
    where t.kind <> :meisa_1"""
    found = derive(sql, grammar, Catalogue(tables=shapes)).tables
    users, teams = (each.answer for each in found)
    assert users == KeyColumns(columns=("id",))
    assert isinstance(teams, KeyQuery)
    assert f"<> {place}" in teams.text


def test_joins_of_other_databases_are_not_guessed_at():
    """Whatever they may do."""
    sql = "select u.id as external_id from users u straight_join teams t on t.id = u.team"
    scan = derive(sql, "mysql", CATALOGUE).scan
    assert scan is not None
    assert "STRAIGHT" in scan.reason


@pytest.mark.parametrize(
    "text",
    [
        "select u.id as external_id, @a from users u",
        "select u.id as external_id from users u where u.team xor u.boss",
        "select u.id as external_id, u.ID as n from users u",
        "select u.id as external_id, own(u.team) as n from users u",
        "select u.id as external_id, initcap(u.name) as n from users u",
        "select u.team + 1 as id, u.id as external_id from users u group by id",
        "select u.id as external_id, other.f(u.team) as n from users u",
    ],
)
def test_on_mysql_what_can_be_read_in_two_ways_is_not_followed(text: str):
    """Variables of the session, functions of the app's, names that are one to the server."""
    columns = dict.fromkeys(("id", "team", "boss"), "bigint")
    users = Shape(name="`users`", columns=columns | {"name": "other"}, blind=("name",))
    known = Catalogue(tables={"users": users}, opaque=("initcap", "own", "f"))
    assert derive(text, "mysql", known).scan is not None


def test_on_mysql_conditions_of_other_types_are_left_out():
    """And what they alone would lead through is not followed."""
    columns = dict.fromkeys(("id", "team"), "bigint")
    users = Shape(name="`users`", columns=columns | {"name": "other"}, blind=("name",))
    teams = Shape(name="`teams`", columns={"id": "int8", "kind": "other"}, blind=("kind",))
    known = Catalogue(tables={"users": users, "teams": teams})
    text = """select u.id as external_id from users u join teams t on t.id = u.team
    where t.kind = 'a' and u.team - 1 > 0 and u.team < 9 and u.team <> '?'"""
    answer = {each.table: each.answer for each in derive(text, "mysql", known).tables}["`teams`"]
    assert isinstance(answer, KeyQuery)
    assert "kind" not in answer.text
    assert "- 1" not in answer.text
    assert "'?'" not in answer.text
    assert "< 9" in answer.text
    assert "bigint unsigned" in answer.text
    text = "select u.id as external_id from users u join teams t on t.kind = u.name"
    scans = {each.table: each.answer for each in derive(text, "mysql", known).tables}
    assert isinstance(scans["`teams`"], FullScan)


#: Their columns have names that mean something to the parser.
NAMED = Catalogue(
    tables={
        "users": Shape(
            name="users",
            columns=dict.fromkeys(("id", "n", "name", "date", "interval", "any"), "integer"),
        )
    }
)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select id as external_id from users where +id <> '3'", "a + in front of a value"),
        ("select id as external_id from users where n > + n", "a + in front of a value"),
        ("select id as external_id from users where n = 1 + +n", "a + in front of a value"),
        ("select id as external_id from users where n in (+id, 1)", "a + in front of a value"),
        ("select id as external_id, case when n then +n end as c from users", "a + in front"),
        ("select id as external_id, date 'day' from users", "without AS"),
        ("select id as external_id, date(n) 'day' from users", "without AS"),
        ("select id as external_id, char(n, id) 'c' from users", "without AS"),
        ("select id as external_id, n'x' from users", "without AS"),
        ("select id as external_id, interval [day] from users", "interval"),
        ("select id as external_id, interval * 2 as twice from users", "interval"),
        ("select id as external_id, any is null as none from users", "any"),
    ],
)  # fmt: skip
def test_on_sqlite_what_the_parser_reads_otherwise_is_not_followed(sql: str, reason: str):
    """A column would be left out, or compared in another way than the mapping does."""
    scan = derive(sql, "sqlite", NAMED).scan
    assert scan is not None
    assert reason in scan.reason
    assert scan.advice.endswith(".")


@pytest.mark.parametrize(
    "expression",
    [
        "n + 1", "n+-1", "(n) + 1", "'1'+1", "[n]+1", '"n" + 1', "`n` + 1", "null + n",
        "case n when 1 then 2 end + 1", "x'00' + n", "date + n", ":meisa_1 + n", "1.+n", "true + n",
        "current_date + n", "x'00'", "date", "date(n)", "users.interval", '"interval"',
        "'interval'", "n -- +\n", "n in ('a', 'b')", "n between 'a' and 'b'", "date > 'x'",
        "n like 'x' escape '!'",
    ],
)  # fmt: skip
def test_on_sqlite_what_the_parser_reads_alike_is_followed(expression: str):
    """Values that are added up, strings that are values, and names that cannot be mistaken."""
    sql = f"select id as external_id, {expression} as n, name 'label', n as interval from users"
    (users,) = derive(sql, "sqlite", NAMED).tables
    assert users.answer == KeyColumns(columns=("id",))


@pytest.mark.parametrize(
    "moment", ["datetime('subsec')", "unixepoch('subsecond')", "date('Subsec')", "time('subsec')"]
)
def test_fractions_of_a_second_are_those_of_now(moment: str):
    """SQLite takes the time where it is given nothing but how exact it shall be."""
    derivation = derive(f"select id as external_id, {moment} as t from users", "sqlite", NAMED)
    assert len(derivation.unsteady) == 1
