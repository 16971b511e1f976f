"""Mappings and what their databases say of them, brought together."""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Protocol, TypeAlias

from meisa_cdc.source.affected.answers import Catalogue, Derivation, FullScan, Shape
from meisa_cdc.source.affected.asking import Behind, Changes, asked, usable_key
from meisa_cdc.source.affected.derivation import derive
from meisa_cdc.source.affected.reading import functions_in, tables_in
from meisa_cdc.source.catalogue import Table
from meisa_cdc.source.dialects import POSTGRESQL, SQLITE, Dialect
from meisa_cdc.source.query import Bind, numbered
from meisa_cdc.source.session import Rows
from meisa_cdc.source.statements import Approved, Statement

#: What a value of the mapping's own is called where placeholders have names.
PLACEHOLDER = "meisa_{}"
#: Takes the names of tables and of functions.
Ask: TypeAlias = Callable[[Sequence[str], Sequence[str]], Catalogue]


def names_in(approved: Approved) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of tables and of functions that a mapping's derivation depends on."""
    grammar = approved.dialect.grammar
    text, _ = _written(approved)
    return tables_in(text, grammar), functions_in(text, grammar)


def derivation_of(approved: Approved, catalogue: Catalogue) -> Derivation:
    """Return how the contacts are found that changed rows affect in a mapping."""
    text, _ = _written(approved)
    return derive(text, approved.dialect.grammar, catalogue)


def affected_keys(
    approved: Approved,
    derivation: Derivation,
    changes: Changes | Behind,
    answers: Callable[[Statement], Rows],
) -> Generator[list[str], None, None] | FullScan:
    """Return the keys of all contacts that changes may affect, in chunks, none of them twice."""
    _, values = _written(approved)
    called = "{}" if approved.dialect is POSTGRESQL else PLACEHOLDER
    bound = {called.format(n): each for n, each in enumerate(values, 1)}
    found = asked(derivation, changes, bound)
    if isinstance(found, FullScan):
        return found
    return _chunks(found.keys, (rows for each in found.statements for rows in answers(each)))


def _chunks(
    keys: frozenset[str], answers: Iterator[Sequence[Sequence[object]]]
) -> Generator[list[str], None, None]:
    seen = set(keys)
    if keys:
        yield sorted(keys)
    for rows in answers:
        new = {key for row in rows if (key := usable_key(row[0])) is not None} - seen
        seen |= new
        if new:
            yield sorted(new)


class Seen(Protocol):
    """A database that tells its tables."""

    dialect: Dialect

    def tables(self) -> list[Table]:
        """Return the tables that are seen without naming a schema."""


def described(database: Seen) -> Ask:
    """Return what answers for a database by its tables alone."""

    def ask(names: Sequence[str], _: Sequence[str]) -> Catalogue:
        seen = {table.name.lower(): table for table in database.tables()} if names else {}
        found = {name: seen[name.lower()] for name in names if name.lower() in seen}
        return Catalogue(
            tables={
                name: Shape(
                    name=database.dialect.quoted(table.name),
                    columns=_kinds(table, database.dialect),
                )
                for name, table in found.items()
            }
        )

    return ask


def _kinds(table: Table, dialect: Dialect) -> dict[str, str]:
    # Equal texts may be spelled in two ways there, as under a collation of their own.
    kinds = {"integer": "integer", "text": "text collate other"}
    # What reads the SQL has SQLite's names in lower case, quoted or not: to SQLite it is one.
    spelled = str.lower if dialect is SQLITE else str
    return {spelled(column.name): kinds.get(column.type, "other") for column in table.columns}


def _written(approved: Approved) -> tuple[str, list[object]]:
    values: list[object] = []
    bind = numbered(values) if approved.dialect is POSTGRESQL else _named(values)
    return approved.written(bind).text, values


def _named(values: list[object]) -> Bind:
    """Return a `bind` whose placeholders can be told apart wherever they come to stand."""

    def bind(value: object) -> str:
        values.append(value)
        return f":{PLACEHOLDER.format(len(values))}"

    return bind
