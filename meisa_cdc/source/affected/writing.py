"""Key queries as SQL text."""

from collections.abc import Mapping as Dict, Sequence

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
from meisa_cdc.source.affected.branches import Settled, Source

INTEGERS = frozenset({"smallint", "integer", "bigint", "int", "int2", "int4", "int8"})
TEXTS = frozenset({"text", "character varying", "varchar"})
UUIDS = frozenset({"uuid"})


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
        self._parameters: list[Parameter] = []

    def query(self) -> KeyQuery:
        """Return the text and what its placeholders stand for."""
        needed = self._needed()
        images = [self._images(*each, columns) for each, columns in needed.items()]
        selects = [self._select(each, needed) for each in self._found]
        text = f"with {', '.join(images)}\n" + "\nunion\n".join(dict.fromkeys(selects))
        return KeyQuery(text=text, parameters=tuple(self._parameters))

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

    def _images(self, table: str, kind: str, columns: Sequence[str]) -> str:
        shape = self._tables[table]
        name = image_name(shape.name, kind)
        names = ", ".join(map(quoted, columns))
        if self._grammar != "postgres":
            return f"{name} ({names}) as (…)"
        places = [
            self._place(Images(table=shape.name, which=kind, column=each)) for each in columns
        ]
        arrays = ", ".join(f"{place}::text[]" for place in places)
        casts = ", ".join(f"{quoted(each)}::{shape.columns[each]}" for each in columns)
        return f"{name} ({names}) as (select {casts} from unnest({arrays}) as i ({names}))"  # noqa: S608 - names from the catalogue

    def _place(self, parameter: Parameter) -> str:
        if parameter not in self._parameters:
            self._parameters.append(parameter)
        if self._grammar == "postgres":
            return f"${self._parameters.index(parameter) + 1}"
        return f":{parameter.name}" if isinstance(parameter, Bound) else "?"

    def _select(self, found: Settled, needed: Dict[tuple[str, str], list[str]]) -> str:
        sources = ",\n  ".join(
            self._source(each, needed) for each in (found.changed, *found.others)
        )
        where = "\n  and ".join(dict.fromkeys(map(self._written, found.conditions)))
        text = f"select distinct {self._written(found.key)} as external_id\nfrom {sources}"
        return f"{text}\nwhere {where}" if where else text

    def _source(self, source: Source, needed: Dict[tuple[str, str], list[str]]) -> str:
        shape = self._tables[source.table]
        if source.changed:
            return f"{image_name(shape.name, CHANGED)} as {source.name}"
        columns = ", ".join(map(quoted, needed[source.table, OLD]))
        old = image_name(shape.name, OLD)
        # Without `offset 0` the planner would read the whole table, for want of another way to
        # look up rows in both parts.
        both = (
            f"select {columns} from {shape.name} union all (select {columns} from {old} offset 0)"  # noqa: S608 - names from the catalogue
        )
        return f"({both}) as {source.name}"

    def _written(self, expression: Expr) -> str:
        whole = exp.Paren(this=expression.copy())
        for node in list(whole.find_all(exp.Parameter, exp.Placeholder)):
            place = self._place(Bound(name=node.name))
            node.replace(exp.Var(this=place))
        text: str = whole.this.sql(dialect=self._grammar)
        return text


def image_name(table: str, kind: str) -> str:
    """Return the name of the relation that holds images of a table."""
    return quoted(f"{kind} {table.replace(chr(34), '')}")


def quoted(name: str) -> str:
    """Return a name in quotes."""
    return '"' + name.replace('"', '""') + '"'
