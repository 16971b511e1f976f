"""What the text of a mapping's SQL may be; F29."""

import re
from pathlib import Path

import pytest

from meisa_cdc.core.errors import MappingError
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.dialects import DIALECTS, MYSQL, POSTGRESQL, SQLITE, Dialect
from meisa_cdc.source.statements import Approved, approve, check_literal

ROOT = Path(__file__).parents[3]
ON_ALL = [
    ("insert into users values (1)", "INSERT"),
    ("update users set id = 2", "UPDATE"),
    ("delete from users", "DELETE"),
    ("replace into users values (1)", "REPLACE"),
    ("truncate users", "TRUNCATE"),
    ("drop table users", "DROP"),
    ("alter table users add x int", "ALTER"),
    ("create table x as select 1", "CREATE"),
    ("merge into users using x on 1=1 when matched then delete", "MERGE"),
    ("begin", "BEGIN"),
    ("commit", "COMMIT"),
    ("savepoint x", "SAVEPOINT"),
    ("set x = 1", "SET"),
    ("explain select 1", "EXPLAIN"),
    ("call f()", "CALL"),
    ("values (1)", "VALUES"),
    ("table users", "TABLE"),
    ("select 1 as a; delete from users", "a second statement"),
    ("select 1 as a;;select 2", "a second statement"),
    ("select id into other from users", "INTO"),
    ("with x as (select 1) insert into users select * from x", "INTO"),
    ("select 1 /*! + sleep(1) */", "/*! … */"),
    ("select '/*!' as a", "/*! … */"),
    ("select 1 /*M! x */", "/*M! … */"),
    ("select /*+ set_var(x=1) */ 1", "/*+ … */"),
]
ON_POSTGRES = [
    ("with x as (delete from users returning *) select * from x", "DELETE"),
    ("with x as (insert into users values (1) returning *) select * from x", "INSERT"),
    ("with x as (update users set id = 1 returning *) select * from x", "UPDATE"),
    ("with x as (select 1) delete from users", "DELETE"),
    ("with x as (select 1) update users set id = 1", "UPDATE"),
    ("with x as (create table y (a int)) select 1", "CREATE"),
    ("select id from users for update", "FOR UPDATE"),
    ("select id from users for no key update", "FOR NO KEY"),
    ("select id from users for share", "FOR SHARE"),
    ("select id from users for key share skip locked", "FOR KEY SHARE"),
    ("select (select id from users limit 1 for update) as x", "FOR UPDATE"),
    ("copy users to stdout", "COPY"),
    ("do $$ begin end $$", "DO"),
    ("lock table users", "LOCK"),
    ("listen x", "LISTEN"),
    ("vacuum", "VACUUM"),
    ("select pg_sleep(1)", "the function pg_sleep"),
    ("select PG_SLEEP (1)", "the function pg_sleep"),
    ('select "pg_sleep"(1)', "the function pg_sleep"),
    ("select pg_catalog.pg_sleep_for('1 s')", "the function pg_sleep_for"),
    ("select set_config('default_transaction_read_only', 'off', false)", "set_config"),
    ("select nextval('s')", "nextval"),
    ("select setval('s', 1)", "setval"),
    ("select pg_read_file('/etc/passwd')", "pg_read_file"),
    ("select * from pg_ls_dir('/')", "pg_ls_dir"),
    ("select lo_import('/etc/passwd')", "lo_import"),
    ("select pg_advisory_lock(1)", "pg_advisory_lock"),
    ("select pg_try_advisory_xact_lock(1)", "pg_try_advisory_xact_lock"),
    ("select pg_terminate_backend(1)", "pg_terminate_backend"),
    ("select query_to_xml('delete from users', true, true, '')", "query_to_xml"),
    ("select * from dblink('x', 'delete from users') as t(a int)", "dblink"),
    ("select pg_logical_emit_message(true, 'a', 'b')", "pg_logical_emit_message"),
    ("select pg_notify('a', 'b')", "pg_notify"),
    ("select txid_current()", "txid_current"),
]
ON_MYSQL = [
    ("select id from users lock in share mode", "LOCK IN SHARE MODE"),
    ("select id from users for update", "FOR UPDATE"),
    ("select id from users for share", "FOR SHARE"),
    ("select id into outfile '/tmp/x' from users", "INTO"),
    ("select id from users into dumpfile '/tmp/x'", "INTO"),
    ("select id from users limit 1 into @x", "INTO"),
    ("select @x := 3", ":="),
    ("select next value for s", "NEXT VALUE FOR"),
    ("select nextval(s)", "nextval"),
    ("select sleep(1)", "the function sleep"),
    ("select `sleep` (1)", "the function sleep"),
    ("select 1 --1, sleep(1)", "the function sleep"),
    ("select benchmark(1, 1)", "benchmark"),
    ("select load_file('/etc/passwd')", "load_file"),
    ("select get_lock('a', 1)", "get_lock"),
    ("select last_insert_id(5)", "last_insert_id"),
    ("handler users open", "HANDLER"),
    ("do sleep(1)", "DO"),
    ("load data infile 'x' into table users", "LOAD"),
    ("flush tables", "FLUSH"),
    ("kill 3", "KILL"),
    ("lock tables users write", "LOCK TABLES"),
    ("xa start 'x'", "XA"),
]
ON_SQLITE = [
    ("attach 'x' as y", "ATTACH"),
    ("detach y", "DETACH"),
    ("pragma journal_mode = delete", "PRAGMA"),
    ("vacuum into 'x'", "VACUUM"),
    ("reindex", "REINDEX"),
    ("analyze", "ANALYZE"),
    ("select load_extension('x')", "load_extension"),
    ("select readfile('/etc/passwd')", "readfile"),
    ("select writefile('x', 'y')", "writefile"),
    ("select * from pragma_table_info('users')", "pragma_table_info"),
]
FORBIDDEN = [
    *[(name, *case) for name in ("postgresql", "mysql", "sqlite") for case in ON_ALL],
    *[("postgresql", *case) for case in ON_POSTGRES],
    *[("mysql", *case) for case in ON_MYSQL],
    *[("sqlite", *case) for case in ON_SQLITE],
]


def approved(text: str, dialect: Dialect = POSTGRESQL) -> Approved:
    """Render and inspect a mapping."""
    mapping = Mapping(name="contacts/plan", text=text, digest="")
    return approve(mapping, variables={}, dialect=dialect)


@pytest.mark.parametrize(("dialect", "text", "construct"), FORBIDDEN)
def test_f29_what_does_more_than_read_is_refused(dialect, text, construct):
    """File, line and construct are named."""
    with pytest.raises(MappingError) as caught:
        approved(f"-- what it is for\n{text}", DIALECTS[dialect])
    assert caught.value.message.startswith("contacts/plan.sql:2: ")
    assert construct in caught.value.message
    assert "is not allowed" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "select $1 as a",
        "select :name as a",
        "select %s as a",
        "select {{ 1 }} as a, $2 as b",
    ],
)
def test_a_placeholder_of_the_authors_own_is_refused(text):
    """It would take a value that is meant for another place."""
    with pytest.raises(MappingError, match=r"placeholder of its own|cannot be understood"):
        approved(text)


@pytest.mark.parametrize("text", ["select ? as a", "select :a as a", "select @a as a"])
def test_a_placeholder_in_sqlite_is_refused(text):
    """SQLite would read NULL for it."""
    with pytest.raises(MappingError, match="placeholder of its own"):
        approved(text, SQLITE)


@pytest.mark.parametrize(
    "text",
    [
        "select a from t where j ? 'k' and k ?| array['a'] and l @> '{}' and m ->> 'a' = {{ 1 }}",
        "select $$it's; delete$$ as a, E'a\\'b' as b, U&'x' as c, 'a;b' as d",
        "select a::date as b, a at time zone 'UTC' as c, interval '1 day' * {{ 3 }} as d from t",
        "select count(*) filter (where b) over (partition by c order by d) as n from t",
        "select distinct on (a) a, b from t order by a, b desc nulls last fetch first 5 rows only",
        "with recursive r as (select 1 as n union all select n + 1 from r) select n from r limit 5",
        "with q as materialized (select 1 as n) (select n from q) union all select 2",
        "select x.a from t cross join lateral unnest(t.b) with ordinality as x(a, n)",
        "select exists(select 1 from u where u.id = t.id) as e from t tablesample system (10)",
        "select substring(a from 1 for 2) as s, extract(epoch from b) as e, trim(both from c) as t",
        "select a from t where (a, b) in (values (1, 2)) and a = any(array[{{ 1 }}, {{ 2 }}])",
        "select replace(a, 'x', 'y') as b, (replace(a, 'x', 'y')) as c from t",
        'select "update" as a, "into" as b, t."delete" as c from "for" t',
        "select 'pg_sleep(1)' as a, pg_sleep as b from t",
        "select json_build_object('a', 1) as a, jsonb_path_query_first(b, '$.x ? (@ > 1)') as c",
        "select a from t group by grouping sets ((a), ()) having count(*) > {{ 3 }}",
        "select random() as a, gen_random_uuid() as b, clock_timestamp() as c",
    ],
)
def test_what_only_reads_passes_on_postgres(text):
    """Ordinary SQL of Postgres is understood, whole and restricted to keys."""
    approved(f"{text}\n;\n-- the end\n")


@pytest.mark.parametrize(
    "text",
    [
        "select \"a\" as x, 'a\\'b' as y, a div 2 as z, a <=> b as n, binary a as c from t",
        "select if(a, 1, 0) as x, group_concat(distinct a order by b separator ',') as g from t",
        "select a->>'$.x' as k, json_unquote(json_extract(a, '$.x')) as j, @@version as v from t",
        "select a from t force index (x) where a regexp 'x' and b in {{ [1] }} limit 5, 10 # end",
        "select date_sub(now(), interval 1 day) as d, cast(a as unsigned) as u from t -- end",
        "select @x as x, `for` as y, `into` as z from `update`",
    ],
)
def test_what_only_reads_passes_on_mysql(text):
    """Ordinary SQL of MySQL is understood, also with the values in it."""
    found = approved(text, MYSQL)
    check_literal(found, repr, None)
    check_literal(found, repr, ["1"])


@pytest.mark.parametrize(
    "text",
    [
        "select ifnull(a, 1) as x, strftime('%Y', 'now') as y, a glob 'x' as g from t",
        "select json_extract(a, '$.x') as j, a ->> 'x' as k, [b] as l, `c` as m from t",
        "select group_concat(a) filter (where b), sum(c) over w from t window w as (order by a)",
        "select total(a) as t, iif(a, 1, 2) as i, x'ab' as b from t indexed by i where c = {{ 1 }}",
    ],
)
def test_what_only_reads_passes_on_sqlite(text):
    """Ordinary SQL of SQLite is understood."""
    approved(text, SQLITE)


def test_a_closing_semicolon_is_left_out():
    """The query can stand inside another one, whatever its end looks like."""
    found = approved("select 1 as external_id, ';' as x ; ; -- é\n")
    assert found.statement().text == "select 1 as external_id, ';' as x "
    restricted = found.statement(["a"]).text
    assert restricted.endswith(') meisa_m where meisa_m."external_id" = any($1 )')


def test_a_value_behind_the_semicolon_is_gone_with_it():
    """Nothing is bound that does not stand in the text."""
    assert approved("select {{ 1 }} as a; -- {{ only('a') }}").statement().values == [1]


def test_both_forms_are_inspected():
    """What breaks only when keys are put in is found before that happens."""
    with pytest.raises(MappingError, match="inside quotes or inside a comment"):
        approved("select 1 as external_id, 2 as x -- {{ only('a') }}")


def test_the_restricted_form_stands_where_the_author_wants_it():
    """With only() the query itself is restricted, without it another one around it."""
    inside = approved("select id as external_id, x from t where {{ only('t.id') }} and y = {{ 1 }}")
    statement = inside.statement(["7"])
    assert statement.text.endswith("where t.id = any($1 ) and y = $2 ")
    assert statement.values == ['{"7"}', 1]
    outside = inside.statement(["7"], outside=True)
    assert outside.text.startswith("select * from (\nselect id as external_id")
    assert outside.text.endswith('where meisa_m."external_id"::text = any($2 )')
    assert outside.values == [1, '{"7"}']


def test_a_comment_at_the_end_does_not_swallow_the_condition():
    """The condition stands on a line of its own."""
    text = approved("select 1 as external_id, 2 as x -- why", SQLITE).statement(["7"]).text
    assert text.splitlines()[-1].startswith(") meisa_m where")


def test_literals_are_inspected_as_they_will_run():
    """A driver that writes values into the text gets the whole text inspected."""
    found = approved("select {{ 1 }} as external_id, 2 as x", MYSQL)
    with pytest.raises(MappingError, match="a second statement is not allowed"):
        check_literal(found, lambda _: "1; delete from users", None)


def test_the_examples_of_the_documentation_are_mappings():
    """What the documentation shows whole is rendered and inspected like any mapping."""
    pages = (ROOT / "docs" / name for name in ("mappings.md", "occurrences.md"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    examples = [each for each in re.findall(r"```sql\n(.*?)```", text, re.DOTALL) if " as " in each]
    assert len(examples) >= 6
    for example in examples:
        for dialect in (POSTGRESQL, SQLITE):
            approved(example, dialect)


def test_functions_are_named_with_their_lines():
    """Names before a parenthesis, in the case the database looks them up in."""
    found = approved('select Lower(a) as external_id,\n"Mixed"(b) as x, crm.f(c) as y from t')
    assert found.functions == {"lower": 1, "Mixed": 2, "f": 2}
