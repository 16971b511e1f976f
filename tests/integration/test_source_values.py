"""What the types of each database come to; F26, F48, F50, F51."""

from collections.abc import Iterator, Sequence
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import NullPool, create_engine, make_url

from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.core.values import canonical
from meisa_cdc.source.database import AppDatabase

ZONE = ZoneInfo("Europe/Paris")
TABLE = """
create table t (
    a tinyint(1), big bigint unsigned, d date, dt datetime(3), ts timestamp null, clock time(2),
    y year, e enum('x', 'y'), s set('p', 'q'), j json, bl blob, tx longtext, ch char(5),
    de decimal(20, 5), fl float, bits bit(5), u uuid, zero date)
"""
ROW = """
set statement sql_mode = '' for insert into t values (
    1, 18446744073709551615, '2026-01-12', '2026-02-00 00:00:00', '2026-01-12 08:30:00',
    '10:00:00.5', 2026, 'x', 'p,q', '{"a": [1, 2]}', 'bl', 'tx', 'ch  ', 1.5, 0.1, b'10101',
    '6F9619FF-8B86-D011-B42D-00C04FC964FF', '0000-00-00')
"""
SETUP = {
    "postgresql": [
        "create type mood as enum ('ok', 'bad')",
        "create domain posint as integer check (value > 0)",
        "create domain feeling as mood",
        "create type pair as (a integer, b text)",
    ],
    "mysql": [TABLE, ROW],
}
READ = {
    "postgresql": [
        ("1::smallint", "integer", 1),
        ("9223372036854775807", "integer", 9223372036854775807),
        ("12.30::numeric(8, 2)", "number", 12.3),
        ("5.00::numeric(8, 2)", "number", 5),
        ("0.1::real", "number", 0.1),
        ("0.1::float8", "number", 0.1),
        ("true", "boolean", True),
        ("'é'::text", "text", "é"),
        ("'a '::varchar(3)", "text", "a "),
        ("'a'::char(3)", "text", "a"),
        ("'6F9619FF-8B86-D011-B42D-00C04FC964FF'::uuid", "text", None),
        ("'2026-01-12'::date", "date", "2026-01-12"),
        ("'2026-01-12 08:30'::timestamp", "datetime", "2026-01-12T07:30:00Z"),
        ("'2026-01-12 08:30+02'::timestamptz", "datetime", "2026-01-12T06:30:00Z"),
        ("'9999-12-31 23:59:59.5+00'::timestamptz", "datetime", "9999-12-31T23:59:59.500000Z"),
        ("'08:30'::time", "text", "08:30:00"),
        ("'08:30+02'::timetz", "text", "08:30:00+02:00"),
        ("'ok'::mood", "text", "ok"),
        ("'ok'::feeling", "text", "ok"),
        ("5::posint", "integer", 5),
        ("'10.0.0.1'::inet", "text", "10.0.0.1"),
        ("'10.0.0.1/8'::inet", "text", "10.0.0.1/8"),
        ("'10.0.0.0/8'::cidr", "text", "10.0.0.0/8"),
        ("'08:00:2b:01:02:03'::macaddr", "text", "08:00:2b:01:02:03"),
        ("array[1, 2, null]", "json", [1, 2, None]),
        ("array['a', 'b,\"c']", "json", ["a", 'b,"c']),
        ("array[[1, 2], [3, 4]]", "json", [[1, 2], [3, 4]]),
        ("array[]::text[]", "json", []),
        ("array['ok', 'bad']::mood[]", "json", ["ok", "bad"]),
        ("array['ok']::feeling[]", "json", ["ok"]),
        ("array[5]::posint[]", "json", [5]),
        ("array['2026-01-12'::date]", "json", ["2026-01-12"]),
        ("array['{\"a\": 1}'::jsonb]", "json", [{"a": 1}]),
        ("array['10.0.0.1'::inet]", "json", ["10.0.0.1"]),
        ('\'{"b": 12345678901234567890, "a": 1.50}\'::jsonb', "json", None),
        ('\'{"a": 1, "a": 2}\'::json', "json", {"a": 2}),
        ("'null'::jsonb", "json", None),
        ("'\"t\"'::jsonb", "json", "t"),
        ("null::integer", "integer", None),
        ("null", "text", None),
        ("'x'", "text", "x"),
        ("repeat('x', 100000)", "text", "x" * 100_000),
        ("'e' || chr(769)", "text", "e\u0301"),
        ("'שלום'", "text", "שלום"),
    ],
    "mysql": [
        ("a", "integer", 1),
        ("big", "integer", 18446744073709551615),
        ("d", "date", "2026-01-12"),
        ("timestamp'2026-01-12 08:30:00'", "datetime", "2026-01-12T07:30:00Z"),
        ("ts", "datetime", "2026-01-12T08:30:00Z"),
        ("clock", "text", "10:00:00.500000"),
        ("y", "integer", 2026),
        ("e", "text", "x"),
        ("s", "text", "p,q"),
        ("j", "text", '{"a": [1, 2]}'),
        ("tx", "text", "tx"),
        ("ch", "text", "ch"),
        ("de", "number", 1.5),
        ("fl", "number", 0.1),
        ("u", "text", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("'é😀'", "text", "é😀"),
        ("repeat('x', 100000)", "text", "x" * 100_000),
    ],
    "sqlite": [
        ("1", "", 1),
        ("1.5", "", 1.5),
        ("2.0", "", 2),
        ("9223372036854775807", "", 9223372036854775807),
        ("'é'", "", "é"),
        ("null", "", None),
        ("json_object('a', 1)", "", '{"a":1}'),
        ("'2026-01-12 08:30'", "", "2026-01-12 08:30"),
    ],
}
REFUSED = {
    "postgresql": [
        ("'infinity'::date", "unreadable"),
        ("'-infinity'::timestamp", "unreadable"),
        ("'infinity'::timestamptz", "unreadable"),
        ("'0044-03-15 BC'::date", "unreadable"),
        ("'0044-03-15 BC'::timestamptz", "unreadable"),
        ("'10000-01-01'::date", "unreadable"),
        ("'294276-01-01'::timestamp", "unreadable"),
        ("'24:00:00'::time", "unreadable"),
        ("'24:00:00+02'::timetz", "unreadable"),
        ("array['2026-01-12'::date, 'infinity']", "unreadable"),
        ("'1 month'::interval", "unreadable"),
        ("'1.5'::money", "unreadable"),
        ("'\\xdead'::bytea", "unreadable"),
        ("B'101'", "unreadable"),
        ("'(1,2)'::point", "unreadable"),
        ("int4range(1, 5)", "unreadable"),
        ("int4multirange(int4range(1, 2))", "unreadable"),
        ("row(1, 2)", "unreadable"),
        ("(1, 'x')::pair", "unreadable"),
        ("'a b'::tsvector", "unreadable"),
        ("'1 2'::int2vector", "unreadable"),
        ("array['1 day'::interval]", "unreadable"),
        ("array[(1, 'x')::pair]", "unreadable"),
        ("(repeat('[', 5000) || repeat(']', 5000))::json", "unreadable"),
        ("'NaN'::numeric", "not_a_number"),
        ("'Infinity'::float8", "not_a_number"),
        ("1e400::numeric", "number_too_large"),
    ],
    "mysql": [
        ("zero", "unreadable"),
        ("dt", "unreadable"),
        ("cast('-08:30:00' as time)", "unreadable"),
        ("cast('24:00:00' as time)", "unreadable"),
        ("point(1, 2)", "unreadable"),
        ("bits", "binary"),
        ("bl", "binary"),
        ("x'dead'", "binary"),
    ],
    "sqlite": [
        ("x'dead'", "binary"),
        ("1e400", "not_a_number"),
        ("cast(x'ff41' as text)", "unreadable"),
        ("'a' || char(55296)", "unreadable"),
        ("'a' || char(0) || 'b'", "invalid_text"),
    ],
}


def prepare(url: str, statements: Sequence[str], **options: str) -> None:
    """Create what the values need."""
    engine = create_engine(url, poolclass=NullPool, connect_args=options)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def select(expressions: Sequence[str], dialect: str) -> Mapping:
    """Return a mapping with one field an expression, in one row."""
    columns = ", ".join(f"{each} as f{n}" for n, each in enumerate(expressions))
    table = " from t" if dialect == "mysql" else ""
    return Mapping(name="contacts/v", text=f"select 1 as external_id, {columns}{table}", digest="v")


def test_f50_types_come_out_as_documented(app_database):
    """One row with every type that has a canonical value."""
    prepare(app_database.url, SETUP.get(app_database.dialect, []))
    table = READ[app_database.dialect]
    mapping = select([expression for expression, _, _ in table], app_database.dialect)
    with AppDatabase(app_database.url).snapshot() as snapshot:
        columns = snapshot.columns(mapping)[1:]
        ((row,),) = list(snapshot.read(mapping))
    for (expression, family, value), column, raw in zip(table, columns, row[1:], strict=True):
        assert (expression, column.type) == (expression, family)
        found = canonical(raw, None, ZONE)
        if value is not None or raw is None:
            assert (expression, found) == (expression, value)


def test_f50_exact_values_of_json_and_uuid(postgres_url):
    """Large integers in JSON stay exact; a UUID is its text."""
    mapping = select(
        ["'{\"b\": 12345678901234567890}'::jsonb", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'::uuid"],
        "postgresql",
    )
    with AppDatabase(postgres_url).snapshot() as snapshot:
        ((row,),) = list(snapshot.read(mapping))
    assert [canonical(raw, None, ZONE) for raw in row[1:]] == [
        {"b": 12345678901234567890},
        "6f9619ff-8b86-d011-b42d-00c04fc964ff",
    ]


def test_f48_f50_f51_what_has_no_value_spoils_its_field_alone(app_database):
    """The fetch survives, the field is invalid with a code, the fields beside it are fine."""
    prepare(app_database.url, SETUP.get(app_database.dialect, []))
    table = REFUSED[app_database.dialect]
    mapping = select([*(expression for expression, _ in table), "'fine'"], app_database.dialect)
    with AppDatabase(app_database.url).snapshot() as snapshot:
        ((row,),) = list(snapshot.read(mapping))
    for (expression, code), raw in zip(table, row[1:-1], strict=True):
        with pytest.raises(InvalidValue) as caught:
            canonical(raw, None, ZONE)
        assert (expression, caught.value.code) == (expression, code)
    assert row[-1] == "fine"


def test_f50_what_is_refused_names_the_type_and_the_way_out(postgres_url):
    """An author who sees the message knows what to write."""
    with AppDatabase(postgres_url).snapshot() as snapshot:
        ((row,),) = list(snapshot.read(select(["'1 mon'::interval"], "postgresql")))
    with pytest.raises(InvalidValue, match=r"'1 mon': the type interval .* cast it in the mapping"):
        canonical(row[1], None, ZONE)


@pytest.fixture
def sql_ascii_url(postgres_server) -> Iterator[str]:
    """Yield the URL of a database that does not know what its bytes mean."""
    name = f"meisa_ascii_{uuid4().hex[:12]}"
    engine = create_engine(postgres_server.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            f"create database {name} template template0 encoding 'SQL_ASCII' "
            "lc_collate 'C' lc_ctype 'C'"
        )
    yield make_url(postgres_server.url).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")


def test_f51_bytes_of_sql_ascii_spoil_their_field_alone(sql_ascii_url):
    """Text that is UTF-8 is read, anything else is set aside."""
    prepare(
        sql_ascii_url,
        [
            "create type mood as enum ('ok', 'bad')",
            "create table t (good text, bad text, padded char(5), moods mood[], j json)",
            "insert into t values (E'n\\xc3\\xa9', E'n\\xe9', 'x', '{ok}', '{\"a\": 1}')",
        ],
        client_encoding="utf8",
    )
    mapping = Mapping(
        name="contacts/v",
        text='select good as external_id, good as "Größe", bad, padded, moods, j, '
        "array[bad] as l from t where good = {{ 'né' }} and good = 'né'",
        digest="v",
    )
    with AppDatabase(sql_ascii_url).snapshot() as snapshot:
        assert snapshot.columns(mapping)[1].name == "Größe"
        ((row,),) = list(snapshot.read(mapping))
        assert list(snapshot.read(mapping, ["né"])) == [[row]]
    assert [canonical(row[n], None, ZONE) for n in (1, 3, 4, 5)] == ["né", "x", ["ok"], {"a": 1}]
    for n in (2, 6):
        with pytest.raises(InvalidValue, match="not UTF-8"):
            canonical(row[n], None, ZONE)
    assert [table.name for table in AppDatabase(sql_ascii_url).tables()] == ["t"]
    assert len(AppDatabase(sql_ascii_url).read_only_proof()) == 1


SENSITIVE = [
    "'2026-01-12 08:30:00+00'::timestamptz",
    "'2026-01-12 08:30:00+00'::timestamptz::text",
    "'2026-01-12'::date::text",
    "'02/01/2026'::date",
    "('2026-01-12'::date - '2025-01-12'::date) * interval '1 hour' || ''",
    "0.1::float8",
    "0.1::real::text",
    "to_char(1234.5, '9G999D99')",
    "to_char('2026-03-01'::date, 'TMMonth')",
    "'\\xdead'::bytea::text",
    "'a\\b'",
    "current_setting('TimeZone')",
    "case when null = null then 'odd' else 'plain' end",
]


def test_f26_settings_of_role_and_database_do_not_show(postgres_url):
    """The same data gives the same values, whatever an administrator has set meanwhile."""
    mapping = select(SENSITIVE, "postgresql")

    def read() -> list[object]:
        with AppDatabase(postgres_url).snapshot() as snapshot:
            ((row,),) = list(snapshot.read(mapping))
        return [canonical(raw, None, ZONE) for raw in row[1:]]

    before = read()
    name = make_url(postgres_url).database
    prepare(
        postgres_url,
        [
            f"alter database {name} set {setting}"
            for setting in (
                "timezone to 'Asia/Tokyo'",
                "datestyle to 'German, DMY'",
                "intervalstyle to 'iso_8601'",
                "extra_float_digits to -10",
                "bytea_output to 'escape'",
                "standard_conforming_strings to 'off'",
                "transform_null_equals to 'on'",
                "statement_timeout to '1ms'",
                "default_transaction_isolation to 'read committed'",
                "default_transaction_read_only to 'off'",
            )
        ],
    )
    assert read() == before
    assert before[1] == "2026-01-12 08:30:00+00"
    assert before[5] == 0.1


def test_f26_settings_of_a_mariadb_session_do_not_show(mariadb_url):
    """Time zone and SQL mode are ours, whatever the connection came with."""
    prepare(
        mariadb_url,
        [
            "create table t (id integer, at timestamp null, name char(5))",
            "insert into t values (1, '2026-01-12 08:30:00', 'ab')",
        ],
    )
    text = (
        "select id as external_id, at, cast(at as char) as x, name, 'a' || 'b' as y, "
        "\"text\" as z, 'a\\\\b' as b, @@time_zone as tz from t"
    )
    mapping = Mapping(name="contacts/v", text=text, digest="v")
    found = []
    for command in (
        "",
        "SET time_zone='+09:00', sql_mode='ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'",
        "SET sql_mode='PAD_CHAR_TO_FULL_LENGTH,ORACLE', max_statement_time=0.000001",
    ):
        url = make_url(mariadb_url)
        if command:
            url = url.update_query_dict({"init_command": command})
        with AppDatabase(url).snapshot() as snapshot:
            ((row,),) = list(snapshot.read(mapping))
        found.append([canonical(raw, None, ZONE) for raw in row])
    assert found[0] == found[1] == found[2]
    assert found[0][1:4] == ["2026-01-12T08:30:00Z", "2026-01-12 08:30:00", "ab"]
    assert found[0][5:] == ["text", "a\\b", "+00:00"]
