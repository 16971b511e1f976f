"""The statements that a mapping comes to: whole, and for some keys."""

from collections.abc import Callable, Mapping as Dict, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.core.mapping import TAG, Mapping
from meisa_cdc.source.dialects import POSTGRESQL, Dialect
from meisa_cdc.source.inspection import inspect
from meisa_cdc.source.query import Bind, Query, Text, Written, marked, numbered
from meisa_cdc.source.rendering import render

ALIAS = "meisa_m"
#: The rows of a query of tags.
ROWS = "meisa_t"
TAG_COLUMNS = (KEY_COLUMN, "tag_name")
#: Makes a query of ours on top of a mapping's: takes its text, and what binds values.
Dress: TypeAlias = Callable[[str, Bind], str]
#: Stands for the keys where a restricted statement is only looked at.
SAMPLE_KEYS = ("1",)
#: And for the time since when rows changed.
SAMPLE_TIME = "2026-01-12 08:30:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What goes to the database."""

    text: str
    values: list[object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """A mapping's query that was inspected in both of its forms."""

    mapping: Mapping
    dialect: Dialect
    query: Query
    #: Name -> line of each function called.
    functions: Dict[str, int]

    def statement(
        self,
        keys: Sequence[str] | None = None,
        *,
        outside: bool = False,
        dress: Dress | None = None,
    ) -> Statement:
        """Return the statement, for these keys where they are given.

        `outside`: compare the keys as text and outside the query, which every key survives.
        `dress`: what is asked on top of it.
        """
        values: list[object] = []
        bind = placeholders(self.dialect)(values)
        text = self.written(bind, keys, outside=outside).text
        return Statement(text=text if dress is None else dress(text, bind), values=values)

    def since(self, wall: str) -> "Approved":
        """Return what yields the rows alone that changed at or after a wall clock's time."""
        return replace(self, query=self.query.since(self.dialect, wall))

    def written(
        self, bind: Bind, keys: Sequence[str] | None = None, *, outside: bool = False
    ) -> Written:
        """Return the text, its values handed to `bind`."""
        if keys is None:
            return self.query.write(self.dialect, bind)
        if self.query.restrictable and not outside:
            return self.query.write(self.dialect, bind, keys)
        return _restricted(self.query, self.dialect, bind, keys, as_text=outside)


def gathered(query: Query, name: str, dialect: Dialect) -> Query:
    """Return a query of tags, one a row, as one row a contact with the list of its tags.

    The list has the mapping's name, so that each mapping's tags are a field of their own.
    """
    key, tag = (f"{ROWS}.{dialect.quoted(column)}" for column in TAG_COLUMNS)
    listed = dialect.gather.format(tag)
    before = f"select {key}, {listed} as {dialect.quoted(name)} from (\n"  # noqa: S608 - our names
    after = f"\n) {ROWS} where {tag} is not null group by {key}"
    return Query(pieces=(Text(sql=before, line=0), *query.pieces, Text(sql=after, line=0)))


def placeholders(dialect: Dialect) -> Callable[[list[object]], Bind]:
    """Return what makes a `bind` that writes the dialect's placeholders."""
    return numbered if dialect is POSTGRESQL else marked


def approve(mapping: Mapping, *, variables: Dict[str, object], dialect: Dialect) -> Approved:
    """Render and inspect a mapping. Raises MappingError."""
    query = render(mapping.text, mapping=mapping.name, variables=variables, dialect=dialect).query
    values: list[object] = []
    whole = query.write(dialect, placeholders(dialect)(values))
    seen = inspect(whole, mapping=mapping.name, dialect=dialect, values=len(values))
    query = query.until(seen.end, whole)
    approved = Approved(
        mapping=mapping,
        dialect=dialect,
        query=gathered(query, mapping.name, dialect) if mapping.kind == TAG else query,
        functions=seen.functions,
    )
    check(approved, SAMPLE_KEYS)
    if query.dated:
        check(approved.since(SAMPLE_TIME), None)
    return approved


def check(approved: Approved, keys: Sequence[str] | None, *, outside: bool = False) -> None:
    """Inspect one form of a query; of many keys one is enough, the list is our own text."""
    values: list[object] = []
    bind = placeholders(approved.dialect)(values)
    written = approved.written(bind, keys, outside=outside)
    inspect(written, mapping=approved.mapping.name, dialect=approved.dialect, values=len(values))


def check_literal(approved: Approved, bind: Bind, keys: Sequence[str] | None) -> None:
    """Inspect the text of a driver that writes the values into it, as it will run."""
    written = approved.written(bind, keys)
    inspect(written, mapping=approved.mapping.name, dialect=approved.dialect, values=None)


def _restricted(
    query: Query, dialect: Dialect, bind: Bind, keys: Sequence[str], *, as_text: bool
) -> Written:
    inner = query.write(dialect, bind)
    column = f"{ALIAS}.{dialect.quoted(KEY_COLUMN)}"
    if as_text and dialect.arrays:
        column = f"{column}::text"
    places = [bind(each) for each in dialect.key_values(keys)]
    text = around(inner.text, f"where {dialect.condition(column, places)}")
    before = text.index(inner.text)
    starts = [(0, 0), *((start + before, line) for start, line in inner.starts)]
    return Written(text=text, starts=starts)


def keys_alone(text: str, _: Bind, dialect: Dialect) -> str:
    """Return the query of a query's keys."""
    return f"select {ALIAS}.{dialect.quoted(KEY_COLUMN)} from (\n{text}\n) {ALIAS}"  # noqa: S608


def around(inner: str, tail: str) -> str:
    """Return a query on top of a query; a comment at its end ends with the line."""
    return "\n".join(("select * from (", inner, f") {ALIAS} {tail}"))
