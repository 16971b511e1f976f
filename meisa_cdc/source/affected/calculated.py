"""Keys that are calculated: a database finds no row by them with an index on a column."""

from collections.abc import Iterator

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.expressions import Expr

from meisa_cdc.core.contact import KEY_COLUMN


def calculated_key(text: str, grammar: str) -> str:
    """Return the expression that makes a query's key; "" where it is a column, or not known."""
    try:
        tree = parse_one(text, dialect=grammar)
        found = next(_calculated(tree, KEY_COLUMN), None)
    except (SqlglotError, RecursionError):
        return ""
    return "" if found is None else found.sql(dialect=grammar)


def _calculated(tree: Expr, name: str) -> Iterator[Expr]:
    """Yield what makes a column of a query, wherever that is no plain column."""
    if isinstance(tree, exp.Subquery | exp.Paren):
        yield from _calculated(tree.this, name)
    elif isinstance(tree, exp.SetOperation):
        yield from _calculated(tree.left, name)
        yield from _calculated(tree.right, name)
    elif isinstance(tree, exp.Select):
        for each in tree.selects:
            if each.alias_or_name.lower() == name.lower():
                yield from _made(tree, each.unalias().unnest())


def _made(select: exp.Select, made: Expr) -> Iterator[Expr]:
    if not isinstance(made, exp.Column):
        yield made
        return
    for source in _sources(select):
        if made.table in ("", source.alias_or_name):
            inner = _query_behind(source)
            if inner is not None:
                yield from _calculated(inner, made.name)


def _sources(select: exp.Select) -> Iterator[Expr]:
    clause = select.args.get("from_")
    if clause is not None:
        yield clause.this
    yield from (join.this for join in select.args.get("joins") or ())


def _query_behind(source: Expr) -> Expr | None:
    """Return the query that a source in FROM stands for; None: it is a table."""
    if isinstance(source, exp.Subquery):
        inner: Expr = source.this
        return inner
    if not isinstance(source, exp.Table) or source.args.get("db"):
        return None
    parts = (part for part in _named_around(source) if part.alias == source.name)
    part = next(parts, None)
    # A part that is recursive reads itself.
    if part is None or source.find_ancestor(exp.CTE) is part:
        return None
    found: Expr = part.this
    return found


def _named_around(inside: Expr) -> Iterator[exp.CTE]:
    """Yield the named parts of all queries around, the nearest first."""
    around = inside.parent
    while around is not None:
        clause = around.args.get("with_")
        yield from clause.expressions if clause is not None else ()
        around = around.parent
