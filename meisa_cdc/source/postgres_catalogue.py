"""Postgres: what its catalogue says of the tables and functions that a query names."""

from collections.abc import Callable, Sequence
from typing import Any

from meisa_cdc.source.affected.answers import Catalogue, Shape
from meisa_cdc.source.dialects import POSTGRESQL

# Columns that are new in later servers are looked for by name, so that older ones answer as well.
# A table with children changes under their names; with row security, by its policies, too. What
# is calculated from other columns is not told of, and so as good as not there.
COLUMNS = """
select asked.place, format('%I.%I', n.nspname, c.relname), a.attname::text,
       format_type(a.atttypid, a.atttypmod) || case when a.attcollation <> t.typcollation
           then format(' collate %I.%I', ln.nspname, l.collname) else '' end,
       t.typname = 'citext' or coalesce(to_jsonb(l) ->> 'collisdeterministic', 'true') = 'false',
       t.typtype <> 'e' and coalesce(nullif(t.typbasetype, 0), t.oid) <> all (array[
           'bool', 'int2', 'int4', 'int8', 'oid', 'text', 'varchar', 'uuid', 'date', 'timestamp',
           'timestamptz', 'bytea']::regtype[])
from unnest($1::text[]) with ordinality asked(name, place)
join pg_catalog.pg_class c on c.oid = to_regclass(asked.name)
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    and coalesce(to_jsonb(a) ->> 'attgenerated', '') = ''
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_collation l on l.oid = a.attcollation
left join pg_catalog.pg_namespace ln on ln.oid = l.collnamespace
where c.relkind in ('r', 'p') and c.relpersistence = 'p' and not c.relrowsecurity
  and (c.relkind = 'p' or not c.relhassubclass)
order by asked.place, a.attnum
"""
FUNCTIONS = """
select asked.name, coalesce(bool_and(p.prokind = 'f' and not p.proretset), false),
       coalesce(bool_and(p.provolatile = 'i'), false),
       coalesce(bool_or(p.provolatile <> 'i' and n.nspname <> 'pg_catalog'), true)
from unnest($1::text[]) asked(name)
left join (pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace)
    on p.proname = asked.name
group by asked.name
"""


def catalogue_of(
    execute: Callable[[str, Sequence[object]], list[tuple[Any, ...]]],
    tables: Sequence[str],
    functions: Sequence[str],
) -> Catalogue:
    """Return what the catalogue says of names, which have points but no quotes in them."""
    named = [".".join(map(POSTGRESQL.quoted, name.split("."))) for name in tables]
    found: dict[str, list[tuple[str, str, str, bool, bool]]] = {}
    for place, *column in execute(COLUMNS, [named]) if named else ():
        found.setdefault(tables[place - 1], []).append((*column,))
    rows = execute(FUNCTIONS, [list(functions)]) if functions else []
    return Catalogue(
        tables={
            name: Shape(
                name=columns[0][0],
                columns={column: kind for _, column, kind, *_ in columns},
                loose=frozenset(name for _, name, _, loose, _ in columns if loose),
                spelled=frozenset(name for _, name, _, *several in columns if any(several)),
            )
            for name, columns in found.items()
        },
        rowwise=frozenset(name for name, rowwise, _, _ in rows if rowwise),
        plain=frozenset(name for name, rowwise, steady, _ in rows if rowwise and steady),
        opaque=frozenset(name for name, _, _, opaque in rows if opaque),
    )
