"""The text of a mapping as a tree in which every column says which relation it is of."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count

from sqlglot import MappingSchema, exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.expressions import Expr
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.qualify import qualify

from meisa_cdc.source.affected.answers import Beyond, Catalogue, FullScan, Shape
from meisa_cdc.source.affected.mysql_reading import refuse_mysql
from meisa_cdc.source.affected.plain import called, queries_in
from meisa_cdc.source.affected.sqlite_reading import refuse_sqlite

_ROW_FUNCTIONS = """
    generate_series json_array_elements json_array_elements_text json_each json_each_text
    json_object_keys jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text
    jsonb_object_keys regexp_matches regexp_split_to_table string_to_table unnest
"""
#: Functions in FROM whose rows depend on their arguments alone.
ROW_FUNCTIONS = frozenset(_ROW_FUNCTIONS.split())
#: Queries one inside the other; the parser and we go down one level a call.
DEEPEST = 24
UNREADABLE = FullScan(
    reason="its SQL is not understood well enough", advice="Write it in plainer SQL."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A query whose tables are called by numbers, which nothing else in it is called."""

    tree: exp.Query
    #: Number -> shape.
    tables: dict[str, Shape]
    #: Number -> columns that the query names.
    columns: dict[str, tuple[str, ...]]


def tables_in(text: str, grammar: str) -> tuple[str, ...]:
    """Return the names of the tables that a query reads, as `Catalogue` has them, each once."""
    try:
        found = (written(table) for table in _tables(_parsed(text, grammar)))
        return tuple(dict.fromkeys(found))
    except (SqlglotError, RecursionError, Beyond):
        return ()


def functions_in(text: str, grammar: str) -> tuple[str, ...]:
    """Return the names of the functions that the parser does not know, each once."""
    try:
        found = (called(each) for each in _parsed(text, grammar).find_all(exp.Anonymous))
        return tuple(dict.fromkeys(found))
    except (SqlglotError, RecursionError, Beyond):
        return ()


def read(text: str, grammar: str, catalogue: Catalogue) -> Reading:
    """Return the query with its names resolved. Raises Beyond."""
    try:
        if grammar == "sqlite":
            refuse_sqlite(text)
        tree = _parsed(text, grammar)
        if grammar == "mysql":
            refuse_mysql(text, tree, catalogue)
        _refuse(tree, catalogue)
        tables = _number_tables(tree, catalogue)
        schema = MappingSchema(
            {number: dict(shape.columns) for number, shape in tables.items()},
            dialect=grammar,
            normalize=False,
        )
        # The texts of types are our own affair; names alone are looked up.
        tree = qualify(tree, dialect=grammar, schema=schema)
    except (SqlglotError, RecursionError):
        raise Beyond(UNREADABLE) from None
    return Reading(tree=tree, tables=tables, columns=_columns(tree, tables))


def _parsed(text: str, grammar: str) -> exp.Query:
    tree = parse_one(text, dialect=grammar)
    if not isinstance(tree, exp.Query):
        raise Beyond(UNREADABLE)
    return normalize_identifiers(tree, dialect=grammar)


def written(table: exp.Table) -> str:
    """Return the name of a table as the query means it, without quotes."""
    return ".".join(part.name for part in table.parts)


def _tables(tree: Expr) -> Iterator[exp.Table]:
    """Yield the tables of a query, not the names that it gives to parts of itself."""
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and not _is_named_query(table):
            yield table


def _is_named_query(table: exp.Table) -> bool:
    if table.args.get("db"):
        return False
    inside: Expr = table
    while inside.parent is not None:
        around = inside.parent
        if isinstance(around, exp.With):
            # A part sees those before it; one that is recursive itself, too.
            place = around.expressions.index(inside) + bool(around.args.get("recursive"))
            named = around.expressions[:place]
            around = around.parent or around
        else:
            clause = around.args.get("with_")
            named = clause.expressions if clause is not None else []
        if any(each.alias == table.name for each in named):
            return True
        inside = around
    return False


def _number_tables(tree: exp.Query, catalogue: Catalogue) -> dict[str, Shape]:
    parts = {part.alias for part in tree.find_all(exp.CTE)}
    unused = (name for n in count() if (name := f"t{n}") not in parts)
    numbers: dict[str, str] = {}
    tables: dict[str, Shape] = {}
    for table in list(_tables(tree)):
        name = written(table)
        shape = catalogue.tables.get(name)
        if shape is None:
            raise _beyond(
                f"{name} is no plain table", "Write the query of a view into the mapping itself."
            )
        if shape.name not in numbers:
            numbers[shape.name] = next(unused)
        number = numbers[shape.name]
        tables[number] = shape
        if not table.alias:
            table.set("alias", exp.TableAlias(this=table.this.copy()))
        table.set("this", exp.to_identifier(number))
        for qualifier in ("db", "catalog"):
            table.set(qualifier, None)
    return tables


def _columns(tree: exp.Query, tables: dict[str, Shape]) -> dict[str, tuple[str, ...]]:
    """Return the columns of each table that occur under one of its aliases."""
    aliases: dict[str, set[str]] = {}
    for table in tree.find_all(exp.Table):
        aliases.setdefault(table.name, set()).add(table.alias_or_name)
    named = {(column.table, column.name) for column in tree.find_all(exp.Column)}
    # A whole row: the alias stands where a column does.
    whole = {column.name for column in tree.find_all(exp.TableColumn)}
    whole |= {column.table for column in tree.find_all(exp.Column) if column.is_star}
    return {
        number: tuple(
            column
            for column in shape.columns
            if any((alias, column) in named or alias in whole for alias in aliases[number])
        )
        for number, shape in tables.items()
    }


def _refuse(tree: exp.Query, catalogue: Catalogue) -> None:
    """Refuse what cannot be derived, wherever it stands. Raises Beyond."""
    for node in tree.walk():
        if isinstance(node, exp.With) and node.args.get("recursive"):
            raise _beyond("it has a recursive query", "Keep its result in a table.")
        if isinstance(node, exp.Join):
            _refuse_join(node)
        if isinstance(node, exp.Group) and _has_totals(node):
            raise _beyond("it has totals beside its groups", "Use a plain GROUP BY.")
        _refuse_word(node)
        if isinstance(node, exp.Anonymous):
            _refuse_function(node, catalogue.opaque)
        if isinstance(node, exp.Table):
            _refuse_table(node)
        if isinstance(node, exp.Table | exp.Lateral):
            _refuse_rows_of(node.this)
    if _depth(tree) > DEEPEST:
        raise _beyond("it is nested too deeply", "Split it into several mappings.")


def _refuse_word(node: Expr) -> None:
    if isinstance(node, exp.In) and node.args.get("field") is not None:
        # What looks like a column is a table there.
        raise _beyond("it has IN without parentheses", "Write IN (select …).")
    if isinstance(node, exp.TableSample):
        raise _beyond("TABLESAMPLE picks other rows each time", "Remove it.")


def _has_totals(group: exp.Group) -> bool:
    several = group.find(exp.Rollup, exp.Cube, exp.GroupingSets)
    return (
        bool(several or group.args.get("totals"))
        or not group.expressions
        or any(isinstance(each, exp.Tuple) and not each.expressions for each in group.expressions)
    )


def _refuse_join(join: exp.Join) -> None:
    if join.side in ("FULL", "RIGHT"):
        raise _beyond(f"it has a {join.side} JOIN", "Write it with LEFT JOIN and UNION ALL.")
    if join.kind not in ("", "INNER", "CROSS", "OUTER") or join.method not in ("", "NATURAL"):
        raise _beyond(f"it has a {join.method or join.kind} JOIN", "Use JOIN or LEFT JOIN.")


def _refuse_function(function: exp.Anonymous, opaque: Collection[str]) -> None:
    name = called(function)
    if name in opaque:
        raise _beyond(
            f"the function {name} may read tables",
            "Declare it immutable if it does not, or write what it does into the mapping.",
        )


def _refuse_table(table: exp.Table) -> None:
    renamed = table.alias_column_names and not _is_named_query(table)
    if isinstance(table.this, exp.Identifier) and (table.args.get("only") or renamed):
        raise _beyond("a table is read with ONLY or under other column names", "Leave them out.")


def _refuse_rows_of(source: Expr) -> None:
    """Refuse functions in FROM but for those whose rows come of their arguments."""
    known = isinstance(source, exp.Identifier | exp.Query | exp.UDTF | exp.GenerateSeries)
    named = isinstance(source, exp.Anonymous) and called(source) in ROW_FUNCTIONS
    if not known and not named:
        raise _beyond("it calls a function in FROM", "Select from tables.")


def _depth(query: exp.Query) -> int:
    deepest = 0
    pending: list[tuple[Expr, int]] = [(query, 0)]
    while pending:
        node, depth = pending.pop()
        depth += isinstance(node, exp.Query)
        deepest = max(deepest, depth)
        pending += ((child, depth) for child in node.iter_expressions())
    return deepest


def conditions_on_queries(expression: Expr) -> Iterator[tuple[exp.Query, exp.In | None]]:
    """Yield each query inside an expression, with the IN that it is the list of."""
    for query in queries_in(expression):
        parent = query.parent
        yield query, parent if isinstance(parent, exp.In) else None


def _beyond(reason: str, advice: str) -> Beyond:
    return Beyond(FullScan(reason=reason, advice=advice))
