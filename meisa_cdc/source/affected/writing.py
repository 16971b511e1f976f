"""Key queries as SQL text."""

from collections.abc import Iterator, Mapping as Dict, Sequence
from itertools import product

from sqlglot import exp
from sqlglot.expressions import Expr

from meisa_cdc.source.affected.answers import (
    CHANGED,
    OLD,
    Bound,
    Images,
    KeyColumns,
    KeyQuery,
    Parameter,
    Shape,
)
from meisa_cdc.source.affected.branches import Settled, Source, names_in
from meisa_cdc.source.affected.imaging import imaging_of, quoted

INTEGERS = frozenset({"smallint", "integer", "bigint", "int", "int2", "int4", "int8"})
TEXTS = frozenset({"text", "character varying", "varchar"})
UUIDS = frozenset({"uuid"})
#: Queries that a key query is made of at most, where tables and their old images are apart.
MOST_APART = 256


def key_columns(found: Sequence[Settled], tables: Dict[str, Shape]) -> KeyColumns | None:
    """Return the columns of the changed rows that hold the keys, if they do in every branch."""
    columns = [_key_column(each, tables) for each in found]
    named = [column for column in columns if column is not None]
    return KeyColumns(columns=tuple(dict.fromkeys(named))) if len(named) == len(columns) else None


def _key_column(found: Settled, tables: Dict[str, Shape]) -> str | None:
    """Return the column of the changed row that is the key or has to equal it."""
    if not isinstance(found.key, exp.Column):
        return None
    types = {source.name: tables[source.table].columns for source in (found.changed, *found.others)}
    equal, size = [found.key], 0
    while len(equal) > size:
        size = len(equal)
        for condition in found.conditions:
            if isinstance(condition, exp.EQ):
                sides = [condition.this, condition.expression]
                known = [side for side in sides if side in equal]
                equal += (
                    s for s in sides if known and s not in equal and _same(s, found.key, types)
                )
    own = (each for each in equal if each.table == found.changed.name)
    return next((each.name for each in own if each != found.key or _is_told(each, types)), None)


def _same(one: Expr, other: Expr, types: Dict[str, Dict[str, str]]) -> bool:
    """Tell whether columns that are equal have the same text."""
    if not isinstance(one, exp.Column) or not isinstance(other, exp.Column):
        return False
    kinds = {types[each.table][each.name].partition("(")[0].lower() for each in (one, other)}
    return any(kinds <= same for same in (INTEGERS, TEXTS, UUIDS))


def _is_told(column: exp.Column, types: Dict[str, Dict[str, str]]) -> bool:
    """Tell whether the text of an image is the key as it stands."""
    kind = types[column.table][column.name].lower().partition(" collate ")[0].partition("(")[0]
    return kind in INTEGERS | TEXTS | UUIDS


def key_query(found: Sequence[Settled], tables: Dict[str, Shape], grammar: str) -> KeyQuery:
    """Return the query that yields the keys of all branches."""
    return _Writing(found, tables, grammar).query()


class _Writing:
    """One text; numbers the parameters as they come."""

    def __init__(self, found: Sequence[Settled], tables: Dict[str, Shape], grammar: str) -> None:
        self._found = found
        self._tables = tables
        self._grammar = grammar
        self._imaging = imaging_of(grammar)
        self._parameters: list[Parameter] = []
        several = sum(2 ** len(each.others) for each in found)
        self._apart = self._imaging.apart and several <= MOST_APART

    def query(self) -> KeyQuery:
        """Return the text and what its placeholders stand for."""
        needed = self._needed()
        relations = [self._relation(*each, columns) for each, columns in needed.items()]
        selects = [text for each in self._found for text in self._selects(each, needed)]
        text = f"with {', '.join(relations)}\n" + "\nunion\n".join(dict.fromkeys(selects))
        images = tuple(
            Images(table=self._tables[table].name, which=kind, column=column)
            for (table, kind), columns in needed.items()
            for column in columns
        )
        return KeyQuery(text=text, parameters=tuple(self._parameters), images=images)

    def _needed(self) -> dict[tuple[str, str], list[str]]:
        """Return the columns of each image relation, by table and kind."""
        needed: dict[tuple[str, str], list[str]] = {}
        for found in self._found:
            for source in (found.changed, *found.others):
                kind = CHANGED if source.changed else OLD
                columns = needed.setdefault((source.table, kind), [])
                columns += (each for each in self._used(found, source) if each not in columns)
        return needed

    def _used(self, found: Settled, source: Source) -> list[str]:
        """Return the columns of a source, in the order of its table; one at least."""
        used = {
            column.name
            for expression in (found.key, *found.conditions)
            for column in expression.find_all(exp.Column)
            if column.table == source.name
        }
        columns = self._tables[source.table].columns
        return [each for each in columns if each in used] or [next(iter(columns))]

    def _relation(self, table: str, kind: str, columns: Sequence[str]) -> str:
        shape = self._tables[table]
        names = ", ".join(map(self._quoted, columns))
        images = self._imaging.images(shape, kind, columns, self._place) or "…"
        return f"{self._image_name(shape.name, kind)} ({names}) as ({images})"

    def _image_name(self, table: str, kind: str) -> str:
        """Return the name of the relation that holds images of a table."""
        return self._quoted(f"{kind} {table.replace(self._imaging.quote, '')}")

    def _quoted(self, name: str) -> str:
        return quoted(name, self._imaging.quote)

    def _place(self, parameter: Parameter) -> str:
        if parameter not in self._parameters:
            self._parameters.append(parameter)
        return self._imaging.placeholder(self._parameters.index(parameter) + 1, parameter)

    def _selects(self, found: Settled, needed: Dict[tuple[str, str], list[str]]) -> Iterator[str]:
        """Yield the queries for one branch."""
        where = "\n  and ".join(dict.fromkeys(map(self._written, found.conditions)))
        where = f"\nwhere {where}" if where else ""
        start = f"select distinct {self._written(found.key)} as external_id\nfrom "
        changed = f"{self._image_name(self._tables[found.changed.table].name, CHANGED)} as "
        changed += found.changed.name
        if not self._apart:
            both = (self._both(each, needed) for each in found.others)
            yield start + ",\n  ".join((changed, *both)) + where
            return
        for old in product((False, True), repeat=len(found.others)):
            one = (self._one(*each) for each in zip(_by_ties(found), old, strict=True))
            yield start + "\n  cross join ".join((changed, *one)) + where

    def _one(self, source: Source, old: bool) -> str:  # noqa: FBT001 - as it comes out of product
        name = self._tables[source.table].name
        return f"{self._image_name(name, OLD) if old else name} as {source.name}"

    def _both(self, source: Source, needed: Dict[tuple[str, str], list[str]]) -> str:
        shape = self._tables[source.table]
        columns = ", ".join(map(self._quoted, needed[source.table, OLD]))
        old = f"select {columns} from {self._image_name(shape.name, OLD)}"  # noqa: S608 - names from the catalogue
        if self._grammar == "postgres":
            # Without `offset 0` the planner would read the whole table, for want of another way
            # to look up rows in both parts.
            old = f"({old} offset 0)"
        return f"(select {columns} from {shape.name} union all {old}) as {source.name}"  # noqa: S608 - as above

    def _written(self, expression: Expr) -> str:
        whole = exp.Paren(this=expression.copy())
        for node in list(whole.find_all(exp.Parameter, exp.Placeholder)):
            place = self._place(Bound(name=node.name))
            node.replace(exp.Var(this=place))
        text: str = whole.this.sql(dialect=self._grammar)
        return text


def _by_ties(found: Settled) -> list[Source]:
    """Return the other sources, each behind one that a condition ties it to."""
    left, order, reached = list(found.others), [], {found.changed.name}
    ties = [names_in(condition) for condition in found.conditions]
    while left:
        tied = (s for s in left if any(s.name in t and t & reached for t in ties))
        following = next(tied, left[0])
        left.remove(following)
        order.append(following)
        reached.add(following.name)
    return order
