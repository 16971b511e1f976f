"""MySQL and MariaDB: what the catalogue says of the tables and functions that a query names."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from meisa_cdc.source.affected.answers import Catalogue, Shape
from meisa_cdc.source.dialects import MYSQL

#: Names that are the same however they are compared, and however they are written to disk.
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What is calculated from other columns is not told of, and so as good as not there.
TABLES = """
select table_name from information_schema.tables
where table_schema = database() and table_type = 'BASE TABLE' and engine = 'InnoDB'
  and coalesce(create_options, '') not like '%partitioned%' and table_name in ({})
"""
COLUMNS = """
select table_name, column_name, data_type, column_type from information_schema.columns
where table_schema = database() and coalesce(extra, '') not like '%GENERATED%'
  and table_name in ({})
order by table_name, ordinal_position
"""
STORED = """
select distinct lower(routine_name) from information_schema.routines
where routine_schema = database() and routine_type = 'FUNCTION'
"""
INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
#: What images hold integers as: both are names of one type to the parser.
SIGNED, UNSIGNED, OTHER = "bigint", "int8", "other"
_ROWWISE = """
    abs adddate addtime ascii bin bit_length ceiling char_length character_length coercibility
    concat_ws connection_id conv convert_tz crc32 curdate current_user curtime database date
    date_format datediff day dayname dayofmonth dayofweek dayofyear degrees elt export_set
    extractvalue field find_in_set floor format found_rows from_base64 from_days from_unixtime
    get_format hex ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval
    isnull json_array json_contains json_contains_path json_depth json_extract json_keys
    json_length json_object json_overlaps json_quote json_search json_type json_unquote json_valid
    json_value last_day left length locate log10 log2 lpad ltrim maketime makedate microsecond mid
    minute mod month monthname now nullif oct octet_length ord period_add period_diff pi position
    quarter quote radians rand random_bytes regexp_instr regexp_like regexp_replace regexp_substr
    repeat replace reverse right round rpad rtrim schema sec_to_time second sha1 sha2 sign soundex
    space sqrt str_to_date strcmp subdate substr substring substring_index subtime sys_guid sysdate
    time time_format time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_days
    to_seconds trim truncate ucase lcase unhex unix_timestamp user utc_date utc_time utc_timestamp
    uuid uuid_short version week weekday weekofyear year yearweek
"""
_OVER_ROWS = """
    any_value approx_count_distinct avg bit_and bit_or bit_xor count cume_dist dense_rank
    first_value group_concat json_arrayagg json_objectagg lag last_value lead max median min
    nth_value ntile percent_rank rank row_number std stddev stddev_pop stddev_samp sum var_pop
    var_samp variance
"""
ROWWISE = frozenset(_ROWWISE.split())
KNOWN = ROWWISE | frozenset(_OVER_ROWS.split())


class Server(Protocol):
    """What is known of a server."""

    version: str
    maria: bool


class MysqlCatalogue:
    """What one connection was told, asked once: such questions take long."""

    def __init__(self, execute: Callable[[str], Sequence[tuple[Any, ...]]]) -> None:
        self._execute = execute
        self._tables: dict[str, dict[str, str]] = {}
        self._stored: frozenset[str] | None = None

    def catalogue(self, tables: Sequence[str], functions: Sequence[str]) -> Catalogue:
        """Return what it says of names; of tables of other databases it is nothing."""
        plain = [name for name in tables if PLAIN_NAME.fullmatch(name)]
        self._ask([name for name in plain if name not in self._tables])
        if self._stored is None:
            self._stored = frozenset(str(name) for (name,) in self._execute(STORED))
        shapes = {name: self._tables[name] for name in plain if self._tables[name]}
        return Catalogue(
            tables={
                name: Shape(
                    name=MYSQL.quoted(name),
                    columns=columns,
                    blind=frozenset(each for each, kind in columns.items() if kind == OTHER),
                )
                for name, columns in shapes.items()
            },
            rowwise=ROWWISE - self._stored,
            opaque=self._stored | {name for name in functions if name not in KNOWN},
        )

    def _ask(self, unknown: Sequence[str]) -> None:
        self._tables |= {name: {} for name in unknown}
        if not unknown:
            return
        listed = ", ".join(f"'{name}'" for name in unknown)
        there = {name for (name,) in self._execute(TABLES.format(listed))}
        for table, column, kind, whole in self._execute(COLUMNS.format(listed)):
            if table in there and table in self._tables and PLAIN_NAME.fullmatch(column):
                self._tables[table][column] = _kind(kind, whole)


def follows(server: "Server") -> bool:
    """Tell whether a server can read images of rows: MariaDB from 10.6, MySQL from 8.0.4."""
    numbers = tuple(int(each) for each in re.findall(r"\d+", server.version)[:3])
    return numbers >= ((10, 6) if server.maria else (8, 0, 4))


def _kind(kind: str, whole: str) -> str:
    """Return what a column holds; of ZEROFILL one, the text is not the number's."""
    if kind.lower() not in INTEGERS or "zerofill" in whole.lower():
        return OTHER
    return UNSIGNED if "unsigned" in whole.lower() else SIGNED
